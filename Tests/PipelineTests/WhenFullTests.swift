import Foundation
import Harness
import Plans
import Rings
import Testing

/// Queues that drop, between real processes that are killed.
@Suite struct WhenFullTests {
  /// A fast source and a slow sink, both killed now and then. What has arrived and what was counted as dropped are all that was made; what
  /// has arrived is in order, each once; and of a queue that drops its oldest the last message comes out.
  @Test(arguments: ["drop_newest", "drop_oldest"]) func nothingIsLostThatIsNotCounted(policy: String) throws {
    let folder = try TemporaryFolder()
    let count = 6000
    let running = try folder.start("""
      ringway: 1
      stages:
        numbers:
          plugin: generate
          restart: {max: 1000, backoff: 1ms}
          with: {count: \(count), rate: 4000/s}
        results:
          plugin: file.write
          inputs: [numbers]
          rate: 400/s
          queue: {capacity: 16, when_full: \(policy)}
          restart: {max: 1000, backoff: 1ms}
          with: {path: out.txt}
      """)
    #expect(eventually { !folder.lines("out.txt").isEmpty }, "\(running.errors)")
    var kills = 0
    while running.process.isRunning, kills < 20 {
      let before = folder.lines("out.txt").count
      guard let victim = running.workers.filter({ $0.stage == (kills % 3 == 0 ? "results" : "numbers") }).first else { continue }
      kill(victim.pid, SIGKILL)
      kills += 1
      _ = eventually { !running.process.isRunning || folder.lines("out.txt").count > before + 5 }
    }
    let result = try running.finish()
    #expect(result.status == 0 && kills > 3, "\(kills) kills, \(result.errors)")
    let report = try folder.report
    let lines = folder.lines("out.txt")
    let dropped = report.stage("results", "queue_dropped")
    #expect(report.balances && dropped > 0 && report.stage("numbers", "queue_dropped") == 0)
    #expect(report.stage("numbers", "out") == count && lines.count + dropped == count, "\(lines.count) have arrived, \(dropped) were dropped")
    let numbers = lines.compactMap(number)
    #expect(numbers.count == lines.count && zip(numbers, numbers.dropFirst()).allSatisfy(<), "they are in order, each once")
    if policy == "drop_oldest" { #expect(numbers.last == number(in: count)) }
    #expect(result.errors.contains("its queue was full and dropped "), "\(result.errors)")
    // A flood of drops is a line a second.
    #expect(result.errors.components(separatedBy: "its queue was full").count < 40)
  }

  @Test func aStateShowsWhatQueuesHaveDropped() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 2000}}
        all: {plugin: discard, inputs: [numbers]}
        results: {plugin: file.write, inputs: [numbers], rate: 1000/s, queue: {capacity: 8, when_full: drop_newest}, with: {path: out.txt}}
      """)
    let result = try Ringway.run(["run", file, "--progress", "off", "--state", folder.path("state"), "--report", folder.path("report.json")])
    let dropped = try folder.report.stage("results", "queue_dropped")
    #expect(result.status == 0 && dropped > 0 && folder.lines("out.txt").count == 2000 - dropped, "\(result.errors)")
    let json = try Ringway.run(["state", folder.path("state"), "--format", "json"]).output
    let state = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    let stages = state["stages"] as? [String: [String: Any]]
    #expect(stages?["results"]?["queue_dropped"] as? Int == dropped && stages?["all"]?["queue_dropped"] as? Int == 0, "\(json)")
    #expect(try Ringway.run(["state", folder.path("state")]).output.contains("dropped when full"))
  }

  private func number(_ line: String) -> Int? { Int(line.drop { !$0.isNumber }.prefix(while: \.isNumber)) }
  private func number(in count: Int) -> Int { count - 1 }

  /// The cell's table and the planner's limit are the same number.
  @Test func thePlannerKnowsHowManyReadersACellCounts() { #expect(Plan.mostCountedReaders == CommitCell.mostCounted) }
  @Test func thePlanAndTheRingNameTheSamePolicies() { #expect(Queue.WhenFull.allCases.map(\.rawValue) == WhenFull.allCases.map(\.rawValue)) }
}
