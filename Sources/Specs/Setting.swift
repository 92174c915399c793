/// One setting of a plugin or of a stage, declared once. Its default, its check, its JSON Schema, its page in the docs
/// and its decoding all come from this declaration, and it is read back by the same symbol:
///
///     static let rounds = Setting.integer("rounds", "How often to hash.", in: 1...1_000_000, default: 1)
///     ...
///     init(_ given: Given) { rounds = given[Hash.rounds] }
public struct Setting<Value: Sendable>: Sendable {
  public private(set) var declaration: SettingDeclaration
  /// What the setting is when the file does not name it; nil for one that must be given.
  let fallback: Value?
  let decode: @Sendable (Node) -> Value?
  /// For building another setting on this one.
  package var decoder: @Sendable (Node) -> Value? { decode }

  /// A setting of a kind that the ready-made ones below do not cover.
  ///
  /// - Parameters:
  ///   - schema: what is valid, as JSON Schema, in the subset that draft-07 editors know too
  ///   - decode: the value of a node that has passed the schema; nil refuses it with `expected`
  public init(
    _ name: String, _ summary: String, schema: JSON, expected: String, default fallback: Value?, defaultJSON: JSON?,
    isRequired: Bool? = nil, isSecret: Bool = false, example: JSON? = nil,
    decode: @escaping @Sendable (Node) -> Value?
  ) {
    self.fallback = fallback
    self.decode = decode
    declaration = SettingDeclaration(
      name: name, summary: summary, schema: schema, expected: expected, fallback: defaultJSON,
      isRequired: isRequired ?? (fallback == nil), isSecret: isSecret, example: example, accepts: { decode($0) != nil })
  }
}

extension Setting {
  /// The same setting, declared to say nothing about what the messages are: a run that is resumed (`--state`) may have another value
  /// than the one that was interrupted.
  public var changeable: Setting {
    var other = self
    other.declaration.mayChange = true
    return other
  }

  /// The same setting, declared to have this value in a replay, whatever the file says: there a sink adds to what an earlier run has written.
  public func replayed(as value: String) -> Setting {
    var other = self
    other.declaration.replayed = value
    return other
  }
}

/// The part of a setting that does not depend on its type.
public struct SettingDeclaration: Sendable {
  public let name: String
  /// One or two sentences, with a full stop: what it does, its unit.
  public let summary: String
  /// JSON Schema of a valid value.
  public let schema: JSON
  /// What a message says was expected: `a size such as 64KiB`.
  public let expected: String
  /// The default as it would be written, or nil.
  public let fallback: JSON?
  public let isRequired: Bool
  /// A secret is never printed: not in logs, reports, graphs, argv or diagnostics.
  public let isSecret: Bool
  public let example: JSON?
  /// Whether a run that is resumed may have another value: it changes how fast or how long, not what the messages are.
  public internal(set) var mayChange = false
  /// The value that it has in a replay; nil for what the file says.
  public internal(set) var replayed: String?
  /// Whether a node that has passed the schema can be decoded.
  package let accepts: @Sendable (Node) -> Bool

  /// The setting's entry under `properties` of a JSON Schema, with description, default and examples.
  public var property: JSON {
    var pairs: [(String, JSON)] = [("description", .string(summary))]
    if case .object(let own) = schema { pairs += own }
    pairs.append(("x-expected", .string(expected)))
    if isSecret { pairs.append(("x-secret", true)) }
    if let fallback { pairs.append(("default", fallback)) }
    if let shown = example ?? fallback { pairs.append(("examples", [shown])) }
    return .object(pairs)
  }
}

extension Setting where Value == String {
  /// Text of at least one character, unless `allowEmpty`.
  public static func string(
    _ name: String, _ summary: String, default fallback: String? = nil, allowEmpty: Bool = false, secret: Bool = false,
    example: String? = nil
  ) -> Setting {
    Setting(
      name, summary, schema: allowEmpty ? ["type": "string"] : ["type": "string", "minLength": 1], expected: "a string",
      default: fallback, defaultJSON: fallback.map(JSON.string), isSecret: secret, example: example.map(JSON.string),
      decode: { node in node.string.flatMap { allowEmpty || !$0.isEmpty ? $0 : nil } })
  }

  /// A path, relative to the folder of the pipeline file. The system ends a path at a NUL, so none may hold one.
  public static func path(_ name: String, _ summary: String, default fallback: String? = nil, example: String? = nil) -> Setting {
    Setting(
      name, summary, schema: ["type": "string", "minLength": 1], expected: "a path, relative to the pipeline file's folder",
      default: fallback, defaultJSON: fallback.map(JSON.string), example: example.map(JSON.string),
      decode: { node in node.string.flatMap { $0.isEmpty || $0.utf8.contains(0) ? nil : $0 } })
  }

  /// An http or https URL. It may be shown in messages: credentials belong into a setting that is secret.
  public static func url(_ name: String, _ summary: String, default fallback: String? = nil, example: String? = nil) -> Setting {
    Setting(
      name, summary, schema: ["type": "string", "pattern": "^https?://[^\\s/?#]+"],
      expected: "a URL that starts with http:// or https://", default: fallback, defaultJSON: fallback.map(JSON.string),
      example: example.map(JSON.string),
      decode: { node in
        guard let text = node.string else { return nil }
        let rest = text.hasPrefix("http://") ? text.dropFirst(7) : text.hasPrefix("https://") ? text.dropFirst(8) : ""
        guard let host = rest.unicodeScalars.first, !"/?#".unicodeScalars.contains(host), !host.properties.isWhitespace else { return nil }
        return text
      })
  }
}

