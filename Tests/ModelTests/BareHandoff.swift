/// The hand-off without laps: a source, a ring, two workers, a ring, a sink. Any of the first three may be killed
/// between any two of its writes; the runner then puts right what it left, in one go, and it begins again.
///
/// The promise: the sink gets every message exactly once, and no slot is left behind.
struct BareHandoff: Model {
  enum Mutant: CaseIterable {
    /// Busy is never set: what was committed is rolled back.
    case busyNeverSet
    /// Busy is cleared while inputs are still to be freed.
    case cellClearedTooEarly
    /// The cell moves before the outputs are written.
    case committedBeforeOutputsAreWritten
    case outputsPublishedBeforeCommit
    case inputsFreedBeforeCommit
    /// The inputs stay leased over the commit: a lease looks the same before and after it.
    case inputsNotSettled
    case sequenceStoredBeforeRecord
    /// The record is written over the copy in force.
    case recordHasOneCopy
    case recoveryIgnoresBusy
    case recoveryAlwaysRollsForward
    /// A worker that is merely stopped is taken for dead, and goes on afterwards.
    case recoveryBeforeReaping
  }

  let messages: UInt8
  let kills: UInt8
  var mutant: Mutant?

  enum Kind: UInt8 { case free, writing, ready, leased, settling }

  struct Slot {
    var kind = Kind.free
    var owner: UInt8 = 0
    /// 0 until it has been written.
    var message: UInt8 = 0
  }

  enum Stage: UInt8 { case idle, claimed, took, filled, settled, recordWritten, committed, published, freed }

  struct Worker {
    var stage = Stage.idle
    /// The slots it believes to hold.
    var input: UInt8 = 0
    var output: UInt8 = 0
    var sequence: UInt8 = 0
    var isBusy = false
    /// A source's position, in two copies.
    var records: [2 of UInt8] = [0, 0]
    /// Recovered although it lives.
    var isGhost = false

    var record: UInt8 { records[Int(sequence & 1)] }
  }

  struct State {
    var a: [2 of Slot] = [Slot(), Slot()]
    var b: [2 of Slot] = [Slot(), Slot()]
    /// The source, and the two that move messages from a to b.
    var workers: [3 of Worker] = [Worker(), Worker(), Worker()]
    /// A bit for each message.
    var delivered: UInt8 = 0
    var isDoubled = false
    var kills: UInt8 = 0
  }

  var start: State { State() }

  func steps(from s: State, _ take: (Step, State) -> Void) {
    for w in 0..<3 {
      advance(s, w, take)
      let worker = s.workers[w]
      if worker.stage != .idle, !worker.isGhost, s.kills < kills {
        var next = s
        next.kills += 1
        recover(&next, w)
        take(.kill("worker ", UInt8(w)), next)
      }
    }
    for i in 0..<2 where s.b[i].kind == .ready {
      var next = s
      let bit = UInt8(1) << (s.b[i].message & 7)
      next.isDoubled = s.isDoubled || s.delivered & bit != 0 || s.b[i].message == 0
      next.delivered |= bit
      next.b[i] = Slot()
      take(Step("sink", "takes a message"), next)
    }
  }

