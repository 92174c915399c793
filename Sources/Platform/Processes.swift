import CLinux
import Glibc

/// A child process, held by a pidfd so that its number cannot be another's by the time it is used (pidfd_open(2)).
package struct ChildProcess: Sendable {
  package let pid: Int32
  /// Readable once the process has ended.
  package let pidfd: Int32

  /// How a child ended.
  package enum End: Sendable, Equatable {
    case exited(Int32)
    case signalled(Int32)

    /// `exit status 1`, `signal 9 (Killed)`
    package var description: String {
      switch self {
      case .exited(let status): "exit status \(status)"
      case .signalled(let signal): "signal \(signal)" + (strsignal(signal).map { " (\(String(cString: $0)))" } ?? "")
      }
    }
  }

  /// What a child is started with.
  package struct Order {
    package var arguments: [String]
    /// `NAME=value`; nil for what this process has.
    package var environment: [String]?
    /// Nil for that of this process.
    package var directory: String?
    /// The child's descriptors 0, 1, 2, ... in this order; it has no others.
    package var descriptors: [Int32]
    /// The program's file; this very program unless given.
    package var program = own
    static let own = "/proc/self/exe"
    /// Whether it is in a process group of its own, and not in that of this process.
    package var leadsGroup = true

    package init(arguments: [String], environment: [String]? = nil, directory: String? = nil, descriptors: [Int32]) {
      self.arguments = arguments
      self.environment = environment
      self.directory = directory
      self.descriptors = descriptors
    }
  }

  /// Starts a program, with no signal blocked or ignored. The kernel kills it when this process has ended: call it from the main thread only, for
  /// the parent-death signal belongs to the thread that started it (prctl(2), PR_SET_PDEATHSIG).
  package static func spawn(_ order: Order) throws(SystemError) -> ChildProcess {
    // This program's own name says nothing; a program's arguments may be secret.
    let name = order.program == Order.own ? order.arguments.dropFirst().joined(separator: " ") : order.program
    // Every source lies above every target, so that no dup2 overwrites what a later one needs.
    let above = Int32(clamping: order.descriptors.count)
    var copies: [Int32] = []
    defer { for fd in copies { close(fd) } }
    var sources: [Int32] = []
    for fd in order.descriptors {
      if fd >= above {
        sources.append(fd)
      } else {
        let copy = linux_fcntl(fd, F_DUPFD_CLOEXEC, Int(above))
        if copy < 0 { throw SystemError("fcntl", name) }
        copies.append(copy)
        sources.append(copy)
      }
    }
    var failed: UnsafePointer<CChar>?
    let (pid, error) = withCStrings(order.arguments) { arguments in
      withCStrings(order.environment ?? []) { environment in
        (linux_spawn(
          order.program, arguments, order.environment == nil ? nil : environment, order.directory, order.leadsGroup ? 1 : 0, sources, above, &failed), errno)
      }
    }
    if pid < 0 { throw SystemError(failed.map { String(cString: $0) } ?? "vfork", order.directory.map { "\(name) in \($0)" } ?? name, errno: error) }
    return try ChildProcess(started: pid, name)
  }

  /// Ends the child and everything it started in its group, at once.
  package func killGroup() {
    _ = linux_pidfd_kill(pidfd, SIGKILL)
    kill(-pid, SIGKILL)
  }

  /// Ends the child and its group, and waits until it has gone.
  ///
  /// - Parameter beforeItIsFree: as for `reap`
  package func killNow(beforeItIsFree: () -> Void = {}) {
    killGroup()
    // Who has SIGCHLD ignored has no children to wait for: then it is gone already.
    do throws(SystemError) { while try reap(beforeItIsFree: beforeItIsFree) == nil { _ = Descriptors.wait([.readable(pidfd)], until: nil) } } catch {}
  }

  /// Has the child stand still, wherever it is, until `goOn`. Nothing happens to one that has ended.
  package func stop() { _ = linux_pidfd_kill(pidfd, SIGSTOP) }
  /// Whether somebody has stopped it (proc_pid_stat(5)).
  package var isStopped: Bool {
    guard let text = Files.text("/proc/\(pid)/stat"), let name = text.lastIndex(of: ")") else { return false }
    return ["T", "t"].contains(text[name...].dropFirst(2).prefix(1))
  }
  package func goOn() { _ = linux_pidfd_kill(pidfd, SIGCONT) }

  /// Takes the end of a child that has ended; nil when it has not. What its group still holds is killed before: until the child is
  /// reaped, no other process can have the group's number.
  ///
  /// - Parameter beforeItIsFree: called in between, when the group has no member any more that could start another
  package func reap(beforeItIsFree: () -> Void = {}) throws(SystemError) -> (end: End, cpuMicroseconds: Int64, peakKiB: Int64)? {
    let ended = linux_has_ended(pidfd)
    if ended < 0 { throw SystemError("waitid", "process \(pid)") }
    if ended == 0 { return nil }
    kill(-pid, SIGKILL)
    beforeItIsFree()
    var code: Int32 = 0
    var status: Int32 = 0
    var cpu: Int64 = 0
    var peak: Int64 = 0
    let reaped = linux_reap(pidfd, &code, &status, &cpu, &peak)
    if reaped < 0 { throw SystemError("waitid", "process \(pid)") }
    if reaped == 0 { return nil }
    close(pidfd)
    return (code == CLD_EXITED ? .exited(status) : .signalled(status), cpu, peak)
  }
}

extension ChildProcess {
  /// Takes the ends of children that became ours by the death of their parent (`Machine.adoptOrphans`), as far as they have ended: each would stay a
  /// process without life, and use up a number, for as long as this one runs.
  ///
  /// - Parameter known: those that somebody else waits for
  package static func reapOrphans(except known: Set<Int32>) {
    // The main thread's are all: it alone starts processes (proc_pid_task(5)).
    let children = Files.text("/proc/self/task/\(getpid())/children") ?? ""
    for pid in children.split(separator: " ").compactMap({ Int32($0) }) where !known.contains(pid) {
      var status: Int32 = 0
      waitpid(pid, &status, WNOHANG)
    }
  }

  /// Takes hold of a child that has just been started; one that cannot be held is ended.
  init(started pid: Int32, _ name: String) throws(SystemError) {
    let pidfd = linux_pidfd_open(pid)
    if pidfd < 0 {
      let error = SystemError("pidfd_open", name)
      kill(pid, SIGKILL)
      var status: Int32 = 0
      waitpid(pid, &status, 0)
      throw error
    }
    self.init(pid: pid, pidfd: pidfd)
  }
}

func withCStrings<T>(_ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> T) -> T {
  var copies: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
  copies.append(nil)
  defer { for copy in copies { free(copy) } }
  return body(&copies)
}
