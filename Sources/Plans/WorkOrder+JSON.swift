import Specs

extension WorkOrder {
  /// The order as the worker reads it.
  package func encoded() -> [UInt8] {
    func attachment(_ a: Attachment) -> JSON {
      ["descriptor": .integer(a.descriptor), "lane": .integer(a.lane), "ports": .array(a.ports.map(JSON.integer)), "when_full": .string(a.whenFull.rawValue)]
    }
    let json: JSON = [
      "stage": .string(stage), "plugin": .string(plugin), "kind": .string(kind.rawValue), "library": library.map(JSON.string) ?? .null, "worker": .integer(worker), "process": .integer(process),
      "directory": .string(directory), "settings": JSON(settings), "retries": .integer(retries), "deaths": .integer(deaths),
      "then": .string(then.rawValue), "cells": .integer(cells), "input": input.map(attachment) ?? .null,
      "outputs": .array(outputs.map(attachment)), "sockets": .array(sockets.map(JSON.integer)),
      "standard_output": standardOutput.map(JSON.integer) ?? .null, "max_dead_letters": maxDeadLetters.map(JSON.integer) ?? .null,
      "dead_letter_port": .integer(deadLetterPort), "ports": .array(ports.map(JSON.string)), "file": .string(file),
      "lock": lock.map(JSON.integer) ?? .null, "ordered": .boolean(isOrdered), "groups": groups.map(JSON.integer) ?? .null,
      "rate": rate.map(JSON.number) ?? .null,
      "nice": nice.map(JSON.integer) ?? .null, "affinity": .array(affinity.map(JSON.integer)),
      "limits": [
        "memory_bytes": limits.memoryBytes.map(JSON.integer) ?? .null, "files": limits.files.map(JSON.integer) ?? .null,
        "cpu_seconds": limits.cpuSeconds.map(JSON.integer) ?? .null,
      ],
      "chaos": chaos?.json ?? .null,
      "batch": batch.map { ["count": .integer($0.count), "bytes": $0.bytes.map(JSON.integer) ?? .null, "within": .integer(Int(clamping: $0.within))] } ?? .null,
      "partition": partition?.json ?? .null,
      "partitions": .array(partitions.map { partition in
        [
          "reader": .string(partition.reader), "first": .integer(partition.outputs.lowerBound), "count": .integer(partition.outputs.count),
          "rule": partition.rule.json,
        ]
      }),
    ]
    return Array(json.compact.utf8)
  }

  /// - Returns: nil when the text is no order; only the runner writes one, so there is nobody to tell what is wrong
  package init?(decoding bytes: [UInt8]) {
    guard let node = JSONText.parse(bytes).node else { return nil }
    func attachment(_ node: Node?) -> Attachment? {
      guard let descriptor = node?["descriptor"]?.integer, let lane = node?["lane"]?.integer else { return nil }
      return Attachment(descriptor: descriptor, lane: lane, ports: node?["ports"]?.items?.compactMap(\.integer) ?? [0],
        whenFull: node?["when_full"]?.string.flatMap(Queue.WhenFull.init(rawValue:)) ?? .block)
    }
    guard
      let stage = node["stage"]?.string, let plugin = node["plugin"]?.string,
      let kind = node["kind"]?.string.flatMap(PluginSpec.Kind.init(rawValue:)), let worker = node["worker"]?.integer,
      let process = node["process"]?.integer, let directory = node["directory"]?.string, let settings = node["settings"],
      let retries = node["retries"]?.integer, let deaths = node["deaths"]?.integer,
      let then = node["then"]?.string.flatMap(ErrorPolicy.Then.init(rawValue:)), let cells = node["cells"]?.integer,
      let outputs = node["outputs"]?.items?.map(attachment), let sockets = node["sockets"]?.items?.map(\.integer)
    else { return nil }
    self.init(
      stage: stage, plugin: plugin, kind: kind, worker: worker, process: process, directory: directory, settings: settings,
      retries: retries, deaths: deaths, then: then, cells: cells, input: attachment(node["input"]),
      outputs: outputs.compactMap { $0 }, sockets: sockets.compactMap { $0 },
      standardOutput: node["standard_output"]?.integer)
    library = node["library"]?.string
    maxDeadLetters = node["max_dead_letters"]?.integer
    deadLetterPort = node["dead_letter_port"]?.integer ?? 1
    ports = node["ports"]?.items?.compactMap(\.string) ?? []
    file = node["file"]?.string ?? ""
    lock = node["lock"]?.integer
    batch = node["batch"].flatMap { given in
      given["count"]?.integer.map { Batch(count: max(1, $0), bytes: given["bytes"]?.integer, within: UInt64(clamping: given["within"]?.integer ?? 0)) }
    }
    isOrdered = node["ordered"]?.boolean ?? false
    groups = node["groups"]?.integer
    nice = node["nice"]?.integer
    affinity = node["affinity"]?.items?.compactMap(\.integer) ?? []
    let limits = node["limits"]
    self.limits = ProcessLimits(
      memoryBytes: limits?["memory_bytes"]?.integer, files: limits?["files"]?.integer, cpuSeconds: limits?["cpu_seconds"]?.integer)
    rate = node["rate"]?.double.flatMap { $0 > 0 ? $0 : nil }
    chaos = node["chaos"].flatMap(Chaos.init)
    partition = PartitionRule(node["partition"])
    partitions = (node["partitions"]?.items ?? []).compactMap { item in
      guard let reader = item["reader"]?.string, let first = item["first"]?.integer, let count = item["count"]?.integer,
        let rule = PartitionRule(item["rule"]), first >= 0, count > 0, count <= outputs.count, first <= outputs.count - count
      else { return nil }
      return Partition(reader: reader, outputs: first..<first + count, rule: rule)
    }
  }
}
