import Specs

/// A number exactly as it was written: digits and a power of ten. Doubles would call 0.0075 no multiple of 0.0001.
struct Decimal {
  private var isNegative: Bool
  /// Without leading or trailing zeros; empty for zero.
  private var digits: [UInt8]
  /// The value is 0.DIGITS times ten to this power.
  private var exponent: Int

  /// - Returns: nil for what is no finite number
  init?(_ node: Node) {
    switch node.value {
    case .integer(let value): self.init(text: String(value))
    case .number(let value):
      guard value.isFinite || node.text.map(Self.isPlain) ?? false else { return nil }
      if let text = node.text, Self.isPlain(text) { self.init(text: text) } else { self.init(text: "\(value)") }
    default: return nil
    }
  }

  private static func isPlain(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { 48...57 ~= $0 || "+-.eE".utf8.contains($0) } && text.utf8.contains { 48...57 ~= $0 }
  }

  private init?(text: String) {
    isNegative = text.hasPrefix("-")
    digits = []
    exponent = 0
    var power = 0
    var point: Int?
    var all: [UInt8] = []
    var rest = Array(text.utf8)[...]
    if let first = rest.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") { rest = rest.dropFirst() }
    while let byte = rest.first {
      rest = rest.dropFirst()
      if 48...57 ~= byte {
        all.append(byte - 48)
      } else if byte == UInt8(ascii: ".") {
        point = all.count
      } else {
        guard let value = Int(String(decoding: rest, as: UTF8.self)) else { return nil }
        power = max(-100_000, min(100_000, value))
        break
      }
    }
    let whole = point ?? all.count
    let leading = all.prefix { $0 == 0 }.count
    digits = Array(all.dropFirst(leading))
    while digits.last == 0 { digits.removeLast() }
    exponent = digits.isEmpty ? 0 : whole - leading + power
    if digits.isEmpty { isNegative = false }
  }

  var isZero: Bool { digits.isEmpty }
  var isWhole: Bool { digits.count <= exponent || digits.isEmpty }

  /// The same text for equal numbers.
  var canonical: String { (isNegative ? "-" : "") + digits.map(String.init).joined() + "e\(exponent)" }

  static func < (a: Decimal, b: Decimal) -> Bool {
    if a.isNegative != b.isNegative { return a.isNegative }
    let smaller = a.isNegative ? compare(b, a) : compare(a, b)
    return smaller < 0
  }

  private static func compare(_ a: Decimal, _ b: Decimal) -> Int {
    if a.isZero || b.isZero { return a.isZero ? (b.isZero ? 0 : -1) : 1 }
    if a.exponent != b.exponent { return a.exponent < b.exponent ? -1 : 1 }
    if a.digits == b.digits { return 0 }
    return a.digits.lexicographicallyPrecedes(b.digits) ? -1 : 1
  }

  func isMultiple(of other: Decimal) -> Bool {
    if isZero { return true }
    if other.isZero { return false }
    // self = d1 * 10^(e1 - n1), other = d2 * 10^(e2 - n2): bring both to whole numbers of one unit.
    let shift = (exponent - digits.count) - (other.exponent - other.digits.count)
    if abs(shift) > 10_000 { return shift > 0 }
    var divisor: UInt64 = 0
    for digit in other.digits + [UInt8](repeating: 0, count: max(0, -shift)) {
      let (product, overflow) = divisor.multipliedReportingOverflow(by: 10)
      // More than 64 bits of divisor: no number of ordinary length is a multiple of it, but for equals.
      if overflow || product > UInt64.max - 9 { return canonical == other.canonical }
      divisor = product + UInt64(digit)
    }
    var remainder: UInt64 = 0
    for digit in digits + [UInt8](repeating: 0, count: max(0, shift)) {
      let (high, low) = remainder.multipliedFullWidth(by: 10)
      let (sum, carry) = low.addingReportingOverflow(UInt64(digit))
      remainder = divisor.dividingFullWidth((high + (carry ? 1 : 0), sum)).remainder
    }
    return remainder == 0
  }
}

extension Node {
  /// The same text for equal values: 1 and 1.0 are equal, and the order of keys is no difference.
  var canonical: String {
    switch value {
    case .null: "null"
    case .boolean(let b): b ? "true" : "false"
    case .integer, .number: Decimal(self)?.canonical ?? text ?? ""
    case .string(let s): JSON.string(s).compact
    case .sequence(let items): "[" + items.map(\.canonical).joined(separator: ",") + "]"
    case .mapping(let pairs):
      "{" + pairs.map { JSON.string($0.key).compact + ":" + $0.value.canonical }.sorted().joined(separator: ",") + "}"
    }
  }
}
