import Platform

/// Cuts a stream into lines without ever holding more than one longest line and one buffer.
struct LineReader {
  enum Step {
    /// A line without its line end (LF or CR LF), and how many bytes it took with it.
    case line(UnsafeRawBufferPointer, consumed: Int)
    /// A line of more than the longest; its bytes are passed over. How many it has without its line end, and with it.
    case tooLong(bytes: Int, consumed: Int)
    /// A non-blocking descriptor has nothing now.
    case later
    case end
  }

  /// Of a line without its line end.
  private let longest: Int
  private var buffer = ReadBuffer(256 << 10)
  /// How many of its bytes hold no line's end.
  private var scanned = 0
  private var isAtEnd = false
  /// Bytes of an overlong line that were thrown away already.
  private var skipped = 0

  init(longest: Int) { self.longest = longest }

  func close() { buffer.deallocate() }

  /// Bytes that were read and belong to no line yet.
  var unread: Int { buffer.count }

  /// The line is valid until the next call.
  ///
  /// - Parameter onlyWhatIsThere: asks before it reads, since the descriptor may block and is not ours to change
  mutating func next(from descriptor: Int32, onlyWhatIsThere: Bool = false) throws(SystemError) -> Step {
    while true {
      if let newline = buffer.newline(from: scanned) { return take(newline, lineEnd: 1) }
      scanned = buffer.count
      if isAtEnd {
        if buffer.count == 0, skipped == 0 { return .end }
        return take(buffer.count, lineEnd: 0)
      }
      // The byte beyond may be the CR of a line that is just as long as it may be.
      if buffer.count > longest + 1 {
        skipped += buffer.count
        buffer.drop(buffer.count)
        scanned = 0
      }
      if onlyWhatIsThere, !Descriptors.wait([.readable(descriptor)], until: .now).contains(true) { return .later }
      guard let n = try buffer.fill(from: descriptor) else { return .later }
      if n == 0 { isAtEnd = true }
    }
  }

  private mutating func take(_ count: Int, lineEnd: Int) -> Step {
    let line = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count])
    let consumed = count + lineEnd + skipped
    buffer.drop(count + lineEnd)
    scanned = 0
    let body = line.last == UInt8(ascii: "\r") ? UnsafeRawBufferPointer(rebasing: line.dropLast()) : line
    if skipped > 0 || body.count > longest {
      defer { skipped = 0 }
      return .tooLong(bytes: skipped + body.count, consumed: consumed)
    }
    return .line(body, consumed: consumed)
  }
}
