/// A ring's line as the models see it: the words of its slots, and the hints beside them. What `Producer.takeSlot` and
/// `Consumer.claim` do is here once, for all models that have laps.
///
/// Looking at a slot and passing it by is no step of its own where what was seen stays true: a slot whose lap has moved on
/// never comes back. A reader that passes a lease is a step, since the lease may be put back behind it.
struct Line {
  /// As in the real word; 254 deaths are more than a model needs.
  enum Kind: UInt8 { case free, writing, ready, leased, settling }

  struct Slot {
    var lap: UInt8 = 0
    var kind = Kind.free
    var owner: UInt8 = 0
    var message: UInt8 = 0
    /// The position at which it was published first. Once everything in the line is younger, only this is left of it:
    /// whether the head has passed it (-2) or not yet (-1).
    var sequence: Int8 = 0
    /// How many of its outputs have gone on in parts.
    var skip: UInt8 = 0
    var mark: UInt8 = 0
    var deaths: UInt8 = 0
    /// How often it was moved along since it was claimed. No rule knows this; mutants that do not look again do.
    var moved: UInt8 = 0

    var isHeld: Bool { kind == .leased || kind == .settling }
  }

  var slots: [3 of Slot] = [Slot(), Slot(), Slot()]
  var capacity: UInt8
  var head: UInt8 = 0
  var tail: UInt8 = 0
  /// The worker whose turn it is, or 0: see `Producer.waitForRoom`.
  var turn: UInt8 = 0

  init(capacity: UInt8) { self.capacity = capacity }

  enum Taken { case took, moved, full }

  struct Rules {
    var restamps = true
    var restampsSettling = true
    var remembersMoves = false
  }

  /// One write of a producer that looks for a slot, from the tail on.
  ///
  /// - Parameter moved: how many leases this look has moved along
  mutating func take(_ owner: UInt8, _ message: UInt8, _ moved: inout UInt8, _ rules: Rules, keepsSkip: Bool = false) -> Taken {
    if turn != 0, turn != owner { return .full }
    var position = tail
    while true {
      let lap = position / capacity
      let i = Int(position % capacity)
      let found = slots[i]
      if found.lap < lap {
        guard
          found.lap + 1 == lap, found.isHeld, moved < capacity, rules.restamps, rules.restampsSettling || found.kind == .leased
        else {
          moved = 0
          return .full
        }
        slots[i].lap = lap
        if rules.remembersMoves { slots[i].moved = min(3, slots[i].moved + 1) }
        moved += 1
        return .moved
      }
      if found.lap == lap, found.kind == .free {
        slots[i] = Slot(lap: lap, kind: .writing, owner: owner, message: message, sequence: Int8(position))
        if keepsSkip { slots[i].skip = found.skip }
        moved = 0
        return .took
      }
      position += 1
    }
  }

  /// How many slots could be taken from the tail on, were nobody else to come: as many as are free before the position
  /// at which the first slot that is no lease would be met again.
  var room: UInt8 {
    var end = UInt8.max
    for i in 0..<Int(capacity) where !slots[i].isHeld { end = min(end, (slots[i].lap + 1) * capacity + UInt8(i)) }
    var room: UInt8 = 0
    for i in 0..<Int(capacity) where slots[i].kind == .free {
      let position = slots[i].lap * capacity + UInt8(i)
      if position >= tail, position < end { room += 1 }
    }
    return room
  }

  mutating func publish(_ i: Int) {
    slots[i].kind = .ready
    slots[i].owner = 0
    tail = max(tail, slots[i].lap * capacity + UInt8(i) + 1)
  }

  mutating func free(_ i: Int, lap: UInt8, keepsSkip: Bool = false) {
    slots[i] = Slot(lap: lap, skip: keepsSkip ? slots[i].skip : 0)
  }

  /// A reader's place in the line.
  struct Place {
    var position: UInt8 = 0
    /// Recovery has put something back since it looked at all slots.
    var isStale = false
  }

