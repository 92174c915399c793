import Plans
import Platform
import Rings
import Specs

/// One running worker: its process, the socket it is told things by, and the pipe that carries what it writes.
struct WorkerProcess {
  let child: ChildProcess
  private(set) var control: Int32?
  private(set) var output: Int32?
  private var heard: [UInt8] = []
  private var lines = LineSplitter()
  /// The cell's sequence when it was spawned.
  let sequenceAtStart: UInt64

  init(_ started: StartedProcess, sequenceAtStart: UInt64) {
    child = started.child
    control = started.control
    output = started.output
    self.sequenceAtStart = sequenceAtStart
  }

  /// The worker's last lines, for saying what it wrote before it died.
  var lastWords: String { lines.lastLines.joined(separator: " | ") }

  /// Has a line that came over the socket be the last one that it wrote.
  mutating func remember(_ text: String) { lines.remember(text) }

  /// How it ended, once it has been reaped.
  var end: ChildProcess.End?
  /// Whether the runner has killed it on purpose: it is no death of the messages that it had in hand.
  var isBlameless = false

  /// For the dead letters of the messages that it had in hand.
  var death: CommitCell.Death {
    var signal = 0
    if case .signalled(let number) = end { signal = Int(number) }
    return CommitCell.Death(signal: signal, lastLines: lines.lastLines)
  }

  /// Ends it and what it has started. Once it has been reaped, its numbers may be those of others.
  func kill() { if end == nil { child.killGroup() } }

  func tell(_ message: RunnerMessage) {
    guard let control else { return }
    // One short word into an empty socket buffer; a worker that is gone cannot be told, and will be reaped.
    try? Descriptors.writeAll(control, message.rawValue + "\n")
  }

  /// Reads what has come over the control socket, at most one buffer full.
  mutating func hear() -> [WorkerMessage] { hearMore() ?? [] }

  /// - Returns: nil when nothing has come, or nothing more will
  private mutating func hearMore() -> [WorkerMessage]? {
    guard let fd = control else { return nil }
    var all: [WorkerMessage] = []
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    var count: Int? = 0
    buffer.withUnsafeMutableBytes { bytes in count = (try? Descriptors.read(fd, into: bytes)) ?? nil }
    guard let count else { return nil }
    if count == 0 {
      Descriptors.close(fd)
      control = nil
      return nil
    }
    for byte in buffer[..<count] {
      if byte == UInt8(ascii: "\n") {
        if let message = JSONText.parse(heard).node.flatMap(WorkerMessage.init) { all.append(message.printable) }
        heard = []
      } else if heard.count < 64 << 10 {
        heard.append(byte)
      }
    }
    return all
  }

  /// Reads what has come through the pipe, at most one buffer full, so that nobody's flood holds up the others.
  mutating func readOutput(second: Int64, _ line: (String) -> Void) -> Bool {
    guard let fd = output else { return false }
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    var count: Int? = 0
    buffer.withUnsafeMutableBytes { bytes in count = (try? Descriptors.read(fd, into: bytes)) ?? nil }
    guard let count else { return false }
    if count == 0 {
      closeOutput(second: second, line)
      return false
    }
    buffer.withUnsafeBytes { lines.take(UnsafeRawBufferPointer(rebasing: $0[..<count]), second: second, line) }
    return true
  }

  /// After the end: takes what is left, a bounded amount, and closes both.
  mutating func finish(second: Int64, _ line: (String) -> Void) -> [WorkerMessage] {
    var all: [WorkerMessage] = []
    // Its last words may stand behind many others.
    for _ in 0..<64 {
      guard let messages = hearMore() else { break }
      all += messages
    }
    for _ in 0..<64 where readOutput(second: second, line) {}
    if let control { Descriptors.close(control) }
    control = nil
    closeOutput(second: second, line)
    return all
  }

  private mutating func closeOutput(second: Int64, _ line: (String) -> Void) {
    guard let fd = output else { return }
    lines.finish(second: second, line)
    Descriptors.close(fd)
    output = nil
  }
}
