/// The hand-off with all it has: laps, hints, leases that are moved along, batches, several outputs for an input, two
/// readers, calls handed over in parts, turns, and a recovery that can itself be interrupted after each of its steps.
///
/// A source, or two, writes to ring 0; workers move messages from there to ring 1 and, if there is one, to ring 2; the sinks at
/// their ends take one message at a time and do not die.
///
/// The promise: each output arrives at each sink exactly once, whoever dies, and every slot is free in the end. Where there
/// is one worker, the messages of each source arrive in their order.
///
/// What has no mutant: that a producer stops after a whole lap of leases. Without it, it would walk round and round instead
/// of sleeping until one is free, which costs time and nothing else. And the order in which the cell is cleared and the
/// epoch moves: whoever comes next for the dead looks at all slots anyway.
///
/// What is smaller than in life: slots are few, a sink takes and frees in one step and does not die, the tail is raised
/// with each publication, and segments are left out.
struct WholeHandoff: Model, CustomStringConvertible {
  enum Mutant: CaseIterable {
    /// A producer waits for a lease of the lap before, as for any other message.
    case leasesPinTheLine
    case settlingLeasesPinTheLine
    /// The lap of a lease is not read again when it is freed, although a producer may have moved it along.
    case freedWithoutReadingTheLapAgain
    case settledWithoutReadingTheLapAgain
    /// A voided slot can be taken once more in the same lap.
    case voidedToTheSameLap
    case recoveryVoidsToTheSameLap
    /// Slots are kept while waiting for more.
    case waitsWhileHoldingSlots
    case busyNeverSet
    case cellClearedTooEarly
    case outputsPublishedBeforeCommit
    case inputsFreedBeforeCommit
    case inputsNotSettled
    case partCountNotInRecord
    /// The last commit of a call leaves the count of its parts in the record.
    case partLeftInRecord
    case recoveryLeavesPartInRecord
    case recoveryDoesNotGiveThePartToTheSlot
    case partLeftInSlot
    /// A batch that does not fit is handed over in parts, but the record has room for one input only.
    case batchInParts
    case recoveryIgnoresBusy
    case recoveryClearsTheCellFirst
    /// A claim raises the head a moment later; who dies between leaves a message that is neither before the head nor behind it.
    case recoveryLeavesTheHead
    case noEpoch
    case epochMovesBeforeTheSlotsAreReady
    case recoveryBeforeReaping
    /// A worker keeps its own turn while it waits for another's.
    case keepsItsTurnWhileItWaits
    /// A dead worker's turn is not ended.
    case recoveryLeavesTheTurn
    /// In hand is a plain mark, which somebody would have to clear.
    case markWithoutTheNumberOfDeaths
    case markLeftAfterTheCall
    /// A reader looks along the line first, and at what was put back after that.
    case putBackComesLast
    case putBackComesInTheOrderOfSlots
    /// Every message that a dead worker had claimed counts a death.
    case everyLeaseCountsADeath
  }

  var messages: UInt8 = 2
  var kills: UInt8 = 1
  var capacities: [3 of UInt8] = [2, 2, 0]
  /// Outputs of each call.
  var emits: UInt8 = 1
  var batch: UInt8 = 1
  var workers = 2
  /// A second source takes the second worker's place.
  var sources = 1
  /// A worker that has died stays away: those that live must find what it had.
  var replacesTheDead = true
  /// The second worker takes slots in the other order.
  var isReversed = false
  /// The first worker may stop for ever, with a message or on its way to free one: all others must still arrive.
  var hasSleeper = false
  var countsDeaths = false
  var takesTurns = false
  var mutant: Mutant?

  var description: String {
    let options = [(isReversed, "reversed"), (hasSleeper, "sleeper"), (!replacesTheDead, "no successors"), (countsDeaths, "deaths"), (takesTurns, "turns")]
    let rings = (0..<3).map { "\(capacities[$0])" }.joined(separator: "-")
    return "WholeHandoff(\(sources) x \(messages) messages, \(kills) kills, rings \(rings), \(workers) workers, \(emits) outputs, batch \(batch)"
      + options.filter(\.0).map { ", \($0.1)" }.joined() + (mutant.map { ", mutant \($0)" } ?? "") + ")"
  }

