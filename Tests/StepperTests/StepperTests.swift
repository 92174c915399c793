import Foundation
import Harness
import Testing

/// A worker dies after an instruction of its hand-over, and nothing is lost or doubled. The program that does it must be
/// built as the product is, optimised; `make test` builds it and names it here, and `make steps` runs it over every
/// instruction of every hand-over instead of this sample.
@Suite struct StepperTests {
  static let program = ProcessInfo.processInfo.environment["RINGWAY_STEPPER"].map { URL(fileURLWithPath: $0) }

  @Test(.enabled(if: program != nil, "RINGWAY_STEPPER does not name the release-built stepper"))
  func noInstructionLosesOrDoublesAMessage() throws {
    let program = try #require(Self.program)
    let seed = testSeed()
    print("stepper: RINGWAY_SEED=\(seed)")
    let running = try Running(["--stride", "60", "--shapes", "6", "--seed", "\(seed)"], executable: program)
    let result = try running.finish(within: 600)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("nothing lost, nothing doubled"))
  }
}
