import Foundation
import Harness
import Testing

/// `--chaos` disturbs a user's own graph, and what is promised of it holds. The messages come at a rate where deaths are counted: a worker
/// goes on until its death arrives, and must not be done before.
@Suite struct ChaosTests {
  private func run(_ stages: String, _ arguments: [String], python: String = "", input: String? = nil) throws -> (Ringway.Result, TemporaryFolder, Report) {
    let project = try Project(stages, python: python, memory: "64GiB")
    return (try project.run(arguments, input: input), project.folder, try project.report)
  }

  private func counts(_ report: Report, _ stage: String? = nil) -> (kills: Int, stops: Int, delays: Int) {
    let object = stage.map { (report.json["stages"] as? [String: [String: Any]])?[$0] ?? [:] } ?? report.json
    let chaos = object["chaos"] as? [String: Int] ?? [:]
    return (chaos["kills"] ?? -1, chaos["stops"] ?? -1, chaos["delays"] ?? -1)
  }

  /// One death would end this run by `deaths`, and one that made no progress by `restart`: none of chaos counts.
  @Test func everyLineIsThereOnceWhateverIsKilled() throws {
    let seed = testSeed()
    let (result, folder, report) = try run("""
      numbers: {plugin: generate, with: {count: 2000}, rate: 2000/s}
      a: {plugin: jq, inputs: [numbers], processes: 2, with: {filter: .n}, on_error: {deaths: 1}, restart: {max: 0}}
      b: {plugin: jq, inputs: [a], with: {filter: . + 1}, on_error: {deaths: 1}, restart: {max: 0}}
      c: {plugin: jq, inputs: [b], with: {filter: . - 1}, on_error: {deaths: 1}, restart: {max: 0}}
      d: {PY:same"}, inputs: [c], processes: 2, on_error: {deaths: 1}, restart: {max: 0}}
      e: {PY:all", batch: 32}, inputs: [d], on_error: {deaths: 1}, restart: {max: 0}, timeout: 5s}
      out: {plugin: file.write, inputs: [e], with: {path: out}, on_error: {deaths: 1}, restart: {max: 0}}
      """, ["--chaos", "kill=5%,stop=0.2%,delay=2%", "--chaos-seed", "\(seed)"], python: """
      def same(value):
          return value
      def all(values):
          return values
      """)
    #expect(result.status == 0, "seed \(seed): \(result.errors)")
    let lines = folder.lines("out")
    #expect(lines.count == 2000 && Set(lines) == Set((0..<2000).map(String.init)), "seed \(seed): \(lines.count) lines")
    #expect(report.balances, "seed \(seed)")
    let all = counts(report)
    #expect(all.kills >= 10 && all.stops >= 1 && all.delays >= 10, "seed \(seed): \(all)")
    for stage in ["a", "b", "c", "d", "e"] {
      let own = counts(report, stage)
      // One that is killed when nothing is left has no successor.
      let restarts = report.stage(stage, "restarts")
      #expect(own.kills >= 1 && restarts <= own.kills && restarts >= own.kills - 3, "seed \(seed), \(stage): \(own), \(report.stage(stage, "restarts")) restarts")
    }
    #expect((report.json["chaos"] as? [String: Int])?["seed"] == seed.asInt)
    #expect(result.errors.contains("ringway: chaos with --chaos-seed \(seed)\n"))
    #expect(result.errors.contains("chaos: \(all.kills) kills, \(all.stops) stops, \(all.delays) delays (seed \(seed))\n"), "\(result.errors)")
  }

  /// However much is killed, each life hands something over, so the run ends.
  @Test func aRunEndsAlsoWhenEveryMessageKills() throws {
    let (result, folder, report) = try run("""
      numbers: {plugin: generate, with: {count: 60}, rate: 100/s}
      work: {PY:all", batch: 8}, inputs: [numbers]}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """, ["--chaos", "kill=100%"], python: """
      def all(values):
          return values
      """)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out").count == 60 && report.balances)
    #expect(counts(report).kills >= 2)
  }

  /// A worker that stands still is no worker that takes too long. Each message takes some time, so that it is stopped in the middle of one.
  @Test func whatIsStoppedOnPurposeIsNotTimedOut() throws {
    let (result, folder, report) = try run("""
      numbers: {plugin: generate, with: {count: 400}}
      work: {plugin: jq, inputs: [numbers], processes: 4, with: {filter: "(last(range(20000)) | empty), .n"}, timeout: 400ms, on_error: {deaths: 1}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """, ["--chaos", "stop=10%", "--chaos-seed", "3"])
    #expect(result.status == 0 && !result.errors.contains("took longer"), "\(result.errors)")
    #expect(Set(folder.lines("out")) == Set((0..<400).map(String.init)) && folder.lines("out").count == 400)
    #expect(counts(report).stops >= 1 && counts(report).kills == 0 && report.stage("work", "restarts") == 0)
  }

  @Test func whoReadsStandardInputIsNotKilled() throws {
    let text = (0..<500).map { "\($0)\n" }.joined()
    let (result, folder, report) = try run("""
      lines: {plugin: stdin, rate: 1000/s}
      out: {plugin: file.write, inputs: [lines], with: {path: out}}
      """, ["--chaos", "kill=20%"], input: text)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out") == text.split(separator: "\n").map(String.init))
    #expect(counts(report, "lines").kills == 0 && counts(report, "out").kills >= 1)
  }

  @Test func withoutItNothingIsSaidOfIt() throws {
    let (result, _, report) = try run("""
      numbers: {plugin: generate, with: {count: 5}}
      out: {plugin: discard, inputs: [numbers]}
      """, [])
    #expect(result.status == 0 && !result.errors.contains("chaos") && report.json["chaos"] == nil)
  }

  @Test(arguments: ["", "kill", "kill=1", "kill=%", "kill=-1%", "kill=1e1%", "kill=101%", "kill=60%,stop=60%", "kill=1%,kill=1%", "burn=1%", "kill=1%,", "kill=0.00001%"])
  func whatItDoesNotKnowIsRefused(shares: String) throws {
    let result = try Ringway.run(["run", "p.yaml", "--chaos=\(shares)"])
    #expect(result.status == 64, "\(result.errors)")
    #expect(result.errors.contains("expected kill=PERCENT, stop=PERCENT and delay=PERCENT") || shares.isEmpty, "\(result.errors)")
  }
}

extension UInt64 {
  fileprivate var asInt: Int { Int(clamping: self) }
}
