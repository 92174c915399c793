import Platform
import PluginKit

/// What is to be written to a program, as far as it has been taken from the messages.
struct OutgoingFrames {
  private let framing: Exec.Framing
  private var bytes: [UInt8] = []
  private var sent = 0
  /// All that was written.
  private(set) var total = 0

  init(_ framing: Exec.Framing) { self.framing = framing }

  var isEmpty: Bool { sent == bytes.count }
  /// Whether another message may be taken: what a pipe holds is ready to be written.
  var hasRoom: Bool { bytes.count - sent < 64 << 10 }

  /// Why a message cannot be framed, or nil.
  func objection(to message: Message) -> MessageFailure? {
    switch framing {
    case .lines where message.payload.contains(UInt8(ascii: "\n")):
      MessageFailure("the message holds a newline, which would make two lines of it (`framing: length` takes any bytes)", isPermanent: true)
    case .length where message.payload.count > UInt32.max: MessageFailure("the message is too long for four bytes of length", isPermanent: true)
    default: nil
    }
  }

  mutating func append(_ message: Message) {
    if isEmpty {
      bytes.removeAll(keepingCapacity: true)
      sent = 0
    }
    if framing == .length {
      let length = UInt32(truncatingIfNeeded: message.payload.count)
      for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: length >> shift)) }
    }
    bytes.append(contentsOf: message.payload)
    if framing == .lines { bytes.append(UInt8(ascii: "\n")) }
  }

  /// Writes as much as there is room for.
  mutating func write(to program: Companion) throws(SystemError) {
    if isEmpty { return }
    var count = 0
    var failure: SystemError?
    bytes.withUnsafeBytes { all in
      do throws(SystemError) { count = try program.write(UnsafeRawBufferPointer(rebasing: all[sent...])) } catch { failure = error }
    }
    if let failure { throw failure }
    sent += count
    total += count
  }
}

/// Cuts what a program writes into messages, and keeps in step when one is too long.
final class IncomingFrames {
  enum Frame {
    /// Valid until the next call.
    case whole(UnsafeRawBufferPointer)
    /// An output of more than the longest, and how many bytes it has if its end has been seen; it is passed over.
    case tooLong(Int?)
  }

  private let framing: Exec.Framing
  private let longest: Int
  private var buffer = ReadBuffer(64 << 10)
  /// How many of its bytes hold no line's end.
  private var scanned = 0
  /// Bytes of an overlong output that were thrown away.
  private var skipped = 0
  /// Bytes of it that are still to come, under `length`.
  private var toSkip = 0
  /// Whether what comes up to the next line's end belongs to a line that was too long.
  private var isPassingOver = false

  init(_ framing: Exec.Framing, longest: Int) {
    self.framing = framing
    self.longest = longest
  }

  deinit { buffer.deallocate() }

  /// Whether something has come that is no whole message.
  var hasPart: Bool {
    passOver()
    return buffer.count > 0 || skipped > 0
  }

  /// Whether more has come than an output may have, for `framing: message`.
  var isTooLong: Bool { skipped + buffer.count > longest }

  /// Reads what is there, at most what fits.
  ///
  /// - Returns: how many bytes; 0 at the end; nil when there is nothing now
  func fill(from descriptor: Int32) throws(SystemError) -> Int? {
    // What is already too long is not kept.
    if framing == .message, buffer.count > longest {
      skipped += buffer.count
      buffer.drop(buffer.count)
    }
    // Nothing in it holds a line's end by now; only what is new has to be looked at.
    scanned = buffer.count
    return try buffer.fill(from: descriptor)
  }

  func next() -> Frame? {
    switch framing {
    case .lines: nextLine()
    case .length: nextCounted()
    case .message: nil
    }
  }

  /// All that came, for `framing: message`: the output is whole when the program has ended.
  func rest() -> Frame {
    if isTooLong { return .tooLong(skipped + buffer.count) }
    return .whole(buffer.bytes)
  }

  private func nextLine() -> Frame? {
    passOver()
    guard let newline = buffer.newline(from: scanned) else {
      scanned = buffer.count
      guard buffer.count > longest else { return nil }
      // Told at once: its end may never come.
      isPassingOver = true
      passOver()
      return .tooLong(nil)
    }
    let line = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<newline])
    buffer.drop(line.count + 1)
    scanned = 0
    return line.count > longest ? .tooLong(line.count) : .whole(line)
  }

  /// Drops what is there of an output that was too long, up to its end.
  private func passOver() {
    if toSkip > 0 {
      let count = min(toSkip, buffer.count)
      buffer.drop(count)
      toSkip -= count
    }
    guard isPassingOver else { return }
    let newline = buffer.newline(from: 0)
    buffer.drop(newline.map { $0 + 1 } ?? buffer.count)
    scanned = 0
    if newline != nil { isPassingOver = false }
  }

  private func nextCounted() -> Frame? {
    passOver()
    if toSkip > 0 { return nil }
    let bytes = buffer.bytes
    guard bytes.count >= 4 else { return nil }
    let length = (0..<4).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
    if length > longest {
      buffer.drop(4)
      toSkip = length
      // Told at once: its end may never come.
      return .tooLong(length)
    }
    guard bytes.count - 4 >= length else { return nil }
    buffer.drop(4 + length)
    return .whole(UnsafeRawBufferPointer(rebasing: bytes[4..<(4 + length)]))
  }
}
