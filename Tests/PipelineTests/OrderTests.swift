import Foundation
import Harness
import Testing

/// `order: input`: what a stage of several processes makes comes in the order of what it took.
@Suite struct OrderTests {
  private func run(_ stages: String, _ arguments: [String] = [], python: String = "") throws -> (Ringway.Result, TemporaryFolder, Report) {
    let project = try Project(stages, python: python)
    return (try project.run(arguments), project.folder, try project.report)
  }

  /// The first message ends after the second has been worked on, by another process: it is ahead, and waits.
  @Test(arguments: [true, false]) func theSecondWaitsForTheFirst(isOrdered: Bool) throws {
    let (result, folder, report) = try run("""
      numbers: {plugin: generate, with: {count: 2}}
      work: {PY:work"}, inputs: [numbers], processes: 2\(isOrdered ? ", order: input" : "")}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """, python: """
      import os
      here = os.path.dirname(__file__)
      def work(value):
          while value["n"] == 0 and not \(isOrdered ? "os.path.exists(here + '/second')" : "os.path.getsize(here + '/out')"):
              os.sched_yield()
          if value["n"] == 1:
              open(here + "/second", "w").close()
          return str(value["n"])
      """)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out") == (isOrdered ? ["0", "1"] : ["1", "0"]))
    #expect((result.output + result.errors).contains("waiting for turn") == isOrdered)
    let stages = try #require(report.json["stages"] as? [String: [String: Any]])
    func share(_ key: String) -> Double { stages["work"]?[key] as? Double ?? -1 }
    #expect((stages["work"]?["waiting_turn"] != nil) == isOrdered && stages["out"]?["waiting_turn"] == nil)
    let all = share("busy") + share("waiting_input") + share("waiting_room") + (isOrdered ? share("waiting_turn") : 0)
    #expect(abs(all - 1) < 0.001, "the shares are all of the time")
  }

  @Test func everyLineIsInItsPlaceWhateverIsKilled() throws {
    let seed = testSeed()
    let (result, folder, report) = try run("""
      numbers: {plugin: generate, rate: 3000/s, with: {count: 3000}}
      many: {plugin: jq, inputs: [numbers], processes: 3, order: input, queue: {capacity: 32}, on_error: {deaths: 1}, restart: {max: 0}, with: {filter: ".n as $n | (reduce range($n * 7919 % 1500) as $i (0; . + $i)) as $x | range($n % 3) | [$n, .]"}}
      program: {plugin: exec, inputs: [many], processes: 2, order: input, with: {command: [sed, -u, "s/,/ /"]}, on_error: {deaths: 1}, restart: {max: 0}}
      batch: {PY:all", batch: 16}, inputs: [program], processes: 3, order: input, queue: {capacity: 64}, on_error: {deaths: 1}, restart: {max: 0}}
      out: {plugin: file.write, inputs: [batch], with: {path: out}, on_error: {deaths: 1}, restart: {max: 0}}
      """, ["--chaos", "kill=1.5%,stop=0.1%", "--chaos-seed", "\(seed)"], python: """
      def all(values):
          return [value + "!" for value in values]
      """)
    #expect(result.status == 0, "seed \(seed): \(result.errors)")
    let expected = (0..<3000).flatMap { n in (0..<n % 3).map { "[\(n) \($0)]!" } }
    let lines = folder.lines("out")
    let wrong = zip(lines, expected).enumerated().first { $1.0 != $1.1 }
    #expect(wrong == nil && lines.count == expected.count, "seed \(seed): \(lines.count) of \(expected.count), \(String(describing: wrong))")
    #expect(report.balances, "seed \(seed)")
    for stage in ["many", "program", "batch"] { #expect(report.stage(stage, "restarts") >= 1, "seed \(seed): nobody of \(stage) was killed") }
  }

  /// Batches that are gathered while others die get older messages behind newer ones, and each call makes more than the next queue holds.
  @Test func batchesInPartsKeepTheOrder() throws {
    let seed = testSeed()
    let (result, folder, report) = try run("""
      numbers: {plugin: generate, rate: 400/s, with: {count: 400}}
      work: {PY:work"}, inputs: [numbers], processes: 3, order: input, queue: {capacity: 60}, batch: {count: 20, within: 20ms}, on_error: {deaths: 1, retries: 50}, restart: {max: 0}}
      out: {plugin: file.write, inputs: [work], queue: {capacity: 2}, with: {path: out}}
      """, ["--chaos", "kill=2%", "--chaos-seed", "\(seed)"], python: """
      seen = set()
      def work(values):
          return [several(value["n"]) for value in values]
      def several(n):
          for i in range(3):
              if i == 2 and n % 40 == 5 and n not in seen:
                  seen.add(n)
                  raise ValueError(n)
              yield f"{n}.{i}"
      """)
    #expect(result.status == 0, "seed \(seed): \(result.errors)")
    #expect(folder.lines("out") == (0..<400).flatMap { n in (0..<3).map { "\(n).\($0)" } }, "seed \(seed)")
    #expect(report.balances && report.stage("work", "restarts") >= 1, "seed \(seed)")
  }

  /// A message that is tried again, and one that is given up, keep their places, and so does what is made of it then.
  @Test func failuresKeepTheirPlaces() throws {
    let (result, folder, report) = try run("""
      numbers: {plugin: generate, with: {count: 400}}
      work: {PY:work", batch: 8}, inputs: [numbers], processes: 3, order: input, on_error: {retries: 1}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      letters: {plugin: jq, inputs: [work.dead_letter], with: {filter: ".payload | fromjson | .n"}}
      rejected: {plugin: file.write, inputs: [letters], with: {path: rejected}}
      """, python: """
      seen = set()
      def work(values):
          for value in values:
              n = value["n"]
              if n % 10 == 3 and n not in seen or n % 50 == 7:
                  seen.add(n)
                  raise ValueError(n)
          return [str(value["n"]) for value in values]
      """)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out") == (0..<400).filter { $0 % 50 != 7 }.map(String.init))
    #expect(folder.lines("rejected") == (0..<400).filter { $0 % 50 == 7 }.map(String.init))
    #expect(report.balances && report.stage("work", "dead_letters") == 8)
  }
}
