import Plans
import Specs

@testable import Platform
@testable import Supervision

/// What goes over descriptors between runner and worker: the work order, and the lines in both directions.
enum Order {
  static func take(_ bytes: [UInt8]) {
    if let order = WorkOrder(decoding: bytes) {
      let text = order.encoded()
      guard let again = WorkOrder(decoding: text) else { fatalError("an order cannot be read again: \(String(decoding: text, as: UTF8.self))") }
      demand(again.encoded() == text, "an order reads differently: \(String(decoding: text, as: UTF8.self))")
      if let spec = Declared.plugins.first(where: { $0.name == order.plugin }) {
        let decoded = spec.decode(order.settings, directory: order.directory, place: .none, path: "with")
        demand((decoded.given == nil) == decoded.diagnostics.contains { $0.severity == .error }, "settings without an error are not given")
      }
    }
    for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      if let word = RunnerMessage(rawValue: String(decoding: line, as: UTF8.self)) { demand(RunnerMessage.allCases.contains(word), "an unknown word") }
      guard let message = JSONText.parse(Array(line)).node.flatMap(WorkerMessage.init) else { continue }
      let read = JSONText.parse(Array(message.line.utf8.dropLast())).node.flatMap(WorkerMessage.init)
      demand(read == message, "a message reads differently: \(message.line)")
    }
    split(bytes)
    hear(bytes)
  }

  /// What a worker writes to its standard output, in two pieces.
  private static func split(_ bytes: [UInt8]) {
    var splitter = LineSplitter()
    var lines: [String] = []
    bytes.withUnsafeBytes { buffer in
      splitter.take(UnsafeRawBufferPointer(rebasing: buffer[..<(buffer.count / 2)]), second: 0) { lines.append($0) }
      splitter.take(UnsafeRawBufferPointer(rebasing: buffer[(buffer.count / 2)...]), second: 1) { lines.append($0) }
    }
    splitter.finish(second: 2) { lines.append($0) }
    for line in lines {
      demand(line.unicodeScalars.allSatisfy { $0 == "\t" || $0.value >= 0x20 && $0.value != 0x7f }, "a line disturbs the terminal: \(line)")
    }
  }

  /// The same bytes over the control socket and the pipe, to a runner that reads until the end.
  private static func hear(_ bytes: [UInt8]) {
    guard let control = try? Channel.socketPair(), let output = try? Channel.pipe() else { return }
    let sent = bytes.prefix(16 << 10)
    sent.withUnsafeBytes {
      try? Descriptors.writeAll(control.theirs, $0)
      try? Descriptors.writeAll(output.write, $0)
    }
    Descriptors.close(control.theirs)
    Descriptors.close(output.write)
    var worker = WorkerProcess(
      StartedProcess(child: ChildProcess(pid: -1, pidfd: -1), control: control.ours, output: output.read), sequenceAtStart: 0)
    for message in worker.finish(second: 0, { _ in }) { _ = message.line }
    _ = worker.lastWords
  }
}
