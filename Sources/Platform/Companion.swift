import CLinux
import Glibc

/// A program that runs beside this process and dies with it, joined to it by pipes.
///
/// It stays in this process's group, so that whoever ends the group ends it too, and the kernel kills it when the thread that
/// started it ends (prctl(2), PR_SET_PDEATHSIG).
package struct Companion {
  package let process: ChildProcess
  /// The end that its standard input is written to; does not block. Nil once it was closed.
  package private(set) var input: Int32?
  /// The end that its standard output is read from; does not block. Nil when it goes to the log.
  package let output: Int32?
  /// The same of its standard error, when it was asked for.
  package let errors: Int32?
  /// The other end of its standard input. Held, so that a write meets no EPIPE and what nobody has read can be counted.
  private let unreadEnd: Int32?
  private var ended: ChildProcess.End?

  package enum Input {
    case none
    case pipe
  }

  package enum Output {
    /// Goes where this process's own standard error goes.
    case log
    case pipe
  }

  /// Starts it in this process's directory, with this process's environment. Call it from the main thread only.
  ///
  /// - Parameters:
  ///   - program: the file
  ///   - arguments: with the program's name
  package init(program: String, arguments: [String], input: Input, output: Output, errors: Output) throws(SystemError) {
    var open: [Int32] = []
    var isStarted = false
    defer { if !isStarted { for fd in open { close(fd) } } }

    func pipe() throws(SystemError) -> (read: Int32, write: Int32) {
      var ends: [Int32] = [-1, -1]
      // The main thread alone starts programs, so nothing can inherit them in between.
      if Glibc.pipe(&ends) != 0 { throw SystemError("pipe", program) }
      for end in ends { _ = linux_fcntl(end, F_SETFD, Int(FD_CLOEXEC)) }
      open += ends
      return (ends[0], ends[1])
    }

    var theirs: [Int32] = []
    var ours: [Int32] = []
    /// The ends that are its own, to be closed here once it has them.
    var handed: [Int32] = []
    switch input {
    case .none:
      let null = try Channel.openNull()
      open.append(null)
      theirs.append(null)
      handed.append(null)
    case .pipe:
      let (read, write) = try pipe()
      theirs.append(read)
      ours.append(write)
    }
    /// - Returns: the end to read from
    func take(_ stream: Output) throws(SystemError) -> Int32? {
      guard case .pipe = stream else {
        theirs.append(2)
        return nil
      }
      let (read, write) = try pipe()
      theirs.append(write)
      handed.append(write)
      ours.append(read)
      return read
    }
    let results = try take(output)
    let complaints = try take(errors)

    var order = ChildProcess.Order(arguments: arguments, descriptors: theirs)
    order.program = program
    order.leadsGroup = false
    process = try ChildProcess.spawn(order)
    isStarted = true
    for fd in handed { close(fd) }
    for fd in ours { Descriptors.setNonBlocking(fd) }
    self.output = results
    self.errors = complaints
    if case .pipe = input {
      self.input = ours[0]
      unreadEnd = open[0]
    } else {
      self.input = nil
      unreadEnd = nil
    }
  }

  /// Writes as much as there is room for.
  ///
  /// - Returns: how many bytes; 0 when there is no room now
  package func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int {
    guard let input else { return 0 }
    while true {
      let n = Glibc.write(input, bytes.baseAddress, bytes.count)
      if n >= 0 { return n }
      switch errno {
      case EINTR: continue
      case EAGAIN: return 0
      default: throw SystemError("write", "the program's standard input")
      }
    }
  }

  /// Lets the program see the end of its input.
  package mutating func closeInput() {
    if let input { close(input) }
    input = nil
  }

  /// How many bytes were written that nobody has read.
  package var unread: Int { unreadEnd.map { max(0, Int(linux_unread($0))) } ?? 0 }

  /// Takes the end of a program that has ended by itself; nil when it has not. Its pipes stay until `end`.
  package mutating func reap() -> ChildProcess.End? {
    if let ended { return ended }
    ended = (try? process.reap())??.end
    return ended
  }

  /// Waits, a second at most, for the end of a program that has closed its output: most do so right before they exit, and how they do is
  /// worth knowing.
  package func waitForEnd() { _ = Descriptors.wait([.readable(process.pidfd)], until: .now + .seconds(1)) }

  /// Ends the program at once, if it has not ended, and gives back everything that belongs to it.
  ///
  /// - Returns: how it ended
  @discardableResult
  package mutating func end() -> ChildProcess.End? {
    if ended == nil {
      process.killGroup()
      while reap() == nil { _ = Descriptors.wait([.readable(process.pidfd)], until: nil) }
    }
    closeInput()
    if let output { close(output) }
    if let errors { close(errors) }
    if let unreadEnd { close(unreadEnd) }
    return ended
  }
}