  enum Stage: UInt8 {
    case idle, claimed, marking, working, taking, voiding, waiting, settling, committing, publishing, freeing, clearing
    /// Reaped; its slots are put right one by one, then the epoch moves, then the cell is cleared.
    case dead, swept, cleared
    case asleep, gone
  }

  struct Part {
    /// The input's slot plus one, or 0.
    var slot: UInt8 = 0
    var count: UInt8 = 0
  }

  struct Worker {
    var stage = Stage.idle
    var place = Line.Place()
    /// Where the head is to be raised to after a claim.
    var head: UInt8 = 0
    var ring: UInt8 = 0
    var moved: UInt8 = 0
    /// Outputs that are handed over now, in each ring.
    var kept: UInt8 = 0
    var isPart = false
    /// What it knows itself of the call that it hands over in parts.
    var part = Part()
    var isBusy = false
    /// What its cell says of it.
    var recorded = Part()
    /// A source's position.
    var position: UInt8 = 0
  }

  struct Sink {
    var place = Line.Place()
    /// A bit for each output.
    var got: UInt8 = 0
  }

  struct State {
    var lines: [3 of Line]
    /// The source, and the workers.
    var workers: [3 of Worker] = [Worker(), Worker(), Worker()]
    var sinks: [2 of Sink] = [Sink(), Sink()]
    /// How many workers have died with a message in hand, as nobody but the model knows.
    var deaths: [4 of UInt8] = [0, 0, 0, 0]
    var isDoubled = false
    var isOutOfOrder = false
    var kills: UInt8 = 0
  }

  var start: State {
    State(lines: [Line(capacity: capacities[0]), Line(capacity: capacities[1]), Line(capacity: max(1, capacities[2]))])
  }

  private var outputs: ClosedRange<Int> { capacities[2] > 0 ? 1...2 : 1...1 }
  private var most: UInt8 { capacities[2] > 0 ? min(capacities[1], capacities[2]) : capacities[1] }
  private var rules: Line.Rules {
    Line.Rules(restamps: mutant != .leasesPinTheLine, restampsSettling: mutant != .settlingLeasesPinTheLine,
      remembersMoves: mutant == .freedWithoutReadingTheLapAgain || mutant == .settledWithoutReadingTheLapAgain)
  }

  // MARK: Steps

  func steps(from s: State, _ take: (Step, State) -> Void) {
    for w in 0..<3 {
      if isSource(w) { source(s, w, take) } else if w <= workers { worker(s, w, take) }
      recovery(s, w, take)
      if s.kills < kills { kill(s, w, take) }
    }
    for r in outputs { sink(s, r, take) }
  }

  private func isSource(_ w: Int) -> Bool { w == 0 || w == 2 && sources == 2 }
  private func name(_ w: Int) -> StaticString { w == 0 ? "source" : w == 1 ? "worker 1" : isSource(2) ? "source 2" : "worker 2" }
  private var reading: Line.Reading {
    mutant == .putBackComesLast ? .putBackLast : mutant == .putBackComesInTheOrderOfSlots ? .putBackInOrderOfSlots : .asItShould
  }

  /// Passes on a step, with laps counted from the oldest.
  private func emit(_ step: Step, _ next: State, _ take: (Step, State) -> Void) {
    var n = next
    for r in 0...outputs.upperBound {
      let shift = n.lines[r].normalise(spare: rules.remembersMoves ? 3 : 0)
      if shift == 0 { continue }
      func cut(_ position: inout UInt8) { position = position > shift ? position - shift : 0 }
      if r == 0 {
        for w in 1...workers {
          cut(&n.workers[w].place.position)
          cut(&n.workers[w].head)
        }
      } else {
        cut(&n.sinks[r - 1].place.position)
      }
    }
    take(step, n)
  }

