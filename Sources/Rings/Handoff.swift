import Platform

/// The worker's side of everything: it claims messages, collects what the plugin makes of them, and hands both over in
/// one instant.
///
/// A call of the plugin is `begin`, any number of `emit`, then `end` or `abandon`. Calls that have ended wait for
/// `commit`, which (1) takes slots for their outputs and fills them, (2) marks their inputs settling, (3) writes the
/// cell's other record and stores the next sequence with busy set, (4) publishes the outputs, (5) frees the inputs and
/// (6) clears busy. It never waits while it holds slots: what does not fit is voided, and taken again later.
///
/// One thread uses it.
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
  private struct Call: BitwiseCopyable {
    /// The input, if it had one; a source's has none.
    var place: Lease.Place
    var hasInput: Bool
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

  private let worker: WorkerNumber
  private let cell: CommitCell
  // Behind pointers, for they are changed in place all the time.
  private let input: UnsafeMutablePointer<Consumer>?
  private let outputs: UnsafeMutableBufferPointer<Producer>
  /// The outputs that read each port.
  private let readers: [[Int]]
  private let whenFull: [WhenFull]
  /// The outputs whose queues drop what finds no room.
  private let dropping: [Int]
  /// Whether every output gets every message: nobody reads a port, and nobody drops.
  private let isUniform: Bool
  private let stageHash: UInt64
  private let mostOutputs: Int
  /// The largest payload that every reader takes.
  private let mostBytes: Int
  /// How many large and small payloads a call may have at once, where an output has fewer segments than its line has slots.
  private let mostAtOnce: (large: Int, small: Int)?
  private let promises: Promises
  // Unchecked exclusivity: one thread uses it, and no access lasts longer than its expression.
  /// What the cell holds; nobody else writes it while this worker lives.
  @exclusivity(unchecked) private var record: CellRecord
  @exclusivity(unchecked) private var ended = PlainBuffer<Call>(capacity: 256)
  /// Where outputs differ: for each ended call, how many records of each output belong to it and the ones before it.
  @exclusivity(unchecked) private var ends = PlainBuffer<Int>(capacity: 256)
  /// What each output was given and what was dropped there, where outputs differ.
  @exclusivity(unchecked) private var counts: [UInt64]
  /// How often in a row the oldest messages went and others took their places.
  @exclusivity(unchecked) private var dropRounds = 0
  /// The call that is open, and of its input what a hand-over has to know.
  @exclusivity(unchecked) private var hasInput = false
  @exclusivity(unchecked) private var inputPlace = Lease.Place(slot: -1, segment: -1, generation: 0)
  @exclusivity(unchecked) private var inputID = MessageID(high: 0, low: 0)
  @exclusivity(unchecked) private var inputPublished: UInt64 = 0
  /// Outputs of the open call, those that were skipped or handed on in parts included.
  @exclusivity(unchecked) private var ordinal: UInt64 = 0
  @exclusivity(unchecked) private var skip: UInt64 = 0
  /// Messages of the open call that have readers, those that went on in parts not counted.
  @exclusivity(unchecked) private var made = 0
  /// How many large and small payloads of the open call have not gone on; counted only where `mostAtOnce` is there.
  @exclusivity(unchecked) private var sizes = (large: 0, small: 0)
  @exclusivity(unchecked) private var reservedLength = 0
  /// The slot whose call is being handed over in parts, and how many outputs are gone.
  @exclusivity(unchecked) private var part: (slot: Int, count: UInt64)?
  /// How often in a row there was room, and nothing could be taken.
  @exclusivity(unchecked) private var fruitless = 0

  /// - Parameters:
  ///   - ports: what each output reads; nil when all of them read the main port and there is no other
  ///   - whenFull: what each output does without room; nil when all of them make the worker wait
  ///   - promises: for measuring what each of them costs
  package init(
    worker: WorkerNumber, cell: CommitCell, input: (ring: Ring, lane: Int)?, outputs: [(ring: Ring, lane: Int)], ports: [PortSet]? = nil,
    whenFull: [WhenFull]? = nil, stageHash: UInt64, promises: Promises = .all
  ) {
    self.worker = worker
    self.cell = cell
    let ports = ports ?? outputs.map { _ in .main }
    let whenFull = whenFull ?? outputs.map { _ in .block }
    self.whenFull = whenFull
    dropping = whenFull.indices.filter { whenFull[$0] != .block }
    isUniform = ports.allSatisfy { $0 == .main } && dropping.isEmpty
    readers = (0..<PortSet.most).map { port in ports.indices.filter { ports[$0].contains(PortSet(port: port)) } }
    self.stageHash = stageHash
    self.promises = promises
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
    counts = isUniform ? [] : cell.allCounts + [UInt64](repeating: 0, count: max(0, 2 * (outputs.count - CommitCell.mostCounted)))
  }

  deinit {
    ended.deallocate()
    ends.deallocate()
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

  /// A wait for something else than messages.
  package func waiting<T>(_ body: () throws -> T) rethrows -> T {
    guard let waits = Self.waits else { return try body() }
    let state = waits.begin()
    defer { waits.end(state) }
    return try body()
  }

  // MARK: Input

  /// Claims messages; never waits. One that must be worked on alone comes alone.
  package func claim(atMost most: Int, into leases: inout [Lease]) throws -> Int {
    var n = 0
    while n < most, let lease = try claim() {
      leases.append(lease)
      n += 1
      if lease.isAlone { break }
    }
    return n
  }

  /// Claims the next message; never waits.
  @inline(__always)
  package func claim() throws -> Lease? {
    guard let input, let lease = try input.pointee.claim() else { return nil }
    try input.pointee.passOn()
    return lease
  }

  /// Waits for a message or for the end. `closed` means that the ring was closed before a look at every slot found
  /// nothing: in this order, or a message that came in between would be left.
  package func waitForInput() throws -> InputState {
    guard let input else { return .closed }
    // A wait that is about as short as a few looks at the clock is not worth counting.
    for _ in 0..<64 {
      if input.pointee.hasMessage() { return .ready }
      Processor.pause()
    }
    cell.beginWait(.input, at: Clock.now)
    defer { cell.endWait(at: Clock.now) }
    while true {
      let isClosed = input.pointee.ring.isClosed
      if input.pointee.hasMessage() { return .ready }
      if isClosed { return input.pointee.hasAnyMessage() ? .ready : .closed }
      try waiting { try input.pointee.wait() }
    }
  }

  /// Whether no fresh messages will come; one that a dead worker had may still come back.
  package var isInputClosed: Bool { input?.pointee.ring.isClosed ?? true }

  /// Counts what `body` takes as waiting for input: a source that waits for the outside, or a sink for an answer.
  package func waitingForInput<T>(_ body: () throws -> T) rethrows -> T {
    cell.beginWait(.input, at: Clock.now)
    defer { cell.endWait(at: Clock.now) }
    return try waiting(body)
  }

  /// For a bell: whether the input has something or has ended, seen by another thread's own reader.
  var inputRing: Ring? { input?.pointee.ring }
  var inputLane: Int { input?.pointee.lane ?? 0 }
  var inputEpoch: UInt64 { input?.pointee.epoch ?? 0 }

  // MARK: One call of the plugin

  /// Opens a call. The message counts as in hand until the call ends: if the worker dies, that is a death of this message.
  @inline(__always)
  package func begin(_ lease: borrowing Lease) {
    if promises.contains(.counts) { input?.pointee.mark(lease.place, deaths: lease.deaths) }
    hasInput = true
    inputPlace = lease.place
    inputID = lease.id
    inputPublished = lease.published
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
  private func open() {
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

  /// Hands on by the main port.
  ///
  /// - Parameter format: what a reader is told of the bytes, 0...15
  @inline(__always)
  package func emit(_ payload: UnsafeRawBufferPointer, format: UInt8 = 0) throws {
    if !isUniform { return try emit(payload, format: format, to: 0) }
    if payload.count > mostBytes { throw RingError.messageTooLarge(length: payload.count, limit: mostBytes) }
    if ordinal < skip || outputs.count == 0 {
      ordinal += 1
      return
    }
    try makeRoomInCall(for: payload.count)
    let id = nextID
    for i in 0..<outputs.count { try outputs[i].append(payload, id, format: format) }
    if mostAtOnce != nil { noteSize(payload.count, reserved: payload.count) }
    ordinal += 1
  }

  /// Hands on by a port, to those who read it.
  @inline(never)
  package func emit(_ payload: UnsafeRawBufferPointer, format: UInt8, to port: Int) throws {
    let readers = readers(of: port)
    if readers.isEmpty || ordinal < skip {
      ordinal += 1
      return
    }
    try checkLength(payload.count, readers)
    try makeRoomInCall(for: payload.count)
    let id = nextID
    for i in readers { try outputs[i].append(payload, id, format: format) }
    if mostAtOnce != nil { noteSize(payload.count, reserved: payload.count) }
    ordinal += 1
    made += 1
  }

  /// Hands on what a message that is given up becomes. However much of the call has gone on in parts, this goes too, by a name that
  /// none of its outputs has.
  package func emitLetter(_ payload: UnsafeRawBufferPointer, format: UInt8, to port: Int) throws {
    let readers = readers(of: port)
    try checkLength(payload.count, readers)
    let parent = hasInput ? inputID : MessageID.source(stage: stageHash, position: record.position)
    let id = parent.child(stage: stageHash, ordinal: .max &- (hasInput ? 0 : record.deadLettered))
    for i in readers { try outputs[i].append(payload, id, format: format) }
  }

  private func readers(of port: Int) -> [Int] { readers.indices.contains(port) ? readers[port] : [] }

  private func checkLength(_ length: Int, _ readers: [Int]) throws {
    for i in readers where length > outputs[i].ring.shape.messageBytes {
      throw RingError.messageTooLarge(length: length, limit: outputs[i].ring.shape.messageBytes)
    }
  }

  /// Memory for one output of the main port, in place in its first reader's ring.
  @inline(__always)
  package func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer {
    guard let first = isUniform ? (outputs.count == 0 ? nil : 0) : readers(of: 0).first else { return scratch(length) }
    if isUniform {
      if length > mostBytes { throw RingError.messageTooLarge(length: length, limit: mostBytes) }
    } else {
      try checkLength(length, readers(of: 0))
    }
    if ordinal < skip { return scratch(length) }
    try makeRoomInCall(for: length)
    if mostAtOnce != nil { reservedLength = length }
    return try outputs[first].reserve(length)
  }

  @inline(__always)
  package func emitReserved(length: Int, format: UInt8 = 0) throws {
    if !isUniform { return try emitReservedToMain(length, format) }
    if ordinal < skip || outputs.count == 0 {
      ordinal += 1
      return
    }
    let id = nextID
    outputs[0].finish(length, id, format: format)
    if outputs.count > 1 {
      let payload = outputs[0].lastPayload
      for i in 1..<outputs.count { try outputs[i].append(payload, id, format: format) }
    }
    if mostAtOnce != nil { noteSize(length, reserved: reservedLength) }
    ordinal += 1
  }

  private func emitReservedToMain(_ length: Int, _ format: UInt8) throws {
    let readers = readers(of: 0)
    if let first = readers.first, ordinal >= skip {
      let id = nextID
      outputs[first].finish(length, id, format: format)
      let payload = outputs[first].lastPayload
      for i in readers.dropFirst() { try outputs[i].append(payload, id, format: format) }
      if mostAtOnce != nil { noteSize(length, reserved: reservedLength) }
      made += 1
    }
    ordinal += 1
  }

  /// The identity of the next output. A source's follows from where the source stands after it, which is known when the call
  /// ends; until then it is its ordinal.
  @inline(__always)
  private var nextID: MessageID { hasInput ? inputID.child(stage: stageHash, ordinal: ordinal) : MessageID(high: 0, low: ordinal) }

  /// Forgets what the open call has emitted.
  package func abandon() {
    for i in 0..<outputs.count { try? outputs[i].forget(from: lastEnd(i)) }
    endCall()
  }

  /// How many records of an output belong to calls that have ended.
  @inline(__always)
  private func lastEnd(_ output: Int) -> Int {
    if isUniform { return ended.lastInPlace?.pointee.recordsEnd ?? 0 }
    return ended.isEmpty ? 0 : recordsEnd(ended.count - 1, output)
  }

  /// How many records of an output belong to an ended call and the ones before it.
  @inline(__always)
  private func recordsEnd(_ call: Int, _ output: Int) -> Int {
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
    }
    ended.takeSpare()
    if !isUniform { for i in 0..<outputs.count { ends.append(outputs[i].records.count) } }
    endCall()
  }

  /// What a source has made is named for where it stands afterwards, and for its ordinal when it is not the first.
  @inline(__always)
  private func nameSourced(_ output: Int, from first: Int, _ position: (UInt64, UInt64, UInt64, UInt64)) {
    let id = MessageID.source(stage: stageHash, position: position)
    for r in first..<outputs[output].records.count {
      let ordinal = outputs[output].records[r].id.low
      outputs[output].setID(ordinal == 0 ? id : id.child(stage: stageHash, ordinal: ordinal), at: r)
    }
  }

  @inline(__always)
  private func endCall() {
    hasInput = false
    if promises.contains(.counts), cell.calls & 1 == 1 { cell.callChanged() }
  }

  package var pendingCalls: Int { ended.count }
  package var pendingDeadLetters: Int { (0..<ended.count).count { ended[$0].isDeadLettered } }

  /// Whether what has been collected should not grow: a large message, or more than two segments of small ones.
  @inline(__always)
  package var isHeavy: Bool {
    for i in 0..<outputs.count where outputs[i].holdsMuch { return true }
    return false
  }

  @exclusivity(unchecked) private var scratchBytes = PrivateBytes(0)

  private func scratch(_ length: Int) -> UnsafeMutableRawBufferPointer {
    if scratchBytes.bytes.count < length { scratchBytes = PrivateBytes(length) }
    return UnsafeMutableRawBufferPointer(rebasing: scratchBytes.bytes[..<max(0, length)])
  }

  // MARK: Handing over

  /// Hands over all calls that have ended.
  ///
  /// - Parameters:
  ///   - ended: a source's last word: nothing more will come
  ///   - committedLength: what a sink has reached with these messages
  package func commit(ended isLast: Bool = false, committedLength: UInt64? = nil) throws {
    while !ended.isEmpty {
      var fits = ended.count
      for i in 0..<outputs.count where whenFull[i] == .block { fits = min(fits, try take(i)) }
      if fits == 0 {
        for i in 0..<outputs.count { try outputs[i].void(from: 0) }
        // At most so many as the ring holds: what is more went on in parts before the call ended.
        try waitForRoom { recordsEnd(0, $0) }
        continue
      }
      if !dropping.isEmpty, try !takeOrDrop({ recordsEnd(fits - 1, $0) }) { continue }
      if fits < ended.count { for i in 0..<outputs.count { try outputs[i].void(from: recordsEnd(fits - 1, i)) } }
      let isAll = fits == ended.count
      try handOver(fits, ended: isAll && isLast, committedLength: isAll ? committedLength : nil)
    }
    if isLast && !record.ended || committedLength != nil && (!record.hasLength || record.committedLength != committedLength) {
      note(ended: isLast, committedLength: committedLength)
      try cell.commit(record, counts)
      try cell.clearBusy()
    }
  }

  private func note(ended isLast: Bool, committedLength: UInt64?) {
    if isLast { record.ended = true }
    if let committedLength {
      record.hasLength = true
      record.committedLength = committedLength
    }
  }

  /// Takes slots for the records of as many calls as fit.
  private func take(_ output: Int) throws -> Int {
    let records = lastEnd(output)
    let got = try outputs[output].takeSlots(records)
    if got == records { return ended.count }
    return (0..<ended.count).first { recordsEnd($0, output) > got } ?? ended.count
  }

  /// Takes slots where nobody waits for them, once those for which one waits are there.
  ///
  /// - Parameter count: how many records of each output
  /// - Returns: false when the oldest messages of a queue have made room. Everything was voided for that: a commit makes all slots good that
  ///   its worker holds.
  private func takeOrDrop(_ count: (Int) -> Int) throws -> Bool {
    for i in dropping {
      let wanted = count(i)
      if whenFull[i] == .dropOldest { try outputs[i].dropFirst(of: wanted, downTo: outputs[i].ring.shape.capacity) }
      let got = try outputs[i].takeSlots(wanted)
      if got == wanted { continue }
      for j in 0..<outputs.count { try outputs[j].void(from: 0) }
      dropRounds += 1
      let made = dropRounds > Self.mostDropRounds ? 0 : try dropOldest(i, wanted - got)
      if made == 0 { try outputs[i].dropFirst(of: wanted, downTo: wanted - outputs[i].dropped(wanted) - (wanted - got)) }
      return false
    }
    dropRounds = 0
    return true
  }

  /// Other writers may take the places; a source does not try for ever.
  private static let mostDropRounds = 64

  /// Takes messages out of a line and drops them, in a commit of its own. No slots are held, and no inputs are settled.
  ///
  /// - Returns: how many there were
  private func dropOldest(_ output: Int, _ count: Int) throws -> Int {
    let places = try outputs[output].leaseOldest(count)
    if places.isEmpty { return 0 }
    for place in places { try outputs[output].settle(place) }
    counts[2 * output + 1] &+= UInt64(places.count)
    try cell.commit(record, counts)
    for place in places { try outputs[output].free(place) }
    try cell.clearBusy()
    outputs[output].freed(places)
    return places.count
  }

  /// - Parameter count: how many records of each output are to find room at once
  private func waitForRoom(_ count: (Int) -> Int) throws {
    let now = Clock.now
    cell.beginWait(.room, at: now)
    defer { cell.endWait(at: Clock.now) }
    for i in 0..<outputs.count { try outputs[i].spillSurplus() }
    try giveWay()
    let concerned = (0..<outputs.count).filter { whenFull[$0] == .block && count($0) > 0 }
    func hasRoom(_ output: Int) -> Bool {
      outputs[output].ring.hasRoom(max(1, min(count(output), outputs[output].ring.shape.capacity))) && !outputs[output].lacksSegments(count(output))
    }
    // The first that has no room; if all have, the one where it is somebody else's turn.
    let blocked =
      concerned.first { outputs[$0].ring.isCrowded || !hasRoom($0) }
      ?? concerned.first { outputs[$0].turn != 0 && !outputs[$0].hasTurn }
    let holdsTurn = (0..<outputs.count).contains { outputs[$0].hasTurn }
    if let blocked { try waiting { try outputs[blocked].waitForRoom(count(blocked), holdsTurn: holdsTurn) } }
    // Others may be faster, now and then. Room that is shown again and again and is never there is a damaged ring.
    fruitless = concerned.allSatisfy(hasRoom) ? fruitless + 1 : 0
    if fruitless > Self.mostFruitless { throw RingCorruption("a queue shows room that nobody can take") }
  }

  /// With a hundred writers at a queue of one message, the odds of losing so many races in a row have four hundred zeros.
  private static let mostFruitless = 100_000

  /// Two workers with several readers could each have their turn in a ring that the other needs: the lower number keeps its own.
  private func giveWay() throws {
    if outputs.count < 2 { return }
    for i in 0..<outputs.count where outputs[i].turn != 0 && outputs[i].turn < UInt64(worker) {
      for i in 0..<outputs.count { outputs[i].endTurn() }
      return
    }
  }

  /// Steps 2 to 6 for the first `calls` calls, whose outputs all have slots.
  private func handOver(_ calls: Int, ended isLast: Bool, committedLength: UInt64?) throws {
    let isOnce = promises.contains(.once)
    fruitless = 0
    if isUniform { record.emitted &+= UInt64(recordsEnd(calls - 1, 0)) } else { countSent(calls) }
    for i in 0..<calls {
      let call = ended[i]
      if call.hasInput, let input {
        try input.pointee.settle(call.place)
        record.received &+= 1
        if let part, part.slot == Int(call.place.slot) { self.part = nil }
      }
      if call.isDropped { record.dropped &+= 1 }
      if call.isDeadLettered { record.deadLettered &+= 1 }
    }
    if ended[calls - 1].hasPosition { record.position = ended[calls - 1].position }
    record.partSlot = nil
    record.partCount = 0
    note(ended: isLast, committedLength: committedLength)
    if isOnce { try cell.commit(record, counts) }
    let now = Clock.now
    for i in 0..<outputs.count { try outputs[i].publish(recordsEnd(calls - 1, i), at: now) }
    if let input { for i in 0..<calls where ended[i].hasInput { try input.pointee.free(ended[i].place) } }
    if isOnce { try cell.clearBusy() }
    for i in 0..<outputs.count { try outputs[i].published(recordsEnd(calls - 1, i)) }
    if let input {
      var run = ReleaseRun()
      for i in 0..<calls where ended[i].hasInput { run.add(ended[i].place, input.pointee.ring.view) }
      try input.pointee.freed(run)
      if promises.contains(.counts) { countLatencies(calls, now) }
    }
    forget(calls)
  }

  /// The first calls have been handed over.
  @inline(__always)
  private func forget(_ calls: Int) {
    if isUniform {
      let records = recordsEnd(calls - 1, 0)
      ended.removeFirst(calls)
      for i in 0..<ended.count { ended[i].recordsEnd -= records }
    } else {
      let records = (0..<outputs.count).map { recordsEnd(calls - 1, $0) }
      ended.removeFirst(calls)
      ends.removeFirst(calls * outputs.count)
      for i in 0..<ends.count { ends[i] -= records[i % outputs.count] }
    }
  }

  private func countSent(_ calls: Int) {
    for i in 0..<calls { record.emitted &+= UInt64(ended[i].made) }
    count { recordsEnd(calls - 1, $0) }
  }

  /// - Parameter records: how many of an output's records are handed over, or dropped, now
  private func count(_ records: (Int) -> Int) {
    for i in 0..<outputs.count {
      let given = records(i)
      counts[2 * i] &+= UInt64(given)
      counts[2 * i + 1] &+= UInt64(outputs[i].dropped(given))
    }
  }

  /// Messages that were published together took the same time.
  private func countLatencies(_ calls: Int, _ now: UInt64) {
    var i = 0
    while i < calls {
      let published = ended[i].published
      var next = i + 1
      while next < calls, ended[next].published == published { next += 1 }
      if ended[i].hasInput, now > published { cell.recordLatency(now - published, count: UInt64(next - i)) }
      i = next
    }
  }

  /// Keeps the open call's outputs below what the smallest ring holds: when it emits more, what came before is handed
  /// over, and then the call itself, in parts. The cell names the input and how many outputs are gone, so that a worker
  /// which repeats the call skips as many.
  @inline(__always)
  private func makeRoomInCall(for length: Int) throws {
    guard hasInput else { return }
    if let mostAtOnce, length > RingShape.smallPayload ? sizes.large >= mostAtOnce.large : sizes.small >= mostAtOnce.small {
      try handOverInParts()
    } else if isUniform {
      if outputs[0].records.count - lastEnd(0) >= mostOutputs { try handOverInParts() }
    } else if (0..<outputs.count).contains(where: {
      // What must stay whole, and finds no room where that drops it, is dropped.
      outputs[$0].records.count - lastEnd($0) >= outputs[$0].ring.shape.capacity && !(keepsCallsWhole && whenFull[$0] != .block)
    }) {
      try handOverInParts()
    }
  }

  /// - Parameter reserved: a payload that had a large segment in mind may have become small, and could then need either
  private func noteSize(_ length: Int, reserved: Int) {
    if max(length, reserved) > RingShape.smallPayload { sizes.large += 1 }
    if length <= RingShape.smallPayload { sizes.small += 1 }
  }

  /// After a part has gone: what is left of the call.
  private func countSizes() {
    sizes = (0, 0)
    guard isUniform else { return }
    for i in 0..<outputs[0].records.count { noteSize(Int(outputs[0].records[i].length), reserved: 0) }
  }

  @inline(never)
  private func handOverInParts() throws {
    if keepsCallsWhole { throw RingError.tooManyOutputs(limit: (0..<outputs.count).map { outputs[$0].records.count - lastEnd($0) }.max() ?? 0) }
    try commit()
    let slot = Int(inputPlace.slot)
    let before = part?.slot == slot ? part?.count ?? 0 : skip
    while true {
      guard let got = try takeSlotsInCall() else {
        for i in 0..<outputs.count { try outputs[i].void(from: 0) }
        try waitForRoom { isUniform ? 1 : outputs[$0].records.count }
        continue
      }
      fruitless = 0
      let gone: UInt64
      if isUniform {
        gone = before &+ UInt64(got)
        record.emitted &+= UInt64(got)
      } else {
        // All that there is, up to the output that comes next.
        gone = ordinal
        record.emitted &+= UInt64(made)
        made = 0
        count { outputs[$0].records.count }
      }
      record.partSlot = slot
      record.partCount = gone
      try cell.commit(record, counts)
      let now = Clock.now
      for i in 0..<outputs.count { try outputs[i].publish(isUniform ? got : outputs[i].records.count, at: now) }
      try cell.clearBusy()
      for i in 0..<outputs.count { try outputs[i].published(isUniform ? got : outputs[i].records.count) }
      part = (slot, gone)
      if mostAtOnce != nil { countSizes() }
      return
    }
  }

  /// Takes slots for what the open call has made: for as much as fits where every output gets the same, else for all of it, since
  /// where a call stands is one number.
  ///
  /// - Returns: how many records of each output have slots; nil when it was too little
  private func takeSlotsInCall() throws -> Int? {
    let records = outputs[0].records.count
    if isUniform {
      var got = records
      for i in 0..<outputs.count { got = min(got, try outputs[i].takeSlots(records)) }
      if got == 0 { return nil }
      for i in 0..<outputs.count { try outputs[i].void(from: got) }
      return got
    }
    while true {
      for i in 0..<outputs.count where whenFull[i] == .block {
        if try outputs[i].takeSlots(outputs[i].records.count) < outputs[i].records.count { return nil }
      }
      if dropping.isEmpty { return records }
      if try takeOrDrop({ outputs[$0].records.count }) { return records }
    }
  }

  /// Gives back the memory that is held open, at the end of a worker's life.
  package func close() throws {
    for i in 0..<outputs.count { try outputs[i].close() }
  }
}
