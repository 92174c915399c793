import Specs

/// How `ringway graph` shows a plan. Settings are never drawn: they may hold secrets.
package enum Drawing: String, CaseIterable, Sendable { case tree, dot, mermaid, json }

extension Plan {
  /// - Returns: text that ends with a newline
  package func drawn(as drawing: Drawing, _ surroundings: Surroundings) -> String {
    switch drawing {
    case .tree: tree(surroundings)
    case .dot: dot()
    case .mermaid: mermaid()
    case .json: json(surroundings).pretty + "\n"
    }
  }

  /// Groups of stages that are joined, each in the order of the plan.
  package var components: [[Int]] {
    var group = Array(stages.indices)
    func root(_ i: Int) -> Int {
      var i = i
      while group[i] != i {
        group[i] = group[group[i]]
        i = group[i]
      }
      return i
    }
    for i in stages.indices {
      for writer in writers(to: i) {
        let (a, b) = (root(writer), root(i))
        group[max(a, b)] = min(a, b)
      }
    }
    var found: [Int: [Int]] = [:]
    for i in stages.indices { found[root(i), default: []].append(i) }
    return found.sorted { $0.key < $1.key }.map(\.value)
  }

  private var processes: Int { stages.reduce(0) { $0 + $1.processes } }

  private func times(_ stage: Stage) -> String { stage.processes == 1 ? "" : " x\(stage.processes)" }

  // MARK: Tree

  /// From each source down; a stage with several inputs is drawn under its first and named under the others.
  private func tree(_ surroundings: Surroundings) -> String {
    var out = "\(name)" + (description.isEmpty ? "" : ": \(description)") + "\n"
    var drawn = Set<Int>()
    func line(_ i: Int) -> String {
      let stage = stages[i]
      var text = "\(stage.name)\(times(stage))  \(stage.plugin)"
      if let queue = stage.queue {
        text += "  [queue of \(queue.capacity) x \(Quantity.describe(bytes: queue.messageBytes)), reserves \(Quantity.describe(bytes: reservedBytes(ofStage: i, surroundings)))]"
      }
      if writers(to: i).count > 1 { text += "  merges " + writers(to: i).map { stages[$0].name }.joined(separator: " + ") }
      return text
    }
    // An explicit stack: a chain may be thousands of stages long.
    for component in components {
      var stack: [(stage: Int, prefix: String, isLast: Bool, isRoot: Bool)] = component.filter { writers(to: $0).isEmpty }.reversed().map { ($0, "", true, true) }
      while let next = stack.popLast() {
        let branch = next.isRoot ? "" : next.isLast ? "└── " : "├── "
        if !drawn.insert(next.stage).inserted {
          out += next.prefix + branch + "(\(stages[next.stage].name), see above)\n"
          continue
        }
        out += next.prefix + branch + line(next.stage) + "\n"
        let below = next.isRoot ? "" : next.prefix + (next.isLast ? "    " : "│   ")
        let children = readers(of: next.stage)
        for (k, child) in children.enumerated().reversed() { stack.append((child, below, k == children.count - 1, false)) }
      }
    }
    let total = stages.indices.reduce(0) { $0 + reservedBytes(ofStage: $1, surroundings) }
    out += "\(count(stages.count, "stage")), \(count(processes, "process")), \(count(components.count, "component")), \(Quantity.describe(bytes: total)) reserved\n"
    return out
  }

  private func count(_ n: Int, _ word: String) -> String { "\(n) \(word)" + (n == 1 ? "" : word.hasSuffix("s") ? "es" : "s") }

  // MARK: DOT

  /// For Graphviz.
  private func dot() -> String {
    func quoted(_ text: String) -> String { "\"" + text.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] } + "\"" }
    var out = "digraph \(quoted(name)) {\n  rankdir=LR;\n"
    for stage in stages {
      let shape = stage.kind == .source ? "invhouse" : stage.kind == .sink ? "house" : "box"
      out += "  \(quoted(stage.name)) [shape=\(shape), label=\(quoted(stage.name + times(stage) + " (" + stage.plugin + ")"))];\n"
    }
    for i in stages.indices {
      for writer in writers(to: i) {
        let label = stages[i].queue.map { "\($0.capacity) x \(Quantity.describe(bytes: $0.messageBytes))" } ?? ""
        out += "  \(quoted(stages[writer].name)) -> \(quoted(stages[i].name)) [label=\(quoted(label))];\n"
      }
    }
    return out + "}\n"
  }

  // MARK: Mermaid

  private func mermaid() -> String {
    var out = "flowchart LR\n"
    for (i, stage) in stages.enumerated() {
      let label = "\"\(stage.name)\(times(stage)) (\(stage.plugin))\""
      switch stage.kind {
      case .source: out += "  s\(i)[/\(label)/]\n"
      case .transform: out += "  s\(i)[\(label)]\n"
      case .sink: out += "  s\(i)[\\\(label)\\]\n"
      }
    }
    for i in stages.indices {
      for writer in writers(to: i) {
        out += "  s\(writer) -->|\"\(stages[i].queue.map { "\($0.capacity) x \(Quantity.describe(bytes: $0.messageBytes))" } ?? "")\"| s\(i)\n"
      }
    }
    return out
  }

  // MARK: JSON

  private func json(_ surroundings: Surroundings) -> JSON {
    let total = stages.indices.reduce(0) { $0 + reservedBytes(ofStage: $1, surroundings) }
    return [
      "pipeline": .string(name), "description": .string(description),
      "stages": .array(stages.enumerated().map { i, stage in
        [
          "name": .string(stage.name), "plugin": .string(stage.plugin), "kind": .string(stage.kind.rawValue),
          "processes": .integer(stage.processes), "inputs": .array(stage.inputs.map(JSON.string)),
          "readers": .array(readers(of: i).map { .string(stages[$0].name) }),
          "queue": stage.queue.map {
            [
              "capacity": .integer($0.capacity), "message_bytes": .integer($0.messageBytes),
              "reserved_bytes": .integer(reservedBytes(ofStage: i, surroundings)),
            ]
          } ?? .null,
        ]
      }),
      "components": .array(components.map { .array($0.map { .string(stages[$0].name) }) }),
      "totals": [
        "stages": .integer(stages.count), "processes": .integer(processes), "components": .integer(components.count),
        "reserved_bytes": .integer(total),
      ],
    ]
  }
}
