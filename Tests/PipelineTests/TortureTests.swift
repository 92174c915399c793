import Foundation
import Harness
import Testing

/// Workers are killed and stopped at random all the while; the output holds every message exactly once.
@Suite(.serialized) struct TortureTests {
  @Test(arguments: [2, 7, 64])
  func everyMessageArrivesExactlyOnceWhileWorkersAreKilled(capacity: Int) throws {
    let seed = testSeed()
    print("torture: capacity \(capacity), RINGWAY_SEED=\(seed)")
    var random = Seeded(seed)
    let folder = try TemporaryFolder()
    let kills = 80
    // Endless: the test drains it once there have been enough kills.
    let file = try folder.write("torture.yaml", """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {seed: 5}
          restart: {max: 100000, backoff: 1ms}
        check:
          plugin: jq
          inputs: [numbers]
          processes: 4
          queue: {capacity: \(max(4, capacity)), message: 4KiB}
          with: {filter: "{n, value, twice: (.value * 2)}"}
          restart: {max: 100000, backoff: 1ms}
          on_error: {deaths: 254}
        results:
          plugin: file.write
          inputs: [check]
          queue: {capacity: \(capacity), message: 4KiB}
          with: {path: out.jsonl}
          restart: {max: 100000, backoff: 1ms}
          on_error: {deaths: 254}
      """)
    let running = try Running(["run", file, "--progress", "off", "--report", folder.path("report.json")])
    var killed = 0
    var stopped: Int32?
    while killed < kills, running.process.isRunning {
      // Progress between kills: the file has grown, or a worker has come back.
      let size = fileSize(folder.path("out.jsonl"))
      let patience = Int.random(in: 0...20_000, using: &random)
      _ = eventually(within: 1) { fileSize(folder.path("out.jsonl")) > size + patience }
      guard let worker = running.workers.randomElement(using: &random) else { continue }
      if let pid = stopped {
        kill(pid, SIGCONT)
        stopped = nil
      }
      if Int.random(in: 0..<4, using: &random) == 0 {
        kill(worker.pid, SIGSTOP)
        stopped = worker.pid
      } else {
        kill(worker.pid, SIGKILL)
        killed += 1
      }
    }
    if let pid = stopped { kill(pid, SIGCONT) }
    kill(running.pid, SIGTERM)
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")

    // The oracle knows nothing of the program: it makes the messages again.
    var seen = Set<Int>()
    for line in folder.lines("out.jsonl") {
      let json = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Int])
      let n = try #require(json["n"])
      #expect(seen.insert(n).inserted, "message \(n) stands in the file twice")
      #expect(json["value"] == expectedValue(n, seed: 5) && json["twice"] == 2 * expectedValue(n, seed: 5))
    }
    #expect(seen.count == (seen.max() ?? -1) + 1, "a message is missing")
    #expect(seen.count > kills)
    let report = try Report(folder.path("report.json"))
    #expect(report.outcome == "drained" && report.balances)
    #expect(report.stage("results", "out") == seen.count)
    let restarts = ["numbers", "check", "results"].reduce(0) { $0 + report.stage($1, "restarts") }
    #expect(restarts > kills / 2)
  }

  private func fileSize(_ path: String) -> Int {
    ((try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int) ?? 0
  }

  private func expectedValue(_ n: Int, seed: UInt64) -> Int {
    var z = (UInt64(n) ^ seed &* 0x9e37_79b9_7f4a_7c15) &+ 0x9e37_79b9_7f4a_7c15
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return Int((z ^ z >> 31) % 1_000_000)
  }
}
