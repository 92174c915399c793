import Plans
import Platform

/// The worker's end of the socket pair to the runner.
///
/// Nobody listens to it all the time, and no thread does: in a process with a second thread every allocation takes locks, which made
/// libraries that allocate much a tenth slower. A source looks when it hands over and when it waits; the other stages have nothing to be
/// told. That the runner is gone is the kernel's to say (`CurrentProcess.dieWithParent`).
final class ControlLine {
  /// Readable when the runner has said something.
  let descriptor: Int32
  /// Whether the source is to end.
  private(set) var isStopping = false
  private var isGoing = false
  private var line: [UInt8] = []

  init(descriptor: Int32) { self.descriptor = descriptor }

  /// Waits until every stage is ready, or until the source is to end before it began.
  func waitForGo() {
    while !isGoing, !isStopping {
      _ = Descriptors.wait([.readable(descriptor)], until: nil)
      look()
    }
  }

  func send(_ message: WorkerMessage) {
    // A runner that is gone cannot be told, and this process goes with it.
    try? Descriptors.writeAll(descriptor, message.line)
  }

  /// Takes what the runner has said; never waits. The end of the stream means that the runner is gone, and the worker ends.
  func look() {
    var buffer = [UInt8](repeating: 0, count: 256)
    while Descriptors.wait([.readable(descriptor)], until: .now).contains(true) {
      let count = buffer.withUnsafeMutableBytes { (try? Descriptors.read(descriptor, into: $0)) ?? 0 }
      if count == 0 { CurrentProcess.exit(Self.runnerGone) }
      for byte in buffer[..<count] { hear(byte) }
    }
  }

  private func hear(_ byte: UInt8) {
    if byte != UInt8(ascii: "\n") {
      if line.count < 64 { line.append(byte) }
      return
    }
    switch RunnerMessage(rawValue: String(decoding: line, as: UTF8.self)) {
    case .go: isGoing = true
    case .stop: isStopping = true
    case nil: break
    }
    line = []
  }

  private static let runnerGone: Int32 = 75
}
