import Foundation
import Harness
import Testing

/// A short soak; `make soak` is the long one.
@Suite struct SoakTests {
  private let bench = Ringway.binary.deletingLastPathComponent().appendingPathComponent("bench")

  @Test func theNumbersOfAShortSoakAddUp() throws {
    let result = try Running(["soak", "--messages", "100000"], executable: bench).finish(within: 300)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("they add up; 0 late wake-ups"))
    #expect(result.output.contains("soak: passed"))
  }

  @Test func aSoakThatIsAskedForNonsenseSaysSo() throws {
    let result = try Running(["soak", "--messages", "none"], executable: bench).finish()
    #expect(result.status == 64 && result.errors.contains("--messages takes a number"))
  }
}
