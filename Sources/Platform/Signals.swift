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

/// The signals that end this process, put off while something must not be left behind. Who sees that one has come tidies up and ends.
package struct PostponedSignals {
  /// Readable when a signal has come, which may have been blocked before; it is not to be read. -1, of which a wait hears nothing, where
  /// there are no descriptors any more: then nothing is put off.
  let descriptor: Int32
  private let before: sigset_t

  package init() {
    var set = endingSignals()
    var before = sigset_t()
    sigprocmask(SIG_BLOCK, &set, &before)
    for number in [SIGINT, SIGTERM, SIGHUP] { sigdelset(&before, number) }
    self.before = before
    descriptor = linux_signalfd(-1, &set)
    if descriptor < 0 { sigprocmask(SIG_SETMASK, &before, nil) }
  }

  package var hasCome: Bool { Descriptors.wait([.readable(descriptor)], until: .now) == [true] }

  /// Waits until a descriptor can be written to, or one has come.
  ///
  /// - Returns: whether it can
  package func wait(untilWritable other: Int32) -> Bool { Descriptors.wait([.writable(other), .readable(descriptor)], until: nil)[0] }

  /// Ends this process by the signal that has come.
  package func end() -> Never {
    let number = SignalDescriptor.next(descriptor) ?? SIGTERM
    release()
    kill(getpid(), number)
    // The first process of a container is not ended by it (pid_namespaces(7)): what a shell says of one that was.
    _exit(128 + number)
  }

  /// What comes now takes effect.
  package func release() {
    close(descriptor)
    var before = before
    sigprocmask(SIG_SETMASK, &before, nil)
  }

  /// They stay put off: whoever takes them next (`SignalDescriptor.take`) gets what has come.
  package func handOn() { close(descriptor) }
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
    while let number = Self.next(descriptor) {
      switch number {
      case SIGINT: all.append(.interrupt)
      case SIGHUP: all.append(.hangUp)
      case SIGCHLD: all.append(.child)
      default: all.append(.terminate)
      }
    }
    return all
  }

  /// The number of a signal that has come; nil when none has.
  fileprivate static func next(_ descriptor: Int32) -> Int32? {
    // struct signalfd_siginfo: 128 bytes, the signal's number in the first four.
    var info = [UInt32](repeating: 0, count: 32)
    return Glibc.read(descriptor, &info, 128) == 128 ? Int32(clamping: info[0]) : nil
  }
}
