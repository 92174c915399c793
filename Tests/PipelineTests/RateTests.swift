import Foundation
import Harness
import Testing

/// `rate`, with real processes. A busy machine makes a run longer and never shorter, so a lower bound can be demanded.
@Suite struct RateTests {
  private struct Paced: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var stages: String
    var code = ""
  }

  /// 61 messages at 30 a second, which no burst covers, in every loop that there is.
  private static let paced = [
    Paced(testDescription: "a source", stages: """
      numbers: {plugin: generate, rate: 30/s, with: {count: 61}}
      out: {plugin: file.write, inputs: [numbers], with: {path: out}}
      """),
    Paced(testDescription: "a transform in three processes", stages: """
      numbers: {plugin: generate, with: {count: 61}}
      digest: {plugin: hash, inputs: [numbers], processes: 3, rate: 30/s}
      out: {plugin: file.write, inputs: [digest], with: {path: out}}
      """),
    Paced(testDescription: "a sink", stages: """
      numbers: {plugin: generate, with: {count: 61}}
      out: {plugin: file.write, inputs: [numbers], rate: 1800/m, with: {path: out}}
      """),
    Paced(testDescription: "a program", stages: """
      numbers: {plugin: generate, with: {count: 61}}
      same: {plugin: exec, inputs: [numbers], rate: 30/s, with: {command: [cat]}}
      out: {plugin: file.write, inputs: [same], with: {path: out}}
      """),
    Paced(testDescription: "a Python source", stages: """
      numbers: {plugin: python, rate: 30/s, with: {python: /usr/bin/python3, callable: "stages:values"}}
      out: {plugin: file.write, inputs: [numbers], with: {path: out}}
      """, code: "def values():\n  yield from range(61)\n"),
    Paced(testDescription: "a Python function", stages: """
      numbers: {plugin: generate, with: {count: 61}}
      same: {plugin: python, inputs: [numbers], rate: 30/s, with: {python: /usr/bin/python3, callable: "stages:same"}}
      out: {plugin: file.write, inputs: [same], with: {path: out}}
      """, code: "def same(value): return value\n"),
    Paced(testDescription: "a Python function in batches", stages: """
      numbers: {plugin: generate, with: {count: 61}}
      same: {plugin: python, inputs: [numbers], rate: 30/s, with: {python: /usr/bin/python3, callable: "stages:same", batch: 8}}
      out: {plugin: file.write, inputs: [same], with: {path: out}}
      """, code: "def same(values): return values\n"),
  ]

  @Test(arguments: paced) private func noMoreBeginThanTheRateAllows(_ pipeline: Paced) throws {
    let project = try Project(pipeline.stages, python: pipeline.code)
    let clock = ContinuousClock()
    let began = clock.now
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(clock.now - began >= .seconds(2), "\(result.errors)")
    #expect(project.folder.lines("out").count == 61)
    #expect(try project.report.balances)
  }

  /// Many posts are under way at once, and their answers come while the next one may not begin yet.
  @Test func postsKeepToTheRate() throws {
    let receiver = try Receiver { _, _ in .status(200) }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 61}}
        send: {plugin: http.post, inputs: [numbers], rate: 30/s, with: {url: "http://127.0.0.1:\(receiver.port)/", concurrency: 8}}
      """)
    let clock = ContinuousClock()
    let began = clock.now
    let result = try Ringway.run(["run", file, "--progress", "off"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(clock.now - began >= .seconds(2))
    #expect(Set(receiver.requests.map(\.body)).count == 61)
  }

  /// A worker that dies leaves the turns as they are: its successor gets no burst.
  @Test func workersThatDieKeepToTheRateToo() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 41}}
        digest: {plugin: hash, inputs: [numbers], processes: 2, rate: 30/s, on_error: {deaths: 100}, restart: {max: 1000}}
        out: {plugin: file.write, inputs: [digest], with: {path: out}}
      """)
    let clock = ContinuousClock()
    let began = clock.now
    let running = try Running(["run", file, "--progress", "off", "--report", folder.path("report.json")])
    for n in 1...8 where eventually({ folder.lines("out").count >= 4 * n || !running.process.isRunning }) {
      for worker in running.workers where worker.stage == "digest" { kill(worker.pid, SIGKILL) }
    }
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    #expect(clock.now - began >= .seconds(40.0 / 30))
    let report = try Report(folder.path("report.json"))
    #expect(report.balances && report.stage("digest", "restarts") >= 4 && folder.lines("out").count == 41)
  }

  /// The next message is an hour away.
  @Test func aSourceThatWaitsForItsRateStopsAtOnce() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      drain: 1h
      stages:
        numbers: {plugin: generate, rate: 1/h}
        out: {plugin: file.write, inputs: [numbers], with: {path: out}}
      """)
    let running = try Running(["run", file, "--progress", "off", "--report", folder.path("report.json")])
    #expect(eventually { folder.lines("out").count == 1 }, "what was made does not wait with the source: \(running.errors)")
    kill(running.pid, SIGTERM)
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    #expect(try Report(folder.path("report.json")).outcome == "drained" && folder.lines("out").count == 1)
  }

  /// Finished work goes on before the worker waits, and the wait is nobody's fault.
  @Test func waitingForTheRateIsNotBeingBusy() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 2}}
        digest: {plugin: hash, inputs: [numbers], rate: 20/m, timeout: 1500ms}
        out: {plugin: file.write, inputs: [digest], with: {path: out}}
      """)
    let result = try Ringway.run(["run", file, "--report", folder.path("report.json")])
    #expect(result.status == 0 && !result.errors.contains("digest limits the run") && !result.errors.contains("timeout of 1500ms"), "\(result.errors)")
    let report = try Report(folder.path("report.json"))
    let stage = (report.json["stages"] as? [String: [String: Any]])?["digest"]
    #expect(stage?["waiting_input"] as? Double ?? 0 > 0.5 && report.stage("digest", "restarts") == 0)
  }
}