  private func source(_ s: State, _ w: Int, _ take: (Step, State) -> Void) {
    let me = s.workers[w]
    let owner = UInt8(w + 1)
    func go(_ what: StaticString, _ stage: Stage, _ change: (inout State) -> Void) {
      var n = s
      n.workers[w].stage = stage
      change(&n)
      emit(Step(name(w), what), n, take)
    }
    switch me.stage {
    case .idle:
      if me.position == messages { return }
      var n = s
      switch n.lines[0].take(owner, me.position + 1 + (w == 0 ? 0 : messages), &n.workers[w].moved, rules, keepsSkip: mutant == .partLeftInSlot) {
      case .took:
        n.workers[w].stage = .committing
        emit(Step(name(w), "takes a slot"), n, take)
      case .moved: emit(Step(name(w), "moves a lease along"), n, take)
      case .full: emit(Step(name(w), "finds the ring full"), n, take)
      }
    case .committing:
      go("commits", .publishing) {
        $0.workers[w].isBusy = mutant != .busyNeverSet
        $0.workers[w].position += 1
      }
    case .publishing:
      go("publishes", .clearing) { s in
        if let i = s.lines[0].first(.writing, owner) { s.lines[0].publish(i) }
      }
    case .clearing: go("clears busy", .idle) { $0.workers[w].isBusy = false }
    default: return
    }
  }

  /// The inputs of a worker's calls, in the order of their messages; what must go alone waits until it is.
  private func calls(_ s: State, _ w: Int) -> (slots: [3 of UInt8], count: Int) {
    let owner = UInt8(w + 1)
    let line = s.lines[0]
    var slots: [3 of UInt8] = [0, 0, 0]
    var count = 0
    var held = 0
    for i in 0..<Int(line.capacity) where line.slots[i].isHeld && line.slots[i].owner == owner { held += 1 }
    for i in 0..<Int(line.capacity) where line.slots[i].isHeld && line.slots[i].owner == owner {
      if held > 1, isAlone(line.slots[i]) { continue }
      var at = count
      while at > 0, line.slots[Int(slots[at - 1])].message > line.slots[i].message {
        slots[at] = slots[at - 1]
        at -= 1
      }
      slots[at] = UInt8(i)
      count += 1
    }
    return (slots, count)
  }

  private func isAlone(_ slot: Line.Slot) -> Bool { slot.skip > 0 || slot.deaths > 0 }

  /// How many outputs of a call have gone on already.
  private func gone(_ s: State, _ w: Int, _ slot: UInt8) -> UInt8 {
    let part = s.workers[w].part
    return part.slot == slot + 1 ? part.count : s.lines[0].slots[Int(slot)].skip
  }

  /// What the calls emit and what of it is to be handed over now: all of it, or as much as a ring holds of the only call.
  private func goal(_ s: State, _ w: Int) -> (records: UInt8, isPart: Bool) {
    let calls = calls(s, w)
    var sum: UInt8 = 0
    for c in 0..<calls.count {
      let skip = gone(s, w, calls.slots[c])
      sum += emits > skip ? emits - skip : 0
    }
    return calls.count == 1 && sum > most ? (most, true) : (sum, false)
  }

  /// The record at an index of what the calls emit.
  private func item(_ s: State, _ w: Int, _ index: UInt8) -> UInt8 {
    let calls = calls(s, w)
    var left = index
    for c in 0..<calls.count {
      let skip = gone(s, w, calls.slots[c])
      let count = emits > skip ? emits - skip : 0
      if left < count { return (s.lines[0].slots[Int(calls.slots[c])].message - 1) * emits + skip + left + 1 }
      left -= count
    }
    return 0
  }

  /// How many calls, and how many outputs, fit into what has been taken.
  private func fits(_ s: State, _ w: Int, _ got: UInt8) -> (calls: Int, records: UInt8) {
    let calls = calls(s, w)
    var sum: UInt8 = 0
    for c in 0..<calls.count {
      let skip = gone(s, w, calls.slots[c])
      let count = emits > skip ? emits - skip : 0
      if sum + count > got { return (c, sum) }
      sum += count
    }
    return (calls.count, sum)
  }

  private func ring(_ w: Int, _ turn: Int) -> Int { isReversed && w == 2 ? outputs.upperBound - turn : outputs.lowerBound + turn }

