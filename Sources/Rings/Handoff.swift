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
    /// A source's call, with where it stands now.
    case source(position: (UInt64, UInt64, UInt64, UInt64))
  }

  private struct Call {
    var lease: Lease?
    /// How many records of each producer belong to this call and the ones before it.
    var recordsEnd: Int
    var isDropped: Bool
    var position: (UInt64, UInt64, UInt64, UInt64)?
  }

  private let cell: CommitCell
  private let input: Consumer?
  private let outputs: [Producer]
  private let stageHash: UInt64
  private var ended: [Call] = []
  /// The call that is open.
  private var lease: Lease?
  private var isOpen = false
  /// Outputs of the open call, those that were skipped or handed on in parts included.
  private var ordinal: UInt64 = 0
  private var skip: UInt64 = 0
  /// The slot whose call is being handed over in parts, and how many outputs are gone.
  private var part: (slot: Int, count: UInt64)?
  private let mostOutputs: Int

  package init(
    worker: WorkerNumber, cell: CommitCell, input: (ring: Ring, lane: Int)?, outputs: [(ring: Ring, lane: Int)],
    stageHash: UInt64
  ) {
    self.cell = cell
    self.stageHash = stageHash
    self.input = input.map { Consumer($0.ring, lane: $0.lane, owner: worker) }
    self.outputs = outputs.map { Producer($0.ring, lane: $0.lane, owner: worker) }
    mostOutputs = outputs.map(\.ring.shape.capacity).min() ?? Int.max
  }

  // MARK: Input

  /// Claims messages; never waits. One that must be worked on alone comes alone.
  package func claim(atMost most: Int, into leases: inout [Lease]) throws -> Int {
    guard let input else { return 0 }
    var n = 0
    while n < most, let lease = try input.claim() {
      leases.append(lease)
      n += 1
      if lease.isAlone { break }
    }
    if n > 0 { try input.passOn() }
    return n
  }

  /// Waits for a message or for the end. `closed` means that the ring was closed before a look at every slot found
  /// nothing: in this order, or a message that came in between would be left.
  package func waitForInput() throws -> InputState {
    guard let input else { return .closed }
    cell.beginWait(.input, at: Clock.now)
    defer { cell.endWait(at: Clock.now) }
    while true {
      let isClosed = input.ring.isClosed
      if input.hasMessage() { return .ready }
      if isClosed { return input.hasAnyMessage() ? .ready : .closed }
      try input.wait()
    }
  }

  /// Whether no fresh messages will come; one that a dead worker had may still come back.
  package var isInputClosed: Bool { input?.ring.isClosed ?? true }

  /// Counts what `body` takes as waiting for input: a source that waits for the outside, or a sink for an answer.
  package func waitingForInput<T>(_ body: () throws -> T) rethrows -> T {
    cell.beginWait(.input, at: Clock.now)
    defer { cell.endWait(at: Clock.now) }
    return try body()
  }

  /// For a bell: whether the input has something or has ended, seen by another thread's own reader.
  var inputRing: Ring? { input?.ring }
  var inputLane: Int { input?.lane ?? 0 }
  var inputEpoch: UInt64 { input?.epoch ?? 0 }

  // MARK: One call of the plugin

  /// Opens a call. The message counts as in hand until the call ends: if the worker dies, that is a death of this message.
  package func begin(_ lease: Lease?) {
    isOpen = true
    ordinal = 0
    self.lease = lease
    skip = lease?.skip ?? 0
    if let lease {
      input?.mark(lease, inHand: true)
      if let part, part.slot == lease.slot { skip = max(skip, part.count) }
    }
    if cell.calls & 1 == 0 { cell.callChanged() }
  }

  /// Marks a message as in hand without opening a call, for a sink with many deliveries under way.
  package func markInHand(_ lease: Lease) { input?.mark(lease, inHand: true) }

  package func emit(_ payload: UnsafeRawBufferPointer, id: MessageID? = nil) throws {
    if try !admits(payload.count) { return }
    for output in outputs { try output.append(payload) }
    name(id)
  }

  /// Memory for one output, in place in the first reader's ring.
  package func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer {
    if outputs.isEmpty { return scratch(length) }
    for output in outputs where length > output.ring.shape.messageBytes {
      throw RingError.messageTooLarge(length: length, limit: output.ring.shape.messageBytes)
    }
    if ordinal < skip { return scratch(length) }
    try makeRoomInCall()
    return try outputs[0].reserve(length)
  }

  package func emitReserved(length: Int, id: MessageID? = nil) throws {
    if ordinal < skip || outputs.isEmpty {
      ordinal += 1
      return
    }
    outputs[0].finish(length)
    if outputs.count > 1, let record = outputs[0].records.last {
      let payload = UnsafeRawBufferPointer(outputs[0].bytes(of: record))
      for output in outputs.dropFirst() { try output.append(payload) }
    }
    name(id)
  }

  /// Forgets what the open call has emitted.
  package func abandon() {
    let first = ended.last?.recordsEnd ?? 0
    for output in outputs { try? output.forget(from: first) }
    endCall()
  }

  /// Notes in the slot that the plugin has failed on the message.
  ///
  /// - Returns: how often it has by now, over all workers that tried
  package func recordError(_ lease: Lease) -> Int {
    cell.countError()
    return input?.countError(lease) ?? 0
  }

  package func countError() { cell.countError() }
  package func countRetry() { cell.countRetry() }

  /// Closes the call. It is handed over with the next commit.
  package func end(_ disposition: Disposition) {
    var call = Call(lease: lease, recordsEnd: outputs.first?.records.count ?? 0, isDropped: false, position: nil)
    switch disposition {
    case .done: break
    case .dropped: call.isDropped = true
    case .source(let position):
      call.position = position
      let first = ended.last?.recordsEnd ?? 0
      let id = MessageID.source(stage: stageHash, position: position)
      for output in outputs {
        for i in first..<output.records.count {
          output.setID(i == first ? id : id.child(stage: stageHash, ordinal: UInt64(i - first)), at: i)
        }
      }
    }
    if let lease { input?.mark(lease, inHand: false) }
    ended.append(call)
    endCall()
  }

  private func endCall() {
    lease = nil
    isOpen = false
    if cell.calls & 1 == 1 { cell.callChanged() }
  }

  package var pendingCalls: Int { ended.count }

  /// Whether what has been collected should not grow: a large message, or more than two segments of small ones.
  package var isHeavy: Bool { outputs.contains { $0.holdsMuch } }

  private func admits(_ length: Int) throws -> Bool {
    for output in outputs where length > output.ring.shape.messageBytes {
      throw RingError.messageTooLarge(length: length, limit: output.ring.shape.messageBytes)
    }
    if ordinal < skip || outputs.isEmpty {
      ordinal += 1
      return false
    }
    try makeRoomInCall()
    return true
  }

  private func name(_ id: MessageID?) {
    let name = id ?? lease?.id.child(stage: stageHash, ordinal: ordinal) ?? MessageID(high: 0, low: 0)
    for output in outputs { output.setID(name, at: output.records.count - 1) }
    ordinal += 1
  }

  private var scratchBytes = PrivateBytes(0)

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
      for output in outputs { fits = min(fits, try take(ended.last?.recordsEnd ?? 0, output)) }
      if fits == 0 {
        for output in outputs { try output.void(from: 0) }
        // At most so many as the ring holds: what is more went on in parts before the call ended.
        try waitForRoom(ended[0].recordsEnd)
        continue
      }
      let records = ended[fits - 1].recordsEnd
      if fits < ended.count { for output in outputs { try output.void(from: records) } }
      let isAll = fits == ended.count
      try handOver(fits, records) { record in
        if isAll, isLast { record.ended = true }
        if isAll, let committedLength {
          record.hasLength = true
          record.committedLength = committedLength
        }
      }
    }
    let current = cell.record
    if isLast && !current.ended || committedLength != nil && (!current.hasLength || current.committedLength != committedLength) {
      var record = current
      record.ended = record.ended || isLast
      if let committedLength {
        record.hasLength = true
        record.committedLength = committedLength
      }
      try cell.commit(record)
      try cell.clearBusy()
    }
  }

  /// Takes slots for the records of as many calls as fit.
  private func take(_ records: Int, _ output: Producer) throws -> Int {
    let got = try output.takeSlots(records)
    if got == records { return ended.count }
    return ended.firstIndex { $0.recordsEnd > got } ?? ended.count
  }

  private func waitForRoom(_ count: Int) throws {
    let now = Clock.now
    cell.beginWait(.room, at: now)
    defer { cell.endWait(at: Clock.now) }
    for output in outputs { try output.spillSurplus() }
    for output in outputs where !output.ring.hasRoom(max(1, min(count, output.ring.shape.capacity))) {
      return try output.waitForRoom(count)
    }
    // Room, but no segment for a payload that lies in private memory.
    for output in outputs where output.records.first?.spilled != nil { return try output.waitForRoom(count) }
  }

  /// Steps 2 to 6 for the first `calls` calls, whose outputs all have slots.
  private func handOver(_ calls: Int, _ records: Int, _ change: (inout CellRecord) -> Void) throws {
    let batch = ended[..<calls]
    for call in batch { if let lease = call.lease { try input?.settle(lease) } }
    var record = cell.record
    record.emitted += UInt64(records)
    for call in batch {
      if call.lease != nil { record.received += 1 }
      if call.isDropped { record.dropped += 1 }
      if let position = call.position { record.position = position }
      if let part, part.slot == call.lease?.slot { self.part = nil }
    }
    record.partSlot = nil
    record.partCount = 0
    change(&record)
    try cell.commit(record)
    let now = Clock.now
    for output in outputs { try output.publish(records, at: now) }
    for call in batch { if let lease = call.lease { try input?.free(lease) } }
    try cell.clearBusy()
    for output in outputs { try output.published(records) }
    try input?.freed(batch.lazy.compactMap(\.lease))
    for call in batch {
      if let lease = call.lease, now > lease.published { cell.recordLatency(now - lease.published) }
    }
    ended.removeFirst(calls)
    for i in ended.indices { ended[i].recordsEnd -= records }
  }

  /// Keeps the open call's outputs below what the smallest ring holds: when it emits more, what came before is handed
  /// over, and then the call itself, in parts. The cell names the input and how many outputs are gone, so that a worker
  /// which repeats the call skips as many.
  private func makeRoomInCall() throws {
    guard isOpen, let lease, (outputs.first?.records.count ?? 0) - (ended.last?.recordsEnd ?? 0) >= mostOutputs else { return }
    try commit()
    let records = outputs.first?.records.count ?? 0
    while true {
      var got = records
      for output in outputs { got = min(got, try output.takeSlots(records)) }
      if got == 0 {
        for output in outputs { try output.void(from: 0) }
        try waitForRoom(1)
        continue
      }
      for output in outputs { try output.void(from: got) }
      let gone = (part?.slot == lease.slot ? part?.count ?? 0 : max(lease.skip, 0)) + UInt64(got)
      var record = cell.record
      record.emitted += UInt64(got)
      record.partSlot = lease.slot
      record.partCount = gone
      try cell.commit(record)
      let now = Clock.now
      for output in outputs { try output.publish(got, at: now) }
      try cell.clearBusy()
      for output in outputs { try output.published(got) }
      part = (lease.slot, gone)
      return
    }
  }

  /// Gives back the memory that is held open, at the end of a worker's life.
  package func close() throws {
    for output in outputs { try output.close() }
  }
}
