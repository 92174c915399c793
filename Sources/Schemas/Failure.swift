import Specs

/// Why a value does not fit, kept small: most are thrown away again with the branch that they belong to. Words are made
/// of those that remain (`Wording`).
struct Failure {
  var problem: Problem
  /// The schema that was not met.
  var schema: Int
  /// The value, and the way to it.
  var node: Node
  var path: [Step]
  /// A schema with `x-expected` that speaks for the one that was not met.
  var speaker: Int?

  /// Indirect for the same reason as `Keyword`.
  indirect enum Problem {
    // About the value itself.
    case wrongType, outOfRange, notMultiple, length, pattern, notAllowedValue, never
    /// None of these alternatives fits, and each of them fails on the value itself.
    case alternatives([Int], code: String)
    // About what it holds.
    case itemCount(Counts), propertyCount(Counts)
    case tooManyItems(Int)
    case contains(Int, found: Int, Counts)
    case repeatedItem(first: Int, firstSpan: Span)
    case unknownKey(Node.Pair)
    /// With the schemas of that key.
    case missingKey(String, properties: [Int], because: String?)
    /// One of these keys is needed.
    case missingOneOf([String])
    case badKey(Node.Pair, names: Int)
    // About the schema's own logic.
    case negated(Int)
    case ambiguous([Int])
    // About the limits of checking.
    case patternLimit(String, key: Span?)
    case endless, tooDeep, tooMuchWork
  }

  /// Whether another value in the same place could meet the schema: `x-expected` and alternatives are about those.
  var isAboutValue: Bool {
    switch problem {
    case .wrongType, .outOfRange, .notMultiple, .length, .pattern, .notAllowedValue, .never, .alternatives: true
    default: false
    }
  }

  var isNegation: Bool { if case .negated = problem { true } else { false } }

  /// Stable, for tests and editors.
  var code: String {
    switch problem {
    case .wrongType: "wrong-type"
    case .outOfRange: "out-of-range"
    case .notMultiple: "not-a-multiple"
    case .length: "wrong-length"
    case .pattern: "pattern"
    case .notAllowedValue: "not-allowed-value"
    case .never: "not-allowed"
    case .alternatives(_, let code): code
    case .itemCount, .tooManyItems, .contains: "item-count"
    case .propertyCount: "key-count"
    case .repeatedItem: "repeated-item"
    case .unknownKey: "unknown-key"
    case .missingKey, .missingOneOf: "missing-key"
    case .badKey: "bad-key"
    case .negated: "not-allowed"
    case .ambiguous: "ambiguous"
    case .patternLimit: "pattern-limit"
    case .endless: "endless-reference"
    case .tooDeep: "too-deep"
    case .tooMuchWork: "too-much-work"
    }
  }
}

/// One step down into an instance, with the place to point at when the value has none.
enum Step {
  case key(String, Span)
  case item(Int, Span)

  var span: Span {
    switch self {
    case .key(_, let span), .item(_, let span): span
    }
  }
}

extension [Step] {
  /// `stages.send.inputs[1]`.
  var dotted: String {
    var out = ""
    for step in self {
      switch step {
      case .key(let key, _): out += out.isEmpty ? key : "." + key
      case .item(let index, _): out += "[\(index)]"
      }
    }
    return out
  }
}
