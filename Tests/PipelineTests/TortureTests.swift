import Foundation
import Harness
import Testing

/// Workers are killed and stopped at random all the while, and now and then everything is; the files hold every message exactly once, and in order where
/// order is promised. `make torture` does the same twenty times as long, on the release build.
@Suite(.serialized) struct TortureTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let isFull = environment["RINGWAY_TORTURE"] == "full"
  private static let seed = testSeed()
  private static let built = Ringway.binary.deletingLastPathComponent()
  private static let binary = environment["RINGWAY_BENCH_BINARY"].map { URL(fileURLWithPath: $0) } ?? built.appendingPathComponent("bench")
  private static let oracle = built.appendingPathComponent("oracle")

  /// A sanitizer keeps what was freed, cannot be loaded into an interpreter, and has everything take several times as long.
  static let isSanitized = environment["RINGWAY_SANITIZER"] != nil

  private static var scenarios: [TortureScenario] {
    let all = (isFull ? TortureScenario.all : TortureScenario.some).filter { !$0.shape.usesPython || !isSanitized }
    guard let only = environment["RINGWAY_TORTURE_ONLY"] else { return all }
    return all.filter { $0.name.contains(only) }
  }

  @Test func everyMessageArrivesExactlyOnceWhateverIsKilled() {
    print("torture: RINGWAY_SEED=\(Self.seed), \(Self.scenarios.count) scenarios, \(Self.binary.path)")
    var total = TortureDriver.Tally()
    for scenario in Self.scenarios {
      // Between two events of a small scenario some hundred messages pass, or a restart would be all that happens.
      let perEvent = scenario.isLarge ? (Self.isFull ? 12 : 3) : (Self.isFull ? 300 : 60)
      var driver = TortureDriver(scenario, seed: Self.seed, binary: Self.binary, oracle: Self.oracle, perEvent: perEvent)
      do {
        try driver.run()
        print("torture: \(scenario.name): \(driver.tally.text)")
      } catch {
        Issue.record("\(error)")
      }
      total += driver.tally
      if scenario.isLong {
        let growth = driver.growth.report
        print("torture: \(scenario.name): \(growth.text)")
        let grown = Self.isSanitized ? growth.grown.filter { !$0.hasPrefix("KiB") } : growth.grown
        #expect(grown.isEmpty, "RINGWAY_SEED=\(Self.seed)")
      }
    }
    print("torture: in all \(total.text)")
    let least = Self.environment["RINGWAY_TORTURE_ONLY"] != nil ? 1 : Self.isFull ? 10_000 : 500
    #expect(total.events >= least, "too little was done")
    if Self.isFull, Self.environment["RINGWAY_TORTURE_ONLY"] == nil { #expect(total.resumes >= 100, "the runner was killed too seldom") }
  }
}