  private func worker(_ s: State, _ w: Int, _ take: (Step, State) -> Void) {
    let me = s.workers[w]
    let owner = UInt8(w + 1)
    let who = name(w)
    func go(_ what: StaticString, _ change: (inout State) -> Void) {
      var n = s
      change(&n)
      emit(Step(who, what), n, take)
    }
    let held = s.lines[0].count(.leased, owner)

    switch me.stage {
    case .idle:
      let isAloneHeld = (0..<Int(capacities[0])).contains { s.lines[0].slots[$0].owner == owner && isAlone(s.lines[0].slots[$0]) }
      if held < batch, !isAloneHeld {
        var n = s
        switch n.lines[0].look(&n.workers[w].place, reading) {
        case .ready(let i, let head):
          n.lines[0].lease(i, owner)
          n.workers[w].stage = .claimed
          n.workers[w].head = max(me.head, head)
          emit(Step(who, "claims"), n, take)
        case .passed: emit(Step(who, "looks further"), n, take)
        case .nothing: if n.workers[w].place.position != me.place.position { emit(Step(who, "looks further"), n, take) }
        }
      }
      if held > 0 { go("begins to hand over") { begin(&$0, w) } }
      // With each hand-over, before it waits, or when a producer sleeps: at any time, as far as the promise goes.
      if me.head > 0 {
        go("raises the head") {
          $0.lines[0].head = max($0.lines[0].head, me.head)
          $0.workers[w].head = 0
        }
      }
    case .claimed:
      go("goes on with its claim") { $0.workers[w].stage = countsDeaths ? .marking : .idle }
      if hasSleeper, w == 1 { go("falls asleep") { $0.workers[w].stage = .asleep } }
    case .marking:
      go("marks its message as in hand") { s in
        for i in 0..<Int(capacities[0]) where s.lines[0].slots[i].owner == owner && s.lines[0].slots[i].kind == .leased && !isOld(s, i, w) {
          s.lines[0].slots[i].mark = mutant == .markWithoutTheNumberOfDeaths ? 1 : s.lines[0].slots[i].deaths + 1
        }
        s.workers[w].stage = .working
      }
    case .working:
      go("ends the call") { s in
        for i in 0..<Int(capacities[0]) where s.lines[0].slots[i].owner == owner && s.lines[0].slots[i].kind == .leased {
          if mutant != .markLeftAfterTheCall { s.lines[0].slots[i].mark = 0 }
        }
        s.workers[w].stage = .idle
      }
    case .taking: takeSlots(s, w, take)
    case .voiding:
      go("voids a slot") { s in
        for r in outputs where s.lines[r].count(.writing, owner) > me.kept {
          guard let i = s.lines[r].first(.writing, owner, last: true) else { continue }
          s.lines[r].free(i, lap: s.lines[r].slots[i].lap + (mutant == .voidedToTheSameLap ? 0 : 1))
          break
        }
        afterVoids(&s, w)
      }
    case .waiting:
      go("tries again") { $0.workers[w].stage = .taking }
      // Who has waited often enough asks for its turn where it finds no room.
      let wanted = goal(s, w).records
      for r in outputs where s.lines[r].turn == 0 && s.lines[r].room < wanted && wanted > 1 {
        go("asks for its turn") { $0.lines[r].turn = owner }
      }
      // Two could each have their turn in a ring that the other needs: the lower number keeps its own.
      if mutant != .keepsItsTurnWhileItWaits {
        let meetsAnother = outputs.contains { s.lines[$0].turn != 0 && s.lines[$0].turn < owner }
        for r in outputs where s.lines[r].turn == owner && meetsAnother { go("ends its turn") { $0.lines[r].turn = 0 } }
      }
    case .settling:
      go("settles an input") { s in
        let calls = calls(s, w)
        if let c = (0..<calls.count).first(where: { s.lines[0].slots[Int(calls.slots[$0])].kind == .leased }) {
          let i = Int(calls.slots[c])
          if mutant == .settledWithoutReadingTheLapAgain { s.lines[0].slots[i].lap -= s.lines[0].slots[i].moved }
          s.lines[0].slots[i].kind = .settling
        }
        afterSettles(&s, w)
      }
    case .committing:
      go("commits") { s in
        let calls = calls(s, w)
        let isPart = me.isPart
        s.workers[w].isBusy = mutant != .busyNeverSet
        s.workers[w].part = isPart ? Part(slot: calls.slots[0] + 1, count: gone(s, w, calls.slots[0]) + me.kept) : Part()
        if mutant != .partCountNotInRecord, isPart || mutant != .partLeftInRecord { s.workers[w].recorded = s.workers[w].part }
        s.workers[w].stage = mutant == .outputsPublishedBeforeCommit ? .clearing : .publishing
        if mutant == .outputsPublishedBeforeCommit, !isPart { s.workers[w].stage = .freeing }
      }
    case .publishing:
      go("publishes an output") { s in
        for r in outputs {
          guard let i = s.lines[r].first(.writing, owner) else { continue }
          s.lines[r].publish(i)
          break
        }
        if outputs.contains(where: { s.lines[$0].count(.writing, owner) > 0 }) { return }
        if mutant == .outputsPublishedBeforeCommit {
          s.workers[w].stage = .committing
          return
        }
        if takesTurns { for r in outputs where s.lines[r].turn == owner { s.lines[r].turn = 0 } }
        s.workers[w].stage = s.workers[w].part.slot > 0 || mutant == .inputsFreedBeforeCommit ? .clearing : .freeing
        if mutant == .cellClearedTooEarly { s.workers[w].isBusy = false }
      }
    case .freeing:
      if hasSleeper, w == 1 { go("falls asleep") { $0.workers[w].stage = .asleep } }
      go("frees an input") { s in
        let kind = mutant == .inputsNotSettled ? Line.Kind.leased : .settling
        if let i = s.lines[0].first(kind, owner) {
          let moved = mutant == .freedWithoutReadingTheLapAgain ? s.lines[0].slots[i].moved : 0
          s.lines[0].free(i, lap: s.lines[0].slots[i].lap + 1 - moved, keepsSkip: mutant == .partLeftInSlot)
        }
        if s.lines[0].count(kind, owner) > 0 { return }
        s.workers[w].stage = mutant == .inputsFreedBeforeCommit ? .committing : .clearing
      }
    case .clearing:
      go("clears busy") { s in
        s.workers[w].isBusy = false
        s.workers[w].kept = 0
        s.workers[w].isPart = false
        s.workers[w].stage = .idle
        if s.lines[0].count(.leased, owner) > 0 { begin(&s, w) }
      }
    case .dead, .swept, .cleared, .asleep, .gone: return
    }
  }

