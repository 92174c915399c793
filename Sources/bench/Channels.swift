import CBench
import Platform

/// The contenders written in C: a textbook ring for one producer and one consumer, a pipe, a pair of sockets.
final class Channel: Contender, Echo {
  private let size: Int
  private let there: OpaquePointer
  private let back: OpaquePointer?
  private let isAlone: Bool
  private let message: UnsafeMutableRawPointer

  /// - Parameter isAlone: one producer and one consumer, so no number may be left out
  init(_ kind: cbench_kind, size: Int, isAlone: Bool, isRoundTrip: Bool) throws {
    self.size = size
    self.isAlone = isAlone
    guard let there = cbench_channel_make(kind, size) else { throw SystemError("channel", "of \(size) bytes") }
    self.there = there
    back = isRoundTrip ? cbench_channel_make(kind, size) : nil
    message = .allocate(byteCount: size, alignment: 64)
    cbench_fill(message, size, 1, 0)
  }

  func produce(_ producer: Int, _ place: Place) throws {
    try check(cbench_produce(there, place.page, place.lane, UInt64(producer), size))
  }

  func consume(_ consumer: Int, _ place: Place) throws {
    cbench_channel_reads(there)
    try check(cbench_consume(there, place.page, place.lane, size, isAlone ? 1 : 0))
  }

  func close() { cbench_channel_close(there) }

  func echo() throws {
    cbench_channel_reads(there)
    if let back { try check(cbench_echo(there, back, size)) }
  }

  func begin() throws {}

  func ping(_ number: UInt64) throws {
    cbench_stamp(message, number, 0)
    if let back { try check(cbench_ping(there, back, message, size)) }
  }

  private func check(_ errno: Int32) throws {
    if errno != 0 { throw SystemError("channel", "of \(size) bytes", errno: errno) }
  }
}

/// One core that copies a message again and again: what the memory alone allows.
struct Copying: Contender {
  let size: Int
  func produce(_ producer: Int, _ place: Place) throws { place.ready() }
  func consume(_ consumer: Int, _ place: Place) throws {
    _ = cbench_copy(place.page, place.lane, size)
    // Nothing is sent, so nothing may be said to have arrived.
    place.note(0, sum: 0)
  }
  func close() {}
}
