import PluginKit
import Rings

/// Puts what a plugin emits into the hand-off.
final class StageOutput: Emitter {
  private let handoff: Handoff
  /// Has the hand-over while the plugin's code runs; nil where nobody has.
  private let deputy: Deputy?

  init(_ handoff: Handoff, _ deputy: Deputy? = nil) {
    self.handoff = handoff
    self.deputy = deputy
  }

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat) throws {
    try deputy?.take()
    do { try handoff.emit(payload, format: format.rawValue) } catch let error as RingError { throw error.asFailure }
  }

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int) throws {
    try deputy?.take()
    do { try handoff.emit(payload, format: format.rawValue, to: port) } catch let error as RingError { throw error.asFailure }
  }

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int, key: () throws -> [UInt8]) throws {
    try deputy?.take()
    guard handoff.wantsKey(port) else { return try port == 0 ? emit(payload, as: format) : emit(payload, as: format, to: port) }
    let key = try key()
    do { try handoff.emit(payload, format: format.rawValue, to: port, key: key) } catch let error as RingError { throw error.asFailure }
  }

  func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer {
    try deputy?.take()
    do { return try handoff.reserve(length) } catch let error as RingError { throw error.asFailure }
  }

  func emitReserved(_ length: Int, as format: MessageFormat) throws {
    try deputy?.take()
    do { try handoff.emitReserved(length: length, format: format.rawValue) } catch let error as RingError { throw error.asFailure }
  }
}

extension RingError {
  /// What the ring refuses is the message's failure: it is as large the next time.
  fileprivate var asFailure: any Error { self == .outOfTurn ? OutOfTurn() : MessageFailure("\(self)", isPermanent: true) }
}

/// A message of a batch makes more than a queue holds, before older ones of the same batch have been worked on: it is no failure, and is worked on
/// again after them.
struct OutOfTurn: Error {}

extension Message {
  init(_ lease: Lease) {
    self.init(
      payload: lease.payload, id: MessageIdentity(high: lease.id.high, low: lease.id.low), attempts: lease.errors + lease.deaths,
      format: MessageFormat(rawValue: lease.format) ?? .bytes)
  }
}
