import Foundation
import Glibc
import Harness
import Testing

/// Interpreters that are started while the file is still being checked.
@Suite struct PrestartTests {
  /// The check waits in the import for a pipe to be opened; workers do not.
  private static let gated = """
    import os, sys
    BEFORE
    with open("imports", "a") as file: print(os.getpid(), file=file, flush=True)
    if 'ringway._worker' not in sys.modules: open("gate").close()
    FAULT
    def work(value): return os.getpid()
    """

  private struct Gated {
    let project: Project
    let running: Running

    /// - Parameters:
    ///   - before: comes first in the module
    ///   - fault: comes when the pipe has been opened
    init(before: String = "", fault: String = "", stage: String = "processes: 2", environment: [String: String] = [:]) throws {
      project = try Project("""
        count: {plugin: generate, with: {count: 2000}}
        work: {PY:work"}, inputs: [count], directory: ., queue: {capacity: 1024, message: 4KiB}, \(stage)}
        out: {plugin: file.write, inputs: [work], with: {path: out}}
        """, python: PrestartTests.gated.replacing("BEFORE", with: before).replacing("FAULT", with: fault))
      try #require(mkfifo(project.folder.path("gate"), 0o600) == 0)
      running = try Running(
        ["run", project.file, "--progress", "off", "--report", project.folder.path("report.json"), "--state", project.folder.path("state")],
        environment: environment)
    }

    /// The same once more.
    init(after first: Gated) throws {
      project = first.project
      try FileManager.default.removeItem(atPath: project.folder.path("imports"))
      running = try Running(["run", project.file, "--progress", "off", "--state", project.folder.path("state")])
    }

    /// Those that have the mark, once they wait for their order.
    func prestarted(_ count: Int = 2) throws -> [Int32] {
      let isThere = eventually { marked.count == count && marked.allSatisfy(Running.isAsleep) && project.folder.lines("imports").count == 1 }
      try #require(isThere, "\(marked) \(running.errors)")
      return marked
    }

    private var marked: [Int32] {
      Running.pids(childrenOf: running.pid).filter {
        (try? String(contentsOfFile: "/proc/\($0)/cmdline", encoding: .utf8))?.split(separator: "\0").contains("prestarted") ?? false
      }
    }

    /// Lets the check go on.
    func open() {
      // Fails as long as nobody reads.
      #expect(eventually { close(Glibc.open(project.folder.path("gate"), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) == 0 }, "\(running.errors)")
    }
  }

  @Test func workersBeginWhileTheFileIsCheckedAndNothingOfTheUsersRunsInThemBefore() throws {
    let gated = try Gated()
    let early = try gated.prestarted()
    gated.open()
    #expect(try gated.running.finish().status == 0, "\(gated.running.errors)")
    #expect(try gated.project.report.balances)
    let lines = gated.project.folder.lines("out")
    #expect(lines.count == 2000 && Set(lines.compactMap { Int32($0) }).isSubset(of: early), "\(Set(lines)) are none of \(early)")
    #expect(gated.project.folder.lines("imports").count == 3, "the check, and each worker once")
  }

  @Test func aFileThatIsWrongLeavesNoneOfThem() throws {
    let gated = try Gated(fault: "raise OSError('no camera')")
    let early = try gated.prestarted()
    gated.open()
    let result = try gated.running.finish()
    #expect(result.status == 78 && result.errors.contains("OSError: no camera"), "\(result.errors)")
    #expect(!early.contains { FileManager.default.fileExists(atPath: "/proc/\($0)") }, "the runner has waited for them")
    #expect(gated.project.folder.lines("imports").count == 1)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGKILL]) func aRunnerThatIsEndedMeanwhileLeavesNoneOfThem(signal: Int32) throws {
    let gated = try Gated()
    let early = try gated.prestarted()
    let check = try #require(Int32(gated.project.folder.lines("imports")[0]))
    try end(gated, by: signal)
    #expect(eventually { !early.contains(where: Running.isAlive) && !Running.isAlive(check) })
    #expect(gated.project.folder.lines("imports").count == 1)
  }

