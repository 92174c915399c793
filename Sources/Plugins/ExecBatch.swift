import Platform
import PluginKit

/// One run of a program from its start to its end: it gets some messages and the end of its input, and its exit status decides.
struct ExecBatch {
  let exec: Exec

  /// - Parameters:
  ///   - handsOn: whether its output is messages; otherwise it goes to the log
  ///   - output: called with each message that it writes
  /// - Throws: `MessageFailure` unless it has read everything, has exited with 0, and has written whole messages
  func run(_ messages: [Message], handsOn: Bool, _ output: (IncomingFrames.Frame) throws -> Void) throws {
    var program = try exec.start(input: .pipe, output: handsOn ? .pipe : .log, errors: exec.framing == .message ? .pipe : .log)
    defer { program.end() }
    var outgoing = OutgoingFrames(exec.framing)
    let incoming = IncomingFrames(exec.framing, longest: exec.longest)
    var complaints = Complaints()
    var next = 0
    var end: ChildProcess.End?
    var isOutputOpen = program.output != nil
    var areErrorsOpen = program.errors != nil

    func takeOutput() throws {
      while isOutputOpen, let descriptor = program.output, let count = try incoming.fill(from: descriptor) {
        if count == 0 { isOutputOpen = false }
        while let frame = incoming.next() { try output(frame) }
        if exec.framing == .message, incoming.isTooLong { throw exec.tooLong(nil) }
      }
    }
    func takeErrors() throws {
      while areErrorsOpen, let descriptor = program.errors, let isOpen = try complaints.read(from: descriptor) { areErrorsOpen = isOpen }
    }

    // Its own end decides, not that of its streams: something that it has left behind may hold them.
    while end == nil {
      while next < messages.count, outgoing.hasRoom {
        outgoing.append(messages[next])
        next += 1
      }
      try outgoing.write(to: program)
      if outgoing.isEmpty, next < messages.count { continue }
      if outgoing.isEmpty { program.closeInput() }
      var interests = [Descriptors.Interest.readable(program.process.pidfd)]
      if isOutputOpen, let descriptor = program.output { interests.append(.readable(descriptor)) }
      if areErrorsOpen, let descriptor = program.errors { interests.append(.readable(descriptor)) }
      if let descriptor = program.input { interests.append(.writable(descriptor)) }
      _ = Descriptors.wait(interests, until: nil)
      end = program.reap()
      try takeOutput()
      try takeErrors()
    }
    guard case .exited(0)? = end else {
      throw MessageFailure("\(exec.name): \(end?.description ?? "it vanished")\(complaints.lastLines)")
    }
    if exec.framing == .message {
      if handsOn { try output(incoming.rest()) }
    } else if next < messages.count || !outgoing.isEmpty || program.unread > 0 {
      throw MessageFailure("\(exec.name) exited with 0 before it had read its whole input")
    } else if incoming.hasPart {
      throw MessageFailure(exec.halfFrame, isPermanent: true)
    }
  }
}

extension Exec {
  var halfFrame: String {
    framing == .lines
      ? "\(name) ended in the middle of an output: its last line has no newline" : "\(name) ended in the middle of an output: fewer bytes came than its length said"
  }

  /// Why an output that is too long fails.
  ///
  /// - Parameter length: nil when its end was not waited for
  func tooLong(_ length: Int?) -> MessageFailure {
    let what = length.map { "an output of \($0) bytes, more than" } ?? "an output of more than"
    let hint = framing == .length ? "; lengths are four bytes, the lowest first" : ""
    return MessageFailure("\(name) wrote \(what) the \(Quantity.describe(bytes: longest)) of `longest`\(hint)", isPermanent: true)
  }

  /// Hands on an output.
  func emit(_ frame: IncomingFrames.Frame, _ out: any Emitter) throws {
    switch frame {
    case .whole(let bytes): try out.emit(bytes, as: format)
    case .tooLong(let length): throw tooLong(length)
    }
  }
}

/// A program's standard error: it goes to the log, and its end is kept for the message that fails.
private struct Complaints {
  private var last: [UInt8] = []

  /// Reads what is there.
  ///
  /// - Returns: whether more may come; nil when there is nothing now
  mutating func read(from descriptor: Int32) throws -> Bool? {
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    guard let count = try buffer.withUnsafeMutableBytes({ try Descriptors.read(descriptor, into: $0) }) else { return nil }
    if count == 0 { return false }
    buffer.withUnsafeBytes { try? Descriptors.writeAll(2, UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    last += buffer[..<count]
    if last.count > 1024 { last.removeFirst(last.count - 1024) }
    return true
  }

  /// `: what it wrote last`, or nothing
  var lastLines: String {
    let lines = String(decoding: last, as: UTF8.self).split(whereSeparator: \.isNewline).suffix(3)
    return lines.isEmpty ? "" : ": " + lines.joined(separator: " | ")
  }
}
