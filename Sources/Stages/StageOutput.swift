import PluginKit
import Rings

/// Puts what a plugin emits into the hand-off.
final class StageOutput: Emitter {
  private let handoff: Handoff
  /// Has the hand-over while the plugin's code runs; nil where nobody has.
  private let deputy: Deputy?
  /// Whether what it emits comes from nowhere else.
  private let isSource: Bool

  init(_ handoff: Handoff, _ deputy: Deputy? = nil, isSource: Bool = false) {
    self.handoff = handoff
    self.deputy = deputy
    self.isSource = isSource
  }

  private func failure(_ error: any Error, _ payload: @autoclosure () -> UnsafeRawBufferPointer, _ format: MessageFormat) -> any Error {
    if let error = error as? RingError { return error.asFailure }
    guard isSource, var failure = error as? MessageFailure else { return error }
    failure.original = (Array(payload()), format)
    return failure
  }

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat) throws {
    try deputy?.take()
    do { try handoff.emit(payload, format: format.rawValue) } catch { throw failure(error, payload, format) }
  }

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int) throws {
    try deputy?.take()
    do { try handoff.emit(payload, format: format.rawValue, to: port) } catch { throw failure(error, payload, format) }
  }

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int, key: () throws -> [UInt8]) throws {
    try deputy?.take()
    guard handoff.wantsKey(port) else { return try port == 0 ? emit(payload, as: format) : emit(payload, as: format, to: port) }
    let key = try key()
    do { try handoff.emit(payload, format: format.rawValue, to: port, key: key) } catch { throw failure(error, payload, format) }
  }

  func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer {
    try deputy?.take()
    do { return try handoff.reserve(length) } catch let error as RingError { throw error.asFailure }
  }

  func emitReserved(_ length: Int, as format: MessageFormat) throws {
    try deputy?.take()
    do { try handoff.emitReserved(length: length, format: format.rawValue) } catch { throw failure(error, handoff.reserved(length), format) }
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
