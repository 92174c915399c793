import Specs

/// The keys of a pipeline file, each declared once: the schema, the defaults and the decoding follow from here. The keys
/// of a plugin's `with:` are the plugin's own.
enum PipelineKeys {
  static let version = Setting<Int>(
    "ringway", "Version of this language.", schema: ["type": "integer", "const": 1], expected: "the version 1",
    default: nil, defaultJSON: nil, example: 1, decode: { $0.integer == 1 ? 1 : nil })
  static let name = Setting<String>(
    "name", "Name of the pipeline, for reports; the file's name unless given.",
    schema: ["type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,62}$"],
    expected: "a name of letters, digits, _, . and - that begins with a letter", default: "", defaultJSON: nil,
    isRequired: false, example: "frames", decode: \.string)
  static let description = Setting.string("description", "What the pipeline does, for people.", default: "", allowEmpty: true)
  static let parameters = Setting<[Node.Pair]>(
    "parameters", "Values that `${NAME}` stands for; `--set NAME=VALUE` or the environment variable RINGWAY_NAME overrides them.",
    schema: [
      "type": "object", "propertyNames": ["pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "x-expected": "a name of letters, digits and _"],
      "additionalProperties": ["$ref": "#/$defs/parameter"],
    ],
    expected: "a mapping of names to parameters", default: [], defaultJSON: nil, isRequired: false, decode: \.pairs)
  static let memory = Setting.size(
    "memory", "How much memory the queues may reserve together; half of what is available unless given.", default: nil)
    .optional
  static let drain = Setting.duration(
    "drain", "How long the messages under way may take after the first Ctrl-C before the run stops with work left.",
    default: "30s")
  static let stages = Setting<[Node.Pair]>(
    "stages", "The stages by name. A source has no inputs; a sink is read by nobody.",
    schema: [
      "type": "object", "minProperties": 1,
      "propertyNames": [
        "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,62}$",
        "x-expected": "a name of at most 63 letters, digits, _ and - that begins with a letter",
      ],
      "additionalProperties": ["$ref": "#/$defs/stage"],
    ],
    expected: "a mapping of names to stages", default: nil, defaultJSON: nil, decode: { $0.pairs.flatMap { $0.isEmpty ? nil : $0 } })

  static let top = SettingGroup(
    title: "the pipeline",
    settings: [
      version.declaration, name.declaration, description.declaration, parameters.declaration, memory.declaration,
      drain.declaration, stages.declaration,
    ])
}

/// The keys of one stage.
enum StageKeys {
  enum Count: Sendable, Equatable {
    case number(Int)
    case auto
  }

  static let description = PipelineKeys.description
  static let inputs = Setting<[String]>(
    "inputs", "The stages whose messages this one reads. Each reader of a stage gets every message; several inputs merge.",
    schema: ["type": "array", "minItems": 1, "items": ["type": "string", "x-expected": "the name of a stage"]],
    expected: "a list of stages, such as [camera]", default: [], defaultJSON: nil, isRequired: false, example: ["camera"],
    decode: { node in
      guard let items = node.items, !items.isEmpty else { return nil }
      let names = items.compactMap(\.string)
      return names.count == items.count ? names : nil
    })
  static let processes = Setting<Count>(
    "processes", "How many processes run the plugin; `auto` is one for each CPU that this program may use, never more than the queue's capacity.",
    schema: ["anyOf": [["type": "integer", "minimum": 1, "maximum": 4095], ["const": "auto"]]],
    expected: "an integer from 1 to 4095, or auto", default: .number(1), defaultJSON: 1,
    decode: { node in
      if node.string == "auto" { return .auto }
      return (node.integer ?? node.double.flatMap(Int.init(exactly:))).flatMap { 1...4095 ~= $0 ? .number($0) : nil }
    })
  static let queue = nested("queue", "The queue in front of the stage.", QueueKeys.group)
  static let with = Setting<[Node.Pair]>(
    "with", "The plugin's settings.", schema: ["type": "object"], expected: "a mapping of the plugin's settings", default: [],
    defaultJSON: nil, isRequired: false, decode: \.pairs)
  static let restart = nested("restart", "How often a worker may die without having made progress.", RestartKeys.group)
  static let onError = nested("on_error", "What happens to a message that fails.", ErrorKeys.group)
  static let timeout = Setting.duration(
    "timeout", "How long one message may take; a worker that takes longer is killed and the message is tried again.", default: nil)
    .optional
  static let environment = Setting.strings(
    "environment", "Variables added to what the stage's processes inherit.", example: ["OMP_NUM_THREADS": "1"])
  static let directory = Setting.path("directory", "Working directory of the stage's processes.", default: nil).optional