  private func advance(_ s: State, _ w: Int, _ take: (Step, State) -> Void) {
    let isSource = w == 0
    let me = s.workers[w]
    let owner = UInt8(w + 1)
    let name = UInt8(w)

    func go(_ what: StaticString, _ stage: Stage, _ change: (inout State) -> Void = { _ in }) {
      var next = s
      next.workers[w].stage = stage
      change(&next)
      take(Step("worker ", name, what), next)
    }
    func output(_ s: inout State, _ change: (inout Slot) -> Void) {
      if isSource { change(&s.a[Int(me.output)]) } else { change(&s.b[Int(me.output)]) }
    }
    let outputs = isSource ? s.a : s.b
    func takesSlot() {
      for i in 0..<2 where outputs[i].kind == .free {
        go("takes a slot", .took) { s in
          s.workers[w].output = UInt8(i)
          if isSource { s.a[i] = Slot(kind: .writing, owner: owner) } else { s.b[i] = Slot(kind: .writing, owner: owner) }
        }
      }
    }
    func publishes(_ stage: Stage) {
      go("publishes", stage) { s in output(&s) { $0 = Slot(kind: .ready, message: $0.message) } }
    }
    func frees(_ stage: Stage) { go("frees its input", stage) { s in s.a[Int(me.input)] = Slot() } }
    func commits(_ stage: Stage) {
      go("stores the sequence", stage) { s in
        s.workers[w].sequence = (me.sequence + 1) & 1
        s.workers[w].isBusy = mutant != .busyNeverSet
      }
    }
    func writesRecord(_ stage: Stage) {
      go("writes the record", stage) { s in
        if !isSource { return }
        let isLate = mutant == .sequenceStoredBeforeRecord
        let copy = mutant == .recordHasOneCopy || isLate ? me.sequence & 1 : (me.sequence + 1) & 1
        let position = isLate ? me.records[Int((me.sequence + 1) & 1)] : me.record
        s.workers[w].records[Int(copy)] = position + 1
        if mutant == .recordHasOneCopy { s.workers[w].records[Int(copy ^ 1)] = position + 1 }
      }
    }

    switch me.stage {
    case .idle:
      if me.isGhost { return }
      if isSource {
        if me.record < messages { takesSlot() }
      } else {
        for i in 0..<2 where s.a[i].kind == .ready {
          go("claims", .claimed) { s in
            s.workers[w].input = UInt8(i)
            s.a[i] = Slot(kind: .leased, owner: owner, message: s.a[i].message)
          }
        }
      }
    case .claimed: takesSlot()
    case .took:
      if mutant == .committedBeforeOutputsAreWritten, !isSource {
        return go("stores the sequence", .filled) { s in
          s.a[Int(me.input)].kind = .settling
          s.workers[w].isBusy = true
        }
      }
      go("writes its output", .filled) { s in
        let message = isSource ? me.record + 1 : s.a[Int(me.input)].message
        output(&s) { $0.message = message }
      }
    case .filled:
      if mutant == .committedBeforeOutputsAreWritten, !isSource {
        return go("writes its output", .committed) { s in
          let message = s.a[Int(me.input)].message
          output(&s) { $0.message = message }
        }
      }
      if isSource || mutant == .inputsNotSettled { return go("has nothing to settle", .settled) }
      if mutant == .inputsFreedBeforeCommit { return frees(.settled) }
      go("settles its input", .settled) { s in s.a[Int(me.input)].kind = .settling }
    case .settled:
      switch mutant {
      case .outputsPublishedBeforeCommit: publishes(.recordWritten)
      case .sequenceStoredBeforeRecord: commits(.recordWritten)
      default: writesRecord(.recordWritten)
      }
    case .recordWritten:
      switch mutant {
      case .outputsPublishedBeforeCommit:
        go("commits", .published) { s in
          s.workers[w].sequence = (me.sequence + 1) & 1
          s.workers[w].records[Int((me.sequence + 1) & 1)] = me.record + (isSource ? 1 : 0)
          s.workers[w].isBusy = true
        }
      case .sequenceStoredBeforeRecord: writesRecord(.committed)
      default: commits(.committed)
      }
    case .committed: publishes(.published)
    case .published:
      if mutant == .cellClearedTooEarly { return go("clears busy", .freed) { $0.workers[w].isBusy = false } }
      if isSource || mutant == .inputsFreedBeforeCommit { return go("has nothing to free", .freed) }
      frees(.freed)
    case .freed:
      if mutant == .cellClearedTooEarly, !isSource { return frees(.idle) }
      go("clears busy", .idle) { $0.workers[w].isBusy = false }
    }
  }

  /// What the runner does once the worker has been reaped: nobody else writes a slot with its name on it.
  private func recover(_ s: inout State, _ w: Int) {
    let owner = UInt8(w + 1)
    let isBusy = mutant == .recoveryIgnoresBusy ? false : mutant == .recoveryAlwaysRollsForward ? true : s.workers[w].isBusy
    func repaired(_ slot: Slot) -> Slot {
      if slot.owner != owner { return slot }
      switch slot.kind {
      case .writing: return isBusy ? Slot(kind: .ready, message: slot.message) : Slot()
      case .settling: return isBusy ? Slot() : Slot(kind: .ready, message: slot.message)
      default: return Slot(kind: .ready, message: slot.message)
      }
    }
    for i in 0..<2 {
      s.a[i] = repaired(s.a[i])
      s.b[i] = repaired(s.b[i])
    }
    s.workers[w].isBusy = false
    if mutant == .recoveryBeforeReaping {
      s.workers[w].isGhost = true
      return
    }
    s.workers[w].stage = .idle
    s.workers[w].input = 0
    s.workers[w].output = 0
  }

  func fault(in s: State) -> String? { s.isDoubled ? "a message has arrived twice, or unwritten" : nil }

  func isEnd(_ s: State) -> Bool {
    guard s.delivered == UInt8((1 << (Int(messages) + 1)) - 2) else { return false }
    for i in 0..<2 where s.a[i].kind != .free || s.b[i].kind != .free { return false }
    for w in 0..<3 where s.workers[w].stage != .idle { return false }
    return true
  }
}
