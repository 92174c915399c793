import Glibc
import Rings

/// One hand-over: what the worker does between the two marks, and what it finds.
struct Shape: Sendable {
  enum Role: Sendable { case source, transform, sink }

  enum Scene: Sendable {
    case plain
    /// The call emits one more than the ring holds; it is followed until the first part is out.
    case firstPart
    /// Another worker has died after the first part: the rest of the call is left.
    case lastPart
    /// Another worker has died with the messages claimed and the first of them in hand.
    case redelivered
    /// A reader has held the first message all the while, and the line comes round to it.
    case leaseHeld
    /// The last reader has read nothing, so that not everything fits; followed until the worker would sleep.
    case full
    /// Somebody sleeps on either side and has to be woken.
    case asleep
    /// Every other message is given up.
    case dropped
    /// A source says that it is done.
    case ended
    /// Nobody dies: between two instructions the line goes round, with all that another worker does for it, and then the worker
    /// goes on to its end.
    case overtaken
  }

  let name: String
  var role = Role.transform
  var scene = Scene.plain
  var capacity = 2
  /// Of the readers' rings, if it is another one.
  var outputCapacity: Int?
  var readers = 1
  /// Outputs of one call, and calls of the hand-over.
  var emits = 1
  var calls = 1
  var payload = 24
  /// Calls before the first mark, so that what happens once lies behind it.
  var warm = 1
  /// Where the counters of the rings begin.
  var start = RingStart.zero
  /// Two of the deaths are repaired by a runner that is stepped and killed in turn: one before the commit, one inside it.
  var stepsRecovery = false

  var hasInput: Bool { role != .source }
  /// Messages that the pipeline carries in all: some come after the hand-over, so that a wrong word left behind is met.
  var messages: Int { scene == .ended ? warm + calls : warm + calls + capacity + 2 + overtaking }
  /// How many messages pass the worker.
  var overtaking: Int { scene == .overtaken ? 3 : 0 }

  func isDropped(_ message: Int) -> Bool { scene == .dropped && message % 2 == 0 }
  /// How many outputs the call makes. Before the first mark nobody makes room for more than the ring holds.
  func emits(_ message: Int) -> Int { message <= warm ? min(emits, capacity) : emits }
  /// How many of them go on.
  func outputs(_ message: Int) -> Int { isDropped(message) ? 0 : emits(message) }

  static let all = [
    Shape(name: "one message"),
    Shape(name: "a ring of one slot", capacity: 1),
    Shape(name: "a large message", payload: 20_000),
    Shape(name: "two readers", capacity: 3, readers: 2),
    Shape(name: "two large outputs to two readers", readers: 2, emits: 2, payload: 17_000, stepsRecovery: true),
    Shape(name: "a batch of two", capacity: 5, emits: 2, calls: 2, stepsRecovery: true),
    Shape(name: "a segment that becomes full", capacity: 4, calls: 2, payload: 16_000, warm: 3),
    Shape(name: "a message that is dropped", scene: .dropped, capacity: 4, calls: 2),
    Shape(name: "a message that was in hand at a death", scene: .redelivered, calls: 2),
    Shape(name: "the first part of a call", scene: .firstPart, emits: 3, stepsRecovery: true),
    Shape(name: "the first part for two readers", scene: .firstPart, readers: 2, emits: 3, payload: 17_000),
    Shape(name: "the last part of a call", scene: .lastPart, emits: 3),
    Shape(name: "a lease that is moved along", scene: .leaseHeld, warm: 2),
    Shape(name: "a worker that is overtaken", scene: .overtaken, outputCapacity: 8),
    Shape(name: "a batch that is overtaken", scene: .overtaken, capacity: 3, outputCapacity: 8, calls: 2),
    Shape(name: "no room for the second of two", scene: .full, calls: 2),
    Shape(name: "no room with one of two readers", scene: .full, readers: 2, calls: 2),
    Shape(name: "no room for large messages", scene: .full, capacity: 3, calls: 3, payload: 20_000),
    Shape(name: "sleepers on both sides", scene: .asleep),
    Shape(name: "counters that overflow", readers: 2, emits: 2, start: .justBelowOverflow),
    Shape(name: "a source", role: .source, capacity: 3, readers: 2, emits: 2),
    Shape(name: "the end of a source", role: .source, scene: .ended, capacity: 2, calls: 2),
    Shape(name: "a sink", role: .sink, capacity: 3, calls: 2),
    Shape(name: "a sink with a message that was in hand", role: .sink, scene: .redelivered, calls: 2, payload: 20_000),
  ]
}

