import Platform

/// A worker's writing end of a ring: payloads go into segments first, and slots are taken for them at the last moment,
/// so nobody waits while a large message is being written.
///
/// Records line up until `takeSlots`, `publish` and `published` move them on. Nothing here waits but `waitForRoom`.
struct Producer: ~Copyable {
  /// A payload that waits for its hand-over.
  struct Record: BitwiseCopyable {
    /// The segment it lies in, or -1 while it lies in `spilled`.
    var segment: Int32
    var generation: UInt32
    var offset: UInt32
    var length: UInt32
    var id = MessageID(high: 0, low: 0)
    /// What a reader is told of the payload, 0...15, and beside it `SlotAux.keyed`.
    var format: UInt8 = 0
    /// The slot that was taken for it, and its lap.
    var slot = -1
    var lap: UInt64 = 0
    /// It found no room, and goes nowhere.
    var isDropped = false
    /// Private memory: there was no segment for it, or it had to leave its segment before a wait.
    var spilled: UnsafeMutableRawPointer?
  }

  /// A segment that this producer holds open.
  struct Held: BitwiseCopyable {
    var index: Int32
    var generation: UInt32
    /// Published so far: what its count is made of when it is sealed.
    var published: UInt64 = 0
    /// Written, not yet published.
    var pending = 0
    /// How far it is filled.
    var bump = 0
  }

  let ring: Ring
  let view: RingView
  let lane: Int
  let owner: WorkerNumber
  let whenFull: WhenFull
  var records = PlainBuffer<Record>(capacity: 256)
  /// How many of the records have slots, or are dropped: the first ones.
  var taken = 0
  /// The last one is being filled.
  var small = PlainBuffer<Held>(capacity: 8)
  var large = PlainBuffer<Held>(capacity: 8)
  /// Where the next slot is looked for: the lap, counted in 64 bits, and the slot.
  var lap: UInt64 = 0
  var index = 0
  var rotation: (small: Int, large: Int)
  var spin = SpinBudget()
  var patience = Patience()
  /// How often in a row a walk along the line came to no end.
  var lostWalks = 0
  var failedRounds = 0
  /// The position behind the last message that was taken out of the line.
  var dropEnd: UInt64 = 0
  /// Whether the spare record is a reservation.
  var isReserved = false

  init(_ ring: Ring, lane: Int, owner: WorkerNumber, whenFull: WhenFull = .block) {
    self.ring = ring
    view = ring.view
    self.lane = lane
    self.owner = owner
    self.whenFull = whenFull
    // Producers begin in different places, so that they seldom meet.
    rotation = (lane, lane)
    catchUp()
  }

  deinit {
    if isReserved { records.spareInPlace.pointee.spilled?.deallocate() }
    for i in 0..<records.count { records[i].spilled?.deallocate() }
    records.deallocate()
    small.deallocate()
    large.deallocate()
  }

  // MARK: Slots

  /// Takes slots for the first `count` records that have none, in order.
  ///
  /// - Returns: how many of the first `count` have one now or are dropped; fewer when the ring is full or a spilled record found no
  ///   segment, but never where that drops the newest
  mutating func takeSlots(_ count: Int) throws -> Int {
    if taken >= count { return count }
    let turn = view.word(Ring.Offset.starving).relaxed
    if turn != 0, turn != UInt64(owner) { return taken }
    catchUp()
    while taken < count {
      if records[taken].isDropped {
        taken += 1
        continue
      }
      let hasMemory = records[taken].spilled == nil ? true : try placeSpilled(taken)
      guard hasMemory, try takeSlot() else {
        if whenFull != .dropNewest { return taken }
        try drop(taken)
        continue
      }
      let record = records[taken]
      let fields = view.slot(record.slot)
      fields.sequence.set(record.lap &* view.capacity &+ UInt64(record.slot))
      fields.place.set(UInt64(UInt32(bitPattern: record.segment)) << 32 | UInt64(record.offset))
      fields.extent.set(UInt64(record.generation) << 32 | UInt64(record.length))
      fields.idHigh.set(record.id.high)
      fields.idLow.set(record.id.low)
      fields.aux.set(SlotAux(format: record.format).raw)
      taken += 1
      try Failpoint.filled.hit()
    }
    return count
  }

  /// Goes to the tail, if it is further on.
  mutating func catchUp() {
    let tail = view.word(Ring.Offset.tail).relaxed
    if tail > lap &* view.capacity &+ UInt64(index) { (lap, index) = view.place(tail) }
  }

