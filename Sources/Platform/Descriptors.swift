import CLinux
import Glibc

/// Reading, writing and waiting on descriptors. Interrupted calls are repeated (signal(7): EINTR).
package enum Descriptors {
  /// Reads at most the buffer's length.
  ///
  /// - Returns: how many bytes, 0 at the end, nil when a non-blocking descriptor has none now
  package static func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int? {
    while true {
      let n = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      if n >= 0 { return n }
      switch errno {
      case EINTR: continue
      case EAGAIN: return nil
      default: throw SystemError("read", "descriptor \(descriptor)")
      }
    }
  }

  /// Reads to the end.
  ///
  /// - Parameter limit: at most so many bytes; more is `EFBIG`
  package static func readAll(_ descriptor: Int32, limit: Int) throws(SystemError) -> [UInt8] {
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      var got = 0
      var failure: SystemError?
      chunk.withUnsafeMutableBytes { buffer in
        do throws(SystemError) { got = try read(descriptor, into: buffer) ?? 0 } catch { failure = error }
      }
      if let failure { throw failure }
      if got == 0 { return all }
      if all.count + got > limit { throw SystemError("read", "descriptor \(descriptor)", errno: EFBIG) }
      all += chunk[..<got]
    }
  }

  /// Writes everything, waiting for room on a non-blocking descriptor.
  package static func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    var done = 0
    while done < bytes.count {
      let n = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
      if n >= 0 {
        done += n
        continue
      }
      switch errno {
      case EINTR: continue
      case EAGAIN: _ = wait([.writable(descriptor)], until: nil)
      default: throw SystemError("write", "descriptor \(descriptor)")
      }
    }
  }

  package static func writeAll(_ descriptor: Int32, _ text: String) throws(SystemError) {
    let bytes = Array(text.utf8)
    var failure: SystemError?
    bytes.withUnsafeBytes { buffer in
      do throws(SystemError) { try writeAll(descriptor, buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  package enum Interest: Sendable {
    case readable(Int32)
    case writable(Int32)
  }

  /// Waits until one of the descriptors is ready, has ended or failed, or the time has come (poll(2)).
  ///
  /// - Parameter until: nil waits for ever
  /// - Returns: for each descriptor whether it is ready; all false at the deadline
  package static func wait(_ interests: [Interest], until deadline: ContinuousClock.Instant?) -> [Bool] {
    var polled = interests.map { interest in
      switch interest {
      case .readable(let fd): pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
      case .writable(let fd): pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
      }
    }
    while true {
      var timeout: Int32 = -1
      if let deadline {
        // Rounded up: a wait that ends early would only turn around once more. A deadline that has passed, by less than a
        // second too, must not come out negative: poll(2) would take that for no deadline at all.
        let (seconds, atto) = max(.zero, deadline - .now).components
        timeout = Int32(clamping: min(seconds, 86_400) * 1000 + (atto + 999_999_999_999_999) / 1_000_000_000_000_000)
      }
      let n = poll(&polled, nfds_t(polled.count), timeout)
      if n >= 0 { return polled.map { $0.revents != 0 } }
      if errno == EINVAL, polled.count > 1 { return waitInTurns(interests, until: deadline) }
      if errno != EINTR { return polled.map { _ in false } }
    }
  }

  /// poll(2) refuses more descriptors than the process may have, and somebody may have lowered that since they were opened (prlimit(2)).
  /// Then one half is looked at after the other.
  private static func waitInTurns(_ interests: [Interest], until deadline: ContinuousClock.Instant?) -> [Bool] {
    let half = interests.count / 2
    while true {
      let turn = ContinuousClock.now + .milliseconds(10)
      let ready = wait(Array(interests[..<half]), until: deadline.map { min($0, turn) } ?? turn) + wait(Array(interests[half...]), until: .now)
      if ready.contains(true) { return ready }
      if let deadline, deadline <= .now { return ready }
    }
  }

  package static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

  package static func setNonBlocking(_ descriptor: Int32) {
    let flags = linux_fcntl(descriptor, F_GETFL, 0)
    if flags >= 0 { _ = linux_fcntl(descriptor, F_SETFL, Int(flags | O_NONBLOCK)) }
  }
}
