/// Where a source or a transform puts its messages. Nothing leaves the worker before the whole call has succeeded.
public protocol Emitter: AnyObject {
  /// Hands on a copy of these bytes.
  ///
  /// - Throws: `MessageFailure` when they are more than a reader's `queue.message` allows.
  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat) throws

  /// Hands on a copy of these bytes by a port that the spec declares.
  ///
  /// - Parameter port: its number: 0 is the main port, the others count from 1
  /// - Throws: as above
  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int) throws

  /// Hands on a copy of these bytes by a port, and names the message's key: stages that share messages by their keys (`partition`) take this
  /// one instead of what their filter says.
  ///
  /// - Parameter key: makes the key's JSON text; called when there is such a reader, and not otherwise
  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int, key: () throws -> [UInt8]) throws

  /// Memory for a message of this many bytes, in place in the ring; its content is undefined. Fill it, then call
  /// `emitReserved`. A second reservation before that replaces the first.
  func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer

  /// Hands on the first `length` bytes of the reservation.
  func emitReserved(_ length: Int, as format: MessageFormat) throws
}

extension Emitter {
  /// For an emitter that nobody shares messages behind.
  public func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int, key: () throws -> [UInt8]) throws {
    if port == 0 { try emit(payload, as: format) } else { try emit(payload, as: format, to: port) }
  }

  public func emit(_ payload: UnsafeRawBufferPointer) throws { try emit(payload, as: .bytes) }

  public func emit(_ bytes: [UInt8], as format: MessageFormat = .bytes) throws {
    try bytes.withUnsafeBytes { try emit($0, as: format) }
  }

  /// Hands on text, or JSON text.
  public func emit(_ text: String, as format: MessageFormat = .text) throws {
    var text = text
    try text.withUTF8 { try emit(UnsafeRawBufferPointer($0), as: format) }
  }

  public func emitReserved(_ length: Int) throws { try emitReserved(length, as: .bytes) }
}

/// A message could not be handled. `on_error` decides whether it is tried again, dropped, or stops the run.
public struct MessageFailure: Error, CustomStringConvertible {
  public let description: String
  /// Whether another try could help; a message that is simply malformed is not tried again.
  public let isPermanent: Bool
  /// More than a sentence, for who looks into a dead letter: a traceback, what a program wrote. Empty when there is nothing.
  public let details: String
  /// The message that a source could not hand on, and its format: nobody else has it.
  package var original: (bytes: [UInt8], format: MessageFormat)?

  /// - Parameter description: one sentence, lower case, without a full stop; no secrets, no payloads.
  public init(_ description: String, isPermanent: Bool = false, details: String = "") {
    self.description = description
    self.isPermanent = isPermanent
    self.details = details
  }
}

/// The stage cannot go on, whichever message comes next. The run stops with this code; messages stay in their queues.
public struct WorkerFailure: Error, CustomStringConvertible {
  public let code: ExitCode
  public let description: String

  /// - Parameter description: one sentence, lower case, without a full stop, that ends with what to do; no secrets.
  public init(_ code: ExitCode, _ description: String) {
    self.code = code
    self.description = description
  }
}