  /// All but `plugin`, whose values are the catalog's.
  static let group = SettingGroup(
    title: "a stage",
    settings: [
      plugin([]).declaration, description.declaration, inputs.declaration, processes.declaration, queue.declaration,
      with.declaration, restart.declaration, onError.declaration, timeout.declaration, environment.declaration,
      directory.declaration,
    ])

  static func plugin(_ names: [String]) -> Setting<String> {
    Setting(
      "plugin", "What the stage does.",
      schema: names.isEmpty ? ["type": "string"] : ["type": "string", "enum": .array(names.map(JSON.string))],
      expected: "the name of a plugin", default: nil, defaultJSON: nil, example: "jq", decode: \.string)
  }

  private static func nested(_ name: String, _ summary: String, _ group: SettingGroup) -> Setting<Node?> {
    Setting(
      name, summary, schema: group.schema(description: summary).without("description"), expected: "a mapping", default: .some(nil),
      defaultJSON: nil, isRequired: false, decode: { $0.pairs == nil ? nil : .some($0) })
  }
}

enum QueueKeys {
  static let capacity = Setting.integer(
    "capacity", "How many messages may wait or be worked on.", in: 1...1_048_576, default: 256)
  static let message = Setting.size("message", "The largest message.", in: 1...(1 << 30), default: "1MiB")
  static let group = SettingGroup(title: "`queue`", settings: [capacity.declaration, message.declaration])
}

enum RestartKeys {
  static let max = Setting.integer("max", "How many starts may fail within the time.", in: 0...1_000_000, default: 5)
  static let within = Setting.duration("within", "The time in which they are counted.", default: "10s")
  static let backoff = Setting.duration("backoff", "The pause before the first restart; it doubles each time.", default: "100ms")
  static let group = SettingGroup(title: "`restart`", settings: [max.declaration, within.declaration, backoff.declaration])
}

enum ErrorKeys {
  static let retries = Setting.integer("retries", "How often a message is tried again after its plugin failed.", in: 0...254, default: 2)
  static let deaths = Setting.integer(
    "deaths", "How many workers may die with a message in hand before it is given up.", in: 1...254, default: 3)
  static let then = Setting<ErrorPolicy.Then>.choice(
    "then", "What happens to a message that is given up: stop the run (exit 65), or drop it and count it.", default: .stop)
  static let group = SettingGroup(title: "`on_error`", settings: [retries.declaration, deaths.declaration, then.declaration])
}

extension ErrorPolicy.Then: Choice {}

extension Setting {
  /// The same setting where leaving it out means nil.
  fileprivate var optional: Setting<Value?> {
    let declaration = self.declaration
    let decode = self.decoder
    return Setting<Value?>(
      declaration.name, declaration.summary, schema: declaration.schema, expected: declaration.expected, default: .some(nil),
      defaultJSON: nil, isRequired: false, isSecret: declaration.isSecret, example: declaration.example,
      decode: { decode($0).map(Optional.some) })
  }
}

extension JSON {
  /// An object without one of its keys.
  func without(_ key: String) -> JSON {
    guard case .object(let pairs) = self else { return self }
    return .object(pairs.filter { $0.0 != key })
  }
}
