import Platform

// How a writer waits for room, and whose turn it is when several want much.

extension Producer {
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
      try ring.park(.producers, lane, for: &patience) { [ring] in
        // Readers that gather a batch may hold all the places, and hand over what they have when somebody waits.
        if ring.word(Ring.Offset.gathered).relaxed != 0, ring.hasSleepers(.consumers) { ring.wakeAll(.consumers) }
        return isReady()
      }
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
  func segmentsNeeded(_ count: Int) -> (small: Int, large: Int) {
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
}
