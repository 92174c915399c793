/// The core schema of YAML 1.2 (section 10.3.2): which plain scalars are null, booleans and numbers. `no`, `on` and `~1`
/// are strings, `010` is ten.
package enum CoreSchema {
  package static func value(ofPlain text: String) -> Node.Value {
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "True", "TRUE": return .boolean(true)
    case "false", "False", "FALSE": return .boolean(false)
    default: return integer(text) ?? number(text) ?? .string(text)
    }
  }

  /// `[-+]?[0-9]+`, `0o[0-7]+`, `0x[0-9a-fA-F]+`. Beyond 64 bits it becomes a number.
  package static func integer(_ text: String) -> Node.Value? {
    let ascii = Array(text.utf8)
    func digits(_ from: Int, _ radix: Int) -> Node.Value? {
      guard ascii.count > from, ascii[from...].allSatisfy({ digit($0, radix) }) else { return nil }
      let body = String(decoding: ascii[from...], as: UTF8.self)
      if let value = Int(body, radix: radix) { return .integer(value) }
      return .number(body.utf8.reduce(0.0) { $0 * Double(radix) + Double(Character(Unicode.Scalar($1)).hexDigitValue ?? 0) })
    }
    if text.hasPrefix("0x") { return digits(2, 16) }
    if text.hasPrefix("0o") { return digits(2, 8) }
    let body = ascii.first == UInt8(ascii: "-") || ascii.first == UInt8(ascii: "+") ? ascii.dropFirst() : ascii[...]
    guard !body.isEmpty, body.allSatisfy({ digit($0, 10) }) else { return nil }
    return Int(text).map(Node.Value.integer) ?? Double(text).map(Node.Value.number)
  }

  /// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`, `.inf`, `.nan`
  package static func number(_ text: String) -> Node.Value? {
    switch text {
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .number(.infinity)
    case "-.inf", "-.Inf", "-.INF": return .number(-.infinity)
    case ".nan", ".NaN", ".NAN": return .number(.nan)
    default: break
    }
    var rest = Array(text.utf8)[...]
    func takeDigits() -> Int {
      let count = rest.prefix { digit($0, 10) }.count
      rest = rest.dropFirst(count)
      return count
    }
    func take(_ any: String) -> Bool {
      guard let first = rest.first, any.utf8.contains(first) else { return false }
      rest = rest.dropFirst()
      return true
    }
    _ = take("+-")
    let whole = takeDigits()
    var fraction = 0
    if take(".") { fraction = takeDigits() }
    guard whole + fraction > 0 else { return nil }
    if take("eE") {
      _ = take("+-")
      guard takeDigits() > 0 else { return nil }
    }
    guard rest.isEmpty else { return nil }
    var literal = text.hasPrefix("+") ? String(text.dropFirst()) : text
    if literal.hasPrefix(".") { literal = "0" + literal }
    if literal.hasPrefix("-.") { literal = "-0" + literal.dropFirst() }
    literal = literal.replacing(".e", with: ".0e").replacing(".E", with: ".0E")
    if literal.hasSuffix(".") { literal += "0" }
    return Double(literal).map(Node.Value.number)
  }

  private static func digit(_ byte: UInt8, _ radix: Int) -> Bool {
    Character(Unicode.Scalar(byte)).hexDigitValue.map { $0 < radix } ?? false
  }
}

extension String {
  /// Replaces every occurrence, without Foundation.
  fileprivate func replacing(_ old: String, with new: String) -> String {
    let parts = Array(utf8).split(old)
    return parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: new)
  }
}

extension Array where Element == UInt8 {
  fileprivate func split(_ separator: String) -> [ArraySlice<UInt8>] {
    let mark = Array(separator.utf8)
    var parts: [ArraySlice<UInt8>] = []
    var start = startIndex
    var i = startIndex
    while i + mark.count <= endIndex {
      if Array(self[i..<i + mark.count]) == mark {
        parts.append(self[start..<i])
        i += mark.count
        start = i
      } else {
        i += 1
      }
    }
    return parts + [self[start...]]
  }
}
