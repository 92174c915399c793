import Foundation
import Harness
import Testing

/// `--state`: everything is killed, and the same command goes on.
@Suite(.serialized) struct StateTests {
  /// Runs until the end, killing everything again and again, when something has come to pass that is drawn: a kill meets the making of the
  /// state, the recovery of an earlier kill, the middle of the work or its end.
  ///
  /// - Parameters:
  ///   - progress: how much has been delivered
  ///   - step: how much of it may pass before a kill
  /// - Returns: the last run, and how often it was killed
  private func runKilled(
    _ arguments: [String], _ random: inout Seeded, kills: Int, progress: () -> Int, step: Int, note: String
  ) throws -> (result: Ringway.Result, kills: Int) {
    for done in 0..<kills {
      let before = progress()
      let running = try Running(["run"] + arguments + ["--progress", "off"])
      let wanted = Int.random(in: 0..<3, using: &random) == 0 ? 0 : Int.random(in: 0...step, using: &random)
      let workers = Int.random(in: 0...4, using: &random)
      // All that it has are there when something comes out.
      func isTime() -> Bool { wanted == 0 ? running.workers.count >= workers || progress() > before : progress() >= before + wanted }
      _ = eventually(every: 0.0002) { !running.process.isRunning || isTime() }
      // Some of the workers first, now and then: a runner that has begun to recover one is killed, too.
      if Bool.random(using: &random) { for worker in running.workers where Bool.random(using: &random) { kill(worker.pid, SIGKILL) } }
      kill(running.pid, SIGKILL)
      let end = try running.finish()
      if end.status == 0 { return (end, done) }
      #expect(end.status == -SIGKILL, "\(note): exit \(end.status): \(end.errors)")
      if end.status != -SIGKILL { return (end, done) }
    }
    return (try Ringway.run(["run"] + arguments + ["--progress", "off"]), kills)
  }

  /// Bytes of these files together.
  private static func size(_ folder: TemporaryFolder, _ names: String...) -> Int {
    names.reduce(0) { $0 + ((try? FileManager.default.attributesOfItem(atPath: folder.path($1))[.size] as? Int) ?? 0) }
  }

  /// At a rate, so that the end does not come before the kills.
  private static let line = """
    ringway: 1
    stages:
      words: {plugin: file.read, rate: 3000/s, with: {path: "in/*.txt"}}
      digest: {plugin: hash, inputs: [words], queue: {capacity: 32, message: 4KiB}, with: {rounds: 200}}
      results: {plugin: file.write, inputs: [digest], queue: {capacity: 32, message: 4KiB}, with: {path: out.txt}}
    """

  private func words(_ folder: TemporaryFolder) throws {
    try FileManager.default.createDirectory(atPath: folder.path("in"), withIntermediateDirectories: false)
    for file in 0..<4 { try folder.write("in/\(file).txt", (0..<1500).map { "word \(file) \($0)\n" }.joined()) }
  }

  @Test func afterKillsOfEverythingTheFileIsTheSame() throws {
    let seed = testSeed()
    var random = Seeded(seed)
    let undisturbed = try TemporaryFolder()
    try words(undisturbed)
    #expect(try Ringway.run(["run", try undisturbed.write("p.yaml", Self.line), "--progress", "off"]).status == 0)
    let expected = try Data(contentsOf: URL(fileURLWithPath: undisturbed.path("out.txt")))
    #expect(undisturbed.lines("out.txt").count == 6000)
    var killed = 0
    for round in 0..<4 {
      let folder = try TemporaryFolder()
      try words(folder)
      let arguments = [try folder.write("p.yaml", Self.line), "--state", folder.path("state"), "--report", folder.path("report.json")]
      let (result, kills) = try runKilled(arguments, &random, kills: 12, progress: { Self.size(folder, "out.txt") }, step: 60_000, note: "seed \(seed), round \(round)")
      killed += kills
      #expect(result.status == 0, "seed \(seed), round \(round): \(result.errors)")
      #expect(try Data(contentsOf: URL(fileURLWithPath: folder.path("out.txt"))) == expected, "seed \(seed), round \(round)")
      let report = try Report(folder.path("report.json"))
      #expect(report.balances && report.stage("words", "out") == 6000 && report.stage("results", "in") == 6000, "counts go on over resumes")
      // The run has finished; the same command leaves everything as it is.
      let again = try Ringway.run(["run"] + arguments + ["--progress", "off"])
      #expect(again.status == 0 && again.errors.contains("nothing is left to do"), "\(again.errors)")
      #expect(try Data(contentsOf: URL(fileURLWithPath: folder.path("out.txt"))) == expected)
      let state = try Ringway.run(["state", folder.path("state")])
      #expect(state.status == 0 && state.output.contains("finished") && state.output.contains("sound"), "\(state.output)\(state.errors)")
    }
    print("killed everything \(killed) times (seed \(seed))")
    #expect(killed > 10)
  }