/// The payloads of a shape, made beforehand: making them is none of the hand-over's business. Message and ordinal lead,
/// and every byte after them follows from both, so that a reader can tell any wrong byte.
struct Payloads {
  private let inputs: [[UInt8]]
  private let outputs: [[[UInt8]]]

  init(_ shape: Shape) {
    func bytes(_ message: Int, _ ordinal: Int) -> [UInt8] {
      (0..<shape.payload).map { $0 == 0 ? UInt8(message) : $0 == 1 ? UInt8(ordinal) : UInt8(truncatingIfNeeded: $0 &* 31 &+ message &* 7 &+ ordinal &* 11) }
    }
    inputs = (0...shape.messages).map { bytes($0, 255) }
    outputs = (0...shape.messages).map { message in (0..<shape.emits).map { bytes(message, $0) } }
  }

  func input(_ message: Int) -> [UInt8] { inputs[message] }
  func output(_ message: Int, _ ordinal: Int) -> [UInt8] { outputs[message][ordinal] }

  /// Which message of the input ring this is; nil when it is none.
  func message(_ payload: UnsafeRawBufferPointer) -> Int? {
    guard let first = payload.first, inputs.indices.contains(Int(first)) else { return nil }
    return isEqual(inputs[Int(first)], payload) ? Int(first) : nil
  }

  /// Which output this is.
  func made(_ payload: UnsafeRawBufferPointer) -> Made? {
    guard payload.count >= 2 else { return nil }
    let made = Made(message: Int(payload[0]), ordinal: Int(payload[1]))
    guard outputs.indices.contains(made.message), outputs[made.message].indices.contains(made.ordinal) else { return nil }
    return isEqual(outputs[made.message][made.ordinal], payload) ? made : nil
  }

  private func isEqual(_ bytes: [UInt8], _ payload: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count == payload.count, let base = payload.baseAddress else { return false }
    return memcmp(bytes, base, bytes.count) == 0
  }
}

/// One output: of which message, and the how many-th.
struct Made: Hashable, CustomStringConvertible {
  var message: Int
  var ordinal: Int
  var description: String { "\(message).\(ordinal)" }
}

/// What the worker does, both the one that is stepped and its successor.
struct Work {
  let shape: Shape
  let payloads: Payloads
  let handoff: Handoff
  let cell: CommitCell

  private func begin(_ lease: Lease?) {
    if let lease { handoff.begin(lease) } else { handoff.begin() }
  }

  /// One call for a message that has been claimed, or for nothing in a source; not handed over yet.
  func call(_ lease: Lease?, _ message: Int, beforeEmit: () throws -> Void = {}) throws {
    begin(lease)
    if shape.role != .sink {
      for ordinal in 0..<shape.emits(message) {
        try beforeEmit()
        try payloads.output(message, ordinal).withUnsafeBytes { try handoff.emit($0) }
      }
      try beforeEmit()
    }
    if shape.isDropped(message) {
      handoff.abandon()
      begin(lease)
      handoff.end(.dropped)
    } else {
      handoff.end(shape.role == .source ? .source(position: (UInt64(message), 7, 0, 0)) : .done)
    }
  }

  /// - Parameter message: the last one of the calls
  func commit(_ message: Int, isLast: Bool = false) throws {
    try handoff.commit(ended: isLast, committedLength: shape.role == .sink ? UInt64(message) : nil)
  }

  /// The hand-over that is stepped.
  func region() throws {
    var leases: [Lease] = []
    var message = 0
    for n in 1...shape.calls {
      if shape.hasInput {
        leases.removeAll(keepingCapacity: true)
        if try handoff.claim(atMost: 1, into: &leases) == 0 { return }
        message = Int(leases[0].payload[0])
        try call(leases[0], message)
      } else {
        message = shape.warm + n
        try call(nil, message)
      }
    }
    try commit(message, isLast: shape.scene == .ended)
  }
}
