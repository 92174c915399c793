import Foundation
import Harness
import Testing

/// What goes wrong in the field, with real processes.
@Suite struct FaultTests {
  /// A run whose standard error is a pipe that is full already.
  private struct UnreadLog {
    let folder: TemporaryFolder
    let reader: Int32
    let running: Running

    /// - Parameter stages: lines under `stages:`; `out` writes the file of that name
    init(_ stages: String) throws {
      folder = try TemporaryFolder()
      let pipe = folder.path("pipe")
      try #require(mkfifo(pipe, 0o600) == 0)
      reader = open(pipe, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
      let writer = open(pipe, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
      let page = [UInt8](repeating: 32, count: 4096)
      while write(writer, page, page.count) > 0 {}
      let file = try folder.write("p.yaml", "ringway: 1\nstages:\n" + stages.split(separator: "\n").map { "  \($0)\n" }.joined())
      let report = folder.path("report.json")
      running = try Running(
        ["-c", "exec '\(Ringway.binary.path)' run '\(file)' --report '\(report)' 2> '\(pipe)'"], executable: URL(fileURLWithPath: "/bin/bash"))
      #expect(eventually { !folder.lines("out").isEmpty })
      // The run has its own by now.
      close(writer)
    }

    var hasReport: Bool { FileManager.default.fileExists(atPath: folder.path("report.json")) }
  }

  /// A pager that has what it shows, a log driver that hangs: neither the run nor a signal waits for it.
  @Test func aLogThatNobodyReadsHoldsUpNothing() throws {
    let log = try UnreadLog("""
      loud: {plugin: exec, with: {command: [sh, -c, "i=0; while :; do i=$((i+1)); echo $i; echo a line that nobody reads $i >&2; done"]}}
      out: {plugin: file.write, inputs: [loud], with: {path: out}}
      """)
    defer { close(log.reader) }
    #expect(eventually { log.folder.lines("out").count > 10_000 })
    kill(log.running.pid, SIGINT)
    // It ends all but its last words, which wait for their reader.
    #expect(eventually { log.hasReport })
    #expect(try log.folder.report.outcome == "drained" && log.folder.report.balances)
    #expect(log.running.process.isRunning)
    var text = "", buffer = [UInt8](repeating: 0, count: 1 << 16)
    #expect(eventually {
      let count = read(log.reader, &buffer, buffer.count)
      if count > 0 { text += String(decoding: buffer[..<count], as: UTF8.self) }
      return count == 0
    })
    #expect(text.contains(" lines are missing here: nobody read the log\n") && text.contains("ledger: every queue balances"), "\(text.drop { $0 == " " }.prefix(2000))")
    #expect(try log.running.finish().status == 0)
  }

  /// The last words of a run that nobody reads.
  @Test func aSignalEndsTheWaitForAReader() throws {
    let log = try UnreadLog("""
      numbers: {plugin: generate, with: {count: 10}}
      out: {plugin: file.write, inputs: [numbers], with: {path: out}}
      """)
    defer { close(log.reader) }
    #expect(eventually { log.hasReport && Running.isAsleep(log.running.pid) })
    kill(log.running.pid, SIGTERM)
    #expect(try log.running.finish().status == 0)
  }

  /// An endless source, a transform in four processes, a file.
  private func endless(_ extra: String = "") -> String {
    """
    ringway: 1
    stages:
      numbers:
        plugin: generate
        with: {rate: 2000/s}
      digest:
        plugin: hash
        inputs: [numbers]
        processes: 4
        \(extra)
      results:
        plugin: file.write
        inputs: [digest]
        with: {path: out.txt}
    """
  }

  private func startEndless(_ folder: TemporaryFolder, _ extra: String = "") throws -> Running {
    let running = try folder.start(endless(extra))
    #expect(eventually { folder.lines("out.txt").count > 50 }, "\(running.errors)")
    return running
  }

  // MARK: Signals

