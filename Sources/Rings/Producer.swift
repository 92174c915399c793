import Platform

/// A worker's writing end of a ring: payloads go into segments first, and slots are taken for them at the last moment,
/// so nobody waits while a large message is being written.
///
/// Records line up until `takeSlots`, `publish` and `forget` move them on. Nothing here waits but `waitForRoom`.
final class Producer {
  /// A payload that waits for its hand-over.
  struct Record {
    /// The segment it lies in, or -1 while it lies in `spilled`.
    var segment: Int
    var generation: UInt32
    var offset: Int
    var length: Int
    var id = MessageID(high: 0, low: 0)
    /// Private memory: there was no segment for it, or it had to leave its segment before a wait.
    var spilled: PrivateBytes?
    var slot = -1
    var lap: UInt64 = 0
  }

  /// A segment that this producer holds open.
  private struct Held {
    var index: Int
    var generation: UInt32
    /// Published so far: what its count is made of when it is sealed.
    var published: UInt64 = 0
    /// Written, not yet published.
    var pending = 0
    /// How far it is filled.
    var bump = 0
  }

  let ring: Ring
  let lane: Int
  private let owner: WorkerNumber
  private(set) var records: [Record] = []
  /// The last one is being filled.
  private var small: [Held] = []
  private var large: [Held] = []
  private var lap: UInt64 = 0
  private var index = 0
  private var rotation: (small: Int, large: Int)
  private var spin = SpinBudget()
  private var failedRounds = 0
  private var reserved: Record?

  init(_ ring: Ring, lane: Int, owner: WorkerNumber) {
    self.ring = ring
    self.lane = lane
    self.owner = owner
    // Producers begin in different places, so that they seldom meet.
    rotation = (lane, lane)
  }

  // MARK: Payloads

  /// Memory for a payload: in place when there is a segment, otherwise private.
  func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer {
    let limit = ring.shape.messageBytes
    if length > limit { throw RingError.messageTooLarge(length: length, limit: limit) }
    reserved = nil
    let record: Record
    if let placed = try place(length) {
      record = placed
    } else {
      record = Record(segment: -1, generation: 0, offset: 0, length: length, spilled: PrivateBytes(length))
    }
    reserved = record
    return bytes(of: record)
  }

  /// The reservation becomes a record of at most `length` bytes.
  func finish(_ length: Int) {
    guard var record = reserved else { return }
    reserved = nil
    record.length = max(0, min(length, record.length))
    changeHeld(record) { held in
      held.pending += 1
      held.bump = record.offset + (record.length + 15) & ~15
    }
    records.append(record)
  }

  func append(_ payload: UnsafeRawBufferPointer) throws {
    let memory = try reserve(payload.count)
    if !payload.isEmpty { memory.copyMemory(from: payload) }
    finish(payload.count)
  }

  func setID(_ id: MessageID, at index: Int) { records[index].id = id }

  func bytes(of record: Record) -> UnsafeMutableRawBufferPointer {
    if let spilled = record.spilled { return UnsafeMutableRawBufferPointer(rebasing: spilled.bytes[..<record.length]) }
    guard let segment = ring.bytes(ofSegment: record.segment) else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
    return UnsafeMutableRawBufferPointer(start: segment.base + record.offset, count: record.length)
  }

  /// Whether more is held than a producer may keep while it waits: then it is time to hand over.
  var holdsMuch: Bool { large.count >= 1 || small.count > 1 }

  /// Space for `length` bytes in a segment of our own, or in a new one; nil when there is none.
  private func place(_ length: Int) throws -> Record? {
    if length <= RingShape.smallPayload {
      if let last = small.last, last.bump + length <= RingShape.smallBytes {
        return Record(segment: last.index, generation: last.generation, offset: last.bump, length: length)
      }
      try sealIdle()
      guard let held = try open(isLarge: false) else { return nil }
      small.append(held)
      return Record(segment: held.index, generation: held.generation, offset: 0, length: length)
    }
    try sealIdle()
    guard let held = try open(isLarge: true) else { return nil }
    large.append(held)
    return Record(segment: held.index, generation: held.generation, offset: 0, length: length)
  }

  /// Takes a free segment. Segments rotate inside a window: the memory that was freed last still bounces between two
  /// cores' caches, and memory outside the window has left the cache.
  private func open(isLarge: Bool) throws -> Held? {
    if let held = try findFree(isLarge: isLarge) { return held }
    // After a death the last segments of the dead wait for a sweep.
    if ring.word(Ring.Offset.epoch).relaxed == 0 { return nil }
    Recovery.sweep(ring)
    return try findFree(isLarge: isLarge)
  }

  private func findFree(isLarge: Bool) throws -> Held? {
    let shape = ring.shape
    let first = isLarge ? shape.smallCount : 0
    let count = isLarge ? shape.largeCount : shape.smallCount
    let size = isLarge ? shape.largeBytes : RingShape.smallBytes
    let window = max(1, min(count, (4 << 20) / max(1, size)))
    let start = isLarge ? rotation.large : rotation.small
    for j in 0..<count {
      let k = j < window ? (start + j) % window : j
      let word = ring.segment(first + k)
      let found = SegmentWord(raw: word.acquired)
      guard found.isIn(.free) else { continue }
      let mine = SegmentWord(found.generation, .open, owner: owner, count: SegmentWord.bias)
      if word.exchange(found.raw, mine.raw) != nil { continue }
      try Failpoint.segmentTaken.hit()
      if isLarge { rotation.large = k + 1 } else { rotation.small = k + 1 }
      return Held(index: first + k, generation: found.generation)
    }
    return nil
  }

