import Platform

/// A message that a worker has claimed and reads in place.
package struct Lease: BitwiseCopyable {
  package let slot: Int
  /// Valid until the message is acknowledged.
  package let payload: UnsafeRawBufferPointer
  package let id: MessageID
  /// The position at which it was published first.
  package let sequence: UInt64
  /// `Clock.now` when it was published.
  package let published: UInt64
  /// How often a plugin has failed on it.
  package var errors: Int
  /// How many workers died with it in hand.
  package let deaths: Int
  /// The one that gave it back last by its death; 0 when none has.
  package let lastOwner: WorkerNumber
  /// How long the key behind the payload is; 0 for none.
  let keyLength: UInt32
  /// How many of its outputs have gone on in parts.
  package let skip: UInt64
  /// What its writer says of the payload; 0...15, and nothing to the ring.
  package let format: UInt8
  let place: Place

  /// What an acknowledgement has to know of a message.
  struct Place: BitwiseCopyable {
    var slot: Int32
    var segment: Int32
    var generation: UInt32
  }

  /// The key that was named for it, as JSON text; nil for one that follows from the payload. Valid as long as the payload.
  package var key: UnsafeRawBufferPointer? {
    if keyLength == 0 { return nil }
    return UnsafeRawBufferPointer(start: payload.baseAddress.map { $0 + payload.count }, count: Int(keyLength))
  }

  /// Whether it must be worked on alone: it may be what kills workers, or it was handed on in parts.
  package var isAlone: Bool { deaths > 0 || skip > 0 }
}

/// A worker's reading end of a ring.
struct Consumer: ~Copyable {
  let ring: Ring
  private let view: RingView
  let lane: Int
  private let owner: WorkerNumber
  /// How many messages were claimed since the line ended last.
  private var run = 0
  /// How often in a row a walk along the line came to no end.
  private var lostWalks = 0
  /// Where it stands: the lap, counted in 64 bits, and the slot.
  private var lap: UInt64 = 0
  private var index = 0
  private(set) var epoch: UInt64 = 0
  /// Messages that were put back, in the order of their sequence, as far as the last look found them.
  private var redelivered: [(sequence: UInt64, slot: Int)] = []
  private var spin = SpinBudget()
  private var patience = Patience()

  init(_ ring: Ring, lane: Int, owner: WorkerNumber) {
    self.ring = ring
    view = ring.view
    self.lane = lane
    self.owner = owner
    catchUp()
  }

  /// Claims the next message: those that were put back first, then from the head on.
  @inline(__always)
  mutating func claim() throws -> Lease? {
    if hasReturned, let lease = try claimRedelivered() { return lease }
    while true {
      guard let found = nextReady() else {
        if lostWalks == 0 { return nil }
        if lostWalks > RingView.mostLostWalks { throw RingCorruption.endlessLine }
        continue
      }
      let fields = view.slot(index)
      let i = index
      if fields.word.exchange(found.raw, SlotWord(found.lap, .leased, owner: owner, deaths: found.deaths).raw) != nil { continue }
      try Failpoint.claimed.hit()
      step()
      // In a run of messages the next slots are another core's already: they come while this message is worked on. Without a
      // run they would be torn from a producer that is about to fill them.
      run &+= 1
      if run > 4 { Processor.prefetchForWriting(view.slot(ahead(4)).base) }
      // A slot that was full a lap behind can be moved along now.
      if ring.hasSleepers(.producers) { try wakeProducersIfRoomy() }
      return try lease(i, found)
    }
  }

  /// Claims the oldest message that was put back, if there is one.
  mutating func claimReturned() throws -> Lease? { hasReturned ? try claimRedelivered() : nil }

  /// Whether messages may have been put back.
  var hasReturned: Bool { view.word(Ring.Offset.epoch).acquired != epoch || !redelivered.isEmpty }

  /// Whether `claim` would find something, as far as one look can tell.
  mutating func hasMessage() -> Bool {
    if view.word(Ring.Offset.epoch).acquired != epoch { return true }
    return mayHaveNext()
  }

  /// Whether there is a ready slot further on. A walk that came to no end has seen none, and tells nothing: whoever slept after that might
  /// never be woken.
  @inline(__always)
  private mutating func mayHaveNext() -> Bool { nextReady() != nil || lostWalks != 0 }

  /// Whether any slot is ready, wherever it stands: what a reader asks before it leaves.
  func hasAnyMessage() -> Bool { ring.hasReady }

  /// For a reader that only watches.
  var canGoOn: Bool { mutating get { hasMessage() || ring.isClosed } }

  mutating func ignoreRedelivery(upTo epoch: UInt64) { self.epoch = epoch }

  @inline(__always)
  private var position: UInt64 { lap &* view.capacity &+ UInt64(index) }

  @inline(__always)
  private mutating func step() { view.step(&lap, &index) }

  @inline(__always)
  private func ahead(_ n: Int) -> Int { index + n < view.count ? index + n : index }