  /// Whether a lease is of a call that has ended: in a batch, all but the newest.
  private func isOld(_ s: State, _ i: Int, _ w: Int) -> Bool {
    let line = s.lines[0]
    return line.count(.leased, UInt8(w + 1)) > 1 && line.first(.leased, UInt8(w + 1), last: true) != i
  }

  private func begin(_ s: inout State, _ w: Int) {
    s.workers[w].stage = .taking
    s.workers[w].ring = 0
    s.workers[w].moved = 0
  }

  /// Ring by ring, until all has a slot or nothing more is to be had.
  private func takeSlots(_ s: State, _ w: Int, _ take: (Step, State) -> Void) {
    let owner = UInt8(w + 1)
    let goal = goal(s, w)
    var n = s
    var what: StaticString = "has all its slots"
    let last = outputs.count - 1
    let r = ring(w, Int(s.workers[w].ring))
    var isOver = false
    let taken = n.lines[r].count(.writing, owner)
    if taken < goal.records {
      switch n.lines[r].take(owner, item(s, w, taken), &n.workers[w].moved, rules) {
      case .took:
        what = "takes a slot"
        isOver = taken + 1 == goal.records
      case .moved: what = "moves a lease along"
      case .full:
        what = "finds a ring full"
        isOver = mutant != .waitsWhileHoldingSlots
      }
    } else {
      isOver = true
    }
    if isOver, n.workers[w].ring < last {
      n.workers[w].ring += 1
      isOver = false
    }
    if isOver {
      var got = goal.records
      for r in outputs { got = min(got, n.lines[r].count(.writing, owner)) }
      let asPart = goal.isPart || mutant == .batchInParts && got < goal.records
      n.workers[w].kept = asPart ? got : fits(n, w, got).records
      n.workers[w].isPart = asPart
      n.workers[w].ring = 0
      n.workers[w].stage = .voiding
      afterVoids(&n, w)
    }
    emit(Step(name(w), what), n, take)
  }

  private func afterVoids(_ s: inout State, _ w: Int) {
    let owner = UInt8(w + 1)
    let kept = s.workers[w].kept
    if outputs.contains(where: { s.lines[$0].count(.writing, owner) > kept }) { return }
    if kept == 0 {
      s.workers[w].stage = takesTurns ? .waiting : .taking
    } else {
      s.workers[w].stage = .settling
      if s.workers[w].isPart || mutant == .inputsNotSettled { leaveSettling(&s, w) } else { afterSettles(&s, w) }
    }
  }

