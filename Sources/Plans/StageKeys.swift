import Specs

/// The keys of one stage.
enum StageKeys {
  enum Count: Sendable, Equatable {
    case number(Int)
    case auto
  }

  static let description = Setting.string(
    "description", "What the stage is for, for people.", default: "", allowEmpty: true, example: "Finds what moves in a frame")
  static let inputs = Setting<[String]>(
    "inputs",
    """
    The stages whose messages this one reads, or ports of stages, as `STAGE.PORT`. Each reader of a stage gets every message; several inputs merge. \
    `STAGE.dead_letter` are the messages that a stage has given up.
    """,
    schema: ["type": "array", "minItems": 1, "items": ["type": "string", "x-expected": "the name of a stage"]],
    expected: "a list of stages, such as [camera]", default: [], defaultJSON: nil, isRequired: false, example: ["camera"],
    decode: \.strings)
  static let ignore = Setting<[String]>(
    "ignore", "Ports of this stage that nobody reads: what is handed on there is thrown away.",
    schema: ["type": "array", "minItems": 1, "items": ["type": "string", "x-expected": "the name of a port"]],
    expected: "a list of ports, such as [else]", default: [], defaultJSON: nil, isRequired: false, example: ["else"],
    decode: \.strings)
  static let processes = Setting<Count>(
    "processes",
    "How many processes run the plugin; `auto` is one for each CPU that this program may use, of those in `affinity` if it is given, never more than the queue's capacity.",
    schema: ["anyOf": [["type": "integer", "minimum": 1, "maximum": .integer(most)], ["const": "auto"]]],
    expected: "an integer from 1 to \(most), or auto", default: .number(1), defaultJSON: 1, example: "auto",
    decode: { node in
      if node.string == "auto" { return .auto }
      return (node.integer ?? node.double.flatMap(Int.init(exactly:))).flatMap { 1...most ~= $0 ? .number($0) : nil }
    })
  static let queue = nested("queue", "The queue in front of the stage.", QueueKeys.group, example: ["capacity": 64, "message": "1MiB"])
  static let partition = nested(
    "partition",
    """
    Shares the stage's messages among its processes by their keys: each process has a queue of its own, with `queue` for each, and equal keys go to the same \
    process, in the order in which each process before it made them, also over restarts.
    """, PartitionKeys.group, example: ["key": ".user"])
  static let with = Setting<[Node.Pair]>(
    "with", "The plugin's settings.", schema: ["type": "object"], expected: "a mapping of the plugin's settings", default: [],
    defaultJSON: nil, isRequired: false, example: ["count": 1000], decode: \.pairs)
  static let restart = nested(
    "restart", "How often a worker may die without having made progress.", RestartKeys.group,
    example: ["max": 5, "within": "10s", "backoff": "100ms"])
  static let onError = nested(
    "on_error", "What happens to a message that fails.", ErrorKeys.group, example: ["retries": 2, "then": "stop"])
  static let timeout = Setting.duration(
    "timeout", "How long one message may take; a worker that takes longer is killed and the message is tried again. One that takes longer to close its plugin ends the run.", example: "5s")
    .optional
  static let startupTimeout = Setting.duration(
    "startup_timeout", "How long a worker may take to open its plugin; one that takes longer is killed and named with what it was at, and counts as a start without progress, until one becomes ready.",
    example: "30s"
  ).optional
  static let rate = Setting<Double?>.rate(
    "rate", "How many messages a second the stage may begin, all of its processes together; a source, how many it may make.")
  static let order = Setting<StageOrder>.choice(
    "order",
    """
    `input` hands on what the stage makes in the order of its inputs, over all of its processes. A process that is ahead works on meanwhile, as far as \
    the queues in front of the stage and behind it go.
    """, example: .input
  ).optional
  static let batch = nested(
    "batch", "Messages that a sink, or a plugin that takes several in one call, works on together.", BatchKeys.group,
    example: ["count": 100, "within": "1s"])
  static let limits = nested(
    "limits", "What each of the stage's processes may use, and every program that it starts.", LimitKeys.group,
    example: ["memory": "2GiB", "files": 1024, "cpu": "1h"])
  static let nice = Setting.integer(
    "nice", "How much the stage's processes let others go first (nice(1)); below what the runner has it takes a privilege.", in: -20...19, example: 10
  ).optional
  static let affinity = Setting<[Int]>(
    "affinity", "The CPUs that the stage's processes may use, by number; all that this program may use unless given.",
    schema: [
      "type": "array", "minItems": 1,
      "items": [
        "anyOf": [["type": "integer", "minimum": 0, "maximum": .integer(lastCPU)], ["type": "string", "pattern": "^[0-9]{1,4}-[0-9]{1,4}$"]],
        "x-expected": "a number of a CPU, or a range such as 2-3",
      ],
    ],
    expected: "a list of CPUs, such as [0, 2-3]", default: [], defaultJSON: nil, isRequired: false, example: [0, "2-3"],
    decode: { node in
      guard let items = node.items, !items.isEmpty else { return nil }
      let ranges = items.compactMap(cpus)
      return ranges.count == items.count ? Set(ranges.joined()).sorted() : nil
    })
  static let environment = Setting<[String: String]>(
    "environment", "Variables added to what the stage's processes inherit.",
    schema: [
      "type": "object", "additionalProperties": ["type": "string"],
      "propertyNames": ["pattern": "^[^=]+$", "x-expected": "the name of a variable, without ="],
    ],
    expected: "a mapping of names to strings", default: [:], defaultJSON: nil, isRequired: false,
    example: ["OMP_NUM_THREADS": "1"],
    decode: { node in
      guard let pairs = node.pairs else { return nil }
      var all: [String: String] = [:]
      for pair in pairs {
        // The system ends both at a NUL, and the name at the first `=` (environ(7)).
        guard let value = pair.value.string, !pair.key.isEmpty, !pair.key.utf8.contains(UInt8(ascii: "=")),
          !(pair.key + value).utf8.contains(0)
        else { return nil }
        all[pair.key] = value
      }
      return all
    })
  static let directory = Setting.path(
    "directory", "Working directory of the stage's processes, relative to the pipeline file's folder. The default is that of `ringway` itself.", example: "work").optional

