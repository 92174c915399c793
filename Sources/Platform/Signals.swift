import CLinux
import Glibc

/// The signals that end a run. SIGINT and SIGTERM do even where they were inherited as ignored (a shell does so for what runs in the
/// background), and SIGHUP unless it was (nohup(1)).
private func endingSignals() -> sigset_t {
  var set = sigset_t()
  sigemptyset(&set)
  for number in [SIGINT, SIGTERM] {
    signal(number, SIG_DFL)
    sigaddset(&set, number)
  }
  // Who has it ignored has no children to wait for.
  signal(SIGCHLD, SIG_DFL)
  var hangUp = sigaction()
  sigaction(SIGHUP, nil, &hangUp)
  if unsafeBitCast(hangUp.__sigaction_handler.sa_handler, to: Int.self) != 1 { sigaddset(&set, SIGHUP) }
  return set
}

/// The signals that end this process, put off while something must not be left behind. What came meanwhile takes effect when they are
/// released, so whoever sees that one is pending tidies up and releases.
struct PostponedSignals {
  /// Readable when a signal has come, which may have been blocked before; it is not to be read.
  let descriptor: Int32
  private let before: sigset_t

  init() throws(SystemError) {
    var set = endingSignals()
    var before = sigset_t()
    sigprocmask(SIG_BLOCK, &set, &before)
    for number in [SIGINT, SIGTERM, SIGHUP] { sigdelset(&before, number) }
    self.before = before
    descriptor = linux_signalfd(-1, &set)
    if descriptor < 0 {
      let error = SystemError("signalfd", "")
      sigprocmask(SIG_SETMASK, &before, nil)
      throw error
    }
  }

  func release() {
    close(descriptor)
    var before = before
    sigprocmask(SIG_SETMASK, &before, nil)
  }
}

/// Signals as something to poll for (signalfd(2)).
package struct SignalDescriptor: Sendable {
  package enum Signal: Sendable {
    case interrupt, terminate, hangUp
    /// A child has ended, perhaps one that became ours by its parent's death.
    case child
  }

  /// Readable when a signal has come.
  package let descriptor: Int32

  /// Takes the signals that end a run, and those of children. SIGPIPE is ignored: writing to a closed pipe is an error like others.
  package static func take() throws(SystemError) -> SignalDescriptor {
    signal(SIGPIPE, SIG_IGN)
    var set = endingSignals()
    sigaddset(&set, SIGCHLD)
    sigprocmask(SIG_BLOCK, &set, nil)
    let fd = linux_signalfd(-1, &set)
    if fd < 0 { throw SystemError("signalfd", "") }
    return SignalDescriptor(descriptor: fd)
  }

  /// The signals that have come since the last call.
  package func read() -> [Signal] {
    var all: [Signal] = []
    // struct signalfd_siginfo: 128 bytes, the signal's number in the first four.
    var info = [UInt32](repeating: 0, count: 32)
    while Glibc.read(descriptor, &info, 128) == 128 {
      switch Int32(clamping: info[0]) {
      case SIGINT: all.append(.interrupt)
      case SIGHUP: all.append(.hangUp)
      case SIGCHLD: all.append(.child)
      default: all.append(.terminate)
      }
    }
    return all
  }
}