  enum Found {
    /// A slot that is ready, and the position to raise the head to; 0 for one that was put back.
    case ready(Int, head: UInt8)
    /// The place has moved, and nothing else has.
    case passed
    case nothing
  }

  /// What mutants of a reader do.
  enum Reading { case asItShould, putBackLast, putBackInOrderOfSlots }

  /// One look of a reader: at what was put back, oldest first, then along the line.
  func look(_ place: inout Place, _ reading: Reading) -> Found {
    if reading == .putBackLast {
      let found = lookAlong(&place)
      guard case .nothing = found, place.isStale else { return found }
    }
    if place.isStale {
      if let i = putBack(reading) { return .ready(i, head: 0) }
      place.isStale = false
      return .passed
    }
    return lookAlong(&place)
  }

  private func lookAlong(_ place: inout Place) -> Found {
    var position = max(place.position, head)
    while true {
      let found = slots[Int(position % capacity)]
      let lap = position / capacity
      if found.lap == lap, found.kind == .ready {
        place.position = position + 1
        return .ready(Int(position % capacity), head: position + 1)
      }
      if found.lap == lap, found.isHeld {
        place.position = position + 1
        return .passed
      }
      if found.lap <= lap {
        place.position = position
        return .nothing
      }
      position += 1
    }
  }

  /// Sequences that are cut off are in the order of their slots' laps no more, so equal ones go by message.
  private func putBack(_ reading: Reading) -> Int? {
    var oldest: Int?
    for i in 0..<Int(capacity) where slots[i].kind == .ready && isPassed(i) {
      if let other = oldest {
        if reading == .putBackInOrderOfSlots || slots[other].sequence < slots[i].sequence { continue }
        if slots[other].sequence == slots[i].sequence, slots[other].message < slots[i].message { continue }
      }
      oldest = i
    }
    return oldest
  }

  private func isPassed(_ i: Int) -> Bool {
    let sequence = slots[i].sequence
    return sequence == -2 || (sequence == -1 ? head > 0 : sequence < Int8(head))
  }

  /// Recovery raises the head past what the dead had claimed: it may have died before it did so itself.
  mutating func pass(_ i: Int) {
    if slots[i].sequence < 0 { slots[i].sequence = -2 } else { head = max(head, UInt8(slots[i].sequence) + 1) }
  }

  mutating func lease(_ i: Int, _ owner: UInt8) {
    slots[i].kind = .leased
    slots[i].owner = owner
    slots[i].moved = 0
  }

  /// Counts laps from the oldest one on, so that there are not endlessly many states.
  ///
  /// - Parameter spare: laps that are left below the oldest, for mutants that go back
  /// - Returns: how many positions were cut off
  mutating func normalise(spare: UInt8) -> UInt8 {
    var oldest = slots[0].lap
    for i in 1..<Int(capacity) { oldest = min(oldest, slots[i].lap) }
    if oldest <= spare { return 0 }
    oldest -= spare
    let shift = oldest * capacity
    for i in 0..<Int(capacity) {
      slots[i].lap -= oldest
      if slots[i].kind == .free { continue }
      let sequence = slots[i].sequence
      slots[i].sequence = sequence >= Int8(shift) ? sequence - Int8(shift) : isPassed(i) ? -2 : -1
    }
    head = head > shift ? head - shift : 0
    tail = tail > shift ? tail - shift : 0
    return shift
  }

  var isEmpty: Bool { (0..<Int(capacity)).allSatisfy { slots[$0].kind == .free } }

  func count(_ kind: Kind, _ owner: UInt8) -> UInt8 {
    var n: UInt8 = 0
    for i in 0..<Int(capacity) where slots[i].kind == kind && slots[i].owner == owner { n += 1 }
    return n
  }

  /// The first slot of somebody, in the order of messages.
  func first(_ kind: Kind, _ owner: UInt8, last: Bool = false) -> Int? {
    var found: Int?
    for i in 0..<Int(capacity) where slots[i].kind == kind && slots[i].owner == owner {
      guard let other = found else {
        found = i
        continue
      }
      if (slots[i].message < slots[other].message) != last { found = i }
    }
    return found
  }
}