  /// The most processes of a stage, and of a pipeline: a slot names its owner in 12 bits.
  static let most = 4095

  /// The highest number of a CPU that the kernel can be built for.
  private static let lastCPU = 8191

  /// What one item of `affinity` names.
  static func cpus(_ item: Node) -> ClosedRange<Int>? {
    if let number = item.integer ?? item.double.flatMap(Int.init(exactly:)) { return 0...lastCPU ~= number ? number...number : nil }
    let ends = (item.string ?? "").split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
    guard ends.count == 2, let first = ends[0], let last = ends[1], 0 <= first, first <= last, last <= lastCPU else { return nil }
    return first...last
  }

  /// All but the names that `plugin` may have, which are the catalog's.
  static let group = SettingGroup(
    title: "a stage",
    settings: [
      plugin([]).declaration, description.declaration, inputs.declaration, ignore.declaration, processes.declaration, queue.declaration, partition.declaration,
      with.declaration, restart.declaration, onError.declaration, timeout.declaration, startupTimeout.declaration, rate.declaration, order.declaration, batch.declaration, limits.declaration, nice.declaration, affinity.declaration,
      environment.declaration,
      directory.declaration,
    ])

  static func plugin(_ names: [String]) -> Setting<String> {
    Setting(
      "plugin", "What the stage does.",
      schema: names.isEmpty ? ["type": "string"] : ["type": "string", "enum": .array(names.map(JSON.string))],
      expected: "the name of a plugin", default: nil, defaultJSON: nil,
      example: .string(names.first { $0 == "jq" } ?? names.first ?? "jq"), decode: \.string)
  }

  private static func nested(_ name: String, _ summary: String, _ group: SettingGroup, example: JSON) -> Setting<Node?> {
    Setting(
      name, summary, schema: group.schema(description: summary).without("description"), expected: "a mapping",
      default: .some(nil), defaultJSON: nil, isRequired: false, example: example, decode: { $0.pairs == nil ? nil : .some($0) })
  }
}

