/// A producer that waits for room: what it looks at before it sleeps has to agree with what it could take, and whoever
/// makes room has to wake it. One producer, two readers, of which one may keep a message until all others have arrived.
///
/// A producer goes on once a quarter of the line is free of messages that wait, seen from the hints, and readers raise the head
/// late: with a hand-over, before they wait, and when they see that a producer sleeps.
///
/// The promise: nobody is kept by a lease of another, and nobody is woken by the clock: a sleep ends after a while, but as
/// with kills, nothing may depend on that.
struct Room: Model {
  enum Mutant: CaseIterable {
    /// The look before the sleep ends two laps behind the tail, although leases may have been moved further than that.
    case looksAtTwoLaps
    /// A lease of the lap before counts as full.
    case leasesCountAsFull
    case freeWakesNobody
    /// What a reader has passed stays its secret while it waits: one that died after it had freed a message, and before it said so,
    /// leaves a head that nobody raises.
    case waitsWithoutRaisingTheHead
    case claimWakesNobody
    /// A reader that claims what was put back wakes nobody: that message may have been all that stood in the way.
    case claimOfWhatWasPutBackWakesNobody
    case recoveryWakesNobody
  }

  var capacity: UInt8 = 2
  var messages: UInt8 = 4
  var kills: UInt8 = 1
  /// How often the clock ends a sleep.
  var alarms: UInt8 = 2
  var mutant: Mutant?

  enum Stage: UInt8 { case idle, took, full, asleep, claimed, holds, keeps, freed, wakes, dead }

  struct Process {
    var stage = Stage.idle
    var moved: UInt8 = 0
    var place = Line.Place()
  }

  struct State {
    var line: Line
    var producer = Process()
    var readers: [2 of Process] = [Process(), Process()]
    var published: UInt8 = 0
    var delivered: UInt8 = 0
    var kills: UInt8 = 0
    var alarms: UInt8 = 0
  }

  var start: State { State(line: Line(capacity: capacity)) }

  /// As `Ring.hasRoom`: two laps of a producer's walk, and then what lies further ahead.
  private func hasRoom(_ line: Line) -> Bool {
    for position in line.tail..<(line.tail + 2 * capacity) {
      let lap = position / capacity
      let found = line.slots[Int(position % capacity)]
      if found.lap == lap, found.kind == .free { return true }
      if found.lap < lap, !found.isHeld || mutant == .leasesCountAsFull { return false }
    }
    return mutant != .looksAtTwoLaps && line.room > 0
  }

  func steps(from s: State, _ take: (Step, State) -> Void) {
    producer(s, take)
    for r in 0..<2 { reader(s, r, take) }
  }

  private func producer(_ s: State, _ take: (Step, State) -> Void) {
    var n = s
    switch s.producer.stage {
    case .idle:
      guard s.published < messages else { return }
      switch n.line.take(1, s.published + 1, &n.producer.moved, Line.Rules()) {
      case .took:
        n.producer.stage = .took
        take(Step("producer", "takes a slot"), n)
      case .moved: take(Step("producer", "moves a lease along"), n)
      case .full:
        n.producer.stage = .full
        take(Step("producer", "finds the ring full"), n)
      }
    case .took:
      if let i = s.line.first(.writing, 1) { n.line.publish(i) }
      n.published += 1
      n.producer.stage = .idle
      take(Step("producer", "publishes"), n)
    case .full:
      n.producer.stage = !isCrowded(s.line) && hasRoom(s.line) ? .idle : .asleep
      take(Step("producer", n.producer.stage == .idle ? "sees room" : "sees no room and sleeps"), n)
    case .asleep:
      guard s.alarms < alarms else { return }
      n.alarms += 1
      n.producer.stage = .idle
      take(.kill("producer's sleep"), n)
    default: return
    }
  }

  /// As `Ring.isCrowded`.
  private func isCrowded(_ line: Line) -> Bool { line.tail > line.head && line.tail - line.head > capacity * 3 / 4 }

  private func wake(_ s: inout State) {
    if s.producer.stage == .asleep, !isCrowded(s.line) { s.producer.stage = .idle }
  }

  private func raiseHead(_ s: inout State, _ r: Int) { s.line.head = max(s.line.head, s.readers[r].place.position) }

  private func reader(_ s: State, _ r: Int, _ take: (Step, State) -> Void) {
    let me = s.readers[r]
    let owner = UInt8(r + 2)
    func go(_ what: StaticString, _ stage: Stage, _ change: (inout State) -> Void = { _ in }) {
      var n = s
      n.readers[r].stage = stage
      change(&n)
      take(Step("reader ", UInt8(r), what), n)
    }
    switch me.stage {
    case .idle:
      var n = s
      switch n.line.look(&n.readers[r].place, .asItShould) {
      case .ready(let i, let head):
        n.line.lease(i, owner)
        n.readers[r].stage = .claimed
        // Whether it was put back is known until somebody was woken, or not, because of it.
        n.readers[r].moved = head == 0 ? 1 : 0
        take(Step("reader ", UInt8(r), head == 0 ? "claims what was put back" : "claims"), n)
      case .passed: take(Step("reader ", UInt8(r), "looks further"), n)
      case .nothing:
        if n.readers[r].place.position <= s.line.head || mutant == .waitsWithoutRaisingTheHead { return }
        n.readers[r].stage = .wakes
        raiseHead(&n, r)
        take(Step("reader ", UInt8(r), "raises the head before it waits"), n)
      }
    case .claimed:
      go("looks whom to wake", .holds) {
        $0.readers[r].moved = 0
        if mutant == .claimWakesNobody || mutant == .claimOfWhatWasPutBackWakesNobody && me.moved == 1 { return }
        if $0.producer.stage == .asleep { raiseHead(&$0, r) }
        wake(&$0)
      }
    case .holds, .keeps:
      if r == 0, me.stage == .holds { go("keeps its message", .keeps) }
      if me.stage == .keeps, s.delivered < messages - 1 { break }
      go("frees its message", .freed) { s in
        if let i = s.line.first(.leased, owner) { s.line.free(i, lap: s.line.slots[i].lap + 1) }
        s.delivered += 1
      }
    case .freed: go("raises the head", .wakes) { raiseHead(&$0, r) }
    case .wakes: go("looks whom to wake", .idle) { if mutant != .freeWakesNobody { wake(&$0) } }
    case .dead:
      go("is recovered and started again", .idle) { s in
        if let i = s.line.first(.leased, owner) {
          s.line.slots[i].kind = .ready
          s.line.slots[i].owner = 0
          s.line.pass(i)
        }
        s.readers[r].place.position = s.line.head
        s.readers[0].place.isStale = true
        s.readers[1].place.isStale = true
        if mutant != .recoveryWakesNobody, s.producer.stage == .asleep { s.producer.stage = .idle }
      }
    default: return
    }
    if s.kills < kills, me.stage != .idle, me.stage != .dead {
      var n = s
      n.kills += 1
      n.readers[r] = Process(stage: .dead)
      take(.kill("reader ", UInt8(r)), n)
    }
  }

  func fault(in s: State) -> String? { nil }

  func isEnd(_ s: State) -> Bool {
    s.delivered == messages && s.producer.stage == .idle && s.line.isEmpty && (0..<2).allSatisfy { s.readers[$0].stage == .idle }
  }
}
