import Platform

// Where payloads lie until they are handed over: in segments of the ring, or outside where there is none.

extension Producer {
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

  mutating func forgetReservation() {
    if isReserved { records.spareInPlace.pointee.spilled?.deallocate() }
    isReserved = false
  }

  /// The first bytes of the reservation; none when there is no reservation.
  func reserved(_ length: Int) -> UnsafeRawBufferPointer {
    if !isReserved { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(rebasing: bytes(of: records.spareInPlace).prefix(max(0, length)))
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

  /// The same with a key that travels with the payload.
  mutating func append(_ payload: UnsafeRawBufferPointer, _ id: MessageID, format: UInt8, key: [UInt8]?) throws {
    guard let key else { return try append(payload, id, format: format) }
    let memory = try reserve(payload.count + key.count + TravellingKey.overhead)
    TravellingKey.write(payload, key, to: memory)
    finish(memory.count, id, format: format | SlotAux.keyed)
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
  func changeHeld(_ segment: Int32, _ change: (UnsafeMutablePointer<Held>) -> Void) {
    if segment < 0 { return }
    // Nearly always the last one.
    if Int(segment) < view.smallCount {
      if let last = small.lastInPlace, last.pointee.index == segment { return change(last) }
      for k in (0..<small.count).reversed() where small[k].index == segment { return withUnsafeMutablePointer(to: &small[k], change) }
    } else {
      for k in (0..<large.count).reversed() where large[k].index == segment { return withUnsafeMutablePointer(to: &large[k], change) }
    }
  }

  /// Moves a payload from private memory into a segment.
  mutating func placeSpilled(_ i: Int) throws -> Bool {
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

  /// Seals every segment to which nothing will be added: large ones, and small ones but the last. Strictly after the last
  /// publication of what lies in it, for a sealed segment may be freed at once.
  mutating func sealIdle() throws {
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

  func seal(_ held: Held) throws {
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
}
