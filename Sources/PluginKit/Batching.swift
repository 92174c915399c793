/// A transform or a sink that takes several messages in one call, because one call for each would cost too much: the other side
/// is a program that wants work ahead, or does nothing until it has seen the end of its input.
///
/// Conform a `Transform` or a `Sink` to it; the runner then calls `process` with batches instead of `process` or `write` with
/// single messages. A sink is given an emitter whose messages go nowhere.
public protocol Batching: Plugin {
  /// How many messages it would take now; asked before each batch. It gets what is there, at least one and never more than half of
  /// its stage's queue: nobody waits for a batch to fill.
  var batch: Int { get }

  /// Whether what a batch emits belongs to all of its messages: then it is handed over with all of them or not at all, and must
  /// not be more than a reader's queue holds. Emit it before the first message is settled.
  var isJoint: Bool { get }

  /// Works on the messages and settles each, in their order. What was emitted since the one before was settled belongs to the
  /// one that is settled next. The payloads are valid until the call returns.
  ///
  /// - Parameter settle: says what has become of the next message; pass on what it throws
  /// - Throws: any error. With one message unsettled it is that message's failure. With several nobody knows whose it is: none of
  ///   them counts an error, and each is tried again alone. `WorkerFailure` ends the run instead.
  mutating func process(_ messages: [Message], _ out: any Emitter, settle: (BatchOutcome) throws -> Void) throws
}

extension Batching {
  public var isJoint: Bool { false }
}

/// What has become of one message of a batch.
public enum BatchOutcome {
  case done
  /// This message failed; `on_error` decides what happens to it. What was emitted for it is forgotten.
  case failed(any Error)
}

extension Transform where Self: Batching {
  public mutating func process(_ message: Message, _ out: any Emitter) throws {
    try process([message], out) { if case .failed(let error) = $0 { throw error } }
  }
}

extension Sink where Self: Batching {
  public mutating func write(_ message: Message) throws {
    try process([message], NowhereEmitter()) { if case .failed(let error) = $0 { throw error } }
  }

  /// A batch is where it belongs once it is settled.
  public mutating func flush() throws -> UInt64? { nil }
}

/// Takes what a sink emits, which nobody reads.
private final class NowhereEmitter: Emitter {
  private var scratch: UnsafeMutableRawBufferPointer?
  deinit { scratch?.deallocate() }

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat) throws {}
  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int) throws {}

  func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer {
    scratch?.deallocate()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, length), alignment: 16)
    scratch = memory
    return memory
  }

  func emitReserved(_ length: Int, as format: MessageFormat) throws {}
}