  /// Walks to the next ready slot; nil when the line ends before one, or when `lostWalks` says that the walk came to no end.
  @inline(__always)
  private mutating func nextReady() -> SlotWord? {
    var mayCatchUp = true
    // Whoever asks again goes on where this walk has ended.
    for _ in 0..<view.longestWalk {
      let found = view.slot(index).state
      let laps = found.laps(from: lap)
      if laps == 0, found.isIn(.ready) {
        lostWalks = 0
        return found
      }
      // What is ahead of us, or behind, may be so because others have seen more of the line.
      if mayCatchUp, laps != 0 || !found.isHeld {
        mayCatchUp = false
        if catchUp() { continue }
      }
      if laps < 0 || laps == 0 && !found.isHeld {
        run = 0
        lostWalks = 0
        return nil
      }
      step()
    }
    lostWalks += 1
    return nil
  }

  /// Goes to the head, if it is further on.
  @discardableResult
  private mutating func catchUp() -> Bool {
    let head = view.word(Ring.Offset.head).relaxed
    if head <= position { return false }
    (lap, index) = view.place(head)
    return true
  }

  /// After recovery: all slots are looked at, and what was claimed before comes first, oldest first. The epoch counts as
  /// seen only after a look that found nothing.
  @inline(never)
  private mutating func claimRedelivered() throws -> Lease? {
    while true {
      let now = view.word(Ring.Offset.epoch).acquired
      if now == epoch, redelivered.isEmpty { return nil }
      if redelivered.isEmpty {
        raiseHead()
        let head = view.word(Ring.Offset.head).relaxed
        for i in 0..<view.count where view.slot(i).state.isIn(.ready) {
          let sequence = view.slot(i).sequence.relaxed
          if sequence < head { redelivered.append((sequence, i)) }
        }
        redelivered.sort { $0.sequence > $1.sequence }
        if redelivered.isEmpty {
          epoch = now
          return nil
        }
      }
      while let next = redelivered.popLast() {
        let fields = view.slot(next.slot)
        let found = fields.state
        guard found.isIn(.ready), fields.sequence.relaxed == next.sequence else { continue }
        if fields.word.exchange(found.raw, SlotWord(found.lap, .leased, owner: owner, deaths: found.deaths).raw) != nil { continue }
        try Failpoint.claimed.hit()
        // It may have been all that stood in the way.
        if ring.hasSleepers(.producers) { try wakeProducersIfRoomy() }
        return try lease(next.slot, found)
      }
    }
  }

  @inline(__always)
  private func lease(_ i: Int, _ found: SlotWord) throws -> Lease {
    let fields = view.slot(i)
    let place = fields.place.relaxed
    let extent = fields.extent.relaxed
    let segment = Int(place >> 32)
    let offset = Int(place & 0xffff_ffff)
    let length = Int(extent & 0xffff_ffff)
    guard let bytes = view.bytes(ofSegment: segment), offset <= bytes.count, length <= bytes.count - offset else {
      throw RingCorruption("slot \(i) points outside its ring")
    }
    let aux = SlotAux(raw: fields.aux.relaxed)
    var payload = UnsafeRawBufferPointer(start: bytes.base + offset, count: length)
    var keyLength = 0
    if aux.isKeyed {
      guard let found = TravellingKey.length(in: payload) else { throw RingCorruption("the key in slot \(i) is longer than its message") }
      keyLength = found
      payload = UnsafeRawBufferPointer(rebasing: payload.dropLast(found + TravellingKey.overhead))
    }
    return Lease(
      slot: i, payload: payload,
      id: MessageID(high: fields.idHigh.relaxed, low: fields.idLow.relaxed), sequence: fields.sequence.relaxed,
      published: fields.published.relaxed, errors: Int(aux.errors), deaths: Int(found.deaths), lastOwner: found.owner,
      keyLength: UInt32(truncatingIfNeeded: keyLength), skip: aux.skip, format: UInt8(truncatingIfNeeded: aux.format),
      place: Lease.Place(
        slot: Int32(truncatingIfNeeded: i), segment: Int32(truncatingIfNeeded: segment), generation: UInt32(truncatingIfNeeded: extent >> 32)))
  }

  // MARK: What the owner notes in its slot

  @inline(__always)
  func mark(_ place: Lease.Place, deaths: Int) {
    let aux = view.slot(Int(place.slot)).aux
    aux.set(aux.relaxed & ~SlotAux.markBits | UInt64(truncatingIfNeeded: deaths &+ 1) << SlotAux.markShift & SlotAux.markBits)
  }

  @inline(__always)
  func unmark(_ place: Lease.Place) {
    let aux = view.slot(Int(place.slot)).aux
    aux.set(aux.relaxed & ~SlotAux.markBits)
  }

  func countError(_ lease: Lease) -> Int {
    let aux = view.slot(lease.slot).aux
    var value = SlotAux(raw: aux.relaxed)
    value.errors = min(255, value.errors + 1)
    aux.set(value.raw)
    return Int(value.errors)
  }

