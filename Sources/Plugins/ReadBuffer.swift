import Platform

/// What has been read and not taken yet; it grows when all of it belongs to one message.
struct ReadBuffer {
  private var memory: UnsafeMutableRawBufferPointer
  private var start = 0
  private var end = 0

  init(_ capacity: Int) { memory = .allocate(byteCount: capacity, alignment: 16) }

  func deallocate() { memory.deallocate() }

  var count: Int { end - start }

  /// Valid until the next read.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[start..<end]) }

  /// Where the first line's end is, looked for from the `scanned`-th byte on.
  func newline(from scanned: Int) -> Int? {
    UnsafeRawBufferPointer(rebasing: bytes[scanned...]).offset(of: UInt8(ascii: "\n")).map { scanned + $0 }
  }

  mutating func drop(_ count: Int) { start += count }

  /// Reads what is there, at most what fits.
  ///
  /// - Returns: how many bytes; 0 at the end; nil when there is nothing now
  mutating func fill(from descriptor: Int32) throws(SystemError) -> Int? {
    makeRoom()
    let count = try Descriptors.read(descriptor, into: UnsafeMutableRawBufferPointer(rebasing: memory[end...]))
    end += count ?? 0
    return count
  }

  private mutating func makeRoom() {
    if start == end {
      start = 0
      end = 0
    } else if end == memory.count, start > 0 {
      memory.copyMemory(from: bytes)
      end -= start
      start = 0
    } else if end == memory.count {
      let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: memory.count * 2, alignment: 16)
      larger.copyMemory(from: bytes)
      memory.deallocate()
      memory = larger
    }
  }
}
