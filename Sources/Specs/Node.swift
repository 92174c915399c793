/// A value of a YAML or JSON document, with the place where it stands.
///
/// Scalars are resolved by the YAML 1.2 core schema (YAML 1.2.2, section 10.3): `no` is a string and `010` is ten.
/// Nodes are values; an alias shares its anchor's storage, so composing costs no more than the text is long.
public struct Node: Sendable {
  public var value: Value
  /// Where the value stands. An alias stands where `*name` was written, not at its anchor.
  public var span: Span
  /// The scalar as it was written, before it was resolved; nil for collections.
  public var text: String?
  /// Whether the scalar was quoted or a block scalar: a quoted scalar is a string, whatever it looks like.
  public var isQuoted: Bool
  /// Whether the value came from a secret parameter: it is used, but never shown.
  public var isSecret = false

  public indirect enum Value: Sendable {
    case null
    case boolean(Bool)
    /// A whole number that fits 64 bits and was written as one (`10`, `0x1f`).
    case integer(Int)
    /// Every other number, and whole numbers beyond 64 bits; `Node.text` keeps the digits. May be infinite or NaN in YAML.
    case number(Double)
    case string(String)
    case sequence([Node])
    case mapping([Pair])
  }

  /// One entry of a mapping, in the order of the text. Keys of a composed document are unique.
  public struct Pair: Sendable {
    public var key: String
    public var keySpan: Span
    public var value: Node

    public init(key: String, keySpan: Span = .none, value: Node) {
      self.key = key
      self.keySpan = keySpan
      self.value = value
    }
  }

  public init(_ value: Value, span: Span = .none, text: String? = nil, isQuoted: Bool = false) {
    self.value = value
    self.span = span
    self.text = text
    self.isQuoted = isQuoted
  }

  public static func string(_ s: String) -> Node { Node(.string(s), text: s) }
  public static func integer(_ i: Int) -> Node { Node(.integer(i), text: String(i)) }
  public static func mapping(_ pairs: [Pair]) -> Node { Node(.mapping(pairs)) }

  // MARK: Looking inside

  /// The entries of a mapping, or nil.
  public var pairs: [Pair]? { if case .mapping(let pairs) = value { pairs } else { nil } }
  /// The items of a sequence, or nil.
  public var items: [Node]? { if case .sequence(let items) = value { items } else { nil } }
  /// The items of a sequence of one or more strings, or nil.
  public var strings: [String]? {
    guard let items, !items.isEmpty else { return nil }
    let all = items.compactMap(\.string)
    return all.count == items.count ? all : nil
  }
  public var string: String? { if case .string(let s) = value { s } else { nil } }
  public var integer: Int? { if case .integer(let i) = value { i } else { nil } }
  public var boolean: Bool? { if case .boolean(let b) = value { b } else { nil } }
  public var double: Double? {
    switch value {
    case .integer(let i): Double(i)
    case .number(let d): d
    default: nil
    }
  }
  public var isNull: Bool { if case .null = value { true } else { false } }

  /// The value of a mapping's entry, or nil.
  public subscript(key: String) -> Node? { pair(key)?.value }

  /// A mapping's entry with the span of its key, or nil.
  public func pair(_ key: String) -> Pair? { pairs?.first { $0.key == key } }

  /// What the value is called in messages: `a mapping`, `the string "no"`, `the number 1.5`.
  public var described: String {
    if isSecret { return "a secret value" }
    return switch value {
    case .null: "null"
    case .boolean(let b): "the boolean \(b)"
    case .integer(let i): "the integer \(text ?? String(i))"
    case .number(let d): "the number \(text ?? String(d))"
    case .string(let s): "the string \(JSON.string(s.count > 40 ? String(s.prefix(40)) + "…" : s).compact)"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}
