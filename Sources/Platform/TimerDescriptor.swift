import CLinux
import Glibc

/// A timerfd(2): a descriptor that polls as readable once a time has come, until it is set to another.
package struct TimerDescriptor: Sendable {
  package let descriptor: Int32

  package init() throws(SystemError) {
    descriptor = linux_timer()
    if descriptor < 0 { throw SystemError("timerfd_create", "") }
  }

  /// - Parameter time: nanoseconds of `Clock.now`
  package func set(to time: UInt64) { _ = linux_timer_set(descriptor, Int64(clamping: time)) }
}
