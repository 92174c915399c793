import CLinux
import Glibc

/// A lock on a file that belongs to this process alone (fcntl(2), F_SETLK): nothing that it forks has it, what it becomes by execve(2)
/// keeps it, and the kernel gives it back when the process ends, after the process has let go of its memory. So whoever gets the lock
/// of a dead process knows that it writes no more.
///
/// Two rules of such locks: closing any descriptor of the file gives the lock back, and within one process it excludes nobody.
package enum FileLock {
  package enum Holder: Sendable, Equatable {
    case nobody
    case process(Int32)
    /// It lives where its number means nothing to us: in another PID namespace.
    case nameless
  }

  /// - Parameter descriptor: open for writing
  /// - Returns: whether this process has the lock now
  package static func take(_ descriptor: Int32) throws(SystemError) -> Bool {
    if linux_lock(descriptor) == 0 { return true }
    if errno == EAGAIN || errno == EACCES { return false }
    throw SystemError("fcntl", "descriptor \(descriptor)")
  }

  /// Who has the lock; this process itself counts as nobody.
  package static func holder(_ descriptor: Int32) throws(SystemError) -> Holder {
    var pid: Int32 = 0
    switch linux_lock_holder(descriptor, &pid) {
    case 0: return .nobody
    case 1: return pid > 0 ? .process(pid) : .nameless
    default: throw SystemError("fcntl", "descriptor \(descriptor)")
    }
  }

  /// Takes the lock, waiting for the end of whoever has it. A signal that ends this process ends the waiting; it stays put off for whoever takes
  /// it next (`SignalDescriptor.take`).
  ///
  /// - Parameter waiting: told of each process that is waited for
  /// - Returns: who still had it at the deadline, or when a signal came; nil when this process has it now
  package static func take(
    _ descriptor: Int32, until deadline: ContinuousClock.Instant, waiting: (Holder) -> Void
  ) throws(SystemError) -> Holder? {
    while try !take(descriptor) {
      let holder = try holder(descriptor)
      if holder == .nobody { continue }
      let signals = PostponedSignals()
      defer { signals.handOn() }
      if .now >= deadline || signals.hasCome { return holder }
      waiting(holder)
      if case .process(let pid) = holder {
        let pidfd = linux_pidfd_open(pid)
        // Gone in between.
        if pidfd < 0 { continue }
        defer { close(pidfd) }
        _ = Descriptors.wait([.readable(pidfd), .readable(signals.descriptor)], until: deadline)
      } else {
        // Nothing tells of the end of a process that has no number here, but the lock.
        _ = Descriptors.wait([.readable(signals.descriptor)], until: min(deadline, .now + .milliseconds(20)))
      }
    }
    return nil
  }
}
