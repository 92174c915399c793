import Specs

/// A number exactly as it was written: digits and a power of ten. As doubles, 0.0075 would be no multiple of 0.0001 and
/// 2^64 + 1 would equal 2^64.
struct Decimal: Hashable, Sendable {
  private var isNegative: Bool
  /// The value is these digits times ten to the power of `exponent`. No zero at either end; empty for zero.
  private var digits: [UInt8]
  private var exponent: Int

  /// Longer texts and larger exponents than these are read as doubles, which bounds the work of exact arithmetic.
  private static let mostDigits = 4096
  private static let largestExponent = 1_000_000_000

  /// - Returns: nil for what is no number, and for infinities and NaN, which YAML has
  init?(_ node: Node) {
    switch node.value {
    case .integer(let value): self.init(value)
    case .number(let value):
      if let text = node.text, let exact = Decimal(text) {
        self = exact
      } else if value.isFinite, let nearest = Decimal("\(value)") {
        self = nearest
      } else {
        return nil
      }
    default: return nil
    }
  }

  init(_ value: Int) {
    self.init(isNegative: value < 0, digits: String(value.magnitude).utf8.map { $0 - 48 }, exponent: 0)
  }

  /// `[-+]? digits [. digits] [e [-+]? digits]`, with a digit on at least one side of the point.
  init?(_ text: String) {
    guard text.utf8.count <= Self.mostDigits else { return nil }
    var rest = text.utf8[...]
    func take(_ any: String) -> UInt8? {
      guard let first = rest.first, any.utf8.contains(first) else { return nil }
      rest = rest.dropFirst()
      return first
    }
    func takeDigits() -> [UInt8] {
      let found = rest.prefix { 48...57 ~= $0 }
      rest = rest.dropFirst(found.count)
      return found.map { $0 - 48 }
    }
    let isNegative = take("+-") == UInt8(ascii: "-")
    var digits = takeDigits()
    var exponent = 0
    if take(".") != nil {
      let fraction = takeDigits()
      digits += fraction
      exponent -= fraction.count
    }
    if digits.isEmpty { return nil }
    if take("eE") != nil {
      let isSmall = take("+-") == UInt8(ascii: "-")
      let power = takeDigits()
      guard !power.isEmpty else { return nil }
      let size = power.reduce(0) { min($0 * 10 + Int($1), Self.largestExponent) }
      exponent += isSmall ? -size : size
    }
    guard rest.isEmpty else { return nil }
    self.init(isNegative: isNegative, digits: digits, exponent: exponent)
  }

  private init(isNegative: Bool, digits: [UInt8], exponent: Int) {
    var digits = Array(digits.drop { $0 == 0 })
    var exponent = exponent
    while digits.last == 0 {
      digits.removeLast()
      exponent += 1
    }
    self.isNegative = isNegative && !digits.isEmpty
    self.digits = digits
    self.exponent = digits.isEmpty ? 0 : exponent
  }

  /// 1.0 is whole.
  var isWhole: Bool { exponent >= 0 }
  var isZero: Bool { digits.isEmpty }

  static func < (a: Decimal, b: Decimal) -> Bool {
    if a.isNegative != b.isNegative { return a.isNegative }
    return a.isNegative ? isSmaller(b, a) : isSmaller(a, b)
  }

  /// Compares without the sign: first where the digits begin, then the digits.
  private static func isSmaller(_ a: Decimal, _ b: Decimal) -> Bool {
    if a.isZero || b.isZero { return a.isZero && !b.isZero }
    let (sizeOfA, sizeOfB) = (a.digits.count + a.exponent, b.digits.count + b.exponent)
    return sizeOfA != sizeOfB ? sizeOfA < sizeOfB : a.digits.lexicographicallyPrecedes(b.digits)
  }

  /// Whether dividing leaves nothing. Nothing is a multiple of zero but zero.
  func isMultiple(of divisor: Decimal) -> Bool {
    if isZero { return true }
    // The digits end in no zero, so what reaches further to the right than the divisor is no multiple of it.
    if divisor.isZero || exponent < divisor.exponent { return false }
    // A zero more adds one factor of 2 and of 5; a divisor of n digits has fewer than 4n of either.
    let zeros = min(exponent - divisor.exponent, divisor.digits.count * 4)
    let dividend = digits + [UInt8](repeating: 0, count: zeros)
    // Up to 18 digits the remainder and one more digit fit 64 bits.
    if divisor.digits.count <= 18 {
      let whole = divisor.digits.reduce(0 as UInt64) { $0 * 10 + UInt64($1) }
      return dividend.reduce(0 as UInt64) { ($0 * 10 + UInt64($1)) % whole } == 0
    }
    return Decimal.dividesLong(dividend, divisor.digits)
  }

  /// Long division as on paper, digit by digit.
  private static func dividesLong(_ dividend: [UInt8], _ divisor: [UInt8]) -> Bool {
    // One digit more than the divisor, the most significant first.
    var remainder = [UInt8](repeating: 0, count: divisor.count + 1)
    let divisor = [0] + divisor
    for digit in dividend {
      remainder.removeFirst()
      remainder.append(digit)
      while !remainder.lexicographicallyPrecedes(divisor) {
        var borrow: UInt8 = 0
        for i in remainder.indices.reversed() {
          let less = divisor[i] + borrow
          borrow = remainder[i] < less ? 1 : 0
          remainder[i] = remainder[i] + borrow * 10 - less
        }
      }
    }
    return remainder.allSatisfy { $0 == 0 }
  }
}