  private func afterSettles(_ s: inout State, _ w: Int) {
    if Int(s.lines[0].count(.settling, UInt8(w + 1))) >= fits(s, w, s.workers[w].kept).calls { leaveSettling(&s, w) }
  }

  private func leaveSettling(_ s: inout State, _ w: Int) {
    switch mutant {
    case .outputsPublishedBeforeCommit: s.workers[w].stage = .publishing
    case .inputsFreedBeforeCommit where s.lines[0].count(.settling, UInt8(w + 1)) > 0: s.workers[w].stage = .freeing
    default: s.workers[w].stage = .committing
    }
  }

  private func sink(_ s: State, _ r: Int, _ take: (Step, State) -> Void) {
    var n = s
    switch n.lines[r].look(&n.sinks[r - 1].place, .asItShould) {
    case .ready(let i, let head):
      let bit = UInt8(1) << ((s.lines[r].slots[i].message - 1) & 7)
      n.isDoubled = s.isDoubled || s.sinks[r - 1].got & bit != 0
      // Only those of the same source must have come before: the lower bits of its half.
      let lower = (bit - 1) & (s.lines[r].slots[i].message > messages * emits ? 255 << (messages * emits) : 255)
      n.isOutOfOrder = s.isOutOfOrder || workers == 1 && s.sinks[r - 1].got & lower != lower
      n.sinks[r - 1].got |= bit
      n.lines[r].free(i, lap: n.lines[r].slots[i].lap + 1)
      n.lines[r].head = max(n.lines[r].head, head)
      emit(Step("sink ", UInt8(r), "takes a message"), n, take)
    case .passed: emit(Step("sink ", UInt8(r), "looks further"), n, take)
    case .nothing: return
    }
  }

  // MARK: Death

  private func kill(_ s: State, _ w: Int, _ take: (Step, State) -> Void) {
    let me = s.workers[w]
    switch me.stage {
    case .dead, .swept, .cleared, .asleep, .gone: return
    case _ where isSource(w) && !replacesTheDead: return
    case .idle where isSource(w) || s.lines[0].count(.leased, UInt8(w + 1)) == 0: return
    default: break
    }
    var n = s
    n.kills += 1
    if me.stage == .working {
      for i in 0..<Int(capacities[0]) {
        let slot = s.lines[0].slots[i]
        if slot.owner == UInt8(w + 1), slot.kind == .leased, !isOld(s, i, w) { n.deaths[Int(slot.message)] += 1 }
      }
    }
    n.workers[w] = Worker(stage: .dead, isBusy: me.isBusy, recorded: me.recorded, position: me.position)
    if mutant == .recoveryBeforeReaping, !isSource(w) {
      // It is merely stopped: what it does after the recovery is done at once here, its next write.
      n.workers[w].kept = me.kept
      n.workers[w].moved = me.stage.rawValue + 1
    }
    emit(.kill(name(w)), n, take)
  }

  /// One step of what the runner does. It keeps nothing in mind: an interrupted recovery begins again.
  private func recovery(_ s: State, _ w: Int, _ take: (Step, State) -> Void) {
    let me = s.workers[w]
    let owner = UInt8(w + 1)
    func go(_ what: StaticString, _ change: (inout State) -> Void) {
      var n = s
      change(&n)
      emit(Step("runner", what), n, take)
    }
    func again() { go("is interrupted, and begins again") { $0.workers[w].stage = .dead } }

    switch me.stage {
    case .dead:
      if mutant == .recoveryClearsTheCellFirst, me.isBusy { return go("clears the cell") { $0.workers[w].isBusy = false } }
      if mutant == .epochMovesBeforeTheSlotsAreReady, me.head == 0 {
        return go("moves the epoch") { s in
          moveEpoch(&s)
          s.workers[w].head = 1
        }
      }
      for r in [1, 2, 0] where r == 0 || outputs.contains(r) && !isSource(w) {
        for i in 0..<Int(s.lines[r].capacity) where s.lines[r].slots[i].owner == owner {
          return go("puts a slot right") { repair(&$0, w, r, i) }
        }
      }
      go("moves the epoch") { s in
        if mutant != .noEpoch, mutant != .epochMovesBeforeTheSlotsAreReady { moveEpoch(&s) }
        if mutant != .recoveryLeavesTheTurn { for r in outputs where s.lines[r].turn == owner { s.lines[r].turn = 0 } }
        s.workers[w].stage = .swept
      }
    case .swept:
      go("clears the cell") {
        $0.workers[w].isBusy = false
        if mutant != .recoveryLeavesPartInRecord { $0.workers[w].recorded = Part() }
        $0.workers[w].stage = .cleared
      }
      again()
    case .cleared:
      go("starts it again") { s in
        var next = Worker(place: Line.Place(position: 0, isStale: mutant != .noEpoch), recorded: me.recorded, position: me.position)
        if isSource(w) { next.place = Line.Place() }
        if !replacesTheDead { next = Worker(stage: .gone) }
        if mutant == .recoveryBeforeReaping, !isSource(w) { goOnUnreaped(&s, w) }
        s.workers[w] = next
      }
      again()
    default: return
    }
  }

