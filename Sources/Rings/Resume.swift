import Platform

// What a ring and a cell need to go on in a run that comes after the one that wrote them. The runner calls all of it, while there is no
// worker.

extension Ring {
  /// Looks at everything that whoever goes on with this ring would trust. A payload is not among it: what is in one is its reader's
  /// business, and nothing says what it should be.
  ///
  /// - Parameter workers: the highest number that an owner may have
  package func verify(workers: Int) throws(RingCorruption) {
    let (lap, _) = view.place(word(Offset.tail).acquired)
    for i in 0..<view.count {
      let fields = slot(i)
      let found = fields.state
      guard SlotWord.State(rawValue: found.stateBits) != nil else { throw RingCorruption("slot \(i) is in no state that exists") }
      // The line is never further apart than what a lease was moved along; a lap that is far off was not counted.
      guard -Self.mostLaps...Self.mostLaps ~= found.laps(from: lap) else { throw RingCorruption("slot \(i) is in a lap that nobody has reached") }
      if found.isIn(.writing) || found.isHeld, !(1...max(1, workers) ~= Int(found.owner)) {
        throw RingCorruption("slot \(i) belongs to worker \(found.owner), and there are \(workers)")
      }
      // What is being written may not have its place yet; recovery publishes it or takes it back, and then it is looked at again.
      if found.isIn(.free) || found.isIn(.writing) { continue }
      let place = fields.place.relaxed, extent = fields.extent.relaxed
      let segment = Int(place >> 32), offset = Int(place & 0xffff_ffff), length = Int(extent & 0xffff_ffff)
      guard let bytes = view.bytes(ofSegment: segment), offset <= bytes.count, length <= bytes.count - offset, length <= view.messageBytes else {
        throw RingCorruption("the message in slot \(i) lies outside of the ring")
      }
      let state = SegmentWord(raw: view.segment(segment).acquired)
      if state.isIn(.free) || UInt64(state.generation) != extent >> 32 & 0xfff_ffff {
        throw RingCorruption("the message in slot \(i) lies in a segment that was given away")
      }
    }
    for i in 0..<view.segmentCount where SegmentWord.State(rawValue: SegmentWord(raw: view.segment(i).acquired).stateBits) == nil {
      throw RingCorruption("segment \(i) is in no state that exists")
    }
  }

  private static let mostLaps: Int64 = 64

  /// Puts right where writers and readers begin to look, from the slots, which say it too: one that begins beyond the line's end waits there for ever.
  /// Everybody has been recovered by now, so no slot is held, and what lies before the head is looked for by itself.
  package func restoreHints() {
    let count = Int64(view.count)
    let (base, _) = view.place(word(Offset.tail).acquired)
    // A slot that is free for a lap had its place in the line in the lap before.
    let ends = (0..<view.count).map { i -> Int64 in
      let found = slot(i).state
      return found.laps(from: base) * count + Int64(i) + 1 - (found.isIn(.free) ? count : 0)
    }
    let end = base &* view.capacity &+ UInt64(bitPattern: ends.max() ?? 0)
    for hint in [Offset.tail, Offset.head] where Int64(bitPattern: end &- word(hint).relaxed) < 0 || end &- word(hint).relaxed > 2 * view.capacity {
      word(hint).set(end)
    }
  }

  /// Makes the time in which nobody ran count for nothing: what waits is as if it had been published now.
  package func restamp(at now: UInt64) {
    for i in 0..<view.count where !slot(i).state.isIn(.free) { slot(i).published.set(now) }
  }

  /// Gives every message that waits all of its tries again: its errors and its deaths are forgotten.
  package func forgive() {
    for i in 0..<view.count {
      let fields = slot(i)
      let found = fields.state
      guard found.isIn(.ready) else { continue }
      var aux = SlotAux(raw: fields.aux.relaxed)
      aux.errors = 0
      aux.mark = 0
      fields.aux.set(aux.raw)
      _ = fields.word.exchange(found.raw, SlotWord(raw: found.raw & ~0xff).raw)
    }
  }
}

extension CommitCell {
  /// Looks at what a resume trusts of a cell.
  package func verify() throws(RingCorruption) {
    let record = record
    if record.dropped > record.received, record.position == (0, 0, 0, 0) {
      throw RingCorruption("a cell has dropped more than it received")
    }
    if record.hasLength, record.committedLength > UInt64(Int64.max) { throw RingCorruption("a cell names a length that no file has") }
  }

  /// What was measured by a clock begins anew, for that clock may have; what was counted goes on.
  package func beginSession() {
    for index in [3, 4, 5, 6, 7, 9] { statistic(index).set(0) }
  }
}
