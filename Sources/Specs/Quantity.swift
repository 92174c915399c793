/// Sizes, durations and rates as they are written in a pipeline file: a number and a unit, never a bare number.
///
/// - size: `512B`, `64KiB`, `1MB`, `2GiB` (KiB, MiB, GiB, TiB are powers of 1024; kB, MB, GB, TB of 1000)
/// - duration: `250ms`, `1.5s`, `2m`, `1h` (also `us`, `ns`, `d`)
/// - rate: `100/s`, `5/m`, `2/h`
package enum Quantity {
  /// Bytes, or nil when the text is no size or does not fit 63 bits. Fractions are allowed when they give whole bytes.
  package static func size(_ text: String) -> Int? {
    guard let (digits, unit) = split(text) else { return nil }
    let units: [String: Int] = [
      "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
      "kB": 1_000, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000,
    ]
    return units[unit].flatMap { scaled(digits, by: $0) }
  }

  /// A duration of nanosecond resolution, or nil.
  package static func duration(_ text: String) -> Duration? {
    guard let (digits, unit) = split(text) else { return nil }
    let units: [String: Int] = [
      "ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000,
      "d": 86_400_000_000_000,
    ]
    return units[unit].flatMap { scaled(digits, by: $0) }.map { .nanoseconds($0) }
  }

  /// Events in a second, or nil. Never zero.
  package static func rate(_ text: String) -> Double? {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let count = number(String(parts[0])), count > 0 else { return nil }
    switch parts[1] {
    case "s": return count
    case "m": return count / 60
    case "h": return count / 3600
    default: return nil
    }
  }

  /// `1 MiB`, `1.5 GiB`, `300 B`: for people.
  package static func describe(bytes: Int) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(bytes)
    var unit = 0
    // What would round to 1024.0 is one of the next unit.
    while abs(value) >= (unit == 0 ? 1024 : 1023.95), unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return fixed(value, value == value.rounded() ? 0 : 1) + " " + units[unit]
  }

  /// `250ms`, `1.5s`, `2m`: the shortest text that reads back as the same duration.
  package static func describe(_ duration: Duration) -> String {
    let (seconds, atto) = duration.components
    let (whole, overflow) = Int(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return "\(seconds)s" }
    let (ns, isTooLong) = whole.addingReportingOverflow(Int(atto / 1_000_000_000))
    if isTooLong { return "\(seconds)s" }
    for (unit, factor) in [("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
      if ns % factor == 0, ns != 0 { return "\(ns / factor)\(unit)" }
    }
    return ns == 0 ? "0s" : "\(ns)ns"
  }

  /// `100/s`, `30/m`: the first unit in which it is a whole number.
  package static func describe(rate: Double) -> String {
    for (unit, factor) in [("s", 1.0), ("m", 60), ("h", 3600)] {
      let value = rate * factor
      let whole = value.rounded()
      if whole >= 1, abs(value - whole) < 1e-9 * whole { return fixed(whole, 0) + "/" + unit }
    }
    return rate < 1 ? fixed(rate * 3600, 3) + "/h" : fixed(rate, 3) + "/s"
  }

  /// A number with so many digits after the point, rounded half away from zero.
  package static func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    guard let all = Int(exactly: scaled) else { return "\(value)" }
    let unit = Int(scale)
    var fraction = String(all % unit)
    while fraction.count < digits { fraction = "0" + fraction }
    return (value < 0 && all != 0 ? "-" : "") + String(all / unit) + (digits == 0 ? "" : "." + fraction)
  }

  private static func split(_ text: String) -> (digits: Substring, unit: String)? {
    guard let end = text.firstIndex(where: { !("0"..."9" ~= $0) && $0 != "." }) else { return nil }
    return (text[..<end], text[end...].drop { $0 == " " }.description)
  }

  private static func number(_ text: String) -> Double? {
    guard !text.isEmpty, text.allSatisfy({ "0"..."9" ~= $0 || $0 == "." }), let d = Double(text), d.isFinite else { return nil }
    return d
  }

  /// digits * factor in whole numbers: `1.5` by 1024 is 1536; nil when it is no whole number or overflows.
  private static func scaled(_ digits: Substring, by factor: Int) -> Int? {
    let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, let first = parts.first, let whole = Int(first) else { return nil }
    let (base, overflow) = whole.multipliedReportingOverflow(by: factor)
    if overflow { return nil }
    guard parts.count == 2 else { return base }
    guard let part = Int(parts[1]), parts[1].count <= 9 else { return nil }
    var unit = 1
    for _ in 0..<parts[1].count { unit *= 10 }
    let (scaledPart, partOverflow) = part.multipliedReportingOverflow(by: factor)
    guard !partOverflow, scaledPart % unit == 0 else { return nil }
    let (sum, sumOverflow) = base.addingReportingOverflow(scaledPart / unit)
    return sumOverflow ? nil : sum
  }
}
