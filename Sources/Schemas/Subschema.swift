import Specs

/// What schemas are compiled to: every schema of every document that was needed, one after the other. They name each
/// other by index, so that circles of references are no circles of memory.
struct Program: Sendable {
  var schemas: [Subschema] = []
  var resources: [Resource] = []

  /// A schema with a URI of its own and all that stands in it down to the next one.
  struct Resource: Sendable {
    var uri: String
    var dialect: Dialect
    /// The document and the JSON pointer of its root.
    var place: SchemaPlace
    var root: Int
    /// Ordinary and dynamic anchors, by name.
    var anchors: [String: Int] = [:]
    var dynamicAnchors: [String: Int] = [:]
  }
}

extension Program {
  /// The keys that a schema names, itself or through those that it applies to the same value.
  func keys(of schema: Int) -> [String] {
    properties(of: schema).reduce(into: []) { keys, properties in keys += properties.order.filter { !keys.contains($0) } }
  }

  /// The keys that a schema names for the value of one of its keys.
  func keys(of key: String, in schema: Int) -> [String] { properties(of: schema).compactMap { $0.named[Name(key)] }.flatMap(keys) }

  private func properties(of schema: Int) -> [Properties] {
    var all: [Properties] = []
    var seen: Set<Int> = []
    var queue = [schema]
    while let next = queue.popLast() {
      guard seen.insert(next).inserted else { continue }
      for keyword in schemas[next].keywords {
        if case .properties(let properties) = keyword { all.append(properties) }
        queue += keyword.inPlace
      }
    }
    return all
  }
}

/// A place in one of the documents: its number, and the JSON pointer from its root (RFC 6901).
struct SchemaPlace: Hashable, Sendable {
  var document: Int
  var pointer: String

  static func + (place: SchemaPlace, token: String) -> SchemaPlace {
    var pointer = place.pointer + "/"
    for scalar in token.unicodeScalars {
      switch scalar {
      case "~": pointer += "~0"
      case "/": pointer += "~1"
      default: pointer.unicodeScalars.append(scalar)
      }
    }
    return SchemaPlace(document: place.document, pointer: pointer)
  }
}

/// One schema: its keywords in the order in which they are evaluated.
struct Subschema: Sendable {
  var keywords: [Keyword] = []
  var resource: Int
  var hints = Hints.none
  /// What `unevaluatedItems` and `unevaluatedProperties` need to be told by the other keywords.
  var tracks = false

  /// What a schema says for people.
  final class Hints: Sendable {
    /// `x-expected`: what a message says was expected, such as `a size such as 64KiB`.
    let expected: String?
    /// `x-secret`: the value is never printed.
    let isSecret: Bool
    let description: String?
    /// The first of `examples`, else `default`.
    let example: Node?

    static let none = Hints(expected: nil, isSecret: false, description: nil, example: nil)

    init(expected: String?, isSecret: Bool, description: String?, example: Node?) {
      self.expected = expected
      self.isSecret = isSecret
      self.description = description
      self.example = example
    }
  }

  /// `false`: nothing is valid.
  var isNever: Bool {
    if keywords.count == 1, case .never = keywords[0] { true } else { false }
  }
}
