import Foundation
import Harness
import Testing

/// The process that kills what workers have started when the runner was killed.
@Suite struct GuardTests {
  /// All processes that are in the group of a worker.
  private func members(_ running: Running) -> [Int32] { Running.members(ofGroups: running.workers.map(\.pid)) }

  private func guardian(_ running: Running) throws -> Int32 { try #require(guardians(running).first) }

  private func guardians(_ running: Running) -> [Int32] { Running.pids(childrenOf: running.pid).filter { name($0) == "rw-guard" } }

  private func name(_ pid: Int32) -> String { ((try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) ?? "").trimmingCharacters(in: .newlines) }

  private static let python = """
    import multiprocessing, os, subprocess, time

    def wait(): time.sleep(100000)

    class Work:
      def __init__(self):
        for method in ["fork", "spawn", "forkserver"]:
          multiprocessing.get_context(method).Process(target=wait, daemon=True).start()
        subprocess.Popen(["sh", "-c", "trap '' TERM INT HUP; sleep 100000 & sleep 100000"])
      def __call__(self, value): return value
    """

  private func start(_ folder: TemporaryFolder, _ more: String...) throws -> Running {
    try folder.write("stages.py", Self.python)
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        ticks: {plugin: generate, with: {rate: 500/s}}
        shell: {plugin: exec, inputs: [ticks], with: {command: "sleep 100000 & (trap '' TERM; sleep 100000) & exec cat", shell: true}}
        work: {plugin: python, inputs: [shell], with: {python: /usr/bin/python3, callable: "stages:Work"}}
        out: {plugin: file.write, inputs: [work], with: {path: out.txt}}
      """)
    let running = try Running(["run", file, "--progress", "off"] + more)
    // Four workers; cat and two that sleep, of which one has a shell; a sleeping child of each kind with its two helpers; a shell and two that sleep.
    #expect(eventually { folder.lines("out.txt").count > 20 && members(running).count >= 4 + 4 + 4 + 3 }, "\(members(running).map(name)) \(running.errors)")
    return running
  }

  @Test func nothingThatWorkersHaveStartedOutlivesAKilledRunner() throws {
    let folder = try TemporaryFolder()
    let running = try start(folder)
    let all = members(running) + [try guardian(running)]
    kill(running.pid, SIGKILL)
    #expect(eventually { !all.contains(where: Running.isAlive) }, "\(all.filter(Running.isAlive).map(name)) are left")
  }

  /// Somebody has killed the guard before: another one has taken its place.
  @Test func aGuardThatIsKilledIsReplaced() throws {
    let folder = try TemporaryFolder()
    let running = try start(folder)
    for _ in 0..<2 {
      let first = try guardian(running)
      kill(first, SIGKILL)
      #expect(eventually { guardians(running).contains { $0 != first } }, "\(running.errors)")
      #expect(eventually { running.errors.contains("the run's guard (process \(first)) was killed; another one is there") }, "\(running.errors)")
      #expect(eventually { guardians(running).count == 1 })
    }
    let all = members(running) + [try guardian(running)]
    kill(running.pid, SIGKILL)
    #expect(eventually { !all.contains(where: Running.isAlive) }, "\(all.filter(Running.isAlive).map(name)) are left")
  }

  /// Nor does anything hinder the next run with the same state.
  @Test func aRunThatGoesOnFindsNothingOfTheOneBefore() throws {
    let folder = try TemporaryFolder()
    let first = try start(folder, "--state", folder.path("state"))
    let all = members(first) + [try guardian(first)]
    kill(first.pid, SIGKILL)
    let second = try Running(["run", folder.path("p.yaml"), "--progress", "off", "--state", folder.path("state")])
    let count = folder.lines("out.txt").count
    #expect(eventually { folder.lines("out.txt").count > count + 20 }, "\(second.errors)")
    #expect(eventually { !all.contains(where: Running.isAlive) })
    kill(second.pid, SIGTERM)
    #expect(try second.finish().status == 0, "\(second.errors)")
  }

  /// What ends a run from outside must not end its guard before, and what waits for a run must not wait for its guard.
  @Test func theGuardKeepsOutOfTheWay() throws {
    let folder = try TemporaryFolder()
    let running = try start(folder)
    let keeper = try guardian(running)
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE, SIGALRM] { kill(keeper, signal) }
    #expect(eventually { Running.isAsleep(keeper) } && Running.isAlive(keeper))
    #expect(Running.status(keeper).dropFirst(4).first.flatMap { Int32($0) } == keeper, "it has a session of its own")
    let line = try String(contentsOfFile: "/proc/\(keeper)/cmdline", encoding: .utf8)
    #expect(!line.contains("ringway"), "who looks for the runner finds \(line)")
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(keeper)/cwd") == "/")
    let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(keeper)/fd").map { try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(keeper)/fd/\($0)") }
    #expect(open.count == 2 && open.contains { $0.hasPrefix("pipe:") } && open.contains { $0.contains("memfd:rw-guard") }, "\(open)")
    let maps = try String(contentsOfFile: "/proc/\(keeper)/maps", encoding: .utf8)
    #expect(!maps.contains("memfd") && !maps.contains("[heap]"), "\(maps)")
    let rollup = try String(contentsOfFile: "/proc/\(keeper)/smaps_rollup", encoding: .utf8).split(separator: "\n")
    let own = rollup.filter { $0.hasPrefix("Private_") }.reduce(0) { $0 + (Int($1.filter(\.isNumber)) ?? 0) }
    #expect(own < 300 && !rollup.isEmpty, "\(own) KiB")
    kill(running.pid, SIGTERM)
    #expect(try running.finish().status == 0, "\(running.errors)")
    #expect(!FileManager.default.fileExists(atPath: "/proc/\(keeper)"), "the runner has waited for it")
  }

  /// A worker that dies takes its group with it, and leaves no number behind that the guard would kill.
  @Test func aGroupIsStruckOutWhenItIsGone() throws {
    let folder = try TemporaryFolder()
    let running = try start(folder)
    let keeper = try guardian(running)
    let worker = try #require(running.workers.first { $0.stage == "shell" })
    kill(worker.pid, SIGKILL)
    #expect(eventually { running.workers.contains { $0.stage == "shell" && $0.pid != worker.pid } }, "\(running.errors)")
    // In a word for each; those before the workers' are of programs that are asked before a run.
    #expect(eventually {
      let list = (try? FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/\(keeper)/fd/1")).readToEnd()) ?? Data()
      let words = stride(from: 0, to: list.count - 7, by: 8).map { at in (0..<4).reduce(Int32(0)) { $0 | Int32(list[at + $1]) << Int32(8 * $1) } }
      return words.count == 64 + 4 && Set(words.dropFirst(64)) == Set(running.workers.map(\.pid)) && !words.prefix(64).contains { $0 != 0 }
    })
    kill(running.pid, SIGTERM)
    #expect(try running.finish().status == 0, "\(running.errors)")
  }

  /// What a dead worker has started is killed with it, and becomes the runner's to wait for.
  @Test func orphansOfDeadWorkersAreWaitedFor() throws {
    let folder = try TemporaryFolder()
    let running = try start(folder)
    let worker = try #require(running.workers.first { $0.stage == "work" })
    let orphans = Running.members(ofGroups: [worker.pid]).filter { $0 != worker.pid }
    #expect(orphans.count >= 6)
    kill(worker.pid, SIGKILL)
    #expect(eventually { !orphans.contains { FileManager.default.fileExists(atPath: "/proc/\($0)") } }, "\(orphans.map { Running.status($0).prefix(4) }) \(running.errors)")
    kill(running.pid, SIGTERM)
    #expect(try running.finish().status == 0, "\(running.errors)")
  }

  /// So is what a living worker's program has left behind.
  @Test func whatProgramsLeaveIsWaitedFor() throws {
    let project = try Project("""
      numbers: {PY:values"}}
      out: {plugin: exec, inputs: [numbers], with: {command: "cat >> got; (true &)", shell: true, framing: message}, directory: .}
      """, python: """
      import os
      def values():
          for n in range(40):
              yield f"{n}\\n"
          while not os.path.exists(os.path.dirname(__file__) + "/go"):
              os.sched_yield()
      """)
    let running = try Running(["run", project.file, "--progress", "off"])
    #expect(eventually { project.folder.lines("got").count == 40 }, "\(running.errors)")
    #expect(eventually { Running.pids(childrenOf: running.pid).count == 3 }, "\(Running.pids(childrenOf: running.pid).count) children")
    try project.folder.write("go", "")
    #expect(try running.finish().status == 0, "\(running.errors)")
  }
}
