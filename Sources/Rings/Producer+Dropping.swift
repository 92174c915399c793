// What a writer drops at a full queue that says so.

extension Producer {
  /// How many of the first `count` records are dropped.
  func dropped(_ count: Int) -> Int { whenFull == .block ? 0 : (0..<count).count { records[$0].isDropped } }

  /// A record that has no slot goes nowhere. Its memory is free at once: another one may need it.
  mutating func drop(_ i: Int) throws {
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
}
