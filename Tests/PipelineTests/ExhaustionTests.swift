import Foundation
import Harness
import Testing

/// What a run needs of the machine and does not get: room, descriptors, processes, memory, a disk that keeps what it is given. It ends with the code
/// that is documented and one line that says what to do, nothing is lost, and the same command goes on.
@Suite struct ExhaustionTests {
  // MARK: Room

  /// As often as it is tried before there is room.
  @Test(.enabled(if: SmallDisk.canMount, SmallDisk.withoutMounting)) func aFullDiskUnderASinkLosesAndDoublesNothing() throws {
    let disk = try SmallDisk("64k")
    let run = try Counting(4000, output: disk.path + "/out.txt")
    for _ in 0..<2 {
      let full = try disk.run(run.command)
      #expect(full.status == 74 && full.errors.contains("out.txt: No space left on device (free space on the disk and run again)"), "\(full.errors)")
      #expect(Counting.isWhole(disk.lines("out.txt")) && disk.lines("out.txt").count < 4000)
    }
    try disk.remount("size=8m")
    let last = try disk.run(run.command)
    #expect(last.status == 0, "\(last.errors)")
    #expect(disk.lines("out.txt").count == 4000 && Counting.isWhole(disk.lines("out.txt")))
  }

  /// A letter that cannot be kept is not dropped: its stage waits, and the run ends.
  @Test(.enabled(if: SmallDisk.canMount, SmallDisk.withoutMounting)) func aFullDiskUnderDeadLettersLosesNone() throws {
    let disk = try SmallDisk("64k")
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 1000}}
        work: {plugin: jq, inputs: [numbers], on_error: {retries: 0}, with: {filter: 'if .n % 2 == 0 then error("even") else .n end'}}
        results: {plugin: file.write, inputs: [work], with: {path: out.txt}}
        rejected: {plugin: file.write, inputs: [work.dead_letter], queue: {capacity: 16}, with: {path: \(disk.path)/rejected.txt}}
      """)
    let command = ["run", file, "-q", "--progress", "off", "--state", folder.path("state")]
    let full = try disk.run(command)
    #expect(full.status == 74 && full.errors.contains("stage \"rejected\": write \(disk.path)/rejected.txt: No space left on device (free space"), "\(full.errors)")
    try disk.remount("size=8m")
    let last = try disk.run(command)
    #expect(last.status == 0, "\(last.errors)")
    #expect(folder.lines("out.txt") == stride(from: 1, to: 1000, by: 2).map(String.init))
    let letters = try disk.lines("rejected.txt").map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] ?? [:] }
    #expect(letters.count == 500 && Set(letters.compactMap { $0["id"] as? String }).count == 500)
  }

  /// A queue's room is taken when it is made, so that it is missed before the run and not in the middle of it, by SIGBUS.
  @Test(.enabled(if: SmallDisk.canMount, SmallDisk.withoutMounting)) func aStateForWhichThereIsNoRoomIsRefusedAtOnce() throws {
    let disk = try SmallDisk("128k")
    let run = try Counting(300, state: disk.path + "/state")
    let full = try disk.run(run.command)
    #expect(full.status == 73 && full.errors.contains("fallocate results.queue: No space left on device (every queue takes its whole size at once"), "\(full.errors)")
    #expect(run.lines.isEmpty)
    try disk.remount("size=8m")
    let result = try disk.run(run.command)
    #expect(result.status == 0 && run.lines.count == 300 && Counting.isWhole(run.lines), "\(result.errors)")
  }

  /// Then the state says nothing of how the run has ended, and is sound all the same.
  @Test(.enabled(if: SmallDisk.canMount, SmallDisk.withoutMounting)) func aDiskThatIsFullAtTheEndOfARunKeepsItsState() throws {
    let disk = try SmallDisk("8m")
    let run = try Counting(nil, state: disk.path + "/state")
    let first = try disk.start(run.command)
    #expect(run.goesOn(first), "\(first.errors)")
    try disk.fill()
    let drained = try run.drain(first)
    let sentence = "write run.json: No space left on device (free space, and the same command goes on)"
    #expect(drained.status == 73 && drained.errors.components(separatedBy: sentence).count == 2, "\(drained.errors)")
    let refused = try disk.run(run.command)
    #expect(refused.status == 73 && refused.errors.contains(sentence), "\(refused.errors)")
    let state = try disk.run(["state", run.state])
    #expect(state.status == 0 && state.output.contains("interrupted; the same command goes on with it") && state.output.contains("sound"), "\(state.output)")
    try disk.empty()
    let second = try disk.start(run.command)
    #expect(run.goesOn(second), "\(second.errors)")
    #expect(try run.drain(second).status == 0, "\(second.errors)")
    #expect(Counting.isWhole(run.lines))
  }

  @Test(.enabled(if: SmallDisk.canMount, SmallDisk.withoutMounting)) func aReportForWhichThereIsNoRoomIsMissedAndTheRunIsNot() throws {
    let disk = try SmallDisk("64k")
    let run = try Counting(300)
    try disk.fill()
    let result = try disk.run(["run", run.file, "--progress", "off", "--report", disk.path + "/report.json"])
    #expect(result.status == 73, "\(result.errors)")
    #expect(result.errors.contains("the report cannot be written: write \(disk.path)/report.json: No space left on device (free space on the disk"), "\(result.errors)")
    #expect(run.lines.count == 300 && Counting.isWhole(run.lines))
    #expect(try FileManager.default.contentsOfDirectory(atPath: disk.outside("")) == ["fill"], "no part of one is left")
  }

  /// The queues have no names, so nobody can fill, remove or inherit them: not System V's cleaner, not Python's tracker of resources, not a full /dev/shm.
  @Test(.enabled(if: SmallDisk.canMount, SmallDisk.withoutMounting)) func aFullDevShmIsNoMatter() throws {
    let disk = try SmallDisk("4k", over: "/dev/shm")
    try disk.fill()
    let run = try Counting(nil)
    let running = try disk.start(["run", run.file, "--progress", "off"])
    #expect(run.goesOn(running), "\(running.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: disk.outside("")) == ["fill"])
    let queues = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(running.pid)/fd").compactMap {
      try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(running.pid)/fd/\($0)")
    }.filter { $0.contains("memfd") && !$0.contains("rw-guard") }
    #expect(queues.count == 3 && queues.allSatisfy { $0.hasPrefix("/memfd:ringway-") }, "\(queues)")
    #expect(try run.drain(running).status == 0 && Counting.isWhole(run.lines))
  }

  /// The limit on the size of files, in the middle of a run: a signal would end the worker without a word (setrlimit(2), RLIMIT_FSIZE).
  @Test func aFileThatMayNotGrowEndsTheRunAndItGoesOn() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 4000, size: 1KiB}}
        results: {plugin: file.write, inputs: [numbers], queue: {capacity: 16, message: 4KiB}, with: {path: out.txt}}
      """)
    let command = "'\(Ringway.binary.path)' run '\(file)' --progress off --state '\(folder.path("state"))'"
    let shell = URL(fileURLWithPath: "/bin/bash")
    let limited = try Running(["-c", "ulimit -f 2000; exec env --default-signal=XFSZ \(command)"], executable: shell).finish()
    #expect(limited.status == 74 && limited.errors.contains("out.txt: File too large (raise the limit on the size of files with ulimit -f"), "\(limited.errors)")
    #expect(1000..<4000 ~= folder.lines("out.txt").count)
    let result = try Running(["-c", command], executable: shell).finish()
    #expect(result.status == 0, "\(result.errors)")
    let lines = folder.lines("out.txt")
    #expect(lines.count == 4000 && lines.enumerated().allSatisfy { $1.hasPrefix("\($0) ") && $1.utf8.count == 1024 })
  }

  // MARK: Words

  /// What a run says is nothing that it depends on.
  @Test(arguments: ["> /dev/full 2> /dev/full", "2>&-", "2> >(true)", "2>&1 | head -c 1"]) func whatIsSaidMayBeLost(redirection: String) throws {
    let run = try Counting(2000)
    let script = "'\(Ringway.binary.path)' run '\(run.file)' --progress json \(redirection); exit ${PIPESTATUS[0]}"
    let result = try Running(["-c", script], executable: URL(fileURLWithPath: "/bin/bash")).finish()
    #expect(result.status == 0, "\(result.errors)")
    #expect(run.lines.count == 2000 && Counting.isWhole(run.lines))
  }

  /// An answer is what a command is for.
  @Test(arguments: ["graph", "run"]) func anAnswerThatCannotBeWrittenIsAnError(command: String) throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", "ringway: 1\nstages:\n  n: {plugin: generate}\n  o: {plugin: stdout, inputs: [n]}\n")
    let result = try Running(["-c", "exec '\(Ringway.binary.path)' \(command) '\(file)' > /dev/full"], executable: URL(fileURLWithPath: "/bin/sh")).finish()
    #expect(result.status == 74, "\(result.errors)")
    #expect(command == "graph" || result.errors.contains("write standard output: No space left on device"), "\(result.errors)")
  }

  /// Neither a worker nor what it starts writes its memory to the disk when it crashes.
  @Test func noCoreFilesAreWritten() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        limits: {plugin: exec, with: {command: [bash, -c, "ulimit -S -c; ulimit -H -c"]}}
        out: {plugin: file.write, inputs: [limits], with: {path: out.txt}}
      """)
    let script = "ulimit -c unlimited 2> /dev/null; exec '\(Ringway.binary.path)' run '\(file)' --progress off"
    #expect(try Running(["-c", script], executable: URL(fileURLWithPath: "/bin/bash")).finish().status == 0)
    #expect(folder.lines("out.txt") == ["0", "0"])
  }

  // MARK: The disk

  /// Where a state is made, another try makes it anew.
  @Test(.enabled(if: Injection.canTrace, Injection.withoutTracing), arguments: [(1, "run.json"), (4, "plan.json")])
  func aDiskThatFailsAtTheBeginningEndsTheRun(when: Int, name: String) throws {
    let run = try Counting(100)
    let failed = try Injection.run(run.command, "fsync:error=EIO:when=\(when)")
    #expect(failed.status == 74 && failed.errors.contains("the state in \(run.state) cannot be used: fsync \(name): Input/output error"), "\(failed.errors)")
    #expect(run.lines.isEmpty)
    let result = try Ringway.run(run.command)
    #expect(result.status == 0 && run.lines.count == 100 && Counting.isWhole(run.lines), "\(result.errors)")
  }

  /// What could not be written the kernel takes for written from then on: asked again it says that all is well. So nobody asks again.
  @Test(.enabled(if: Injection.canTrace, Injection.withoutTracing), arguments: ["out.txt", "state/results.queue", "state/results.cells"])
  func aDiskThatFailsAtTheEndIsNotAskedAgain(name: String) throws {
    let run = try Counting(100)
    let failed = try Injection.run(run.command, "fsync:error=EIO:when=1", on: run.folder.path(name))
    let sentence = name == "out.txt" ? "stage \"results\": fsync \(run.output): Input/output error" : "fsync \(name.dropFirst(6)): Input/output error"
    #expect(failed.status == 74 && failed.errors.components(separatedBy: sentence).count == 2, "\(failed.errors)")
    #expect(run.lines.count == 100, "it can still be read")
    for _ in 0..<2 {
      let again = try Ringway.run(run.command)
      #expect(again.status == 74 && again.errors.contains("cannot be trusted: what the last run wrote may not have reached the disk") && again.errors.contains(sentence), "\(again.errors)")
    }
    let state = try Ringway.run(["state", run.state])
    #expect(state.status == 70 && state.output.contains("damaged") && state.errors.contains(sentence), "\(state.output)\(state.errors)")
  }

  /// Writing that fails in a worker: what was committed stays, and nothing else.
  @Test(.enabled(if: Injection.canTrace, Injection.withoutTracing), arguments: [("EIO", 74), ("EROFS", 73), ("EDQUOT", 74)] as [(String, Int32)])
  func aWriteThatFailsEndsTheRunAndItGoesOn(error: String, status: Int32) throws {
    let run = try Counting(500)
    let failed = try Injection.run(run.command, "write:error=\(error):when=3", on: run.output, isInherited: true)
    #expect(failed.status == status && failed.errors.contains("stage \"results\": write \(run.output): "), "\(failed.errors)")
    #expect(1..<500 ~= run.lines.count && Counting.isWhole(run.lines))
    let result = try Ringway.run(run.command)
    #expect(result.status == 0 && run.lines.count == 500 && Counting.isWhole(run.lines), "\(result.errors)")
  }

  /// The runner is killed where it would have had something reach the disk, at every second such place, or a text of the state take its name, at each.
  @Test(.enabled(if: Injection.canTrace, Injection.withoutTracing), arguments: ["rename", "fsync"]) func aKillAtTheWritingOfTheStateLeavesTheOldOrTheNew(call: String) throws {
    var kills = 0
    for place in stride(from: 1, through: 99, by: call == "rename" ? 1 : 2) {
      let run = try Counting(40)
      if try Injection.run(run.command, "\(call):signal=KILL:when=\(place)").status == 0 { break }
      kills += 1
      let result = try Ringway.run(run.command)
      try #require(result.status == 0 && run.lines.count == 40 && Counting.isWhole(run.lines), "\(call) \(place): \(result.errors)")
    }
    #expect(4...20 ~= kills)
  }

  // MARK: Descriptors, processes, memory

  /// An old kernel, or a container that forbids the call (close_range(2)).
  @Test(.enabled(if: Injection.canTrace, Injection.withoutTracing)) func descriptorsThatCannotBeClosedTogetherAreClosedOneByOne() throws {
    let run = try Counting(40)
    let result = try Injection.run(run.command, "close_range:error=EPERM", isInherited: true)
    #expect(result.status == 0 && Counting.isWhole(run.lines) && run.lines.count == 40, "\(result.errors)")
  }

  /// The machine refuses for a while what a new worker needs, and then gives it. Somebody has lowered the limit of a run (prlimit(1)), so even waiting
  /// on all of its descriptors at once is refused.
  @Test(arguments: [true, false]) func aWorkerForWhichThereAreNoDescriptorsIsTriedAgain(isMended: Bool) throws {
    let run = try Counting(nil, between: "processes: 2, restart: {max: \(isMended ? 100 : 2), within: 1h, backoff: 10ms}")
    let running = try Running(run.command)
    #expect(run.goesOn(running), "\(running.errors)")
    func limit(_ most: Int) throws {
      let result = try Running(["--pid", String(running.pid), "--nofile=\(most):"], executable: URL(fileURLWithPath: "/usr/bin/prlimit")).finish()
      #expect(result.status == 0, "\(result.errors)")
    }
    try limit(5)
    let victim = try #require(running.workers.first { $0.stage == "work" })
    kill(victim.pid, SIGKILL)
    let sentence = "cannot be started: memfd_create ringway-order: Too many open files (no more descriptors are allowed: use fewer processes, or raise `ulimit -n`)"
    #expect(eventually { running.errors.contains("\(sentence); trying again in 20ms") }, "\(running.errors)")
    if isMended {
      try limit(1024)
      #expect(eventually { running.workers.filter { $0.stage == "work" }.count == 2 } && run.goesOn(running), "\(running.errors)")
    } else {
      let result = try running.finish()
      #expect(result.status == 71 && result.errors.hasSuffix("\(sentence)\n"), "\(result.errors)")
    }
    let last = isMended ? running : try Running(run.command)
    #expect(run.goesOn(last), "\(last.errors)")
    #expect(try run.drain(last).status == 0, "\(last.errors)")
    #expect(Set(run.lines).count == run.lines.count && Counting.isWhole(run.lines.sorted { number($0) < number($1) }))
  }

  private func number(_ line: String) -> Int { Int(line.drop { !$0.isNumber }.prefix { $0.isNumber }) ?? -1 }

  /// fork(2) fails twice while the run is under way.
  @Test(.enabled(if: Injection.canTrace, Injection.withoutTracing)) func aWorkerForWhichThereIsNoProcessIsTriedAgain() throws {
    let run = try Counting(nil, between: "restart: {max: 100, within: 1h, backoff: 10ms}")
    let running = try Running(run.command)
    #expect(run.goesOn(running), "\(running.errors)")
    let strace = try Running(
      ["-o", "/dev/null", "-e", "inject=clone,clone3,vfork:error=EAGAIN:when=1..2", "-p", String(running.pid)], executable: URL(fileURLWithPath: "/usr/bin/strace"))
    #expect(eventually { strace.errors.contains("attached") || !strace.process.isRunning })
    if !strace.process.isRunning {
      print("skipped: strace may not attach to a process here: \(strace.errors)")
      return try run.interrupt(running)
    }
    let victim = try #require(running.workers.first { $0.stage == "work" })
    kill(victim.pid, SIGKILL)
    #expect(eventually { running.workers.contains { $0.stage == "work" && $0.pid != victim.pid } } && run.goesOn(running), "\(running.errors)")
    for pause in [10, 20] {
      #expect(running.errors.contains("Resource temporarily unavailable (no more processes are allowed: use fewer, or raise `ulimit -u` or the limit of the container); trying again in \(pause)ms"), "\(running.errors)")
    }
    #expect(try run.drain(running).status == 0, "\(running.errors)")
    #expect(Counting.isWhole(run.lines))
  }

  /// Where queues are memory, and the guard is the first to ask.
  @Test(.enabled(if: Injection.canTrace, Injection.withoutTracing), arguments: [
    ("memfd_create:error=ENOMEM:when=1", "the guard of the run cannot be started: ", "(there is no memory left: "),
    ("memfd_create:error=ENOMEM:when=2", "the queues cannot be made: ", "(there is no memory left: "),
    ("memfd_create:error=EMFILE:when=3", "the queues cannot be made: ", "(no more descriptors are allowed: "),
    ("socketpair:error=ENFILE:when=2", "cannot be started: ", "(no more descriptors are allowed: "),
    ("clone,clone3,vfork:error=EAGAIN:when=2+", "cannot be started: ", "(no more processes are allowed: "),
  ]) func whatIsMissingAtTheBeginningEndsTheRunWith71(rule: String, what: String, remedy: String) throws {
    let run = try Counting(100)
    let result = try Injection.run(["run", run.file, "--progress", "off"], rule)
    #expect(result.status == 71 && result.errors.contains(what) && result.errors.contains(remedy), "\(result.errors)")
    #expect(run.lines.isEmpty)
  }

  /// A call that fails says nothing about what the file holds, so nobody is told to remove a state that is sound.
  @Test(.enabled(if: Injection.canTrace, Injection.withoutTracing)) func aStateThatCannotBeReadNowIsNotDamaged() throws {
    let run = try Counting(nil)
    let first = try Running(run.command)
    #expect(run.goesOn(first), "\(first.errors)")
    try run.interrupt(first)
    let cases: [(String, String, Int32, String)] = [
      ("results.queue", "mmap:error=ENOMEM", 71, "there is no memory left"), ("results.queue", "openat:error=EMFILE", 71, "raise `ulimit -n`"),
      ("results.cells", "openat:error=EACCES", 77, "Permission denied"), ("run.json", "openat:error=ENFILE", 71, "raise `ulimit -n`"),
      ("plan.json", "read:error=EIO", 74, "Input/output error"), ("worker-1.lock", "openat:error=EMFILE", 71, "raise `ulimit -n`"),
      ("lock", "openat:error=EROFS", 73, "Read-only file system"),
    ]
    for (name, rule, status, words) in cases {
      let result = try Injection.run(run.command, rule + ":when=1", on: run.state + "/" + name)
      #expect(result.status == status && result.errors.contains("the state in \(run.state) cannot be used: ") && result.errors.contains(words), "\(name) \(rule): \(result.status) \(result.errors)")
    }
    let last = try Running(run.command)
    #expect(run.goesOn(last), "\(last.errors)")
    #expect(try run.drain(last).status == 0 && Counting.isWhole(run.lines), "\(last.errors)")
  }
}