  // MARK: Acknowledging

  /// leased -> settling: its owner is about to commit.
  @inline(__always)
  func settle(_ place: Lease.Place) throws { try view.settle(place, owner) }

  /// settling -> free in the next lap.
  @inline(__always)
  func free(_ place: Lease.Place) throws { try view.free(place, owner) }

  /// After the slots are free: gives the payloads' memory back and wakes the writers.
  func freed(_ run: ReleaseRun) throws {
    run.flush(to: view)
    raiseHead()
    SharedWord.fence()  // pairs with the fence in park
    if ring.hasSleepers(.producers) { try wakeProducersIfRoomy() }
  }

  /// The head tells others how far the line was claimed. It is raised with each hand-over, not with each claim: its line would
  /// travel between the readers for every message.
  @inline(__always)
  private func raiseHead() { view.word(Ring.Offset.head).raise(to: position) }

  /// After slots are free where readers wait for their turn.
  func wakeFellows() {
    if ring.hasSleepers(.consumers) { ring.wakeAll(.consumers) }
  }

  private func wakeProducersIfRoomy() throws {
    raiseHead()
    if !ring.isCrowded { try ring.wakeProducers() }
  }

  // MARK: Waiting

  /// Waits until there may be a message, or the ring is closed.
  mutating func wait() throws { try wait { $0.canGoOn } }

  /// - Parameter deadline: a time of `Clock.now`
  mutating func wait(until deadline: UInt64 = .max, _ isReady: (inout Consumer) -> Bool) throws {
    raiseHead()
    // Copies, since looking changes the place in the line.
    var (spin, patience) = (spin, patience)
    let start = Clock.now
    if !spin.spin(from: start, until: { isReady(&self) || deadline != .max && Clock.now >= deadline }) {
      // Nobody sleeps while the other side sleeps and could run.
      SharedWord.fence()
      if ring.hasSleepers(.producers), !ring.isCrowded, ring.hasRoom(1) { ring.wakeAll(.producers) }
      try ring.park(.consumers, lane, for: &patience, until: deadline, unless: { isReady(&self) })
    }
    spin.learn(Clock.now &- start)
    (self.spin, self.patience) = (spin, patience)
  }

  /// Work is left and somebody sleeps: one more is woken, so that a burst wakes as many as it needs.
  @inline(__always)
  mutating func passOn() throws {
    if ring.hasSleepers(.consumers), mayHaveNext() { try ring.wakeOne(.consumers) }
  }
}

/// Acknowledged payloads of the same segment, which are taken off its count together.
struct ReleaseRun: BitwiseCopyable {
  private var segment: Int32 = -1
  private var generation: UInt32 = 0
  private var count: UInt64 = 0

  @inline(__always)
  mutating func add(_ place: Lease.Place, _ view: RingView) {
    if place.segment == segment, place.generation == generation {
      count += 1
    } else {
      flush(to: view)
      (segment, generation, count) = (place.segment, place.generation, 1)
    }
  }

  func flush(to view: RingView) {
    if count > 0 { view.release(Int(segment), generation, count) }
  }
}

extension RingView {
  @inline(__always)
  func settle(_ place: Lease.Place, _ owner: WorkerNumber) throws {
    if !change(place, owner, from: .leased, { $0.with(.settling) }) { throw RingCorruption("slot \(place.slot) is not ours to settle") }
    try Failpoint.settled.hit()
  }

  @inline(__always)
  func free(_ place: Lease.Place, _ owner: WorkerNumber) throws {
    if !change(place, owner, from: .settling, { SlotWord($0.lap &+ 1, .free) }) { throw RingCorruption("slot \(place.slot) is not ours to free") }
    try Failpoint.freed.hit()
  }

  /// - Returns: whether the slot was in this state, and the owner's
  @inline(__always)
  private func change(_ place: Lease.Place, _ owner: WorkerNumber, from state: SlotWord.State, _ next: (SlotWord) -> SlotWord) -> Bool {
    let word = slot(Int(place.slot)).word
    var found = SlotWord(raw: word.acquired)
    while found.isIn(state), found.owner == owner {
      // A producer may move the lease along in between: the lap is read again.
      guard let other = word.exchange(found.raw, next(found).raw) else { return true }
      found = SlotWord(raw: other)
    }
    return false
  }

  /// Takes acknowledged payloads off a segment's count. An older generation means that the sweep has freed it already.
  func release(_ index: Int, _ generation: UInt32, _ count: UInt64) {
    let word = segment(index)
    var found = SegmentWord(raw: word.acquired)
    while true {
      guard found.generation == generation & 0xfff_ffff, found.count >= count, !found.isIn(.free) else { return }
      let left = found.count - count
      let isFree = found.isIn(.sealed) && left == 0
      let next = isFree ? found.freed : SegmentWord(raw: found.raw & ~0xf_ffff | left)
      guard let other = word.exchange(found.raw, next.raw) else { return }
      found = SegmentWord(raw: other)
    }
  }
}
