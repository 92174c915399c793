import Glibc

extension UnsafeRawBufferPointer {
  /// Where a byte is found first: memchr(3), which looks at many bytes at once where `firstIndex(of:)` looks at each.
  package func offset(of byte: UInt8) -> Int? {
    guard count > 0, let base = baseAddress, let found = memchr(base, Int32(byte), count) else { return nil }
    return UnsafeRawPointer(found) - base
  }
}