  private func changeHeld(_ record: Record, _ change: (inout Held) -> Void) {
    if record.segment < 0 { return }
    if record.segment < ring.shape.smallCount {
      // Nearly always the last one.
      for k in small.indices.reversed() where small[k].index == record.segment { return change(&small[k]) }
    } else {
      for k in large.indices.reversed() where large[k].index == record.segment { return change(&large[k]) }
    }
  }

  // MARK: Slots

  /// Takes slots for the first `count` records that have none, in order.
  ///
  /// - Returns: how many of the first `count` have one now; fewer when the ring is full or a spilled record found no segment
  func takeSlots(_ count: Int) throws -> Int {
    for i in 0..<count where records[i].slot < 0 {
      if let spilled = records[i].spilled {
        guard let placed = try place(records[i].length) else { return i }
        let old = records[i]
        reserved = placed
        bytes(of: placed).copyMemory(from: UnsafeRawBufferPointer(rebasing: spilled.bytes[..<old.length]))
        changeHeld(placed) { held in
          held.pending += 1
          held.bump = placed.offset + (placed.length + 15) & ~15
        }
        reserved = nil
        records[i] = placed
        records[i].id = old.id
      }
      guard let taken = try takeSlot() else { return i }
      records[i].slot = taken.index
      records[i].lap = taken.lap
      let fields = ring.slot(taken.index)
      let record = records[i]
      fields.sequence.set(taken.lap &* UInt64(ring.shape.capacity) &+ UInt64(taken.index))
      fields.place.set(UInt64(record.segment) << 32 | UInt64(record.offset))
      fields.extent.set(UInt64(record.generation) << 32 | UInt64(record.length))
      fields.idHigh.set(record.id.high)
      fields.idLow.set(record.id.low)
      fields.aux.set(0)
      try Failpoint.filled.hit()
    }
    return count
  }

  /// One slot of the line, from the tail on: free(k) is taken, a lease of the lap before is moved along, and a message
  /// of the lap before that nobody has claimed means full. So does a whole lap of leases.
  private func takeSlot() throws -> (lap: UInt64, index: Int)? {
    let capacity = UInt64(ring.shape.capacity)
    let starving = ring.word(Ring.Offset.starving).relaxed
    if starving != 0, starving != UInt64(owner) { return nil }
    let tail = ring.word(Ring.Offset.tail).relaxed
    var k = lap
    var i = index
    if tail > k &* capacity &+ UInt64(i) {
      k = tail / capacity
      i = Int(tail % capacity)
    }
    var moved: UInt64 = 0
    while true {
      let word = ring.slot(i).word
      let found = SlotWord(raw: word.acquired)
      if found.lap == k, found.isIn(.free) {
        if word.exchange(found.raw, SlotWord(k, .writing, owner: owner).raw) != nil { continue }
        try Failpoint.took.hit()
        let taken = (lap: k, index: i)
        i += 1
        if i == ring.shape.capacity { (k, i) = (k + 1, 0) }
        lap = k
        index = i
        return taken
      }
      if found.lap < k {
        guard found.lap + 1 == k, found.isHeld, moved < capacity else { return nil }
        if word.exchange(found.raw, found.with(lap: k, SlotWord.State(rawValue: found.stateBits) ?? .leased).raw) != nil { continue }
        try Failpoint.restamped.hit()
        moved += 1
      }
      i += 1
      if i == ring.shape.capacity { (k, i) = (k + 1, 0) }
    }
  }

  /// Gives back the slots of the records from `first` on. A voided slot goes to the next lap: readers may have passed it.
  func void(from first: Int) throws {
    for i in records.indices.reversed() where i >= first && records[i].slot >= 0 {
      ring.slot(records[i].slot).word.release(SlotWord(records[i].lap + 1, .free).raw)
      records[i].slot = -1
      try Failpoint.voided.hit()
    }
  }

  /// Makes the first `count` records visible. They are the readers' from here on.
  func publish(_ count: Int, at now: UInt64) throws {
    for i in 0..<count {
      let record = records[i]
      let fields = ring.slot(record.slot)
      fields.published.set(now)
      fields.word.release(SlotWord(record.lap, .ready).raw)  // pairs with the acquire in Consumer.claim
      changeHeld(record) { held in
        held.published += 1
        held.pending -= 1
      }
      try Failpoint.published.hit()
    }
  }

