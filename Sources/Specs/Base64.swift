/// Bytes as text, in base 64 with padding (RFC 4648, section 4).
package enum Base64 {
  private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  package static func encode(_ bytes: UnsafeRawBufferPointer) -> String {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    var i = 0
    while i < bytes.count {
      let left = bytes.count - i
      let group = Int(bytes[i]) << 16 | (left > 1 ? Int(bytes[i + 1]) << 8 : 0) | (left > 2 ? Int(bytes[i + 2]) : 0)
      out.append(digits[group >> 18])
      out.append(digits[group >> 12 & 63])
      out.append(left > 1 ? digits[group >> 6 & 63] : UInt8(ascii: "="))
      out.append(left > 2 ? digits[group & 63] : UInt8(ascii: "="))
      i += 3
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// - Returns: nil for what is no base 64
  package static func decode(_ text: String) -> [UInt8]? {
    let all = Array(text.utf8)
    guard all.count % 4 == 0 else { return nil }
    let padding = all.suffix(2).reversed().prefix { $0 == UInt8(ascii: "=") }.count
    var out: [UInt8] = []
    out.reserveCapacity(all.count / 4 * 3)
    var group = 0
    for (i, byte) in all.dropLast(padding).enumerated() {
      guard let value = value(byte) else { return nil }
      group = group << 6 | value
      if i % 4 == 3 {
        out += [UInt8(truncatingIfNeeded: group >> 16), UInt8(truncatingIfNeeded: group >> 8), UInt8(truncatingIfNeeded: group)]
        group = 0
      }
    }
    if padding == 1 { out += [UInt8(truncatingIfNeeded: group >> 10), UInt8(truncatingIfNeeded: group >> 2)] }
    if padding == 2 { out.append(UInt8(truncatingIfNeeded: group >> 4)) }
    return out
  }

  private static func value(_ digit: UInt8) -> Int? {
    switch digit {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int(digit) - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(digit) - 71
    case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(digit) + 4
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
