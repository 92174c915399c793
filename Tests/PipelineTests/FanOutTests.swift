import Foundation
import Harness
import Testing

/// One message becomes a million, through a queue of eight: a call that is handed over in parts.
@Suite struct FanOutTests {
  private static let count = 1_000_000

  @Test(arguments: ["plugin: jq, inputs: [seed], with: {filter: 'range(1000000)'}", "PY:many\"}, inputs: [seed]"])
  func aMillionOutputsOfOneMessageAreThereOnce(work: String) throws {
    let seed = testSeed()
    var random = Seeded(seed)
    let project = try Project("""
      seed: {plugin: generate, with: {count: 1}}
      work: {\(work), on_error: {deaths: 100}, restart: {max: 100, backoff: 1ms}}
      out: {plugin: file.write, inputs: [work], queue: {capacity: 8, message: 4KiB}, with: {path: out}, on_error: {deaths: 100}, restart: {max: 100, backoff: 1ms}}
      """, python: """
      def many(value):
          for n in range(\(Self.count)):
              yield n
      """)
    let running = try project.start()
    func size() -> Int { (try? FileManager.default.attributesOfItem(atPath: project.folder.path("out"))[.size] as? Int) ?? 0 }
    var kills = 0
    while kills < 12, running.process.isRunning {
      let wanted = size() + Int.random(in: 1...400_000, using: &random)
      guard eventually({ !running.process.isRunning || size() >= wanted }) else { break }
      guard let victim = running.workers.filter({ $0.stage != "seed" }).randomElement(using: &random) else { continue }
      kill(victim.pid, SIGKILL)
      kills += 1
    }
    let result = try running.finish(within: 600)
    #expect(result.status == 0 && kills >= 3, "seed \(seed), \(kills) kills: \(result.errors.suffix(2000))")
    let lines = project.folder.lines("out")
    #expect(lines.count == Self.count && lines.enumerated().allSatisfy { $1 == String($0) }, "seed \(seed), \(kills) kills: \(lines.count) lines")
  }
}
