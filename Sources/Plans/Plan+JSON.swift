import Specs

extension Plan {
  /// For programs. A stage's `outputs` are its ports, as `inputs` of other stages name them, with their readers.
  var json: JSON {
    [
      "pipeline": .string(name), "description": .string(description), "file": .string(file),
      "stages": .array(stages.indices.map(json)),
      "components": .array(components.map { .array($0.map { .string(stages[$0].name) }) }),
      "totals": [
        "stages": .integer(stages.count), "processes": .integer(processes), "components": .integer(components.count),
        "reserved_bytes": .integer(reservedBytes),
      ],
    ]
  }

  private func json(_ i: Int) -> JSON {
    let stage = stages[i]
    let outputs: JSON = .array(
      (0...stage.deadLetterPort).compactMap { port in
        let readers = readers(of: i, port: port)
        // What a sink hands on, and dead letters, are there only for those who read them.
        if readers.isEmpty, port == stage.deadLetterPort || port == 0 && (stage.kind == .sink || !stage.ports.isEmpty) { return nil }
        return ["port": .string(stage.portName(port)), "readers": .array(readers.map { .string(stages[$0].name) })]
      })
    let json: JSON = [
      "name": .string(stage.name), "plugin": .string(stage.plugin), "kind": .string(stage.kind.rawValue),
      "processes": .integer(stage.processes), "inputs": .array(stage.inputs.map(JSON.string)), "outputs": outputs,
      "queue": stage.queue.map {
        [
          "capacity": .integer($0.capacity), "message_bytes": .integer($0.messageBytes), "bytes": $0.bytes.map(JSON.integer) ?? .null,
          "when_full": .string($0.whenFull.rawValue),
          "reserved_bytes": .integer($0.reservedBytes),
        ]
      } ?? .null,
    ]
    guard case .object(let pairs) = json else { return json }
    return .object(pairs + restraints(stage))
  }

  /// What holds its processes down, as far as the file names it.
  private func restraints(_ stage: Stage) -> [(String, JSON)] {
    var all: [(String, JSON)] = []
    if let partition = stage.partition { all.append(("partition", partition.json)) }
    if let batch = stage.batch {
      all.append(("batch", ["count": .integer(batch.count), "bytes": batch.bytes.map(JSON.integer) ?? .null, "within_seconds": .number(Double(batch.within) / 1e9)]))
    }
    if stage.isOrdered { all.append(("order", "input")) }
    if let rate = stage.rate { all.append(("rate_per_second", .number(rate))) }
    let limits = [
      ("memory_bytes", stage.limits.memoryBytes), ("files", stage.limits.files), ("cpu_seconds", stage.limits.cpuSeconds),
    ].compactMap { name, value in value.map { (name, JSON.integer($0)) } }
    if !limits.isEmpty { all.append(("limits", .object(limits))) }
    if let nice = stage.nice { all.append(("nice", .integer(nice))) }
    if !stage.affinity.isEmpty { all.append(("affinity", .array(stage.affinity.map(JSON.integer)))) }
    return all
  }
}
