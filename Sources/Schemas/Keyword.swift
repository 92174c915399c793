import Specs

/// A keyword with what it needs; keywords that only make sense together are one case. An `Int` names a schema.
///
/// Indirect so that it is one word: the walk goes deep, and what it holds on the stack counts.
indirect enum Keyword: Sendable {
  case never
  case reference(Int)
  case dynamicReference(Int, anchor: String?)
  case types(Types)
  case enumeration([Node])
  case constant(Node)
  case range(NumberRange)
  case multiple(Decimal, text: String)
  case length(Counts)
  case pattern(Pattern)
  case items(prefix: [Int], rest: Int?)
  case contains(Int, Counts)
  case itemCount(Counts)
  case uniqueItems
  case propertyCount(Counts)
  case required([String])
  case dependentRequired([(key: String, names: [String])])
  case propertyNames(Int)
  case properties(Properties)
  case dependentSchemas([(key: String, schema: Int)])
  case allOf([Int])
  case anyOf([Int])
  case oneOf([Int])
  case not(Int)
  case conditional(if: Int, then: Int?, else: Int?)
  case unevaluatedItems(Int)
  case unevaluatedProperties(Int)
}

extension Keyword {
  /// The schemas that may be applied to the same value.
  var inPlace: [Int] {
    switch self {
    case .reference(let schema), .dynamicReference(let schema, _): [schema]
    case .allOf(let all), .anyOf(let all), .oneOf(let all): all
    case .conditional(_, let then, let otherwise): [then, otherwise].compactMap { $0 }
    case .dependentSchemas(let all): all.map(\.schema)
    default: []
    }
  }
}

/// `properties`, `patternProperties` and `additionalProperties`.
struct Properties: Sendable {
  var named: [Name: Int] = [:]
  /// In the order of the schema, for lists of valid keys.
  var order: [String] = []
  var patterns: [(pattern: Pattern, schema: Int)] = []
  var rest: Int?
}

/// How many there may be. A schema may ask for more than it allows: then no count is right.
struct Counts: Sendable {
  var least = 0
  var most = Int.max

  func contains(_ count: Int) -> Bool { least <= count && count <= most }
}

/// `minimum`, `maximum` and their exclusive forms.
struct NumberRange: Sendable {
  var low: Bound?
  var high: Bound?

  struct Bound: Sendable {
    let limit: Decimal
    /// The limit when it fits 64 bits, which spares most comparisons the digits.
    let whole: Int?
    let isExclusive: Bool
    let text: String
  }

  /// - Parameter node: a number
  func contains(_ node: Node) -> Bool {
    if let value = node.integer, low.map({ $0.whole != nil }) ?? true, high.map({ $0.whole != nil }) ?? true {
      if let low, let limit = low.whole, low.isExclusive ? value <= limit : value < limit { return false }
      if let high, let limit = high.whole, high.isExclusive ? value >= limit : value > limit { return false }
      return true
    }
    guard let value = Decimal(node) else {
      // Infinities lie beyond every limit, NaN in no range.
      guard let double = node.double, !double.isNaN else { return false }
      return double < 0 ? low == nil : high == nil
    }
    if let low, low.isExclusive ? !(low.limit < value) : value < low.limit { return false }
    if let high, high.isExclusive ? !(value < high.limit) : high.limit < value { return false }
    return true
  }
}

/// The types of JSON; every integer is a number, and so is 1.0 an integer.
struct Types: OptionSet, Sendable {
  let rawValue: UInt8

  static let null = Types(rawValue: 1)
  static let boolean = Types(rawValue: 2)
  static let integer = Types(rawValue: 4)
  static let number = Types(rawValue: 8)
  static let string = Types(rawValue: 16)
  static let array = Types(rawValue: 32)
  static let object = Types(rawValue: 64)

  init(rawValue: UInt8) { self.rawValue = rawValue }

  init?(_ name: String) {
    switch name {
    case "null": self = .null
    case "boolean": self = .boolean
    case "integer": self = .integer
    case "number": self = .number
    case "string": self = .string
    case "array": self = .array
    case "object": self = .object
    default: return nil
    }
  }

  func contains(_ node: Node) -> Bool {
    switch node.value {
    case .null: contains(.null)
    case .boolean: contains(.boolean)
    case .integer: contains(.integer) || contains(.number)
    case .number: contains(.number) || contains(.integer) && (Decimal(node)?.isWhole ?? false)
    case .string: contains(.string)
    case .sequence: contains(.array)
    case .mapping: contains(.object)
    }
  }
}