  /// Several processes, two readers of one stage, Python and another program.
  @Test func afterKillsOfEverythingParallelStagesMakeTheSameSet() throws {
    let seed = testSeed()
    var random = Seeded(seed)
    let folder = try TemporaryFolder()
    try folder.write("work.py", """
      def count(n):
          for i in range(n):
              yield {"i": i}
      def work(value):
          return [value["i"], -value["i"]]
      """)
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: python, with: {callable: "work:count", arguments: {n: 2000}}}
        both: {plugin: python, inputs: [numbers], processes: 3, queue: {capacity: 16, message: 4KiB}, with: {callable: "work:work"}}
        same: {plugin: exec, inputs: [both], queue: {capacity: 16, message: 4KiB}, with: {command: [sed, -u, "s/^/=/"]}}
        first: {plugin: file.write, inputs: [same], queue: {capacity: 16, message: 4KiB}, with: {path: first.txt}}
        second: {plugin: file.write, inputs: [both], queue: {capacity: 16, message: 4KiB}, with: {path: second.txt}}
      """)
    let (result, kills) = try runKilled([file, "--state", folder.path("state")], &random, kills: 10, progress: { Self.size(folder, "first.txt", "second.txt") }, step: 10_000, note: "seed \(seed)")
    #expect(result.status == 0, "seed \(seed): \(result.errors)")
    let expected = (0..<2000).flatMap { [String($0), String(-$0)] }.sorted()
    #expect(folder.lines("second.txt").sorted() == expected, "seed \(seed), \(kills) kills")
    #expect(folder.lines("first.txt").sorted() == expected.map { "=" + $0 }.sorted(), "seed \(seed), \(kills) kills")
  }

  /// What goes through a port other than the main one is counted apart, and goes on to be.
  @Test func afterKillsOfEverythingDeadLettersAreThere() throws {
    let seed = testSeed()
    var random = Seeded(seed)
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 3000, rate: 6000/s}}
        tenths:
          plugin: jq
          inputs: [numbers]
          processes: 2
          queue: {capacity: 32, message: 4KiB}
          on_error: {retries: 0, then: dead_letter}
          with: {filter: 'if .n % 10 == 0 then error("tenth") else .n end'}
        results: {plugin: file.write, inputs: [tenths], queue: {capacity: 32, message: 64KiB}, with: {path: out.txt}}
        rejected: {plugin: file.write, inputs: [tenths.dead_letter], queue: {capacity: 32}, with: {path: rejected.txt}}
      """)
    let arguments = [file, "--state", folder.path("state"), "--report", folder.path("report.json")]
    let (result, kills) = try runKilled(
      arguments, &random, kills: 10, progress: { Self.size(folder, "out.txt", "rejected.txt") }, step: 20_000, note: "seed \(seed)")
    #expect(result.status == 0, "seed \(seed): \(result.errors)")
    #expect(folder.lines("out.txt").sorted() == (0..<3000).filter { $0 % 10 != 0 }.map(String.init).sorted(), "seed \(seed), \(kills) kills")
    let rejected = folder.lines("rejected.txt")
    #expect(rejected.count == 300 && Set(rejected).count == 300, "seed \(seed), \(kills) kills")
    #expect(try Report(folder.path("report.json")).balances)
    #expect(try Ringway.run(["state", folder.path("state")]).status == 0)
  }

  /// Over HTTP a message may come twice, but under one key.
  @Test func afterKillsOfEverythingPostsKeepTheirKeys() throws {
    let seed = testSeed()
    var random = Seeded(seed)
    let folder = try TemporaryFolder()
    let port = try Receiver.freePort()
    let receiving = try folder.write("receive.yaml", """
      ringway: 1
      stages:
        receive: {plugin: http.listen, with: {address: "127.0.0.1:\(port)", limit: 1500, linger: 0s}}
        results: {plugin: file.write, inputs: [receive], with: {path: received.txt}}
      """)
    let receiver = try Running(["run", receiving, "--progress", "off"])
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 1500, rate: 3000/s}}
        send: {plugin: http.post, inputs: [numbers], queue: {capacity: 64, message: 4KiB}, with: {url: "http://127.0.0.1:\(port)/"}}
      """)
    let (result, _) = try runKilled(
      [file, "--state", folder.path("state")], &random, kills: 8, progress: { Self.size(folder, "received.txt") }, step: 3000, note: "seed \(seed)")
    #expect(result.status == 0, "seed \(seed): \(result.errors)")
    // It ends once it has as many different keys.
    let received = try receiver.finish()
    #expect(received.status == 0, "seed \(seed): \(received.errors)")
    let lines = folder.lines("received.txt")
    #expect(lines.count == 1500 && Set(lines).count == 1500, "seed \(seed)")
  }

  // MARK: In order

  private func numbers(_ folder: TemporaryFolder, count: Int = 4000, rate: String = "2000/s") throws -> String {
    try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: \(count), rate: \(rate)}}
        results: {plugin: file.write, inputs: [numbers], queue: {capacity: 16, message: 4KiB}, with: {path: out.txt}}
      """)
  }

  private func start(_ file: String, _ folder: TemporaryFolder) throws -> Running {
    let running = try Running(["run", file, "--progress", "off", "--state", folder.path("state")])
    #expect(eventually { folder.lines("out.txt").count > 50 }, "\(running.errors)")
    return running
  }

  @Test func whatWasDrainedOrStoppedGoesOn() throws {
    let folder = try TemporaryFolder()
    let file = try numbers(folder)
    let running = try start(file, folder)
    kill(running.pid, SIGTERM)
    #expect(try running.finish().status == 0)
    let drained = folder.lines("out.txt").count
    #expect(50..<4000 ~= drained)
    let shown = try Ringway.run(["state", folder.path("state")])
    #expect(shown.output.contains("drained") && shown.output.contains("the same command goes on"), "\(shown.output)")
    let again = try Running(["run", file, "--progress", "off", "--state", folder.path("state"), "--sync", "none"])
    #expect(eventually { folder.lines("out.txt").count > drained + 50 }, "\(again.errors)")
    for worker in again.workers where worker.stage == "results" { kill(worker.pid, SIGSTOP) }
    kill(again.pid, SIGTERM)
    #expect(eventually { again.errors.contains("draining") })
    kill(again.pid, SIGTERM)
    #expect(try again.finish().status == 75)
    let last = try Ringway.run(["run", file, "--progress", "off", "--state", folder.path("state")])
    #expect(last.status == 0 && last.errors.contains("going on with the run"), "\(last.errors)")
    let lines = folder.lines("out.txt")
    #expect(lines.count == 4000 && lines.enumerated().allSatisfy { $1.hasPrefix("{\"n\":\($0),") })
  }

  @Test func aStateInUseNamesItsUser() throws {
    let folder = try TemporaryFolder()
    let file = try numbers(folder, count: 1_000_000)
    let running = try start(file, folder)
    let second = try Ringway.run(["run", file, "--progress", "off", "--state", folder.path("state")])
    #expect(second.status == 75 && second.errors.contains("process \(running.pid) uses the state"), "\(second.errors)")
    let shown = try Ringway.run(["state", folder.path("state"), "--format", "json"])
    let json = try #require(try JSONSerialization.jsonObject(with: Data(shown.output.utf8)) as? [String: Any])
    #expect(shown.status == 0 && json["state"] as? String == "running" && json["pid"] as? Int == Int(running.pid))
    kill(running.pid, SIGKILL)
    _ = try running.finish()
    #expect(try Ringway.run(["state", folder.path("state")]).output.contains("interrupted"))
  }

  /// A worker that outlives its runner, which the kernel sees to otherwise, is waited for.
  @Test func aWorkerOfADeadRunnerIsWaitedFor() throws {
    let folder = try TemporaryFolder()
    let file = try numbers(folder, count: 3000)
    let running = try start(file, folder)
    kill(running.pid, SIGKILL)
    _ = try running.finish()
    // Another program takes the worker's place.
    let holder = try Running(
      ["-c", "import fcntl, sys, time\nf = open(sys.argv[1], 'r+')\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint('held', flush=True)\ntime.sleep(60)", folder.path("state/worker-2.lock")],
      executable: URL(fileURLWithPath: "/usr/bin/python3"))
    #expect(eventually { holder.output.contains("held") }, "\(holder.errors)")
    let again = try Running(["run", file, "--progress", "off", "--state", folder.path("state")])
    #expect(eventually { again.errors.contains("waiting for the end of process \(holder.pid)") }, "\(again.errors)")
    let before = folder.lines("out.txt").count
    #expect(again.workers.isEmpty && again.process.isRunning)
    #expect(folder.lines("out.txt").count == before)
    kill(again.pid, SIGTERM)
    let stopped = try again.finish()
    #expect(stopped.status == 75 && stopped.errors.contains("stopped while waiting for the end of process \(holder.pid)"), "\(stopped.errors)")
    let third = try Running(["run", file, "--progress", "off", "--state", folder.path("state")])
    #expect(eventually { third.errors.contains("waiting for the end of process \(holder.pid)") }, "\(third.errors)")
    kill(holder.pid, SIGKILL)
    _ = try holder.finish()
    #expect(try third.finish().status == 0)
    #expect(folder.lines("out.txt").count == 3000)
  }

  @Test func anOutputThatWasReplacedIsNoticed() throws {
    let folder = try TemporaryFolder()
    let file = try numbers(folder, count: 3000)
    let running = try start(file, folder)
    kill(running.pid, SIGKILL)
    _ = try running.finish()
    try FileManager.default.moveItem(atPath: folder.path("out.txt"), toPath: folder.path("moved.txt"))
    let gone = try Ringway.run(["run", file, "--progress", "off", "--state", folder.path("state")])
    #expect(gone.status == 74 && gone.errors.contains("out.txt is gone"), "\(gone.errors)")
    let other = String(repeating: "x", count: 1 << 20)
    try folder.write("out.txt", other)
    let replaced = try Ringway.run(["run", file, "--progress", "off", "--state", folder.path("state")])
    #expect(replaced.status == 74 && replaced.errors.contains("another file"), "\(replaced.errors)")
    #expect(try String(contentsOfFile: folder.path("out.txt"), encoding: .utf8) == other)
    try FileManager.default.removeItem(atPath: folder.path("out.txt"))
    try FileManager.default.moveItem(atPath: folder.path("moved.txt"), toPath: folder.path("out.txt"))
    #expect(try Ringway.run(["run", file, "--progress", "off", "--state", folder.path("state")]).status == 0)
    #expect(folder.lines("out.txt").count == 3000)
  }

  /// What changes a file that is read while nothing runs, and what is said of it.
  @Test(arguments: [
    ("rotated", "rotated or replaced"), ("cut", "has become shorter"), ("written anew", "truncated or written anew"), ("one before", "added, removed or renamed"),
  ])
  func aFileThatIsNoLongerWhatWasReadIsReported(change: String, text: String) throws {
    let folder = try TemporaryFolder()
    try words(folder)
    let file = try folder.write("p.yaml", Self.line.replacingOccurrences(of: "rounds: 200", with: "rounds: 2000"))
    let running = try start(file, folder)
    kill(running.pid, SIGKILL)
    _ = try running.finish()
    let state = try Ringway.run(["state", folder.path("state"), "--format", "json"])
    let json = try #require(try JSONSerialization.jsonObject(with: Data(state.output.utf8)) as? [String: Any])
    let positions = ((json["stages"] as? [String: Any])?["words"] as? [String: Any])?["positions"] as? [[String]]
    let index = try #require(positions?.first?.first)
    let read = folder.path("in/\(index).txt")
    switch change {
    case "rotated":
      try FileManager.default.moveItem(atPath: read, toPath: read + ".1")
      try String(repeating: "new\n", count: 20_000).write(toFile: read, atomically: false, encoding: .utf8)
    case "cut": #expect(truncate(read, 1) == 0)
    case "written anew":
      let handle = try #require(FileHandle(forWritingAtPath: read))
      try handle.truncate(atOffset: 0)
      try handle.write(contentsOf: Data(String(repeating: "new line\n", count: 20_000).utf8))
      try handle.close()
    default: try folder.write("in/!.txt", "early\n")
    }
    let result = try Ringway.run(["run", file, "--progress", "off", "--state", folder.path("state")])
    // With a name before it, another file stands where the one was that was read.
    let isSaid = result.errors.contains(text) || change == "one before" && result.errors.contains("rotated or replaced")
    #expect(result.status == 74 && isSaid, "\(result.status) \(result.errors)")
  }

  @Test func standardInputCannotGoOn() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        lines: {plugin: stdin}
        end: {plugin: discard, inputs: [lines]}
      """)
    let result = try Ringway.run(["run", file, "--state", folder.path("state")], input: "a\n")
    #expect(result.status == 64 && result.errors.contains("standard input, which cannot be read a second time"), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: folder.path("state")))
  }

  /// A message that ended the run with 65 has all of its tries again.
  @Test func aRunThatGaveUpAMessageGoesOnOnceItsStageIsMended() throws {
    let folder = try TemporaryFolder()
    try folder.write("work.py", "def work(value):\n    raise ValueError('broken')\n")
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 100}}
        work: {plugin: python, inputs: [numbers], with: {callable: "work:work"}}
        results: {plugin: file.write, inputs: [work], with: {path: out.txt}}
      """)
    let failed = try Ringway.run(["run", file, "--progress", "off", "--state", folder.path("state")])
    #expect(failed.status == 65, "\(failed.errors)")
    try folder.write("work.py", "def work(value):\n    return value\n")
    let mended = try Ringway.run(["run", file, "--progress", "off", "--state", folder.path("state")])
    #expect(mended.status == 0, "\(mended.errors)")
    #expect(folder.lines("out.txt").count == 100)
  }

  /// Secrets are not written down; a state is private, but it is copied and shown around.
  @Test func aStateHoldsNoSecret() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      parameters:
        token: {type: string, secret: true}
      stages:
        numbers: {plugin: generate, with: {count: 10}}
        work: {plugin: exec, inputs: [numbers], with: {command: [sed, -u, "s/x/${token}/"]}, environment: {KEY: "open-sesame-2"}}
        end: {plugin: discard, inputs: [work]}
      """)
    let result = try Ringway.run(["run", file, "--progress", "off", "--state", folder.path("state"), "--set", "token=open-sesame"])
    #expect(result.status == 0, "\(result.errors)")
    for name in ["plan.json", "run.json"] {
      #expect(!(try String(contentsOfFile: folder.path("state/\(name)"), encoding: .utf8)).contains("sesame"))
    }
    #expect(try Ringway.run(["run", file, "--progress", "off", "--state", folder.path("state"), "--set", "token=another"]).status == 0)
  }
}
