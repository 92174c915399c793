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
  private var buffer: UnsafeMutableRawBufferPointer
  private var start = 0
  private var end = 0
  private var scanned = 0
  private var isAtEnd = false
  /// Bytes of an overlong line that were thrown away already.
  private var skipped = 0

  init(longest: Int) {
    self.longest = longest
    buffer = .allocate(byteCount: 256 << 10, alignment: 16)
  }

  func close() { buffer.deallocate() }

  /// Bytes that were read and belong to no line yet.
  var unread: Int { end - start }

  /// The line is valid until the next call.
  ///
  /// - Parameter onlyWhatIsThere: asks before it reads, since the descriptor may block and is not ours to change
  mutating func next(from descriptor: Int32, onlyWhatIsThere: Bool = false) throws(SystemError) -> Step {
    while true {
      if let newline = UnsafeRawBufferPointer(rebasing: buffer[scanned..<end]).firstIndex(of: UInt8(ascii: "\n")) {
        return take(upTo: scanned + newline, lineEnd: 1)
      }
      scanned = end
      if isAtEnd {
        if start == end, skipped == 0 { return .end }
        return take(upTo: end, lineEnd: 0)
      }
      // The byte beyond may be the CR of a line that is just as long as it may be.
      if end - start > longest + 1 {
        skipped += end - start
        start = end
      }
      makeRoom()
      if onlyWhatIsThere, !Descriptors.wait([.readable(descriptor)], until: .now).contains(true) { return .later }
      guard let n = try Descriptors.read(descriptor, into: UnsafeMutableRawBufferPointer(rebasing: buffer[end...])) else { return .later }
      if n == 0 { isAtEnd = true }
      end += n
    }
  }

  private mutating func take(upTo stop: Int, lineEnd: Int) -> Step {
    let line = UnsafeRawBufferPointer(rebasing: buffer[start..<stop])
    let consumed = stop + lineEnd - start + skipped
    start = stop + lineEnd
    scanned = start
    let body = line.last == UInt8(ascii: "\r") ? UnsafeRawBufferPointer(rebasing: line.dropLast()) : line
    if skipped > 0 || body.count > longest {
      defer { skipped = 0 }
      return .tooLong(bytes: skipped + body.count, consumed: consumed)
    }
    return .line(body, consumed: consumed)
  }

  private mutating func makeRoom() {
    if start == end {
      start = 0
      end = 0
      scanned = 0
    } else if end == buffer.count, start > 0 {
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
      end -= start
      scanned -= start
      start = 0
    } else if end == buffer.count {
      let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer.count * 2, alignment: 16)
      larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<end]))
      buffer.deallocate()
      buffer = larger
    }
  }
}