  private func end(_ gated: Gated, by signal: Int32) throws {
    kill(gated.running.pid, signal)
    let result = try gated.running.finish()
    if signal == SIGKILL {
      #expect(result.status == -signal)
    } else {
      #expect(result.status == 75 && result.errors == "ringway: stopped while the file was checked\n", "\(result.errors)")
      #expect(try gated.project.report.outcome == "stopped")
    }
  }

  /// Nor what an interpreter has started on its own way to the worker, or a module that was imported by the check.
  @Test(arguments: [SIGINT, SIGTERM, SIGKILL]) func whatTheyHaveStartedIsEnded(signal: Int32) throws {
    let site = try TemporaryFolder()
    try site.write("sitecustomize.py", "import subprocess, sys\nif 'prestarted' in sys.orig_argv: subprocess.Popen(['sleep', '100000'])\n")
    let gated = try Gated(before: "import subprocess; subprocess.Popen(['sleep', '100000'])", environment: ["PYTHONPATH": site.url.path])
    let check = try #require(Int32(try gated.prestarted().isEmpty ? "" : gated.project.folder.lines("imports")[0]))
    let all = Running.members(ofGroups: try gated.prestarted() + [check])
    #expect(all.count == 6)
    try end(gated, by: signal)
    #expect(eventually { !all.contains(where: Running.isAlive) })
  }

  /// An interpreter that hangs on its own way to the worker does not notice that its runner has gone.
  @Test(arguments: [SIGINT, SIGTERM, SIGKILL]) func oneThatHangsIsEnded(signal: Int32) throws {
    let site = try TemporaryFolder()
    try site.write("sitecustomize.py", "import sys, time\nif 'prestarted' in sys.orig_argv: time.sleep(100000)\n")
    let gated = try Gated(environment: ["PYTHONPATH": site.url.path])
    let early = try gated.prestarted()
    try end(gated, by: signal)
    #expect(eventually { !early.contains(where: Running.isAlive) })
  }

  /// Not so many that the check has to wait for them.
  @Test func theyAreNoMoreThanTwiceTheCPUs() throws {
    let most = 2 * ProcessInfo.processInfo.activeProcessorCount
    let gated = try Gated(stage: "processes: \(most + 2)")
    let early = try gated.prestarted(most)
    gated.open()
    #expect(try gated.running.finish().status == 0, "\(gated.running.errors)")
    let workers = Set(gated.project.folder.lines("imports").dropFirst().compactMap { Int32($0) })
    #expect(workers.count == most + 2 && workers.isSuperset(of: early), "the others are started with the run")
  }

  /// More descriptors than can be handed over together: the worker is started with the run.
  @Test func whoNeedsTooManyDescriptorsIsNotStartedEarly() throws {
    let project = try Project("""
      numbers: {PY:numbers"}}
      many: {plugin: discard, inputs: [numbers], processes: 260, partition: {key: ., input: json}, queue: {capacity: 1, message: 1KiB}}
      """, python: "def numbers(): yield from range(500)\n")
    // So many processes let others go first, who have less time.
    let running = try Running(
      ["-n", "10", Ringway.binary.path, "run", project.file, "--progress", "off", "--report", project.folder.path("report.json")],
      executable: URL(fileURLWithPath: "/usr/bin/nice"))
    let result = try running.finish(within: 600)
    #expect(try result.status == 0 && project.report.balances, "\(result.errors)")
  }

  @Test func oneThatDiesBeforeTheRunIsStartedAgain() throws {
    let gated = try Gated()
    let early = try gated.prestarted()
    kill(early[0], SIGKILL)
    #expect(eventually { !Running.isAlive(early[0]) })
    gated.open()
    #expect(try gated.running.finish().status == 0, "\(gated.running.errors)")
    #expect(gated.project.folder.lines("out").count == 2000)
    #expect(!gated.running.errors.contains("died"), "it had done nothing yet: \(gated.running.errors)")
  }

  /// A program of another name may be anything: it is asked first, and found out.
  @Test func whatMayBeNoInterpreterIsStartedOnce() throws {
    let project = try Project("""
      count: {plugin: generate, with: {count: 2000}}
      work: {plugin: python, inputs: [count], processes: 2, with: {callable: "stages:work", python: ./program}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """, python: "def work(value): return value\n")
    let program = try project.folder.write("program", "#!/bin/sh\necho started >> '\(project.folder.path("starts"))'\n")
    chmod(program, 0o700)
    #expect(try project.run().status == 78)
    #expect(project.folder.lines("starts") == ["started"])
  }

