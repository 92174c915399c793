import CLinux
import Glibc

/// What a process does about itself.
package enum CurrentProcess {
  package static var id: Int32 { getpid() }
  package static var userID: UInt32 { geteuid() }

  /// Has the kernel kill this process when the thread that spawned it ends (prctl(2), PR_SET_PDEATHSIG), and closes the
  /// gap before that call: a parent that is gone already leaves another parent's number behind.
  ///
  /// - Returns: whether the expected parent still lives
  package static func dieWithParent(_ parent: Int32) -> Bool {
    linux_parent_death_signal(SIGKILL) == 0 && getppid() == parent
  }

  /// Gives each of the standard streams that is closed something that cannot be used in its direction: otherwise the next file that is
  /// opened would get its number, and be read or written as if it were meant.
  package static func fillStandardStreams() {
    for fd in Int32(0)...2 where linux_fcntl(fd, F_GETFD, 0) < 0 { _ = linux_open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY, 0) }
  }

  /// Makes errors of two signals that would kill: writing to a pipe that nobody reads is EPIPE then (SIGPIPE), and
  /// writing beyond the file size limit is EFBIG (SIGXFSZ).
  package static func ignoreWriteSignals() {
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
  }

  package enum Resource: Sendable {
    /// Bytes of writable memory that is not shared (RLIMIT_DATA).
    case privateMemory
    /// RLIMIT_NOFILE
    case descriptors
    /// Seconds (RLIMIT_CPU): SIGXCPU at the limit, and SIGKILL for who has ignored that for five more.
    case processorTime
  }

  /// Limits this process and every program that it starts, which cannot raise it again (setrlimit(2)). A limit that is
  /// lower already stays.
  package static func limit(_ resource: Resource, to most: Int) throws(SystemError) {
    let (number, grace): (__rlimit_resource, rlim_t) =
      switch resource {
      case .privateMemory: (RLIMIT_DATA, 0)
      case .descriptors: (RLIMIT_NOFILE, 0)
      case .processorTime: (RLIMIT_CPU, 5)
      }
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(number.rawValue), &limit) != 0 { throw SystemError("getrlimit", "\(resource)") }
    let soft = rlim_t(clamping: max(0, most))
    limit.rlim_cur = min(limit.rlim_cur, soft)
    limit.rlim_max = min(limit.rlim_max, soft + grace)
    if setrlimit(__rlimit_resource_t(number.rawValue), &limit) != 0 { throw SystemError("setrlimit", "\(resource)") }
  }

  /// Which of the machine's CPUs this process, and what it starts, may use from now on (sched_setaffinity(2)).
  package static func setAffinity(_ cpus: [Int]) throws(SystemError) {
    var words = [UInt64](repeating: 0, count: Machine.affinityWords)
    for cpu in cpus where 0..<words.count * 64 ~= cpu { words[cpu / 64] |= 1 << UInt64(cpu % 64) }
    try eachThread("sched_setaffinity") { linux_set_affinity($0, words, Int32(clamping: words.count)) }
  }

  package static var nice: Int { Int(getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)) }

  /// Sets the nice value of this process and of programs that it starts (setpriority(2)).
  package static func setNice(_ value: Int) throws(SystemError) {
    try eachThread("setpriority") { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), UInt32(clamping: $0), Int32(clamping: value)) }
  }

  /// Both belong to a thread on Linux, and each thread gives them to those that it starts. Goes on until there is none that has not been called with.
  private static func eachThread(_ name: String, _ call: (Int32) -> Int32) throws(SystemError) {
    if call(0) != 0 { throw SystemError(name, "") }
    var done: Set<Int32> = [getpid()]
    while true {
      let new = Files.glob("/proc/self/task/*").compactMap { Int32($0.dropFirst("/proc/self/task/".count)) }.filter { done.insert($0).inserted }
      if new.isEmpty { return }
      // ESRCH: it has ended.
      for thread in new where call(thread) != 0 && errno != ESRCH { throw SystemError(name, "thread \(thread)") }
    }
  }

  /// Ends the process at once: no exit handlers, no flushing of what a library may hold.
  package static func exit(_ status: Int32) -> Never { _exit(status) }
}
