package import Specs

/// How the processes of a stage share its messages: each has a queue of its own, and equal keys go into the same one.
package struct PartitionRule: Sendable, Equatable {
  /// How the filter sees a message: as the value that its JSON text means, or as a string.
  package enum Input: String, Sendable, CaseIterable { case json, text }

  /// A filter in the jq language; what it makes of a message is the message's key.
  package var key: String
  package var input: Input

  package init(key: String, input: Input = .json) {
    self.key = key
    self.input = input
  }

  package var json: JSON { ["key": .string(key), "input": .string(input.rawValue)] }

  /// - Returns: nil when the node is no rule
  package init?(_ node: Node?) {
    guard let key = node?["key"]?.string, let input = node?["input"]?.string.flatMap(Input.init(rawValue:)) else { return nil }
    self.init(key: key, input: input)
  }
}

extension PartitionRule.Input: Choice {}

enum PartitionKeys {
  static let key = Setting.string(
    "key",
    """
    A filter in the jq language that gives a message's key: exactly one JSON value. A message of which it makes none, several or an error is a failure of \
    the stage that made it.
    """, example: ".user")
  static let input = Setting<PartitionRule.Input>.choice(
    "input", "How the filter sees a message: json, as the value that its text means; text, as a string.", default: .json)
  static let group = SettingGroup(title: "`partition`", settings: [key.declaration, input.declaration])
}

extension Stage {
  /// How many queues it has: one that all of its processes read, or one for each.
  package var queues: Int { queue == nil ? 0 : partition == nil ? 1 : processes }
  /// How many processes read each of them.
  package var processesOfAQueue: Int { partition == nil ? processes : 1 }

  /// `64 x 1 MiB`, or `4 x (64 x 1 MiB)` for four queues; nil for a source.
  var queueDescribed: String? { queue.map { partition == nil ? $0.described : "\(processes) x (\($0.described))" } }
}

extension Planner {
  /// What a stage says of the keys of its messages.
  mutating func readPartition(_ draft: inout Draft, _ given: Given) {
    guard let pair = draft.node.pair("partition"), let node = given[StageKeys.partition] else { return }
    if draft.spec != nil, draft.stage.kind == .source {
      report(
        "source-partition", "a source reads nothing that its processes could share", pair.keySpan, draft.path + ".partition",
        "put `partition` under the stage that reads \"\(draft.name)\"")
      return
    }
    let partition = read(PartitionKeys.group, node, pair.keySpan, draft.path + ".partition")
    guard partition.has("key") else { return }
    let place = draft.place("partition", "key")
    let rule = PartitionRule(key: partition[PartitionKeys.key], input: partition[PartitionKeys.input])
    if node["key"]?.isSecret == true {
      report(
        "secret-shown", "`key` is shown in graphs and kept in states, but holds a secret parameter", place, draft.path + ".partition.key",
        "leave the parameter out of it")
    } else if let problem = surroundings.filterProblem(rule.key) {
      report("partition-key", problem, place, draft.path + ".partition.key", "try it with `jq -n '…'` on the command line")
    }
    if let order = draft.node.pair("order"), order.value.string == "input" {
      report(
        "partition-order", "a stage with `partition` keeps the order of each key, and cannot keep that of its whole input", order.keySpan, draft.path + ".order",
        "remove `order`, or `partition`")
    }
    draft.stage.partition = rule
  }
}
