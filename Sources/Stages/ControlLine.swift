import Plans
import Platform
import Synchronization

/// The worker's end of the socket pair to the runner. A thread reads it: `go` and `stop` become descriptors that a loop
/// can wait on, and the end of the stream means that the runner is gone, so the worker ends at once. (The kernel's
/// parent-death signal does the same; the socket also covers a runner that was replaced or traced.)
final class ControlLine: Sendable {
  private let descriptor: Int32
  private let go = EventDescriptor()
  private let stop = EventDescriptor()
  private let stopping = Atomic<Bool>(false)
  private let going = Atomic<Bool>(false)

  init(descriptor: Int32) {
    self.descriptor = descriptor
    guard go != nil, stop != nil, Thread.start({ [self] in listen() }) else {
      CurrentProcess.exit(ExitStatus.noThread)
    }
  }

  /// Whether the source is to end.
  var isStopping: Bool { stopping.load(ordering: .acquiring) }

  /// Readable as soon as the source is to end.
  var stopDescriptor: Int32 { stop?.descriptor ?? -1 }

  /// Waits until every stage is ready, or until the source is to end before it began.
  func waitForGo() {
    while !going.load(ordering: .acquiring), !isStopping {
      _ = Descriptors.wait([.readable(go?.descriptor ?? -1), .readable(stopDescriptor)], until: nil)
    }
  }

  func send(_ message: WorkerMessage) {
    // A runner that is gone cannot be told; the thread below ends this process.
    try? Descriptors.writeAll(descriptor, message.line)
  }

  private func listen() {
    var line: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 256)
    while true {
      var count = 0
      buffer.withUnsafeMutableBytes { count = (try? Descriptors.read(descriptor, into: $0)) ?? 0 }
      if count == 0 { CurrentProcess.exit(ExitStatus.runnerGone) }
      for byte in buffer[..<count] {
        if byte != UInt8(ascii: "\n") {
          if line.count < 64 { line.append(byte) }
          continue
        }
        switch RunnerMessage(rawValue: String(decoding: line, as: UTF8.self)) {
        case .go:
          going.store(true, ordering: .releasing)
          go?.signal()
        case .stop:
          stopping.store(true, ordering: .releasing)
          stop?.signal()
        case nil: break
        }
        line = []
      }
    }
  }

  private enum ExitStatus {
    static let noThread: Int32 = 71
    static let runnerGone: Int32 = 75
  }
}