  private func moveEpoch(_ s: inout State) {
    for w in 1...2 where w <= workers && s.workers[w].stage.rawValue < Stage.dead.rawValue { s.workers[w].place.isStale = true }
    for r in outputs { s.sinks[r - 1].place.isStale = true }
  }

  private func repair(_ s: inout State, _ w: Int, _ r: Int, _ i: Int) {
    let slot = s.lines[r].slots[i]
    let isBusy = s.workers[w].isBusy && mutant != .recoveryIgnoresBusy
    if slot.kind == .writing {
      if isBusy { return s.lines[r].publish(i) }
      return s.lines[r].free(i, lap: slot.lap + (mutant == .recoveryVoidsToTheSameLap ? 0 : 1))
    }
    if slot.kind == .settling, isBusy {
      return s.lines[r].free(i, lap: slot.lap + 1, keepsSkip: mutant == .partLeftInSlot)
    }
    let recorded = s.workers[w].recorded
    if r == 0, recorded.slot == UInt8(i) + 1, mutant != .recoveryDoesNotGiveThePartToTheSlot {
      s.lines[r].slots[i].skip = recorded.count
    }
    let isMarked = mutant == .markWithoutTheNumberOfDeaths ? slot.mark == 1 : slot.mark == slot.deaths + 1
    if slot.kind == .leased, countsDeaths, isMarked || mutant == .everyLeaseCountsADeath { s.lines[r].slots[i].deaths += 1 }
    s.lines[r].slots[i].kind = .ready
    s.lines[r].slots[i].owner = 0
    s.lines[r].slots[i].moved = 0
    if mutant != .recoveryLeavesTheHead { s.lines[r].pass(i) }
  }

  /// What a worker that was only stopped does to a message that is another's by now.
  private func goOnUnreaped(_ s: inout State, _ w: Int) {
    guard s.workers[w].moved == Stage.freeing.rawValue + 1 || s.workers[w].moved == Stage.settling.rawValue + 1 else { return }
    for i in 0..<Int(capacities[0]) where s.lines[0].slots[i].kind == .ready {
      return s.lines[0].free(i, lap: s.lines[0].slots[i].lap + 1)
    }
  }

  // MARK: The promise

  func fault(in s: State) -> String? {
    if s.isDoubled { return "an output has arrived twice" }
    if s.isOutOfOrder { return "an output has arrived before an older one of the same source" }
    if !countsDeaths { return nil }
    for i in 0..<Int(capacities[0]) {
      let slot = s.lines[0].slots[i]
      if slot.kind == .free || slot.kind == .writing { continue }
      if slot.owner > 0, s.workers[Int(slot.owner) - 1].stage.rawValue >= Stage.dead.rawValue { continue }
      if slot.deaths != s.deaths[Int(slot.message)] { return "deaths are counted wrong" }
    }
    return nil
  }

  func isEnd(_ s: State) -> Bool {
    let all = UInt8((1 << (sources * Int(messages * emits))) - 1)
    if hasSleeper, s.workers[1].stage == .asleep {
      let kept = s.lines[0].count(.leased, 2)
      return outputs.allSatisfy { s.sinks[$0 - 1].got.nonzeroBitCount == Int((messages - kept) * emits) }
    }
    guard outputs.allSatisfy({ s.sinks[$0 - 1].got == all && s.lines[$0].isEmpty && s.lines[$0].turn == 0 }) else { return false }
    return s.lines[0].isEmpty && (0..<3).allSatisfy { s.workers[$0].stage == .idle || s.workers[$0].stage == .gone }
  }
}