extension Setting where Value == Int {
  public static func integer(
    _ name: String, _ summary: String, in range: ClosedRange<Int>, default fallback: Int? = nil, example: Int? = nil
  ) -> Setting {
    var schema: [(String, JSON)] = [("type", "integer"), ("minimum", .integer(range.lowerBound))]
    if range.upperBound != Int.max { schema.append(("maximum", .integer(range.upperBound))) }
    return Setting(
      name, summary, schema: .object(schema),
      expected: range.upperBound == Int.max
        ? "an integer of at least \(range.lowerBound)" : "an integer from \(range.lowerBound) to \(range.upperBound)",
      default: fallback, defaultJSON: fallback.map(JSON.integer), example: example.map(JSON.integer),
      decode: { node in
        // 3.0 is an integer to JSON Schema.
        let whole = node.integer ?? node.double.flatMap(Int.init(exactly:))
        return whole.flatMap { range.contains($0) ? $0 : nil }
      })
  }

  /// A number of bytes, written with its unit.
  public static func size(
    _ name: String, _ summary: String, in range: ClosedRange<Int> = 1...Int.max, default fallback: String? = nil,
    example: String? = nil
  ) -> Setting {
    let limits =
      range.upperBound == Int.max
      ? (range.lowerBound > 1 ? " of at least \(Quantity.describe(bytes: range.lowerBound))" : "")
      : " from \(Quantity.describe(bytes: range.lowerBound)) to \(Quantity.describe(bytes: range.upperBound))"
    return Setting(
      name, summary, schema: ["type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?(B|[KMGT]iB|[kKMGT]B)$"],
      expected: "a size\(limits) with its unit, such as 64KiB or 1MB",
      default: fallback.flatMap(Quantity.size), defaultJSON: fallback.map(JSON.string), example: example.map(JSON.string),
      decode: { $0.string.flatMap(Quantity.size).flatMap { range.contains($0) ? $0 : nil } })
  }
}

extension Setting where Value == Bool {
  public static func boolean(_ name: String, _ summary: String, default fallback: Bool) -> Setting {
    Setting(
      name, summary, schema: ["type": "boolean"], expected: "true or false", default: fallback,
      defaultJSON: .boolean(fallback), decode: \.boolean)
  }
}

extension Setting where Value == Duration {
  /// A span of time, written with its unit.
  public static func duration(
    _ name: String, _ summary: String, in range: ClosedRange<Duration> = .nanoseconds(1) ... .seconds(86_400 * 365),
    default fallback: String? = nil, example: String? = nil
  ) -> Setting {
    Setting(
      name, summary, schema: ["type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?(ns|us|ms|s|m|h|d)$"],
      expected: "a duration from \(Quantity.describe(range.lowerBound)) to \(Quantity.describe(range.upperBound)) with its unit, such as 250ms or 5s",
      default: fallback.flatMap(Quantity.duration), defaultJSON: fallback.map(JSON.string), example: example.map(JSON.string),
      decode: { $0.string.flatMap(Quantity.duration).flatMap { range.contains($0) ? $0 : nil } })
  }
}

extension Setting where Value == Double? {
  /// Events in a second, or nil for no limit.
  public static func rate(_ name: String, _ summary: String) -> Setting {
    Setting(
      name, summary, schema: ["type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?/(s|m|h)$"],
      expected: "a rate with its unit, such as 100/s", default: .some(nil), defaultJSON: nil, isRequired: false,
      example: "100/s", decode: { $0.string.flatMap(Quantity.rate).map(Optional.some) })
  }
}

extension Setting where Value == [String: String] {
  /// Names with a text each, such as headers; empty when it is not given.
  public static func strings(_ name: String, _ summary: String, secret: Bool = false, example: JSON? = nil) -> Setting {
    Setting(
      name, summary,
      schema: ["type": "object", "additionalProperties": secret ? ["type": "string", "x-secret": true] : ["type": "string"]],
      expected: "a mapping of names to strings", default: [:], defaultJSON: nil, isRequired: false, isSecret: secret,
      example: example,
      decode: { node in
        guard let pairs = node.pairs else { return nil }
        var all: [String: String] = [:]
        for pair in pairs {
          guard let s = pair.value.string else { return nil }
          all[pair.key] = s
        }
        return all
      })
  }
}

/// A setting that takes one of a few words.
public protocol Choice: RawRepresentable, CaseIterable, Sendable where RawValue == String {}

extension Setting where Value: Choice {
  public static func choice(
    _ name: String, _ summary: String, default fallback: Value? = nil, example: Value? = nil
  ) -> Setting {
    let words = Value.allCases.map(\.rawValue)
    return Setting(
      name, summary, schema: ["type": "string", "enum": .array(words.map(JSON.string))],
      expected: words.count > 1 ? words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "") : words.joined(),
      default: fallback, defaultJSON: fallback.map { .string($0.rawValue) },
      example: example.map { .string($0.rawValue) }, decode: { $0.string.flatMap(Value.init(rawValue:)) })
  }
}

extension Setting {
  /// The same setting where leaving it out means nil.
  package var optional: Setting<Value?> {
    let decode = self.decoder
    return Setting<Value?>(
      declaration.name, declaration.summary, schema: declaration.schema, expected: declaration.expected, default: .some(nil),
      defaultJSON: nil, isRequired: false, isSecret: declaration.isSecret, example: declaration.example,
      decode: { decode($0).map(Optional.some) })
  }
}
