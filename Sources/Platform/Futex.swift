import CLinux
import Glibc

/// Waiting on a word of shared memory (futex(2)).
package enum Futex {
  /// Sleeps while the word holds `expected`.
  ///
  /// - Parameter deadline: nanoseconds of `Clock.now`; negative waits for ever
  /// - Returns: whether the deadline passed
  package static func wait(_ word: UnsafeRawPointer, expected: UInt32, deadline: Int64) -> Bool {
    linux_futex_wait(word, expected, deadline) != 0 && errno == ETIMEDOUT
  }

  /// Wakes at most `count` sleepers.
  package static func wake(_ word: UnsafeRawPointer, _ count: Int32 = 1) { _ = linux_futex_wake(word, count) }
}

package enum Clock {
  /// Nanoseconds of CLOCK_MONOTONIC: the same for all processes of the machine, never set back.
  @inline(__always)
  package static var now: UInt64 {
    var t = timespec()
    clock_gettime(CLOCK_MONOTONIC, &t)
    return UInt64(truncatingIfNeeded: t.tv_sec) &* 1_000_000_000 &+ UInt64(truncatingIfNeeded: t.tv_nsec)
  }
}

package enum WallClock {
  /// The time as RFC 3339 has it, in UTC with milliseconds: `2026-01-31T09:05:00.123Z`.
  package static var utc: String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    var parts = tm()
    gmtime_r(&now.tv_sec, &parts)
    func digits(_ value: Int, _ count: Int) -> String {
      let text = String(value)
      return String(repeating: "0", count: max(0, count - text.count)) + text
    }
    let date = "\(digits(Int(parts.tm_year) + 1900, 4))-\(digits(Int(parts.tm_mon) + 1, 2))-\(digits(Int(parts.tm_mday), 2))"
    return date + "T\(digits(Int(parts.tm_hour), 2)):\(digits(Int(parts.tm_min), 2)):\(digits(Int(parts.tm_sec), 2)).\(digits(now.tv_nsec / 1_000_000, 3))Z"
  }
}

package enum Processor {
  /// Tells the core that this is a spin loop.
  @inlinable @inline(__always)
  package static func pause() { linux_pause() }

  /// Asks for the cache line at an address, to write to it soon. Another core's line takes some hundred cycles to come, and
  /// an atomic exchange would wait for each of them in turn. Nothing depends on it; any address will do.
  @inlinable @inline(__always)
  package static func prefetchForWriting(_ address: UnsafeRawPointer) { linux_prefetch_for_writing(address) }

  /// Lets another process run that waits for this core.
  package static func yield() { sched_yield() }
}
