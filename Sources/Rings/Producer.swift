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
    /// What a reader is told of the payload, 0...15.
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
  private struct Held: BitwiseCopyable {
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
  private let view: RingView
  let lane: Int
  private let owner: WorkerNumber
  private let whenFull: WhenFull
  private(set) var records = PlainBuffer<Record>(capacity: 256)
  /// How many of the records have slots, or are dropped: the first ones.
  private var taken = 0
  /// The last one is being filled.
  private var small = PlainBuffer<Held>(capacity: 8)
  private var large = PlainBuffer<Held>(capacity: 8)
  /// Where the next slot is looked for: the lap, counted in 64 bits, and the slot.
  private var lap: UInt64 = 0
  private var index = 0
  private var rotation: (small: Int, large: Int)
  private var spin = SpinBudget()
  private var patience = Patience()
  /// How often in a row a walk along the line came to no end.
  private var lostWalks = 0
  private var failedRounds = 0
  /// The position behind the last message that was taken out of the line.
  private var dropEnd: UInt64 = 0
  /// Whether the spare record is a reservation.
  private var isReserved = false

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

  // MARK: Payloads

  /// Memory for a payload: in place when there is a segment, otherwise private.
  @inline(__always)
  mutating func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer {
    if length > view.messageBytes { throw RingError.messageTooLarge(length: length, limit: view.messageBytes) }
    if isReserved { forgetReservation() }
    let record = records.spare()
    if try !place(length, record) {
      record.pointee.segment = -1
      record.pointee.spilled = .allocate(byteCount: max(1, length), alignment: 16)
    }
    isReserved = true
    return bytes(of: record)
  }

  private mutating func forgetReservation() {
    if isReserved { records.spareInPlace.pointee.spilled?.deallocate() }
    isReserved = false
  }

  /// The reservation becomes a record of at most `length` bytes.
  @inline(__always)
  mutating func finish(_ length: Int, _ id: MessageID, format: UInt8) {
    if !isReserved { return }
    isReserved = false
    let record = records.spareInPlace
    record.pointee.length = UInt32(truncatingIfNeeded: max(0, min(length, Int(record.pointee.length))))
    record.pointee.id = id
    record.pointee.format = format
    record.pointee.slot = -1
    record.pointee.isDropped = false
    noteWritten(record)
    records.takeSpare()
  }

  /// The segment is filled up to the end of this record, which waits in it.
  @inline(__always)
  private mutating func noteWritten(_ record: UnsafePointer<Record>) {
    let bump = Int(record.pointee.offset) &+ (Int(record.pointee.length) &+ 15) & ~15
    changeHeld(record.pointee.segment) { held in
      held.pointee.pending &+= 1
      held.pointee.bump = bump
    }
  }

  @inline(__always)
  mutating func append(_ payload: UnsafeRawBufferPointer, _ id: MessageID, format: UInt8) throws {
    let memory = try reserve(payload.count)
    if let from = payload.baseAddress, let to = memory.baseAddress {
      to.copyMemory(from: from, byteCount: payload.count)
      // The next small payload comes to lie behind this one, in lines that a reader had last.
      Processor.prefetchForWriting(to + payload.count)
    }
    finish(payload.count, id, format: format)
  }

  /// Names a record.
  @inline(__always)
  func setID(_ id: MessageID, at index: Int) { records[index].id = id }

  @inline(__always)
  func bytes(of record: UnsafePointer<Record>) -> UnsafeMutableRawBufferPointer {
    let length = Int(record.pointee.length)
    if let spilled = record.pointee.spilled { return UnsafeMutableRawBufferPointer(start: spilled, count: length) }
    guard let segment = view.bytes(ofSegment: Int(record.pointee.segment)) else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
    return UnsafeMutableRawBufferPointer(start: segment.base + Int(record.pointee.offset), count: length)
  }

  /// The payload of the record that was made last.
  var lastPayload: UnsafeRawBufferPointer { records.lastInPlace.map { UnsafeRawBufferPointer(bytes(of: $0)) } ?? UnsafeRawBufferPointer(start: nil, count: 0) }

  /// Whether more is held than a producer may keep while it waits: then it is time to hand over.
  @inline(__always)
  var holdsMuch: Bool { large.count >= 1 || small.count > 1 }

  /// Space for `length` bytes in a segment of our own, or in a new one.
  ///
  /// - Returns: false when there is none
  @inline(__always)
  private mutating func place(_ length: Int, _ record: UnsafeMutablePointer<Record>) throws -> Bool {
    record.pointee.length = UInt32(truncatingIfNeeded: length)
    record.pointee.spilled = nil
    if length <= RingShape.smallPayload, let last = small.lastInPlace, last.pointee.bump &+ length <= RingShape.smallBytes {
      record.pointee.segment = last.pointee.index
      record.pointee.generation = last.pointee.generation
      record.pointee.offset = UInt32(truncatingIfNeeded: last.pointee.bump)
      return true
    }
    return try placeInNew(length, record)
  }

  @inline(never)
  private mutating func placeInNew(_ length: Int, _ record: UnsafeMutablePointer<Record>) throws -> Bool {
    try sealIdle()
    let isLarge = length > RingShape.smallPayload
    guard let held = try open(isLarge: isLarge) else { return false }
    if isLarge { large.append(held) } else { small.append(held) }
    record.pointee.segment = held.index
    record.pointee.generation = held.generation
    record.pointee.offset = 0
    return true
  }

  /// Takes a free segment. Segments rotate inside a window: the memory that was freed last still bounces between two
  /// cores' caches, and memory outside the window has left the cache.
  private mutating func open(isLarge: Bool) throws -> Held? {
    if let held = try findFree(isLarge: isLarge) { return held }
    // After a death the last segments of the dead wait for a sweep.
    if view.word(Ring.Offset.epoch).relaxed == 0 { return nil }
    Recovery.sweep(view)
    return try findFree(isLarge: isLarge)
  }

  private mutating func findFree(isLarge: Bool) throws -> Held? {
    let first = isLarge ? view.smallCount : 0
    let count = isLarge ? view.largeCount : view.smallCount
    let size = isLarge ? view.largeBytes : RingShape.smallBytes
    let window = max(1, min(count, (4 << 20) / max(1, size)))
    let start = isLarge ? rotation.large : rotation.small
    for j in 0..<count {
      let k = j < window ? (start + j) % window : j
      let word = view.segment(first + k)
      let found = SegmentWord(raw: word.acquired)
      guard found.isIn(.free) else { continue }
      let mine = SegmentWord(found.generation, .open, owner: owner, count: SegmentWord.bias)
      if word.exchange(found.raw, mine.raw) != nil { continue }
      try Failpoint.segmentTaken.hit()
      if isLarge { rotation.large = k + 1 } else { rotation.small = k + 1 }
      return Held(index: Int32(truncatingIfNeeded: first + k), generation: found.generation)
    }
    return nil
  }

  @inline(__always)
  private func changeHeld(_ segment: Int32, _ change: (UnsafeMutablePointer<Held>) -> Void) {
    if segment < 0 { return }
    // Nearly always the last one.
    if Int(segment) < view.smallCount {
      if let last = small.lastInPlace, last.pointee.index == segment { return change(last) }
      for k in (0..<small.count).reversed() where small[k].index == segment { return withUnsafeMutablePointer(to: &small[k], change) }
    } else {
      for k in (0..<large.count).reversed() where large[k].index == segment { return withUnsafeMutablePointer(to: &large[k], change) }
    }
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
  private mutating func catchUp() {
    let tail = view.word(Ring.Offset.tail).relaxed
    if tail > lap &* view.capacity &+ UInt64(index) { (lap, index) = view.place(tail) }
  }

  /// Moves a payload from private memory into a segment.
  private mutating func placeSpilled(_ i: Int) throws -> Bool {
    var record = records[i]
    guard let spilled = record.spilled else { return true }
    let count = Int(record.length)
    if try !place(count, &record) { return false }
    bytes(of: &record).copyMemory(from: UnsafeRawBufferPointer(start: spilled, count: count))
    noteWritten(&record)
    spilled.deallocate()
    records[i] = record
    return true
  }

  /// One slot of the line, from the tail on, for the next record: free(k) is taken, a lease of the lap before is moved along,
  /// and a message of the lap before that nobody has claimed means full. So does a whole lap of leases.
  @inline(__always)
  private mutating func takeSlot() throws -> Bool {
    var k = lap
    var i = index
    var moved: UInt64 = 0
    for _ in 0..<(8 * view.count + 4096) {
      let word = view.slot(i).word
      let found = SlotWord(raw: word.acquired)
      let laps = found.laps(from: k)
      if laps == 0, found.isIn(.free) {
        if word.exchange(found.raw, SlotWord(k, .writing, owner: owner).raw) != nil { continue }
        try Failpoint.took.hit()
        records[taken].slot = i
        records[taken].lap = k
        view.step(&k, &i)
        lap = k
        index = i
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
    // The others were faster, all the way: a writer that was stopped in between sees that once. A line that has no end is damaged.
    lostWalks += 1
    if lostWalks > 64 { throw RingCorruption("the line of a queue has no end") }
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

  /// Seals every segment to which nothing will be added: large ones, and small ones but the last. Strictly after the last
  /// publication of what lies in it, for a sealed segment may be freed at once.
  private mutating func sealIdle() throws {
    let reservedSegment = isReserved ? records.spareInPlace.pointee.segment : -1
    for k in (0..<large.count).reversed() where large[k].pending == 0 && large[k].index != reservedSegment {
      let held = large[k]
      large.remove(at: k)
      try seal(held)
    }
    for k in (0..<small.count).reversed() where small[k].pending == 0 && small[k].index != reservedSegment {
      if k == small.count - 1, small[k].bump + 64 <= RingShape.smallBytes { continue }
      let held = small[k]
      small.remove(at: k)
      try seal(held)
    }
  }

  private func seal(_ held: Held) throws {
    let word = view.segment(Int(held.index))
    var found = SegmentWord(raw: word.acquired)
    while true {
      // count = bias - acknowledged; what is left of the published ones stays.
      let left = (found.count &+ held.published &- SegmentWord.bias) & 0xf_ffff
      let sealed = left == 0 ? found.freed : SegmentWord(held.generation, .sealed, count: left)
      guard let other = word.exchange(found.raw, sealed.raw) else {
        try Failpoint.sealed.hit()
        if left == 0 {
          // Another producer may be waiting for a segment; nobody acknowledges anything now that would wake it.
          SharedWord.fence()
          if ring.hasSleepers(.producers) { ring.wakeAll(.producers) }
        }
        return
      }
      found = SegmentWord(raw: other)
    }
  }

  // MARK: Dropping

  /// How many of the first `count` records are dropped.
  func dropped(_ count: Int) -> Int { whenFull == .block ? 0 : (0..<count).count { records[$0].isDropped } }

  /// A record that has no slot goes nowhere. Its memory is free at once: another one may need it.
  private mutating func drop(_ i: Int) throws {
    records[i].spilled?.deallocate()
    changeHeld(records[i].segment) { $0.pointee.pending -= 1 }
    records[i].spilled = nil
    records[i].segment = -1
    records[i].isDropped = true
    try sealIdle()
  }

  /// Drops the first of the first `count` records until at most `most` are left. None of them has a slot.
  mutating func dropFirst(of count: Int, downTo most: Int) throws {
    var left = count - dropped(count)
    for i in 0..<count where left > most && !records[i].isDropped {
      try drop(i)
      left -= 1
    }
  }

  /// Claims up to `count` of the messages that stand first in the line, to drop them. They are next to those places that `takeSlot`
  /// asks for, and it is stopped by what stops this walk: a message of the lap before that is being written.
  mutating func leaseOldest(_ count: Int) throws -> [Lease.Place] {
    catchUp()
    var places: [Lease.Place] = []
    var (k, i) = (lap, index)
    for _ in 0..<(2 * view.count) where places.count < count {
      let fields = view.slot(i)
      let found = fields.state
      let laps = found.laps(from: k)
      if laps < 0, !found.isHeld {
        guard laps == -1, found.isIn(.ready) else { break }
        // A reader was faster: then it is worked on, and may be passed.
        if fields.word.exchange(found.raw, SlotWord(found.lap, .leased, owner: owner).raw) == nil {
          try Failpoint.claimed.hit()
          places.append(
            Lease.Place(
              slot: Int32(truncatingIfNeeded: i), segment: Int32(truncatingIfNeeded: fields.place.relaxed >> 32),
              generation: UInt32(truncatingIfNeeded: fields.extent.relaxed >> 32)))
          // Readers that are far behind need not look for it in every lap.
          dropEnd = (k &- 1) &* view.capacity &+ UInt64(i) &+ 1
        }
      }
      view.step(&k, &i)
    }
    return places
  }

  func settle(_ place: Lease.Place) throws { try view.settle(place, owner) }
  func free(_ place: Lease.Place) throws { try view.free(place, owner) }

  /// After the slots of dropped messages are free. Nobody waits for the room: whoever writes here drops.
  func freed(_ places: [Lease.Place]) {
    var run = ReleaseRun()
    for place in places { run.add(place, view) }
    run.flush(to: view)
    view.word(Ring.Offset.head).raise(to: dropEnd)
  }

  // MARK: Waiting

  /// Waits until `count` slots could be taken. The caller holds no slots, and no more memory than everybody may hold
  /// (`spillSurplus`).
  ///
  /// - Parameter holdsTurn: the worker has its turn in another ring; then it also returns when it meets the turn of one that
  ///   goes before
  mutating func waitForRoom(_ count: Int, holdsTurn: Bool) throws {
    let wanted = max(1, min(count, view.count))
    failedRounds += 1
    // Others who take slots one by one may always be there first; then they are asked to let this one go before.
    if failedRounds > 16, wanted > 1, view.word(Ring.Offset.starving).exchange(0, UInt64(owner)) == nil, ring.shape.producers > 1 {
      SharedWord.fence()
      ring.wakeAll(.producers)
    }
    let needed = segmentsNeeded(wanted)
    let isReady = { [ring, view, owner] in
      let turn = view.word(Ring.Offset.starving).relaxed
      if turn != 0, turn != UInt64(owner) { return holdsTurn && turn < UInt64(owner) }
      return !ring.isCrowded && ring.hasRoom(wanted) && ring.hasFreeSegments(small: needed.small, large: needed.large)
    }
    let start = Clock.now
    if !spin.spin(from: start, until: isReady) {
      // Nobody sleeps while the other side sleeps and could run.
      SharedWord.fence()
      if ring.hasSleepers(.consumers), ring.hasReady { try ring.wakeOne(.consumers) }
      try ring.park(.producers, lane, for: &patience, unless: isReady)
    }
    spin.learn(Clock.now &- start)
  }

  /// Whose turn it is, when somebody has waited too often for several slots at once; 0 for nobody's.
  var turn: UInt64 { view.word(Ring.Offset.starving).relaxed }
  var hasTurn: Bool { turn == UInt64(owner) }

  /// Whether some of the first payloads lie in private memory, for want of segments that are still not there.
  func lacksSegments(_ count: Int) -> Bool {
    let needed = segmentsNeeded(count)
    return !ring.hasFreeSegments(small: needed.small, large: needed.large)
  }

  /// How many segments those of the first `count` payloads need that lie in private memory.
  private func segmentsNeeded(_ count: Int) -> (small: Int, large: Int) {
    var small = 0
    var large = 0
    for i in 0..<min(count, records.count) where records[i].spilled != nil {
      if Int(records[i].length) > RingShape.smallPayload { large += 1 } else { small += 1 }
    }
    return ((small + 3) / 4, large)
  }

  /// Lets the others go on.
  func endTurn() {
    guard hasTurn else { return }
    view.word(Ring.Offset.starving).release(0)
    SharedWord.fence()
    ring.wakeAll(.producers)
  }

  /// Copies records into private memory until at most one large and two small segments are held: so much there is for
  /// everybody, even when every slot pins a segment.
  mutating func spillSurplus() throws {
    for i in (taken..<max(taken, records.count)).reversed() where large.count > 1 || small.count > 2 {
      var record = records[i]
      if record.spilled != nil || record.isDropped { continue }
      if Int(record.segment) >= view.smallCount ? large.count <= 1 : small.count <= 2 { continue }
      let count = Int(record.length)
      let copy = UnsafeMutableRawPointer.allocate(byteCount: max(1, count), alignment: 16)
      UnsafeMutableRawBufferPointer(start: copy, count: count).copyMemory(from: UnsafeRawBufferPointer(bytes(of: &record)))
      changeHeld(record.segment) { $0.pointee.pending -= 1 }
      records[i].segment = -1
      records[i].spilled = copy
      try sealIdle()
    }
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
