import Foundation
import Harness
import Testing

/// A worker that writes garbage into the memory it shares must not take the runner down: whatever stands there, the runner
/// ends by itself, with a code that is documented.
@Suite(.serialized) struct GarbageTests {
  private static let codes: Set<Int32> = [0, 64, 65, 66, 69, 70, 71, 73, 74, 75, 76, 77, 78, 100]

  private func start(_ folder: TemporaryFolder) throws -> Running {
    let running = try folder.start("""
      ringway: 1
      drain: 1s
      stages:
        numbers: {plugin: generate, with: {seed: 5}, restart: {max: 50, backoff: 1ms}}
        check:
          plugin: jq
          inputs: [numbers]
          processes: 2
          queue: {capacity: 7, message: 4KiB}
          with: {filter: "{n}"}
          restart: {max: 50, backoff: 1ms}
          on_error: {then: drop, deaths: 200}
        results: {plugin: discard, inputs: [check], queue: {capacity: 5, message: 32KiB}, restart: {max: 50, backoff: 1ms}}
      """)
    #expect(eventually { running.workers.count == 4 && mappings(of: running).count == 5 }, "\(running.errors)")
    return running
  }

  /// The first signal drains, which workers that turn in circles do not; the second stops.
  private func stop(_ running: Running) throws -> Ringway.Result {
    kill(running.pid, SIGTERM)
    _ = eventually(within: 3) { !running.process.isRunning }
    kill(running.pid, SIGTERM)
    return try running.finish()
  }

  @Test(arguments: 1...4) func aRunnerSurvivesGarbageInItsMemory(round: Int) throws {
    let seed = testSeed() &+ UInt64(round)
    print("garbage: RINGWAY_SEED=\(seed &- UInt64(round)), round \(round)")
    var random = Seeded(seed)
    let folder = try TemporaryFolder()
    let running = try start(folder)
    let mappings = mappings(of: running)
    for _ in 0..<Int.random(in: 1...4000, using: &random) where running.process.isRunning {
      guard let mapping = mappings.randomElement(using: &random) else { break }
      mapping.words[Int.random(in: 0..<mapping.count, using: &random)] = Self.word(&random)
    }
    let result = try stop(running)
    #expect(Self.codes.contains(result.status), "ended by \(result.status), seed \(seed): \(result.errors.suffix(2000))")
  }

  /// All counts at their highest, at the moment of the report: adding them up must not bring the runner down.
  @Test func countsThatCannotBeAreReported() throws {
    let folder = try TemporaryFolder()
    let running = try start(folder)
    // Nobody puts right what is overwritten now.
    for worker in running.workers { kill(worker.pid, SIGSTOP) }
    for mapping in mappings(of: running) {
      if mapping.name.hasSuffix("-cells") {
        for cell in stride(from: 0, to: mapping.count, by: 512) {
          // Both records and the statistics, but neither the sequence nor what says that a worker waits.
          for word in (cell + 16)..<(cell + 64) { mapping.words[word] = .max }
          for word in (cell + 64)..<(cell + 320) where word != cell + 69 { mapping.words[word] = .max }
        }
      } else {
        // Slots that are all free, so that the ledger balances.
        for word in (4096 / 8)..<mapping.count { mapping.words[word] = 0 }
      }
    }
    let result = try stop(running)
    #expect(Self.codes.contains(result.status), "ended by \(result.status): \(result.errors.suffix(2000))")
    #expect(result.errors.contains("9223372036854775807 dropped"), "the counts did not reach the report: \(result.errors.suffix(2000))")
  }

  private static func word(_ random: inout Seeded) -> UInt64 {
    switch Int.random(in: 0..<5, using: &random) {
    case 0: UInt64.random(in: 0...16, using: &random)
    case 1: .max - UInt64.random(in: 0...16, using: &random)
    case 2: 1 << UInt64.random(in: 0...63, using: &random)
    // A slot's word with a lap and a state.
    case 3: UInt64.random(in: 0...3, using: &random) << 24 | UInt64.random(in: 0...7, using: &random) << 20 | UInt64.random(in: 0...5, using: &random) << 8
    default: .random(in: .min ... .max, using: &random)
    }
  }

  /// What the runner shares with its workers: the first pages, where everything but payloads lies.
  private final class Mapping {
    let name: String
    let words: UnsafeMutablePointer<UInt64>
    let count: Int

    init?(_ path: String, _ name: String) {
      let descriptor = open(path, O_RDWR | O_CLOEXEC)
      if descriptor < 0 { return nil }
      defer { close(descriptor) }
      var info = stat()
      guard fstat(descriptor, &info) == 0 else { return nil }
      let bytes = min(Int(info.st_size), 16 << 10)
      guard let base = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), base != MAP_FAILED else { return nil }
      self.name = name
      words = base.assumingMemoryBound(to: UInt64.self)
      count = bytes / 8
    }

    deinit { munmap(words, count * 8) }
  }

  private func mappings(of running: Running) -> [Mapping] {
    let folder = "/proc/\(running.pid)/fd"
    return ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).compactMap { number in
      guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(number)"), target.contains("memfd:ringway-") else { return nil }
      return Mapping("\(folder)/\(number)", target.replacingOccurrences(of: " (deleted)", with: ""))
    }
  }
}