  /// What a source cannot make is passed, counted and named, and of a flood of names some are only counted.
  @Test func aSourceDropsWhatIsTooLargeAndGoesOn() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, on_error: {then: drop}, with: {count: 100, size: 8KiB}}
        end: {plugin: discard, inputs: [numbers], queue: {message: 4KiB}}
      """)
    let result = try Ringway.run(["run", file, "--report", folder.path("report.json")])
    #expect(result.status == 0 && result.errors.contains("every queue balances, 100 dropped, 0 left"), "\(result.errors)")
    #expect(try folder.report.stage("numbers", "dropped") == 100)
    let named = result.errors.components(separatedBy: "dropped a message: ").count - 1
    #expect(20..<100 ~= named && result.errors.contains("messages more in that second"), "\(named) are named")
  }

  /// Were a closed standard stream left to the next file that is opened, the rings would be read and written as if they were it.
  @Test(arguments: ["<&-", ">&-"]) func aClosedStandardStreamIsAnError(redirection: String) throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        input: {plugin: stdin}
        output: {plugin: stdout, inputs: [input]}
      """)
    let shell = URL(fileURLWithPath: "/bin/sh")
    let running = try Running(["-c", "exec \"$1\" run \"$2\" \(redirection)", "sh", Ringway.binary.path, file], input: "line\n", executable: shell)
    let result = try running.finish()
    #expect(result.status == 74 && result.output.isEmpty && result.errors.contains("Bad file descriptor"), "\(result.status) \(result.errors)")
  }

  @Test func aReportThatCannotBeWrittenIsNoticedBeforeTheRun() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate}
        end: {plugin: discard, inputs: [numbers]}
      """)
    let result = try Ringway.run(["run", file, "--report", folder.path("none/report.json")])
    #expect(result.status == 73 && result.errors.contains("none/report.json: No such file or directory"), "\(result.errors)")
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func oneSignalDrains(signal: Int32) throws {
    let folder = try TemporaryFolder()
    let running = try startEndless(folder)
    kill(running.pid, signal)
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    let report = try folder.report
    #expect(report.outcome == "drained" && report.balances)
    #expect(report.stage("numbers", "out") == folder.lines("out.txt").count, "what the source made has all arrived")
  }

  /// A terminal that goes away is a wish to end like another, unless whoever started the run has said that it is none (nohup(1)).
  @Test(arguments: [true, false]) func aHangUpDrainsUnlessItIsIgnored(isIgnored: Bool) throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", endless())
    let running = try Running(
      ["--\(isIgnored ? "ignore" : "default")-signal=HUP", Ringway.binary.path, "run", file, "--progress", "off", "--report", folder.path("report.json")],
      executable: URL(fileURLWithPath: "/usr/bin/env"))
    #expect(eventually { folder.lines("out.txt").count > 50 }, "\(running.errors)")
    kill(running.pid, SIGHUP)
    if isIgnored {
      let before = folder.lines("out.txt").count
      #expect(eventually { folder.lines("out.txt").count > before + 50 } && !running.errors.contains("draining"), "\(running.errors)")
      kill(running.pid, SIGTERM)
    }
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    #expect(try folder.report.outcome == "drained" && folder.report.stage("numbers", "out") == folder.lines("out.txt").count)
  }

  /// What a terminal sends to the group in front of it, Ctrl-C say, reaches the runner alone: each worker is in a group of its own.
  @Test func aSignalToTheRunnersGroupReachesNoWorker() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", endless())
    // A shell with job control gives what it starts a group of its own, as it does at a terminal.
    let script = "set -m; '\(Ringway.binary.path)' run '\(file)' --progress off & echo $!; wait $!"
    let shell = try Running(["-c", script], executable: URL(fileURLWithPath: "/bin/bash"))
    #expect(eventually { folder.lines("out.txt").count > 50 }, "\(shell.errors)")
    let runner = try #require(Int32(shell.output.trimmingCharacters(in: .newlines)))
    let workers = Running.children(of: runner).map(\.pid)
    #expect(workers.count == 6 && workers.allSatisfy { getpgid($0) == $0 } && getpgid(runner) == runner)
    kill(-runner, SIGINT)
    let result = try shell.finish()
    #expect(result.status == 0 && result.errors.contains("drained in") && !result.errors.contains("died"), "\(result.errors)")
  }

  /// A pipe without a reader is opened only when there is one; until then there is nothing to finish.
  @Test func aSinkThatIsStillOpeningDoesNotHoldUpADrain() throws {
    let folder = try TemporaryFolder()
    #expect(mkfifo(folder.path("out.txt"), 0o600) == 0)
    let running = try folder.start(endless())
    #expect(eventually { running.workers.count == 6 && running.workers.allSatisfy { Running.isAsleep($0.pid) } }, "\(running.errors)")
    kill(running.pid, SIGTERM)
    let result = try running.finish()
    #expect(result.status == 0, "a drain that is held up ends with 75: \(result.errors)")
    let report = try folder.report
    #expect(report.outcome == "drained" && report.balances && report.stage("numbers", "out") == 0)
  }

  @Test func aSecondSignalStopsAtOnce() throws {
    let folder = try TemporaryFolder()
    let running = try startComputing(folder, endless("with: {rounds: 500000000}"))
    let workers = running.workers.map(\.pid)
    kill(running.pid, SIGINT)
    #expect(eventually { running.errors.contains("draining") })
    let began = Date()
    kill(running.pid, SIGINT)
    let result = try running.finish()
    #expect(result.status == 75)
    #expect(Date().timeIntervalSince(began) < 10, "far less than the half minute that a drain may take")
    #expect(eventually { !workers.contains(where: Running.isAlive) })
  }

  private func startComputing(_ folder: TemporaryFolder, _ pipeline: String) throws -> Running {
    let running = try folder.start(pipeline)
    // The processes that compute have begun to: their time grows.
    #expect(eventually { running.workers.filter { $0.stage == "digest" && cpuTicks($0.pid) > 20 }.count == 4 }, "\(running.errors)")
    return running
  }

  /// Hundredths of a second of CPU that a process has used.
  private func cpuTicks(_ pid: Int32) -> Int {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), let name = text.lastIndex(of: ")") else { return 0 }
    let fields = text[name...].split(separator: " ")
    return fields.count > 13 ? (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0) : 0
  }

  @Test func aDrainThatTakesTooLongStopsWithWorkLeft() throws {
    let folder = try TemporaryFolder()
    let running = try startComputing(folder, "drain: 300ms\n" + endless("with: {rounds: 900000000}"))
    kill(running.pid, SIGTERM)
    let result = try running.finish()
    #expect(result.status == 75)
    #expect(result.errors.contains("the drain took longer than 300ms; messages are left: ") && result.errors.contains(" in the queue of "), "\(result.errors)")
  }

  /// A reader that takes nothing is named as what the others wait for, while the run goes on.
  @Test func aReaderThatHoldsUpTheOthersIsNamed() throws {
    let project = try Project("""
      numbers: {plugin: generate}
      others: {plugin: discard, inputs: [numbers]}
      slow: {plugin: exec, inputs: [numbers], queue: {capacity: 16}, with: {command: [sleep, "100000"]}}
      end: {plugin: discard, inputs: [slow]}
      """)
    let running = try project.start(["--progress", "plain"])
    #expect(eventually { running.errors.contains("; slow has taken nothing for ") }, "\(running.errors)")
    #expect(running.errors.contains(" s, and its queue is full: numbers waits\n") && !running.errors.contains("others has taken nothing"), "\(running.errors)")
    for _ in 0..<2 { kill(running.pid, SIGTERM) }
    _ = try running.finish()
  }

  // MARK: Deaths

  @Test func nothingIsLeftAfterTheRunnerIsKilled() throws {
    let folder = try TemporaryFolder()
    let running = try startEndless(folder)
    let workers = running.workers.map(\.pid)
    #expect(workers.count == 6)
    kill(running.pid, SIGKILL)
    let began = Date()
    #expect(eventually { !workers.contains(where: Running.isAlive) })
    #expect(Date().timeIntervalSince(began) < 10)
  }

  /// All die while the runner looks away, so one signal tells of all of them (signal(7)): each end is taken, and nothing is lost.
  @Test func allWorkersMayDieAtOnce() throws {
    let folder = try TemporaryFolder()
    let running = try folder.start(endless().replacingOccurrences(of: "processes: 4", with: "processes: 20"))
    #expect(eventually { folder.lines("out.txt").count > 50 }, "\(running.errors)")
    let workers = running.workers.map(\.pid)
    #expect(workers.count == 22)
    kill(running.pid, SIGSTOP)
    for worker in workers { kill(worker, SIGKILL) }
    #expect(eventually { !workers.contains(where: Running.isAlive) })
    kill(running.pid, SIGCONT)
    let before = folder.lines("out.txt").count
    #expect(eventually { folder.lines("out.txt").count > before + 50 && running.workers.count == 22 }, "\(running.errors)")
    #expect(!workers.contains { FileManager.default.fileExists(atPath: "/proc/\($0)") }, "none is left that nobody has waited for")
    kill(running.pid, SIGTERM)
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    let report = try folder.report
    let lines = folder.lines("out.txt")
    #expect(report.balances && report.stage("numbers", "out") == lines.count && Set(lines).count == lines.count)
    #expect(["numbers", "digest", "results"].reduce(0) { $0 + report.stage($1, "restarts") } == 22)
  }

  /// None of them has made progress, and they are more than `restart` allows: they died together, which counts once.
  @Test func allWorkersMayDieAtTheirFirstMessage() throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 40}}
      wait: {plugin: exec, inputs: [numbers], processes: 12, directory: ., with: {command: "touch began.$$; until test -e go; do sleep 0.01; done; cat", shell: true, framing: message}}
      end: {plugin: file.write, inputs: [wait], with: {path: out.txt}}
      """)
    let running = try project.start()
    func begun() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: project.folder.url.path).filter { $0.hasPrefix("began.") }.count) ?? 0 }
    #expect(eventually { begun() == 12 }, "\(running.errors)")
    let workers = running.workers.filter { $0.stage == "wait" }.map(\.pid)
    #expect(workers.count == 12)
    for worker in workers { kill(worker, SIGKILL) }
    #expect(eventually { begun() == 24 }, "\(running.errors)")
    _ = try project.folder.write("go", "")
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    #expect(Set(project.folder.lines("out.txt")).count == 40)
  }

  @Test func aStoppedWorkerIsKilledByItsTimeoutAndItsMessageGoesOn() throws {
    let folder = try TemporaryFolder()
    // Slow enough that a worker is nearly always inside a call.
    let running = try startEndless(folder, "timeout: 400ms\n    with: {rounds: 2000}")
    let worker = try #require(running.workers.first { $0.stage == "digest" })
    // A worker that happens to wait for its ring when it is stopped is no late message: another try then.
    var stopped = 0
    while !running.errors.contains("took longer than the timeout"), stopped < 50 {
      guard let victim = running.workers.first(where: { $0.stage == "digest" }) else { continue }
      kill(victim.pid, SIGSTOP)
      stopped += 1
      if eventually(within: 1.5, { running.errors.contains("took longer than the timeout") }) { break }
      kill(victim.pid, SIGCONT)
    }
    #expect(running.errors.contains("took longer than the timeout"))
    #expect(eventually { !Running.isAlive(worker.pid) || running.workers.filter { $0.stage == "digest" }.count == 4 })
    kill(running.pid, SIGTERM)
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    let report = try folder.report
    #expect(report.balances && report.stage("digest", "restarts") >= 1)
    #expect(report.stage("numbers", "out") == folder.lines("out.txt").count)
  }

  @Test func aMessageThatNeverEndsIsGivenUpAndNamed() throws {
    let folder = try TemporaryFolder()
    let result = try folder.run("""
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 50}
        work:
          plugin: jq
          inputs: [numbers]
          processes: 2
          timeout: 1s
          on_error: {deaths: 2, then: drop}
          restart: {max: 100}
          with: {filter: "if .n == 7 then last(range(1e18)) else .n end"}
        results:
          plugin: file.write
          inputs: [work]
          with: {path: out.txt}
      """)
    #expect(result.status == 0, "\(result.errors)")
    #expect(Set(folder.lines("out.txt")) == Set((0..<50).filter { $0 != 7 }.map(String.init)))
    #expect(result.errors.contains("dropped a message: 2 workers died with this message in hand"))
    let report = try folder.report
    #expect(report.stage("work", "dropped") == 1 && report.balances)
  }

  @Test func aStageThatNeverStartsSpendsItsRestarts() throws {
    let folder = try TemporaryFolder()
    let running = try folder.start("""
      ringway: 1
      stages:
        numbers:
          plugin: generate
        work:
          plugin: hash
          inputs: [numbers]
          restart: {max: 3, backoff: 1ms}
          environment: {LD_PRELOAD: /nonexistent/no.so, SWIFT_BACKTRACE: enable=no}
        results:
          plugin: discard
          inputs: [work]
      """)
    // Every new worker of the stage is killed as soon as it is seen.
    while running.process.isRunning { for worker in running.workers where worker.stage == "work" { kill(worker.pid, SIGKILL) } }
    let result = try running.finish()
    #expect(result.status == 100)
    #expect(result.errors.contains("stage \"work\" died more than 3 times within 10s without making progress; the last time: signal 9"))
  }

  /// A pipe without a reader is never opened.
  @Test func aStageThatIsNotReadyInTimeSpendsItsRestarts() throws {
    let folder = try TemporaryFolder()
    #expect(mkfifo(folder.path("out"), 0o600) == 0)
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate}
        out: {plugin: file.write, inputs: [numbers], startup_timeout: 50ms, restart: {max: 2, backoff: 1ms, within: 1h}, with: {path: out}}
      """)
    let result = try Ringway.run(["run", file, "--progress", "off"])
    #expect(result.status == 100, "\(result.errors)")
    #expect(result.errors.components(separatedBy: "out was not ready within the startup_timeout of 50ms: the worker is killed").count == 4, "\(result.errors)")
    #expect(result.errors.contains("died more than 2 times within 1h without making progress; the last time: it was not ready within the startup_timeout of 50ms"))
  }

  /// What takes long to open is waited for as long as it may take.
  @Test func aStageThatIsReadyInTimeIsLeftAlone() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, startup_timeout: 1h, with: {count: 10}}
        out: {plugin: file.write, inputs: [numbers], startup_timeout: 1h, with: {path: out}}
      """)
    let result = try Ringway.run(["run", file, "--progress", "off"])
    #expect(result.status == 0 && folder.lines("out").count == 10, "\(result.errors)")
  }

  /// Not even the first one: nobody is there then whose end could be waited for.
  @Test(arguments: [1, 3]) func aRunWithoutProcessesToBeHadEndsWith71(limit: Int) throws {
    guard getuid() == 0 else { return print("skipped: only root can become somebody without other processes") }
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 10}}
        work: {plugin: hash, inputs: [numbers], processes: 2}
        end: {plugin: discard, inputs: [work]}
      """)
    chmod(folder.url.path, 0o755)
    chmod(file, 0o644)
    // A user with no other processes, for the kernel counts them all (getrlimit(2), RLIMIT_NPROC), who may not read the folder that
    // the program was built in: it is handed on as a descriptor.
    let script = "ulimit -u \(limit); exec /proc/self/fd/3 run '\(file)' --progress off"
    let running = try Running(
      ["-c", "exec 3< '\(Ringway.binary.path)'; exec setpriv --reuid 54399 --regid 54399 --clear-groups bash -c \"\(script)\""],
      executable: URL(fileURLWithPath: "/bin/bash"))
    let result = try running.finish()
    #expect(result.status == 71 && result.errors.contains("cannot be started") && result.errors.contains("raise `ulimit -u`"), "\(result.status) \(result.errors)")
  }

  @Test func aStandardInputThatDiesEndsTheRunWith75() throws {
    let folder = try TemporaryFolder()
    let pipe = folder.path("in.fifo")
    mkfifo(pipe, 0o600)
    let file = try folder.write("p.yaml", "ringway: 1\nstages:\n  lines:\n    plugin: stdin\n  out:\n    plugin: discard\n    inputs: [lines]\n")
    let running = try Running(["-c", "exec '\(Ringway.binary.path)' run '\(file)' --progress off < '\(pipe)'"], executable: URL(fileURLWithPath: "/bin/sh"))
    let writer = open(pipe, O_WRONLY | O_CLOEXEC)
    defer { close(writer) }
    #expect(eventually { running.workers.contains { $0.stage == "lines" } })
    _ = eventually(within: 0.2) { false }
    for worker in running.workers where worker.stage == "lines" { kill(worker.pid, SIGKILL) }
    let result = try running.finish()
    #expect(result.status == 75)
    #expect(result.errors.contains("standard input cannot be read again"))
  }

  // MARK: Messages

  @Test func aMessageThatFailsStopsTheRunAndIsNamed() throws {
    let folder = try TemporaryFolder()
    try folder.write("in.txt", "1\n2\nthis is no JSON\n4\n")
    let pipeline = """
      ringway: 1
      stages:
        lines:
          plugin: file.read
          with: {path: in.txt}
        double:
          plugin: jq
          inputs: [lines]
          with: {filter: ". * 2"}
        results:
          plugin: file.write
          inputs: [double]
          with: {path: out.txt}
      """
    let result = try folder.run(pipeline)
    #expect(result.status == 65)
    #expect(result.errors.contains("stage \"double\" gave up a message: the message is not JSON"))
    #expect(result.errors.contains("unless `on_error` says `then: stop`, a stage that reads `double.dead_letter` takes it"), "\(result.errors)")
    #expect(!result.errors.contains("this is no JSON"), "a payload is nobody's business")
    let report = try folder.report
    #expect(report.outcome == "failed" && report.balances)

    let dropped = try folder.run(pipeline.replacingOccurrences(of: "    with: {filter", with: "    on_error: {then: drop}\n    with: {filter"))
    #expect(dropped.status == 0, "\(dropped.errors)")
    #expect(folder.lines("out.txt") == ["2", "4", "8"])
    #expect(try folder.report.stage("double", "dropped") == 1)
  }

  @Test func oneMessageBecomesThousandsThroughAQueueOfTwo() throws {
    let folder = try TemporaryFolder()
    let result = try folder.run("""
      ringway: 1
      stages:
        one:
          plugin: generate
          with: {count: 3}
        many:
          plugin: jq
          inputs: [one]
          processes: 2
          with: {filter: ".n as $n | range(5000) | {n: $n, i: .}"}
        results:
          plugin: file.write
          inputs: [many]
          queue: {capacity: 2, message: 1KiB}
          with: {path: out.txt}
      """)
    #expect(result.status == 0, "\(result.errors)")
    let lines = folder.lines("out.txt")
    #expect(lines.count == 15_000 && Set(lines).count == 15_000)
  }

  @Test func everyReaderOfAStageGetsEveryMessageAndInputsMerge() throws {
    let folder = try TemporaryFolder()
    let result = try folder.run("""
      ringway: 1
      stages:
        a:
          plugin: generate
          with: {count: 2000}
        left:
          plugin: jq
          inputs: [a]
          with: {filter: ".n"}
        right:
          plugin: jq
          inputs: [a]
          processes: 3
          with: {filter: "-.n - 1"}
        all:
          plugin: file.write
          inputs: [left, right]
          queue: {capacity: 5}
          with: {path: out.txt}
        hashes:
          plugin: hash
          inputs: [left]
        other:
          plugin: file.write
          inputs: [hashes]
          with: {path: other.txt}
      """)
    #expect(result.status == 0, "\(result.errors)")
    let numbers = folder.lines("out.txt").compactMap { Int($0) }
    #expect(numbers.count == 4000 && Set(numbers) == Set(-2000..<2000))
    // One process after one process: in the order in which they were published.
    #expect(numbers.filter { $0 >= 0 } == Array(0..<2000))
    #expect(folder.lines("other.txt").count == 2000)
  }

  @Test func messagesOfEverySizeArriveUnchanged() throws {
    let folder = try TemporaryFolder()
    let sizes = [0, 1, 15, 16, 17, 16_383, 16_384, 16_385, 65_536, 500_000, 1_048_576]
    for (i, size) in sizes.enumerated() {
      try folder.write(String(format: "in%02d.bin", i), String(repeating: Character(UnicodeScalar(UInt8(97 + i))), count: size))
    }
    let result = try folder.run("""
      ringway: 1
      stages:
        files:
          plugin: file.read
          with: {path: "in*.bin", format: whole}
        results:
          plugin: file.write
          inputs: [files]
          queue: {capacity: 3}
          with: {path: out.txt}
      """)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt").map(\.count) == sizes)
  }

  @Test func aStageHasItsEnvironmentAndItsDirectory() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(atPath: folder.path("there"), withIntermediateDirectories: false)
    let file = try folder.write("p.yaml", """
      ringway: 1
      parameters:
        name: {type: string}
      stages:
        one:
          plugin: generate
          with: {count: 1}
        greet:
          plugin: jq
          inputs: [one]
          environment: {GREETING: "hello ${name}"}
          directory: there
          with: {filter: "env.GREETING", raw: true}
        out:
          plugin: file.write
          inputs: [greet]
          with: {path: out.txt}
      """)
    let running = try folder.start(file: file, "--set", "name=world")
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt") == ["hello world"])
    let again = try folder.run(file: file, environment: ["RINGWAY_NAME": "moon"])
    #expect(again.status == 0 && folder.lines("out.txt") == ["hello moon"])
  }

  // MARK: Files and outputs

  @Test func aFullDiskEndsTheRunWith74AndLosesNothing() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 100000}
        results:
          plugin: file.write
          inputs: [numbers]
          with: {path: disk/out.txt}
      """)
    // A tiny file system of its own, seen by this run alone.
    let script = """
      mount -t tmpfs -o size=64k none '\(folder.url.path)/disk' || exit 99
      '\(Ringway.binary.path)' run '\(file)' --progress off --report '\(folder.path("report.json"))'
      status=$?; cp '\(folder.url.path)/disk/out.txt' '\(folder.path("out.txt"))'; exit $status
      """
    try FileManager.default.createDirectory(atPath: folder.path("disk"), withIntermediateDirectories: false)
    let running = try Running(["-Urm", "bash", "-c", script], executable: URL(fileURLWithPath: "/usr/bin/unshare"))
    let result = try running.finish()
    if result.status == 99 || result.status == 1 {
      print("skipped: this machine allows no file system of one's own (unshare -Urm)")
      return
    }
    #expect(result.status == 74, "\(result.errors)")
    #expect(result.errors.contains("disk/out.txt: No space left on device"))
    let report = try folder.report
    #expect(report.balances)
    // What was committed stands in the file, whole and in order, and nothing of the line that did not fit, to which a later run would append.
    let text = try String(contentsOfFile: folder.path("out.txt"), encoding: .utf8)
    #expect(text.hasSuffix("}\n"), "it ends with \(text.suffix(60))")
    let lines = folder.lines("out.txt")
    #expect(lines.count == report.stage("results", "out") && lines.count > 0)
    for (i, line) in lines.enumerated() { #expect(line.hasPrefix("{\"n\":\(i),")) }

    let device = try folder.run("ringway: 1\nstages:\n  n:\n    plugin: generate\n  o:\n    plugin: file.write\n    inputs: [n]\n    with: {path: /dev/full}\n")
    #expect(device.status == 74)
    #expect(device.errors.contains("No space left on device"))
  }

  /// The kernel ends a process that goes past this limit, by SIGXFSZ, unless it wants to hear of it (setrlimit(2)).
  @Test func filesThatMayNotGrowAreAnErrorOfTheRunner() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", "ringway: 1\nstages:\n  n:\n    plugin: generate\n  o:\n    plugin: discard\n    inputs: [n]\n")
    // Whoever runs the tests may ignore the signal, and hand that down.
    let running = try Running(["-c", "ulimit -f 100; exec env --default-signal=XFSZ '\(Ringway.binary.path)' run '\(file)' --progress off"], executable: URL(fileURLWithPath: "/bin/bash"))
    let result = try running.finish()
    #expect(result.status == 71, "\(result.status) \(result.errors)")
    #expect(result.errors.contains("the queues cannot be made: ") && result.errors.contains("File too large") && result.errors.contains("ulimit -f"), "\(result.errors)")
  }

  @Test func anOutputThatNobodyReadsEndsTheRun() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", "ringway: 1\nstages:\n  n:\n    plugin: generate\n  o:\n    plugin: stdout\n    inputs: [n]\n")
    let running = try Running(
      ["-c", "'\(Ringway.binary.path)' run '\(file)' --progress off | head -n 3; exit ${PIPESTATUS[0]}"], executable: URL(fileURLWithPath: "/bin/bash"))
    let result = try running.finish()
    #expect(result.status == 74)
    #expect(result.output.split(separator: "\n").count == 3)
    #expect(result.errors.contains("whoever read it is gone"))
  }

  @Test func aSourceFileThatVanishesIsReportedAndNotSkipped() throws {
    let folder = try TemporaryFolder()
    mkfifo(folder.path("a.txt"), 0o600)
    try folder.write("b.txt", "hello\n")
    let file = try folder.write("p.yaml", "ringway: 1\nstages:\n  n:\n    plugin: file.read\n    with: {path: \"?.txt\"}\n  o:\n    plugin: file.write\n    inputs: [n]\n    with: {path: out.log}\n")
    let running = try folder.start(file: file)
    // Opening the pipe for writing succeeds once the source reads from it.
    let writer = open(folder.path("a.txt"), O_WRONLY | O_CLOEXEC)
    write(writer, "first\n", 6)
    try FileManager.default.removeItem(atPath: folder.path("b.txt"))
    close(writer)
    let result = try running.finish()
    #expect(result.status == 74)
    #expect(result.errors.contains("b.txt: No such file or directory"))
    #expect(folder.lines("out.log") == ["first"])
  }

  /// Reading says the same as writing does.
  @Test(arguments: ["lines", "whole"]) func aFileThatMayNotBeReadEndsTheRunWith77(format: String) throws {
    let folder = try TemporaryFolder()
    let secret = try folder.write("secret.txt", "hello\n")
    let file = try folder.write("p.yaml", "ringway: 1\nstages:\n  n: {plugin: file.read, with: {path: secret.txt, format: \(format)}}\n  o: {plugin: discard, inputs: [n]}\n")
    chmod(folder.url.path, 0o755)
    chmod(file, 0o644)
    chmod(secret, 0o000)
    // Root may read everything.
    let become = getuid() == 0 ? "setpriv --reuid 54398 --regid 54398 --clear-groups " : ""
    let running = try Running(
      ["-c", "exec 3< '\(Ringway.binary.path)'; exec \(become)/proc/self/fd/3 run '\(file)' --progress off"], executable: URL(fileURLWithPath: "/bin/bash"))
    let result = try running.finish()
    #expect(result.status == 77 && result.errors.contains("secret.txt: Permission denied"), "\(result.status) \(result.errors)")
  }

  @Test func standardInputIsReadLineByLine() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", "ringway: 1\nstages:\n  n:\n    plugin: stdin\n  o:\n    plugin: stdout\n    inputs: [n]\n")
    let result = try Ringway.run(["run", file, "-q"], input: "one\r\n\nthree")
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output == "one\n\nthree\n")
    #expect(result.errors == "")
  }
}
