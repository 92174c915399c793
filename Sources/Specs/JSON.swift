/// A JSON value whose objects keep their order, and its text (RFC 8259). Reading JSON text is `JSONText`'s work.
public indirect enum JSON: Sendable, Equatable {
  case null
  case boolean(Bool)
  case integer(Int)
  /// A finite number; one that is not is written as null, since JSON has no way to say it.
  case number(Double)
  case string(String)
  case array([JSON])
  case object([(String, JSON)])

  public static func == (a: JSON, b: JSON) -> Bool { a.compact == b.compact }

  /// The value of an object's key, or nil.
  public subscript(key: String) -> JSON? {
    guard case .object(let pairs) = self else { return nil }
    return pairs.first { $0.0 == key }?.1
  }

  /// On one line, without spaces.
  public var compact: String {
    var out = ""
    write(to: &out, indent: nil)
    return out
  }

  /// Two spaces for each level; no newline at the end.
  public var pretty: String {
    var out = ""
    write(to: &out, indent: 0)
    return out
  }

  private func write(to out: inout String, indent: Int?) {
    switch self {
    case .null: out += "null"
    case .boolean(let b): out += b ? "true" : "false"
    case .integer(let i): out += String(i)
    case .number(let d):
      if !d.isFinite { out += "null" }
      else if d == d.rounded(), abs(d) < 1e15 { out += String(Int(d)) }
      else { out += "\(d)" }
    case .string(let s): JSON.quote(s, to: &out)
    case .array(let items):
      JSON.list(items, "[", "]", indent, &out) { $0.write(to: &$1, indent: $2) }
    case .object(let pairs):
      JSON.list(pairs, "{", "}", indent, &out) { pair, out, inner in
        JSON.quote(pair.0, to: &out)
        out += inner == nil ? ":" : ": "
        pair.1.write(to: &out, indent: inner)
      }
    }
  }

  private static func list<T>(
    _ items: [T], _ open: String, _ close: String, _ indent: Int?, _ out: inout String,
    each: (T, inout String, Int?) -> Void
  ) {
    out += open
    let inner = indent.map { $0 + 2 }
    for (i, item) in items.enumerated() {
      if i > 0 { out += "," }
      if let inner { out += "\n" + String(repeating: " ", count: inner) }
      each(item, &out, inner)
    }
    if let indent, !items.isEmpty { out += "\n" + String(repeating: " ", count: indent) }
    out += close
  }

  private static func quote(_ s: String, to out: inout String) {
    out += "\""
    for u in s.unicodeScalars {
      switch u {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case _ where u.value < 0x20 || u.value == 0x7f:
        let hex = String(u.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: out.unicodeScalars.append(u)
      }
    }
    out += "\""
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) { self = .object(elements) }
}

extension JSON {
  /// The value of a node, without its places. Numbers beyond 64 bits become doubles.
  public init(_ node: Node) {
    switch node.value {
    case .null: self = .null
    case .boolean(let b): self = .boolean(b)
    case .integer(let i): self = .integer(i)
    case .number(let d): self = .number(d)
    case .string(let s): self = .string(s)
    case .sequence(let items): self = .array(items.map(JSON.init))
    case .mapping(let pairs): self = .object(pairs.map { ($0.key, JSON($0.value)) })
    }
  }
}
