/// How a ring looks to those who want to write to it. All of it is seen from hints, and `Producer.takeSlots` finds out.
extension Ring {
  /// Whether so many messages wait to be claimed that a producer which made room now would get little of it: waking costs more
  /// than a message, so producers go on when a quarter of the line is free of them. Readers have work until then.
  @inline(__always)
  var isCrowded: Bool {
    let tail = word(Offset.tail).relaxed
    let head = word(Offset.head).relaxed
    return tail > head && tail &- head > view.capacity * 3 / 4
  }

  /// Wakes as many producers as there is room for. Whoever has the turn is among them, since the others may take nothing.
  func wakeProducers() throws {
    if word(Offset.starving).relaxed != 0 { return wakeAll(.producers) }
    let tail = word(Offset.tail).relaxed
    let head = word(Offset.head).relaxed
    let waiting = tail > head ? min(tail &- head, view.capacity) : 0
    let room = max(1, view.capacity - waiting)
    if room >= UInt64(shape.producers) { return wakeAll(.producers) }
    for _ in 0..<room where hasSleepers(.producers) { try wakeOne(.producers) }
  }

  /// Whether so many slots could be taken now, seen from the tail.
  func hasRoom(_ wanted: Int) -> Bool {
    let tail = word(Offset.tail).relaxed
    var (k, i) = view.place(tail)
    var free = 0
    for _ in 0..<(2 * shape.capacity) {
      let found = slot(i).state
      let laps = found.laps(from: k)
      if laps == 0, found.isIn(.free) { free += 1 }
      if laps < 0, !found.isHeld { return free >= wanted }
      if free >= wanted { return true }
      view.step(&k, &i)
    }
    // Leases may have been moved along further than two laps.
    return room >= wanted
  }

  /// How many slots could be taken from the tail on, were nobody else to come: as many as are free before the position at
  /// which the first slot that is no lease would be met again.
  private var room: Int {
    let tail = word(Offset.tail).relaxed
    let (first, offset) = view.place(tail)
    var end = Int64.max
    func distance(_ word: SlotWord, _ i: Int) -> Int64 { word.laps(from: first) &* Int64(view.count) &+ Int64(i &- offset) }
    for i in 0..<shape.capacity {
      let found = slot(i).state
      if !found.isHeld { end = min(end, distance(found, i) &+ Int64(shape.capacity)) }
    }
    var room = 0
    for i in 0..<shape.capacity {
      let found = slot(i).state
      if found.isIn(.free), 0..<max(0, end) ~= distance(found, i) { room += 1 }
    }
    return room
  }

  /// Whether so many segments are free. After a death some may be that only a sweep frees: nobody else would do it for one who waits.
  func hasFreeSegments(small: Int, large: Int) -> Bool {
    func hasThem() -> Bool { hasFree(small, 0..<view.smallCount) && hasFree(large, view.smallCount..<view.segmentCount) }
    if hasThem() { return true }
    if word(Offset.epoch).relaxed == 0 { return false }
    Recovery.sweep(view)
    return hasThem()
  }

  private func hasFree(_ wanted: Int, _ range: Range<Int>) -> Bool {
    if wanted <= 0 { return true }
    var free = 0
    for s in range where SegmentWord(raw: view.segment(s).acquired).isIn(.free) {
      free += 1
      if free >= wanted { return true }
    }
    return false
  }
}
