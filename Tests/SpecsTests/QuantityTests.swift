import Specs
import Testing

struct QuantityTests {
  @Test(arguments: [
    ("0B", 0), ("512B", 512), ("64KiB", 65536), ("64 KiB", 65536), ("1MB", 1_000_000), ("1kB", 1000), ("1KB", 1000), ("1.5KiB", 1536), ("0.5GiB", 1 << 29),
    ("2TiB", 2 << 40), ("8388607TiB", 8_388_607 << 40), ("1.000000001GB", 1_000_000_001),
  ])
  func aSizeIsRead(_ text: String, _ bytes: Int) { #expect(Quantity.size(text) == bytes) }

  @Test(arguments: [
    "", "B", "64", "KiB", "-1B", "+1B", "1kiB", "1mib", "1 K", "1.B", ".5KiB", "1.3B", "1..5KiB", "1.2.3KiB", "0x10B", "1e3B", "8388608TiB",
    "99999999999999999999B", "1.0000000000001GB", "1\u{a0}KiB", "１KiB", "1KiBx", "NaNB",
  ])
  func whatIsNoSizeIsRefused(_ text: String) { #expect(Quantity.size(text) == nil) }

  @Test(arguments: [
    ("250ms", Duration.milliseconds(250)), ("1.5s", .milliseconds(1500)), ("2m", .seconds(120)), ("1h", .seconds(3600)), ("1d", .seconds(86_400)),
    ("3us", .microseconds(3)), ("7ns", .nanoseconds(7)), ("0s", .zero), ("0.5us", .nanoseconds(500)), ("5 s", .seconds(5)),
  ])
  func aDurationIsRead(_ text: String, _ duration: Duration) { #expect(Quantity.duration(text) == duration) }

  @Test(arguments: ["", "5", "s", "-5s", "0.5ns", "1w", "5S", "1h30m", "106752d", "99999999999d", "5 s s"])
  func whatIsNoDurationIsRefused(_ text: String) { #expect(Quantity.duration(text) == nil) }

  @Test(arguments: [("100/s", 100.0), ("30/m", 0.5), ("7200/h", 2.0), ("0.5/s", 0.5)])
  func aRateIsRead(_ text: String, _ rate: Double) { #expect(Quantity.rate(text) == rate) }

  @Test(arguments: [(100.0, "100/s"), (0.5, "30/m"), (1 / 3600.0, "1/h"), (1 / 3.0, "20/m"), (2.5, "150/m"), (1.0001, "1.000/s"), (0.0001, "0.360/h")])
  func aRateIsDescribedForPeople(_ rate: Double, _ text: String) { #expect(Quantity.describe(rate: rate) == text) }

  @Test(arguments: ["", "100", "/s", "0/s", "-1/s", "1/d", "1/s/s", "a/s", "1e400/s", "0.0/s", "1/ s"])
  func whatIsNoRateIsRefused(_ text: String) { #expect(Quantity.rate(text) == nil) }

  @Test(arguments: [
    (0, "0 B"), (1, "1 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1 << 20, "1 MiB"), ((1 << 20) - 1, "1.0 MiB"), (1_073_741_000, "1.0 GiB"),
    (3 << 30, "3 GiB"), (5 << 40, "5 TiB"), (Int.max, "8388608 TiB"), (-2048, "-2 KiB"),
  ])
  func bytesAreDescribedForPeople(_ bytes: Int, _ text: String) { #expect(Quantity.describe(bytes: bytes) == text) }

  @Test(arguments: ["1ns", "250ms", "1500ms", "90s", "2m", "36h", "3d", "0s", "12345us", "1000001ns"])
  func aDurationReadsBackAsItself(_ text: String) throws {
    let duration = try #require(Quantity.duration(text))
    #expect(Quantity.duration(Quantity.describe(duration)) == duration)
  }

  @Test func hugeDurationsAreDescribedAllTheSame() {
    #expect(Quantity.describe(.seconds(Int64.max)) == "\(Int64.max)s")
    #expect(Quantity.describe(.seconds(9_223_372_036) + .nanoseconds(999_999_999)) == "9223372036s")
    #expect(Quantity.describe(.seconds(-5)) == "-5s")
  }

  @Test(arguments: [
    (0.0, 2, "0.00"), (1.005, 1, "1.0"), (2.5, 0, "3"), (-2.5, 0, "-3"), (-0.04, 1, "0.0"), (99.95, 1, "100.0"), (1e14, 0, "100000000000000"),
    (.infinity, 1, "inf"),
  ])
  func numbersAreRounded(_ value: Double, _ digits: Int, _ text: String) { #expect(Quantity.fixed(value, digits) == text) }
}
