import Specs

/// A key as JSON compares it: by its code points. Swift's strings are equal when they look the same, composed or not.
struct Name: Hashable, Sendable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (a: Name, b: Name) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  func hash(into hasher: inout Hasher) {
    for byte in text.utf8 { hasher.combine(byte) }
  }
}

/// A value as JSON Schema compares it (Core, section 4.2.2): 1 equals 1.0, the order of keys is no difference, and
/// strings are equal code point by code point.
struct Value: Hashable {
  let node: Node

  init(_ node: Node) { self.node = node }

  static func == (a: Value, b: Value) -> Bool {
    switch (a.node.value, b.node.value) {
    case (.null, .null): return true
    case (.boolean(let x), .boolean(let y)): return x == y
    case (.integer(let x), .integer(let y)): return x == y
    case (.string(let x), .string(let y)): return Name(x) == Name(y)
    case (.sequence(let x), .sequence(let y)): return x.count == y.count && zip(x, y).allSatisfy { Value($0) == Value($1) }
    case (.mapping(let x), .mapping(let y)):
      guard x.count == y.count else { return false }
      let others = Dictionary(y.map { (Name($0.key), $0.value) }, uniquingKeysWith: { $1 })
      return x.allSatisfy { pair in others[Name(pair.key)].map { Value(pair.value) == Value($0) } ?? false }
    case (.number, .number), (.integer, .number), (.number, .integer):
      if let x = Decimal(a.node), let y = Decimal(b.node) { return x == y }
      return a.node.double == b.node.double
    default: return false
    }
  }

  func hash(into hasher: inout Hasher) {
    switch node.value {
    case .null: hasher.combine(0)
    case .boolean(let b): hasher.combine(b)
    case .integer, .number:
      if let decimal = Decimal(node) { hasher.combine(decimal) } else { hasher.combine(node.double) }
    case .string(let s): hasher.combine(Name(s))
    case .sequence(let items): for item in items { hasher.combine(Value(item)) }
    case .mapping(let pairs):
      // The order of keys must not matter.
      var all = 0
      for pair in pairs {
        var own = Hasher()
        own.combine(Name(pair.key))
        own.combine(Value(pair.value))
        all ^= own.finalize()
      }
      hasher.combine(all)
    }
  }
}