  /// After a publication: moves the tail on, wakes a reader, seals what is full, and forgets the records.
  func published(_ count: Int) throws {
    if count == 0 { return }
    let last = records[count - 1]
    ring.word(Ring.Offset.tail).raise(to: last.lap &* UInt64(ring.shape.capacity) &+ UInt64(last.slot) &+ 1)
    try Failpoint.hinted.hit()
    SharedWord.fence()  // pairs with the fence in park
    if ring.hasSleepers(.consumers) {
      try ring.wakeOne(.consumers)
      // Several messages are work for several readers; each that is woken wakes the next while there is more.
    }
    records.removeFirst(count)
    failedRounds = 0
    let starving = ring.word(Ring.Offset.starving)
    if starving.relaxed == UInt64(owner) {
      starving.release(0)
      SharedWord.fence()
      ring.wakeAll(.producers)
    }
    try sealIdle()
  }

  /// Forgets the records from `first` on, which have no slots: the call that made them failed.
  func forget(from first: Int) throws {
    reserved = nil
    for record in records[min(first, records.count)...] { changeHeld(record) { $0.pending -= 1 } }
    records.removeSubrange(min(first, records.count)...)
    try sealIdle()
  }

  /// Seals every segment to which nothing will be added: large ones, and small ones but the last. Strictly after the last
  /// publication of what lies in it, for a sealed segment may be freed at once.
  private func sealIdle() throws {
    for k in large.indices.reversed() where large[k].pending == 0 && large[k].index != reserved?.segment {
      try seal(large.remove(at: k))
    }
    for k in small.indices.reversed() where small[k].pending == 0 && small[k].index != reserved?.segment {
      if k == small.count - 1, small[k].bump + 64 <= RingShape.smallBytes { continue }
      try seal(small.remove(at: k))
    }
  }

  private func seal(_ held: Held) throws {
    let word = ring.segment(held.index)
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

  // MARK: Waiting

  /// Waits until `count` slots could be taken. The caller holds no slots, and no more memory than everybody may hold
  /// (`spillSurplus`).
  func waitForRoom(_ count: Int) throws {
    let wanted = max(1, min(count, ring.shape.capacity))
    failedRounds += 1
    if failedRounds > 16, wanted > 1 { _ = ring.word(Ring.Offset.starving).exchange(0, UInt64(owner)) }
    let needsLarge = records.first.map { $0.spilled != nil && $0.length > RingShape.smallPayload } ?? false
    let needsSmall = records.first.map { $0.spilled != nil && $0.length <= RingShape.smallPayload } ?? false
    let isReady = { [ring, owner] in
      let starving = ring.word(Ring.Offset.starving).relaxed
      return (starving == 0 || starving == UInt64(owner)) && ring.hasRoom(wanted)
        && (!needsLarge || ring.hasFreeSegment(isLarge: true)) && (!needsSmall || ring.hasFreeSegment(isLarge: false))
    }
    let start = Clock.now
    if !spin.spin(until: isReady) {
      // Nobody sleeps while the other side sleeps and could run.
      SharedWord.fence()
      if ring.hasSleepers(.consumers) { try ring.wakeOne(.consumers) }
      try ring.park(.producers, lane, unless: isReady)
    }
    spin.learn(Clock.now &- start)
  }

  /// Copies records into private memory until at most one large and two small segments are held: so much there is for
  /// everybody, even when every slot pins a segment.
  func spillSurplus() throws {
    for i in records.indices.reversed() where large.count > 1 || small.count > 2 {
      let record = records[i]
      if record.spilled != nil || record.slot >= 0 { continue }
      if record.segment >= ring.shape.smallCount ? large.count <= 1 : small.count <= 2 { continue }
      let copy = PrivateBytes(record.length)
      copy.bytes.copyMemory(from: UnsafeRawBufferPointer(bytes(of: record)))
      changeHeld(record) { $0.pending -= 1 }
      records[i].segment = -1
      records[i].spilled = copy
      try sealIdle()
    }
  }

  /// Called once at the end of a worker's life: nothing is held any more.
  func close() throws {
    try forget(from: 0)
    for held in small + large { try seal(held) }
    small = []
    large = []
  }
}

/// Memory outside the ring.
final class PrivateBytes {
  let bytes: UnsafeMutableRawBufferPointer
  init(_ count: Int) { bytes = .allocate(byteCount: max(1, count), alignment: 16) }
  deinit { bytes.deallocate() }
}

extension Ring {
  /// Whether so many slots could be taken now, seen from the tail.
  func hasRoom(_ wanted: Int) -> Bool {
    let capacity = UInt64(shape.capacity)
    let tail = word(Offset.tail).relaxed
    var k = tail / capacity
    var i = Int(tail % capacity)
    var free = 0
    // A lap from the tail on, and the leases in it, see every slot at least once.
    for _ in 0..<(2 * shape.capacity) {
      let found = slot(i).state
      if found.lap == k, found.isIn(.free) { free += 1 }
      if found.lap < k, !found.isHeld { break }
      if free >= wanted { return true }
      i += 1
      if i == shape.capacity { (k, i) = (k + 1, 0) }
    }
    return free >= wanted
  }

  func hasFreeSegment(isLarge: Bool) -> Bool {
    let range = isLarge ? shape.smallCount..<(shape.smallCount + shape.largeCount) : 0..<shape.smallCount
    return range.contains { SegmentWord(raw: segment($0).acquired).isIn(.free) }
  }
}
