import Platform

/// What a ring refuses.
package enum RingError: Error, CustomStringConvertible, Equatable {
  /// A payload is larger than a reader's queue takes; both in bytes.
  case messageTooLarge(length: Int, limit: Int)
  /// A call that must be handed over whole emits more than a reader's queue holds.
  case tooManyOutputs(limit: Int)
  /// A call that must go on in parts comes before its turn, for its own worker has an older message that it has not worked on. To be made again
  /// after that.
  case outOfTurn

  package var description: String {
    switch self {
    case .messageTooLarge(let length, let limit):
      "the message has \(length) bytes, but its reader's queue takes at most \(limit) (raise `queue.message` of the stage that reads it)"
    case .outOfTurn: "the message's turn has not come"
    case .tooManyOutputs(let limit):
      "it makes more than \(limit) messages that go on together, as many as its reader's queue holds (raise `queue.capacity`, or `queue.bytes` if it has one, of the stage that reads it)"
    }
  }
}

/// Shared memory holds what no rule allows: a worker wrote where it must not, or we have a mistake.
package struct RingCorruption: Error, CustomStringConvertible {
  package let description: String
  init(_ description: String) { self.description = "shared memory is damaged: " + description }

  static let endlessLine = RingCorruption("the line of a queue has no end")
}

/// A place between two steps of the protocol, where a test may stop a worker. Compiled into debug builds only.
package enum Failpoint: String, Sendable, CaseIterable {
  case took, filled, voided, settled, recordWritten, committed, published, freed, cleared, hinted, sealed, claimed, restamped, segmentTaken
  case waiterMarks, waiterMarked, sleeps, woke, recoveredSlot, recoveredSegment

  #if DEBUG
  private static let handlers = ThreadLocal<(Failpoint) throws -> Void>()

  /// Called at every failpoint that this thread comes to: tests that run beside each other have each its own.
  package static var handler: ((Failpoint) throws -> Void)? {
    get { handlers.value }
    set { handlers.value = newValue }
  }
  #endif

  @inline(__always)
  func hit() throws {
    #if DEBUG
    try Self.handler?(self)
    #endif
  }
}
