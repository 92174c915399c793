import Platform

/// The worker's side of everything: it claims messages, collects what the plugin makes of them, and hands both over in
/// one instant.
///
/// A call of the plugin is `begin`, any number of `emit`, then `end` or `abandon`. Calls that have ended wait for
/// `commit`, which (1) takes slots for their outputs and fills them, (2) marks their inputs settling, (3) writes the
/// cell's other record and stores the next sequence with busy set, (4) publishes the outputs, (5) frees the inputs and
/// (6) clears busy. It never waits while it holds slots: what does not fit is voided, and taken again later.
///
/// One thread uses it at a time: another may stand in for the worker while its plugin keeps it.
package final class Handoff {
  package enum InputState: Sendable { case ready, closed }

  package enum Disposition {
    case done
    /// Given up: counted as dropped.
    case dropped
    /// Given up, and what is emitted for it tells of that.
    case deadLettered
    /// A source's call, with where it stands now.
    case source(position: (UInt64, UInt64, UInt64, UInt64))
  }

  /// A call that has ended.
  struct Call: BitwiseCopyable {
    /// The input, if it had one; a source's has none.
    var place: Lease.Place
    var hasInput: Bool
    /// Where its input was published; kept where outputs follow the order of the inputs.
    var sequence: UInt64
    var isDropped: Bool
    var isDeadLettered: Bool
    var hasPosition: Bool
    /// How many records of each producer belong to this call and the ones before it, where all producers have the same.
    var recordsEnd: Int
    /// How many messages it has made, however many readers each has.
    var made: Int
    /// When the input was published.
    var published: UInt64
    var position: (UInt64, UInt64, UInt64, UInt64)
  }

  let worker: WorkerNumber
  let cell: CommitCell
  // Behind pointers, for they are changed in place all the time.
  let input: UnsafeMutablePointer<Consumer>?
  let outputs: UnsafeMutableBufferPointer<Producer>
  /// The outputs that read each port, but for those of partitions.
  let readers: [[Int]]
  let partitions: [Partition]
  /// The partitions that read each port.
  let partitionReaders: [[Int]]
  /// Which reader each output belongs to: all outputs of a partition are one reader's.
  let readerOf: [Int]
  let whenFull: [WhenFull]
  /// The outputs whose queues drop what finds no room.
  let dropping: [Int]
  /// Whether every output gets every message: nobody reads a port, nobody drops, and nobody shares messages by their keys.
  let isUniform: Bool
  let stageHash: UInt64
  let mostOutputs: Int
  /// The largest payload that every reader takes.
  let mostBytes: Int
  /// How many large and small payloads a call may have at once, where an output has fewer segments than its line has slots.
  let mostAtOnce: (large: Int, small: Int)?
  let promises: Promises
  /// Whether outputs follow the order of the inputs, over all processes of the stage.
  package let isOrdered: Bool
  // Unchecked exclusivity: one thread uses it, and no access lasts longer than its expression.
  /// What the cell holds; nobody else writes it while this worker lives.
  @exclusivity(unchecked) var record: CellRecord
  @exclusivity(unchecked) var ended = PlainBuffer<Call>(capacity: 256)
  /// Where outputs differ: for each ended call, how many records of each output belong to it and the ones before it.
  @exclusivity(unchecked) var ends = PlainBuffer<Int>(capacity: 256)
  /// Of each partition that reads the port of a message, the output that it goes to.
  @exclusivity(unchecked) var chosen = PlainBuffer<Int>(capacity: 8)
  /// What each reader was given and what was dropped there, where outputs differ.
  @exclusivity(unchecked) var counts: [UInt64]
  /// How often in a row the oldest messages went and others took their places.
  @exclusivity(unchecked) var dropRounds = 0
  /// Whose turn it is; nil where nobody asks.
  @exclusivity(unchecked) var order: InputOrder?
  @exclusivity(unchecked) var pause = CatchingUp()
  /// The call that is open, and of its input what a hand-over has to know.
  @exclusivity(unchecked) var hasInput = false
  @exclusivity(unchecked) var inputPlace = Lease.Place(slot: -1, segment: -1, generation: 0)
  @exclusivity(unchecked) var inputID = MessageID(high: 0, low: 0)
  @exclusivity(unchecked) var inputPublished: UInt64 = 0
  @exclusivity(unchecked) var inputSequence: UInt64 = 0
  /// Outputs of the open call, those that were skipped or handed on in parts included.
  @exclusivity(unchecked) var ordinal: UInt64 = 0
  @exclusivity(unchecked) var skip: UInt64 = 0
  /// Messages of the open call that have readers, those that went on in parts not counted.
  @exclusivity(unchecked) var made = 0
  /// How many large and small payloads of the open call have not gone on; counted only where `mostAtOnce` is there.
  @exclusivity(unchecked) var sizes = (large: 0, small: 0)
  @exclusivity(unchecked) var reservedLength = 0
  /// The slot whose call is being handed over in parts, and how many outputs are gone.
  @exclusivity(unchecked) var part: (slot: Int, count: UInt64)?
  /// How often in a row there was room, and nothing could be taken.
  @exclusivity(unchecked) var fruitless = 0

  /// - Parameters:
  ///   - ports: what each output reads; nil when all of them read the main port and there is no other
  ///   - whenFull: what each output does without room; nil when all of them make the worker wait
  ///   - partitions: outputs that share messages by their keys; those of one stand together
  ///   - isOrdered: whether outputs follow the order of the inputs: a call waits until those of all older inputs have been handed over
  ///   - promises: for measuring what each of them costs
  package init(
    worker: WorkerNumber, cell: CommitCell, input: (ring: Ring, lane: Int)?, outputs: [(ring: Ring, lane: Int)], ports: [PortSet]? = nil,
    whenFull: [WhenFull]? = nil, partitions: [Partition] = [], stageHash: UInt64, isOrdered: Bool = false, promises: Promises = .all
  ) {
    self.worker = worker
    self.cell = cell
    let ports = ports ?? outputs.map { _ in .main }
    let whenFull = whenFull ?? outputs.map { _ in .block }
    self.whenFull = whenFull
    dropping = whenFull.indices.filter { whenFull[$0] != .block }
    isUniform = ports.allSatisfy { $0 == .main } && dropping.isEmpty && partitions.isEmpty
    let partitions = partitions.filter { !$0.outputs.isEmpty && $0.outputs.upperBound <= outputs.count }
    self.partitions = partitions
    let isShared = outputs.indices.map { i in partitions.contains { $0.outputs.contains(i) } }
    readers = (0..<PortSet.most).map { port in ports.indices.filter { !isShared[$0] && ports[$0].contains(PortSet(port: port)) } }
    partitionReaders = (0..<PortSet.most).map { port in
      partitions.indices.filter { ports[partitions[$0].outputs.lowerBound].contains(PortSet(port: port)) }
    }
    var reader = -1
    readerOf = outputs.indices.map { i in
      if !partitions.contains(where: { $0.outputs.contains(i) && $0.outputs.lowerBound < i }) { reader += 1 }
      return reader
    }
    self.stageHash = stageHash
    self.promises = promises
    self.isOrdered = isOrdered && input != nil
    order = isOrdered ? input.map { InputOrder($0.ring) } : nil
    self.input = input.map { given in
      let place = UnsafeMutablePointer<Consumer>.allocate(capacity: 1)
      place.initialize(to: Consumer(given.ring, lane: given.lane, owner: worker))
      return place
    }
    self.outputs = .allocate(capacity: outputs.count)
    for (i, given) in outputs.enumerated() {
      self.outputs.initializeElement(at: i, to: Producer(given.ring, lane: given.lane, owner: worker, whenFull: whenFull[i]))
    }
    mostOutputs = outputs.map(\.ring.shape.capacity).min() ?? Int.max
    mostBytes = outputs.map(\.ring.shape.messageBytes).min() ?? Int.max
    let tight = outputs.indices.filter { whenFull[$0] == .block && outputs[$0].ring.shape.isTight }.map { outputs[$0].ring.shape }
    mostAtOnce = tight.isEmpty ? nil : (tight.map(\.largeAtOnce).min() ?? Int.max, tight.map(\.smallAtOnce).min() ?? Int.max)
    record = cell.record
    counts = isUniform ? [] : cell.allCounts + [UInt64](repeating: 0, count: max(0, 2 * (reader + 1 - CommitCell.mostCounted)))
  }

  deinit {
    ended.deallocate()
    ends.deallocate()
    chosen.deallocate()
    input?.deinitialize(count: 1)
    input?.deallocate()
    outputs.deinitialize()
    outputs.deallocate()
  }

  /// What a hand-over keeps. A run keeps all of it; a benchmark leaves something out to see what it costs.
  package struct Promises: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// The commit cell: without it a message is handed over at least once.
    package static let once = Promises(rawValue: 1)
    /// What is counted for people, and the mark that tells which message was in hand.
    package static let counts = Promises(rawValue: 2)
    package static let all: Promises = [.once, .counts]
  }

  /// What to do around every wait: an interpreter lets go of its lock meanwhile.
  package struct Waits {
    package let begin: () -> UnsafeMutableRawPointer?
    /// Gets what `begin` returned.
    package let end: (UnsafeMutableRawPointer?) -> Void

    package init(begin: @escaping () -> UnsafeMutableRawPointer?, end: @escaping (UnsafeMutableRawPointer?) -> Void) {
      self.begin = begin
      self.end = end
    }
  }

  // Unsafe: set before the loop begins, by the one thread that runs it.
  nonisolated(unsafe) package static var waits: Waits?

  /// Whether this thread uses a hand-over in its worker's place: an interpreter's lock is not its own.
  package static var isBesideTheWorker: Bool {
    get { beside.value ?? false }
    set { beside.value = newValue }
  }
  private static let beside = ThreadLocal<Bool>()

  /// A wait for something else than messages.
  package func waiting<T>(_ body: () throws -> T) rethrows -> T {
    guard let waits = Self.waits, !Self.isBesideTheWorker else { return try body() }
    let state = waits.begin()
    defer { waits.end(state) }
    return try body()
  }

  // MARK: One call of the plugin

  /// Opens a call. The message counts as in hand until the call ends: if the worker dies, that is a death of this message.
  @inline(__always)
  package func begin(_ lease: borrowing Lease) {
    if promises.contains(.counts) { input?.pointee.mark(lease.place, deaths: lease.deaths) }
    hasInput = true
    inputPlace = lease.place
    inputID = lease.id
    inputPublished = lease.published
    inputSequence = lease.sequence
    skip = lease.skip
    if let part, part.slot == Int(inputPlace.slot) { skip = max(skip, part.count) }
    open()
  }

  /// Opens a source's call.
  @inline(__always)
  package func begin() {
    hasInput = false
    skip = 0
    open()
  }

  @inline(__always)
  func open() {
    ordinal = 0
    made = 0
    sizes = (0, 0)
    if promises.contains(.counts), cell.calls & 1 == 0 { cell.callChanged() }
  }

  /// Marks a message as in hand without opening a call, for a sink with many deliveries under way.
  package func markInHand(_ lease: Lease) { input?.pointee.mark(lease.place, deaths: lease.deaths) }

  /// Takes the mark off again: the message waits for its turn, and a death meanwhile is not its own.
  package func unmark(_ lease: Lease) { input?.pointee.unmark(lease.place) }

  /// Whether a call may not be handed over in parts. Its outputs belong to more inputs than its own then, and the cell names only one:
  /// what is more than the smallest ring holds is refused.
  package var keepsCallsWhole = false

  /// The identity of the next output. A source's follows from where the source stands after it, which is known when the call
  /// ends; until then it is its ordinal.
  @inline(__always)
  var nextID: MessageID { hasInput ? inputID.child(stage: stageHash, ordinal: ordinal) : MessageID(high: 0, low: ordinal) }

  /// Forgets what the open call has emitted.
  package func abandon() {
    for i in 0..<outputs.count { try? outputs[i].forget(from: lastEnd(i)) }
    endCall()
  }

  /// How many records of an output belong to calls that have ended.
  @inline(__always)
  func lastEnd(_ output: Int) -> Int {
    if isUniform { return ended.lastInPlace?.pointee.recordsEnd ?? 0 }
    return ended.isEmpty ? 0 : recordsEnd(ended.count - 1, output)
  }

  /// How many records of an output belong to an ended call and the ones before it.
  @inline(__always)
  func recordsEnd(_ call: Int, _ output: Int) -> Int {
    isUniform ? ended[call].recordsEnd : ends[call * outputs.count + output]
  }

  /// Notes in the slot, and in the lease, that the plugin has failed on the message.
  ///
  /// - Returns: how often it has by now, over all workers that tried
  @discardableResult
  package func recordError(_ lease: inout Lease) -> Int {
    cell.countError()
    if let input { lease.errors = input.pointee.countError(lease) }
    return lease.errors
  }

  package func countError() { cell.countError() }
  package func countRetry() { cell.countRetry() }

  /// Closes the call. It is handed over with the next commit.
  @inline(__always)
  package func end(_ disposition: Disposition) {
    let records = outputs.count == 0 ? 0 : outputs[0].records.count
    let call = ended.spare()
    call.pointee.recordsEnd = records
    call.pointee.made = made
    call.pointee.hasInput = hasInput
    call.pointee.isDropped = false
    call.pointee.isDeadLettered = false
    call.pointee.hasPosition = false
    switch disposition {
    case .done: break
    case .dropped: call.pointee.isDropped = true
    case .deadLettered: call.pointee.isDeadLettered = true
    case .source(let position):
      call.pointee.position.0 = position.0
      call.pointee.position.1 = position.1
      call.pointee.position.2 = position.2
      call.pointee.position.3 = position.3
      call.pointee.hasPosition = true
      for i in 0..<outputs.count {
        let first = lastEnd(i)
        if first < outputs[i].records.count { nameSourced(i, from: first, position) }
      }
    }
    if hasInput {
      if promises.contains(.counts) { input?.pointee.unmark(inputPlace) }
      call.pointee.place.slot = inputPlace.slot
      call.pointee.place.segment = inputPlace.segment
      call.pointee.place.generation = inputPlace.generation
      call.pointee.published = inputPublished
      call.pointee.sequence = inputSequence
    }
    ended.takeSpare()
    if !isUniform { for i in 0..<outputs.count { ends.append(outputs[i].records.count) } }
    if isOrdered {
      pause.callEnded()
      moveLastIntoOrder()
    }
    endCall()
  }

  /// What a source has made is named for where it stands afterwards, and for its ordinal when it is not the first.
  @inline(__always)
  func nameSourced(_ output: Int, from first: Int, _ position: (UInt64, UInt64, UInt64, UInt64)) {
    let id = MessageID.source(stage: stageHash, position: position)
    for r in first..<outputs[output].records.count {
      let ordinal = outputs[output].records[r].id.low
      outputs[output].setID(ordinal == 0 ? id : id.child(stage: stageHash, ordinal: ordinal), at: r)
    }
  }

  @inline(__always)
  func endCall() {
    hasInput = false
    if promises.contains(.counts), cell.calls & 1 == 1 { cell.callChanged() }
  }

  /// How many outputs of a message have gone on in parts, those of this worker among them.
  package func handedOn(_ lease: Lease) -> UInt64 { part.flatMap { $0.slot == lease.slot ? max($0.count, lease.skip) : nil } ?? lease.skip }

  package var pendingCalls: Int { ended.count }
  /// Whether a commit would hand over something now. What is left waits for its turn.
  package var canCommit: Bool { isOrdered ? due > 0 : !ended.isEmpty }
  package var pendingDeadLetters: Int { (0..<ended.count).count { ended[$0].isDeadLettered } }

  /// Whether what has been collected should not grow: a large message, or more than two segments of small ones.
  @inline(__always)
  package var isHeavy: Bool {
    for i in 0..<outputs.count where outputs[i].holdsMuch { return true }
    return false
  }

  @exclusivity(unchecked) var scratchBytes = PrivateBytes(0)

  /// Gives back the memory that is held open, at the end of a worker's life.
  package func close() throws {
    for i in 0..<outputs.count { try outputs[i].close() }
  }
}
