import Specs

/// The keys of a pipeline file, each declared once: the schema, the defaults and the decoding follow from here. The keys
/// of a stage are `StageKeys`; those of a plugin's `with:` are the plugin's own.
enum PipelineKeys {
  static let version = Setting<Int>(
    "ringway", "Version of this language.", schema: ["type": "integer", "const": 1],
    expected: "1, the version of the language that this program reads", default: nil, defaultJSON: nil, example: 1,
    decode: { $0.integer == 1 || $0.double == 1 ? 1 : nil })
  static let name = Setting<String>(
    "name", "Name of the pipeline, for reports; the file's name unless given.",
    schema: ["type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,62}$"],
    expected: "a name of at most 63 letters, digits, _, . and - that begins with a letter", default: "", defaultJSON: nil,
    isRequired: false, example: "frames",
    decode: { node in
      guard let text = node.string, 1...63 ~= text.utf8.count, text.utf8.first.map(isLetter) == true else { return nil }
      return text.utf8.allSatisfy { isLetter($0) || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || "_.-".utf8.contains($0) } ? text : nil
    })
  static let description = Setting.string(
    "description", "What it does, for people.", default: "", allowEmpty: true, example: "Frames from a camera, one detector for each core")
  static let parameters = Setting<[Node.Pair]>(
    "parameters",
    "Values that `${NAME}` stands for; `--set NAME=VALUE`, or else the environment variable RINGWAY_NAME, overrides them.",
    schema: [
      "type": "object",
      "propertyNames": ["pattern": "^[A-Za-z_][A-Za-z0-9_]{0,62}$", "x-expected": "a name of letters, digits and _"],
      "additionalProperties": ["$ref": "#/$defs/parameter"],
    ],
    expected: "a mapping of names to parameters", default: [], defaultJSON: nil, isRequired: false,
    example: ["count": ["type": "integer", "default": 1000]], decode: \.pairs)
  static let plugins = Setting<[String]>(
    "plugins", "Shared libraries that bring plugins (ringway_plugin.h), by paths relative to the pipeline file's folder.",
    schema: ["type": "array", "minItems": 1, "items": ["type": "string", "minLength": 1, "x-expected": "the path of a shared library"]],
    expected: "a list of paths", default: [], defaultJSON: nil, isRequired: false, example: ["build/libblur.so"],
    decode: \.strings)
  static let memory = Setting.size(
    "memory", "How much memory the queues may reserve together; half of what is available unless given.", example: "2GiB")
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
    expected: "a mapping of names to stages", default: nil, defaultJSON: nil,
    example: ["numbers": ["plugin": "generate", "with": ["count": 1000]], "show": ["plugin": "stdout", "inputs": ["numbers"]]],
    decode: { $0.pairs.flatMap { $0.isEmpty ? nil : $0 } })

  private static func isLetter(_ byte: UInt8) -> Bool { UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 }

  static let group = SettingGroup(
    title: "the pipeline",
    settings: [
      version.declaration, name.declaration, description.declaration, parameters.declaration, plugins.declaration,
      memory.declaration,
      drain.declaration, stages.declaration,
    ])
}

/// The keys of one parameter.
enum ParameterKeys {
  static let type = Setting<ParameterType>.choice("type", "What the value must be.", example: .integer)
  static let fallback = Setting<Node?>(
    "default", "The value unless it is set; without one it must be set. `${NAME}` in it stands for a variable of the environment.",
    schema: ["type": ["string", "number", "boolean"]], expected: "a value of the parameter's type", default: .some(nil),
    defaultJSON: nil, isRequired: false, example: 1000, decode: { .some($0) })
  static let description = Setting.string("description", "What it is for.", default: "", allowEmpty: true, example: "How many frames to take")
  static let secret = Setting.boolean("secret", "Whether the value is kept out of every message.", default: false)
  static let group = SettingGroup(
    title: "a parameter", settings: [type.declaration, fallback.declaration, description.declaration, secret.declaration])
}

/// What a parameter may be.
enum ParameterType: String, Choice {
  case string, integer, number, boolean, size, duration, rate

  var expected: String {
    switch self {
    case .string: "a string"
    case .integer: "an integer"
    case .number: "a number"
    case .boolean: "true or false"
    case .size: "a size with its unit, such as 64KiB"
    case .duration: "a duration with its unit, such as 250ms"
    case .rate: "a rate with its unit, such as 100/s"
    }
  }

  func accepts(_ node: Node) -> Bool {
    switch self {
    case .string: node.string != nil
    case .integer: node.integer != nil || node.double.flatMap(Int.init(exactly:)) != nil
    case .number: node.double?.isFinite ?? false
    case .boolean: node.boolean != nil
    case .size: node.string.flatMap(Quantity.size) != nil
    case .duration: node.string.flatMap(Quantity.duration) != nil
    case .rate: node.string.flatMap(Quantity.rate) != nil
    }
  }

  /// The value of a text that was given outside the file.
  func value(of text: String) -> Node {
    switch self {
    case .string, .size, .duration, .rate: Node(.string(text), text: text, isQuoted: true)
    case .integer, .number, .boolean: Node(CoreSchema.value(ofPlain: text), text: text)
    }
  }
}