  /// One slot of the line, from the tail on, for the next record: free(k) is taken, a lease of the lap before is moved along,
  /// and a message of the lap before that nobody has claimed means full. So does a whole lap of leases.
  @inline(__always)
  private mutating func takeSlot() throws -> Bool {
    var k = lap
    var i = index
    var moved: UInt64 = 0
    // A position that was passed is nobody's any more in its lap: the next walk goes on where this one ends.
    defer { (lap, index) = (k, i) }
    for _ in 0..<view.longestWalk {
      let word = view.slot(i).word
      let found = SlotWord(raw: word.acquired)
      let laps = found.laps(from: k)
      if laps == 0, found.isIn(.free) {
        if word.exchange(found.raw, SlotWord(k, .writing, owner: owner).raw) != nil { continue }
        try Failpoint.took.hit()
        records[taken].slot = i
        records[taken].lap = k
        view.step(&k, &i)
        lostWalks = 0
        Processor.prefetchForWriting(view.slot(i + 4 < view.count ? i + 4 : i).base)
        return true
      }
      if laps < 0 {
        guard laps == -1, found.isHeld, moved < view.capacity else { return false }
        if word.exchange(found.raw, SlotWord(raw: found.raw &+ 1 << 24).raw) != nil { continue }
        try Failpoint.restamped.hit()
        moved += 1
      }
      view.step(&k, &i)
    }
    // The others were faster, all the way, or since the last publication more laps than that were given back. A line that has no end is damaged.
    lostWalks += 1
    if lostWalks > RingView.mostLostWalks { throw RingCorruption.endlessLine }
    return false
  }

  /// Gives back the slots of the records from `first` on. A voided slot goes to the next lap: readers may have passed it.
  mutating func void(from first: Int) throws {
    while taken > first {
      let record = records[taken - 1]
      taken -= 1
      if record.isDropped { continue }
      view.slot(record.slot).word.release(SlotWord(record.lap &+ 1, .free).raw)
      try Failpoint.voided.hit()
    }
  }

  /// Makes the first `count` records visible. They are the readers' from here on.
  @inline(__always)
  mutating func publish(_ count: Int, at now: UInt64) throws {
    for i in 0..<count {
      let record = records[i]
      if record.isDropped { continue }
      let fields = view.slot(record.slot)
      fields.published.set(now)
      fields.word.release(SlotWord(record.lap, .ready).raw)  // pairs with the acquire in Consumer.claim
      changeHeld(record.segment) { held in
        held.pointee.published &+= 1
        held.pointee.pending &-= 1
      }
      try Failpoint.published.hit()
    }
  }

  /// After a publication: moves the tail on, wakes a reader, seals what is full, and forgets the records.
  mutating func published(_ count: Int) throws {
    if count == 0 { return }
    var last = count - 1
    while last >= 0, records[last].isDropped { last -= 1 }
    if last >= 0 {
      view.word(Ring.Offset.tail).raise(to: records[last].lap &* view.capacity &+ UInt64(records[last].slot) &+ 1)
      try Failpoint.hinted.hit()
      SharedWord.fence()  // pairs with the fence in park
      // Several messages are work for several readers; each that is woken wakes the next while there is more.
      if ring.hasSleepers(.consumers) { try ring.wakeOne(.consumers) }
    }
    records.removeFirst(count)
    taken -= count
    failedRounds = 0
    endTurn()
    try sealIdle()
  }

  /// Forgets the records from `first` on, which have no slots: the call that made them failed.
  mutating func forget(from first: Int) throws {
    forgetReservation()
    for i in min(first, records.count)..<records.count {
      records[i].spilled?.deallocate()
      changeHeld(records[i].segment) { $0.pointee.pending -= 1 }
    }
    records.truncate(to: first)
    taken = min(taken, records.count)
    try sealIdle()
  }

  /// Called once at the end of a worker's life: nothing is held any more.
  mutating func close() throws {
    try forget(from: 0)
    while let held = large.last {
      large.remove(at: large.count - 1)
      try seal(held)
    }
    while let held = small.last {
      small.remove(at: small.count - 1)
      try seal(held)
    }
  }
}

/// Memory outside the ring.
final class PrivateBytes {
  let bytes: UnsafeMutableRawBufferPointer
  init(_ count: Int) { bytes = .allocate(byteCount: max(1, count), alignment: 16) }
  deinit { bytes.deallocate() }
}