  /// Nice value and CPUs belong to threads: those that an interpreter has started on its way have them too.
  @Test func allThreadsAreAsNiceAndWhereTheyAreToBe() throws {
    let site = try TemporaryFolder()
    try site.write("sitecustomize.py", """
      import threading
      for _ in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()

      """)
    let gated = try Gated(
      fault: """
        if 'ringway._worker' in sys.modules:
          threads = [int(thread) for thread in os.listdir("/proc/self/task")]
          assert len(threads) >= 4
          for thread in threads: assert os.getpriority(os.PRIO_PROCESS, thread) == 7 and os.sched_getaffinity(thread) == {0}, thread
        """, stage: "processes: 2, nice: 7, affinity: [0]", environment: ["PYTHONPATH": site.url.path])
    _ = try gated.prestarted()
    gated.open()
    #expect(try gated.running.finish().status == 0, "\(gated.running.errors)")
    #expect(gated.project.folder.lines("out").count == 2000)
  }

  /// The numbers that descriptors will have in a worker are kept free, whatever an interpreter opens on its way.
  @Test func whatAnInterpreterHasOpenedStaysItsOwn() throws {
    let site = try TemporaryFolder()
    try site.write("sitecustomize.py", "import builtins, os\nbuiltins.kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(40)]\n")
    let gated = try Gated(
      fault: "for fd in kept: assert os.readlink(f'/proc/self/fd/{fd}') == os.devnull, fd", environment: ["PYTHONPATH": site.url.path])
    _ = try gated.prestarted()
    gated.open()
    #expect(try gated.running.finish().status == 0, "\(gated.running.errors)")
    #expect(gated.project.folder.lines("out").count == 2000)
  }

  /// A run that has ended needs no workers, though they have been started.
  @Test func whoIsNotNeededIsSentAway() throws {
    let first = try Gated()
    _ = try first.prestarted()
    first.open()
    #expect(try first.running.finish().status == 0, "\(first.running.errors)")
    let second = try Gated(after: first)
    let early = try second.prestarted()
    second.open()
    #expect(try second.running.finish().status == 0, "\(second.running.errors)")
    #expect(!early.contains { FileManager.default.fileExists(atPath: "/proc/\($0)") }, "the runner has waited for them")
    #expect(second.project.folder.lines("imports").count == 1 && second.project.folder.lines("out").count == 2000)
  }

  /// Limits and lock are those of the worker, and the guard knows its group.
  @Test func theyAreWorkersLikeOthers() throws {
    let gated = try Gated(
      fault: """
        import resource, subprocess
        if 'ringway._worker' in sys.modules:
          assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 60 and os.nice(0) == 7
          assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
          names = [os.readlink(f"/proc/self/fd/{fd}") for fd in range(4, 60) if os.path.exists(f"/proc/self/fd/{fd}")]
          assert os.devnull not in names, names
          subprocess.Popen(["sh", "-c", "sleep 100000 & sleep 100000"])
          print("x", file=open("begun", "a"))
        """, stage: "processes: 2, limits: {files: 60}, nice: 7, rate: 20/s")
    let early = try gated.prestarted()
    gated.open()
    // Each has started a shell, and that two others.
    var all: [Int32] = []
    let haveStarted = eventually {
      all = Running.members(ofGroups: early)
      return all.count >= 2 * 4 && gated.project.folder.lines("begun").count == 2 && gated.project.folder.lines("out").count > 3
    }
    #expect(haveStarted, "\(gated.running.errors)")
    // Each has a lock of its own (proc_locks(5)).
    let locks = try String(contentsOfFile: "/proc/locks", encoding: .utf8).split(separator: "\n").map { $0.split(separator: " ") }
    #expect(early.allSatisfy { pid in locks.contains { $0.contains("POSIX") && $0.contains("\(pid)") } }, "\(locks)")
    kill(gated.running.pid, SIGKILL)
    #expect(eventually { !all.contains(where: Running.isAlive) })
  }
}
