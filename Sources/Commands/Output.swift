import Platform
import Synchronization

/// Standard output and standard error.
enum Output {
  /// An answer. When nobody reads it any more, the command ends in silence, as programs in a pipe do.
  static func answer(_ text: String) {
    do throws(SystemError) { try Descriptors.writeAll(1, text) } catch { CurrentProcess.exit(error.errno == 32 ? 0 : 74) }
  }

  /// Everything else. A log that cannot be written is no reason to stop working.
  static func say(_ text: String) {
    log.withLock { log in
      if log.lost > 0, log.write((log.isTorn ? "\n" : "") + "ringway: \(log.lost) lines are missing here: nobody read the log\n") { log.lost = 0 }
      if log.lost > 0 || !log.write(text) { log.lost += text.utf8.count { $0 == UInt8(ascii: "\n") } }
    }
  }

  /// For a run: from now on what nobody reads within a second is left out, and counted, so that a pipe whose reader has stopped holds up neither the run nor a
  /// signal.
  static func boundLog() { log.withLock { $0.isBounded = true } }

  /// The run has ended: its last words wait for their reader, until a signal comes.
  static func letLogWait() { log.withLock { $0.signals = PostponedSignals() } }

  private static let log = Mutex(Log())

  private struct Log {
    var isBounded = false
    var signals: PostponedSignals?
    /// Lines that were left out since the last one that was written.
    var lost = 0
    /// Whether the first of them was begun.
    var isTorn = false

    mutating func write(_ text: String) -> Bool {
      let bytes = Array(text.utf8)
      // A pipe that can be written to takes so many at once (pipe(7), PIPE_BUF).
      for start in stride(from: 0, to: bytes.count, by: 4096) {
        if isBounded, !isReady {
          if lost == 0 { isTorn = start > 0 }
          return false
        }
        let failed = bytes[start..<min(start + 4096, bytes.count)].withUnsafeBytes { part in (try? Descriptors.writeAll(2, part)) == nil }
        if failed { return true }
      }
      return true
    }

    private var isReady: Bool {
      if let signals, signals.wait(untilWritable: 2) { return true }
      return Descriptors.wait([.writable(2)], until: lost == 0 ? .now + .seconds(1) : .now) == [true]
    }
  }

  /// Whether to use colour on a descriptor: a terminal, and NO_COLOR not set (no-color.org).
  static func usesColor(_ descriptor: Int32) -> Bool {
    Machine.isTerminal(descriptor) && !Machine.environment().contains { $0.name == "NO_COLOR" && !$0.value.isEmpty }
  }
}
