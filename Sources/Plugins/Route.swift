import Filters
import PluginKit

/// Hands each message on by the ports whose conditions it meets, unchanged.
struct Route: Transform {
  private struct Way: Sendable {
    var name: String
    var condition: String
  }

  private static let routes = Setting<[Way]>(
    "routes", "The names of the ports, each with its condition, in the jq language: a message meets it when a result is neither false nor null.",
    schema: [
      "type": "object", "minProperties": 1, "maxProperties": 61, "additionalProperties": ["type": "string"],
      "propertyNames": ["pattern": "^[a-z][a-z0-9_]{0,63}$", "x-expected": "a name of lower-case letters, digits and _"],
    ], expected: "a mapping of names to conditions", default: nil, defaultJSON: nil, example: ["images": ".type == \"image\""],
    decode: { node in
      guard let pairs = node.pairs, !pairs.isEmpty else { return nil }
      let all = pairs.compactMap { pair in pair.value.string.map { Way(name: pair.key, condition: $0) } }
      return all.count == pairs.count ? all : nil
    })
  enum Match: String, Choice { case first, all }
  private static let match = Setting<Match>.choice(
    "match", "Whether a message goes by the first port whose condition it meets, in the order of the file, or by all of them.", default: .first)
  /// The port of what meets no condition.
  private static let otherwise = "else"

  static let spec = PluginSpec(
    "route", .transform, "Hands messages on by several ports, each with a condition.",
    details: """
      Readers name the ports: `inputs: [STAGE.images]`. What meets no condition goes by the port `else`. A port that nobody reads must stand in the stage's `ignore`. \
      Messages go on as they came. One that is not JSON fails, unless `input: text` says that conditions see a string; an error in a condition is the message's failure.
      """,
    settings: [routes.declaration, match.declaration, JQFilter.input.declaration],
    example: """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 1000}
        split:
          plugin: route
          inputs: [numbers]
          ignore: [else]
          with:
            routes:
              small: .value < 1000
              even: .value % 2 == 0
        few:
          plugin: stdout
          inputs: [split.small]
        others:
          plugin: discard
          inputs: [split.even]
      """,
    check: { given in
      given[routes].compactMap { way in
        if way.name == otherwise { return SettingProblem("routes", "the port `else` is that of messages which meet no condition", remedy: "give the route another name") }
        if way.name == "dead_letter" { return SettingProblem("routes", "the port `dead_letter` is that of messages which were given up", remedy: "give the route another name") }
        return JQFilter.problem(with: way.condition, in: "routes").map { SettingProblem("routes", "\(way.name): \($0.message)", remedy: $0.remedy) }
      }
    }, ports: PluginSpec.Ports(hasMain: false, setting: "routes") { $0[routes].map(\.name) + [otherwise] })

  private let conditions: [JQFilter]
  private let takesAll: Bool
  private var reader: JQReader

  init(_ given: Given, _ context: Context) throws {
    conditions = try given[Self.routes].map { try JQFilter($0.condition) }
    takesAll = given[Self.match] == .all
    reader = JQReader(given[JQFilter.input])
  }

  mutating func process(_ message: Message, _ out: any Emitter) throws {
    let value = try reader.value(of: message.payload)
    defer { value.free() }
    var isTaken = false
    for (i, condition) in conditions.enumerated() where try meets(condition, value) {
      try out.emit(message.payload, as: message.format, to: i + 1)
      isTaken = true
      if !takesAll { return }
    }
    if !isTaken { try out.emit(message.payload, as: message.format, to: conditions.count + 1) }
  }

  private func meets(_ condition: JQFilter, _ value: JQValue) throws -> Bool {
    var isMet = false
    try condition.run(value.copy()) { result in
      isMet = result.isMet
      result.free()
      return !isMet
    }
    return isMet
  }

  mutating func close() throws {
    for condition in conditions { condition.free() }
    reader.free()
  }
}
