import Foundation
import Harness
import Testing

/// Clocks that jump. A library that stands before the C library moves what every process of a run hears of them, while it runs.
@Suite struct ClockTests {
  private static let library = """
    #define _GNU_SOURCE
    #include <fcntl.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #include <sys/syscall.h>
    #include <sys/time.h>
    #include <time.h>
    #include <unistd.h>

    /* Seconds by which the time of day is off, to and fro at every look; seconds by which the steady clocks are ahead; how often somebody has looked at these. */
    static volatile long none[3], *jumps = none;
    static long turn;

    __attribute__((constructor)) static void start(void) {
      const char *path = getenv("CLOCK_JUMPS");
      int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
      void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (page != MAP_FAILED) jumps = page;
      if (fd >= 0) close(fd);
    }
    static long jump(clockid_t clock) {
      if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) return __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % 2 ? jumps[0] : -jumps[0];
      if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_RAW && clock != CLOCK_BOOTTIME) return 0;
      __atomic_fetch_add(&jumps[2], 1, __ATOMIC_RELAXED);
      return jumps[1];
    }
    int clock_gettime(clockid_t clock, struct timespec *t) {
      int result = syscall(SYS_clock_gettime, clock, t);
      if (result == 0) t->tv_sec += jump(clock);
      return result;
    }
    int gettimeofday(struct timeval *t, void *zone) {
      int result = syscall(SYS_gettimeofday, t, zone);
      if (result == 0) t->tv_sec += jump(CLOCK_REALTIME);
      return result;
    }
    time_t time(time_t *t) {
      time_t now = syscall(SYS_time, NULL) + jump(CLOCK_REALTIME);
      if (t) *t = now;
      return now;
    }

    """

  /// What the library looks at, and how a run is started with it.
  private struct Clocks {
    let folder: TemporaryFolder

    init() throws {
      folder = try TemporaryFolder()
      let source = try folder.write("clocks.c", ClockTests.library)
      let compiler = try Running(["cc", "-shared", "-fPIC", "-O1", "-w", "-o", folder.path("clocks.so"), source], executable: URL(fileURLWithPath: "/usr/bin/env"))
      let result = try compiler.finish()
      try #require(result.status == 0, "\(result.errors)")
      try set()
    }

    /// In place, since it is mapped.
    func set(dayOff: Int = 0, ahead: Int = 0) throws {
      let file = open(folder.path("jumps"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
      defer { close(file) }
      let words = [dayOff, ahead]
      #expect(words.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, 0) } == 16 && ftruncate(file, 24) == 0)
    }

    var looks: Int {
      let file = open(folder.path("jumps"), O_RDONLY | O_CLOEXEC)
      defer { close(file) }
      var looks = 0
      return pread(file, &looks, 8, 16) == 8 ? looks : 0
    }

    func start(_ arguments: [String]) throws -> Running {
      try Running(arguments, environment: ["LD_PRELOAD": folder.path("clocks.so"), "CLOCK_JUMPS": folder.path("jumps")])
    }
  }

  private static let limits = "timeout: 20s, startup_timeout: 20s, restart: {max: 1, within: 1h}"

  /// Every time that anything is measured by is that of a clock which nobody sets.
  @Test func aTimeOfDayThatJumpsByAYearIsNoMatter() throws {
    let clocks = try Clocks()
    try clocks.set(dayOff: 365 * 86_400)
    let run = try Counting(nil, between: Self.limits + ", rate: 1000/s")
    let first = try clocks.start(run.command)
    #expect(run.goesOn(first), "\(first.errors)")
    try run.interrupt(first)
    let second = try clocks.start(run.command + ["--report", run.folder.path("report.json")])
    #expect(run.goesOn(second), "\(second.errors)")
    let victim = try #require(second.workers.first { $0.stage == "work" })
    kill(victim.pid, SIGKILL)
    #expect(eventually { second.errors.contains("died: signal 9") } && run.goesOn(second), "\(second.errors)")
    let result = try run.drain(second)
    #expect(result.status == 0 && Counting.isWhole(run.lines), "\(result.errors)")
    let report = try Report(run.folder.path("report.json"))
    #expect(report.balances && report.stage("work", "restarts") == 1)
    #expect(0..<300 ~= report.json["seconds"] as? Double ?? -1)
  }

  /// The machine has slept, or everything stood still: an hour has passed for everybody at once, in the middle of a call. Nobody took that long.
  @Test func anHourInWhichEverybodyStoodStillIsNobodysFault() throws {
    let clocks = try Clocks()
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 100}}
      work: {PY:work"}, directory: ., inputs: [numbers], queue: {capacity: 4}, timeout: 60s, startup_timeout: 60s, restart: {max: 0}}
      out: {plugin: file.write, inputs: [work], timeout: 60s, with: {path: out}}
      """, python: """
      import os
      def work(value):
          if not os.path.exists("go"):
              open("waits", "w").close()
              open("gate").read()
          return value["n"]
      """)
    #expect(mkfifo(project.folder.path("gate"), 0o600) == 0)
    let running = try clocks.start(["run", project.file, "--progress", "off", "--report", project.folder.path("report.json")])
    // Everybody waits: the worker in its call for somebody who writes into the pipe, the source for room, the sink for input.
    let waits = project.folder.path("waits")
    #expect(
      eventually { FileManager.default.fileExists(atPath: waits) && running.workers.count == 3 && running.workers.allSatisfy { Running.isAsleep($0.pid) } },
      "\(running.errors)")
    for hour in 0...1 {
      try clocks.set(ahead: hour * 3600)
      // Nobody looks at a clock now but the runner, which looks after the call.
      let before = clocks.looks
      #expect(eventually { clocks.looks > before + 4 }, "\(running.errors)")
    }
    try project.folder.write("go", "")
    let gate = open(project.folder.path("gate"), O_WRONLY | O_NONBLOCK | O_CLOEXEC)
    #expect(gate >= 0, "nobody waits there any more: \(running.errors)")
    close(gate)
    let result = try running.finish()
    #expect(result.status == 0 && !result.errors.contains("took longer"), "\(result.errors)")
    #expect(project.folder.lines("out") == (0..<100).map(String.init))
    let report = try project.report
    #expect(report.balances && report.stage("work", "restarts") == 0)
    #expect(report.json["seconds"] as? Double ?? 0 > 3600, "the clocks did jump")
  }
}