enum QueueKeys {
  static let capacity = Setting.integer(
    "capacity", "How many messages may wait or be worked on.", in: 1...1_048_576, default: 256, example: 64)
  static let message = Setting.size("message", "The largest message.", in: 1...(1 << 30), default: "1MiB", example: "64KiB")
  static let bytes = Setting.size(
    "bytes", "The most memory that the queue may take; writers wait for memory as they do for a place. As much as `capacity` messages can need unless given.",
    in: 1...(1 << 50), example: "64MiB"
  ).optional
  static let whenFull = Setting<Queue.WhenFull>.choice(
    "when_full",
    """
    What happens to a message that finds no room: its writer waits (`block`), it is dropped itself (`drop_newest`), or the oldest that nobody works on \
    makes room for it (`drop_oldest`). What is dropped is counted.
    """,
    default: .block, example: .dropOldest)
  static let group = SettingGroup(
    title: "`queue`", settings: [capacity.declaration, message.declaration, bytes.declaration, whenFull.declaration])
}

enum BatchKeys {
  static let count = Setting.integer("count", "How many messages make a batch.", in: 1...65_536, example: 100)
  static let bytes = Setting.size("bytes", "A batch that has so many bytes is complete, however few its messages.", in: 1...(1 << 40), example: "1MiB").optional
  static let within = Setting.duration(
    "within",
    "How long the first message of a batch may wait for others; without it a batch is what is there. A batch also ends when writers wait for the places that it holds.",
    example: "1s"
  ).optional
  static let group = SettingGroup(title: "`batch`", settings: [count.declaration, bytes.declaration, within.declaration])
}

enum RestartKeys {
  static let max = Setting.integer("max", "How many starts may fail within the time.", in: 0...1_000_000, default: 5, example: 5)
  static let within = Setting.duration("within", "The time in which they are counted.", default: "10s", example: "10s")
  static let backoff = Setting.duration(
    "backoff", "The pause before the first restart; it doubles each time.", default: "100ms", example: "100ms")
  static let group = SettingGroup(title: "`restart`", settings: [max.declaration, within.declaration, backoff.declaration])
}

enum LimitKeys {
  static let memory = Setting.size(
    "memory", "Private memory: heap, stacks and data. The queues, which all share, do not count.", in: (16 << 20)...Int.max, example: "2GiB"
  ).optional
  static let files = Setting.integer("files", "Open file descriptors; those of its queues count.", in: 1...1_073_741_816, example: 1024).optional
  static let cpu = Setting.duration(
    "cpu", "Processor time, in whole seconds; a process that has used it is killed.", in: .seconds(1) ... .seconds(86_400 * 365), example: "1h"
  ).optional
  static let group = SettingGroup(title: "`limits`", settings: [memory.declaration, files.declaration, cpu.declaration])
}

enum ErrorKeys {
  static let retries = Setting.integer(
    "retries", "How often a message is tried again after its plugin failed.", in: 0...254, default: 2, example: 2)
  static let deaths = Setting.integer(
    "deaths", "How many workers may die with a message in hand before it is given up.", in: 1...254, default: 3, example: 3)
  static let then = Setting<ErrorPolicy.Then>.choice(
    "then",
    """
    What happens to a message that is given up: `stop` the run (exit 65), `drop` it and count it, or hand it on as a `dead_letter` to the readers of \
    `STAGE.dead_letter`. With such a reader the default is dead_letter, without one it is stop.
    """,
    example: .drop
  ).optional
  static let maxDeadLetters = Setting<Int?>(
    "max_dead_letters", "How many messages of the stage may become dead letters; the next one that is given up stops the run (exit 65).",
    schema: ["type": "integer", "minimum": 0, "maximum": .integer(mostDeadLetters)], expected: "an integer from 0 to \(mostDeadLetters)",
    default: .some(nil), defaultJSON: nil, isRequired: false, example: 1000,
    decode: { node in (node.integer ?? node.double.flatMap(Int.init(exactly:))).flatMap { 0...mostDeadLetters ~= $0 ? .some($0) : nil } })
  private static let mostDeadLetters = 1_000_000_000_000
  static let group = SettingGroup(
    title: "`on_error`", settings: [retries.declaration, deaths.declaration, then.declaration, maxDeadLetters.declaration])
}

/// What the outputs of a stage follow.
enum StageOrder: String, Choice { case input }

extension ErrorPolicy.Then: Choice {}
extension Queue.WhenFull: Choice {}

extension JSON {
  /// An object without one of its keys.
  func without(_ key: String) -> JSON {
    guard case .object(let pairs) = self else { return self }
    return .object(pairs.filter { $0.0 != key })
  }
}
