/// Messages that do not arrive: a source that finds its ring full drops the newest or the oldest, and a worker gives up
/// messages. Whoever drops one counts it in its own record, in the commit that ends it.
///
/// The promise: each message is delivered or dropped, once, and the records count as many as were dropped.
struct Drops: Model {
  enum Policy: CaseIterable { case block, dropNewest, dropOldest }

  enum Mutant: CaseIterable {
    /// The count is a word of its own, moved before or after the commit.
    case countedBeforeTheCommit
    case countedAfterTheCommit
    case notCounted
    /// The source's position stays where it was: its successor drops the same message again.
    case positionNotInTheCommit
    /// The oldest is freed and then counted.
    case oldestFreedBeforeCommit
    case oldestNotSettled
    /// The oldest is taken although a worker has it.
    case oldestTakenFromAWorker
    case givenUpFreedBeforeCommit
    case givenUpNotSettled
    case recoveryIgnoresBusy
    case cellClearedTooEarly
  }

  let policy: Policy
  let messages: UInt8
  let kills: UInt8
  var mutant: Mutant?

  enum Kind: UInt8 { case free, writing, ready, leased, settling }

  struct Slot {
    var kind = Kind.free
    var owner: UInt8 = 0
    var message: UInt8 = 0
  }

  enum Stage: UInt8 { case idle, holds, counted, settled, committed, ended, dead, repaired }

  struct Process {
    var stage = Stage.idle
    /// What it is about: to hand its message over, or to drop one.
    var isDropping = false
    var isBusy = false
    var position: UInt8 = 0
    var dropped: UInt8 = 0
    var toCount = false
  }

  struct State {
    var slots: [2 of Slot] = [Slot(), Slot()]
    /// The source, and the worker, which delivers or gives up.
    var source = Process()
    var worker = Process()
    /// A bit for each message: what has really become of it.
    var delivered: UInt8 = 0
    var lost: UInt8 = 0
    var isDoubled = false
    var kills: UInt8 = 0
  }

  var start: State { State() }

  func steps(from s: State, _ take: (Step, State) -> Void) {
    source(s, take)
    worker(s, take)
    for isSource in [true, false] {
      let me = isSource ? s.source : s.worker
      if me.stage == .dead || me.stage == .repaired {
        recover(s, isSource, take)
      } else if s.kills < kills, me.stage != .idle {
        var n = s
        n.kills += 1
        let dead = Process(stage: .dead, isBusy: me.isBusy, position: me.position, dropped: me.dropped)
        if isSource { n.source = dead } else { n.worker = dead }
        take(.kill(isSource ? "source" : "worker"), n)
      }
    }
  }

  private func bit(_ message: UInt8) -> UInt8 { 1 << (message - 1) }

  /// The instant at which a message is given up for good.
  private func lose(_ s: inout State, _ message: UInt8) {
    if (s.delivered | s.lost) & bit(message) != 0 { s.isDoubled = true }
    s.lost |= bit(message)
  }

  private func mine(_ s: State, _ owner: UInt8) -> Int? { (0..<2).first { s.slots[$0].owner == owner } }

  private func oldestReady(_ s: State, orLeased: Bool = false) -> Int? {
    var found: Int?
    for i in 0..<2 where s.slots[i].kind == .ready || orLeased && s.slots[i].kind == .leased {
      if let other = found, s.slots[other].message < s.slots[i].message { continue }
      found = i
    }
    return found
  }

  private func source(_ s: State, _ take: (Step, State) -> Void) {
    let me = s.source
    func go(_ what: StaticString, _ stage: Stage, _ change: (inout State) -> Void = { _ in }) {
      var n = s
      n.source.stage = stage
      change(&n)
      take(Step("source", what), n)
    }
    let isNewest = me.isDropping && policy == .dropNewest
    switch me.stage {
    case .idle:
      guard me.position < messages else { return }
      if let i = (0..<2).first(where: { s.slots[$0].kind == .free }) {
        return go("takes a slot", .settled) { $0.slots[i] = Slot(kind: .writing, owner: 1, message: me.position + 1) }
      }
      switch policy {
      case .block: return
      case .dropNewest: go("finds the ring full", .holds) { $0.source.isDropping = true }
      case .dropOldest:
        guard let i = oldestReady(s, orLeased: mutant == .oldestTakenFromAWorker) else { return }
        go("claims the oldest", .holds) {
          $0.slots[i].kind = .leased
          $0.slots[i].owner = 1
          $0.source.isDropping = true
        }
      }
    case .holds:
      if mutant == .countedBeforeTheCommit { return go("counts it", .counted) { $0.source.dropped += 1 } }
      go("goes on", .counted)
    case .counted:
      if isNewest { return go("has nothing to settle", .settled) }
      guard let i = mine(s, 1) else { return }
      if mutant == .oldestFreedBeforeCommit {
        return go("frees the oldest", .settled) { s in
          let message = s.slots[i].message
          s.slots[i] = Slot()
          lose(&s, message)
        }
      }
      go("settles the oldest", .settled) { if mutant != .oldestNotSettled { $0.slots[i].kind = .settling } }
    case .settled:
      go("commits", .committed) { s in
        s.source.isBusy = true
        if me.isDropping, isCountedInTheCommit { s.source.dropped += 1 }
        if me.isDropping, mutant == .countedAfterTheCommit { s.source.toCount = true }
        if isNewest { lose(&s, me.position + 1) } else if me.isDropping, let i = mine(s, 1) { lose(&s, s.slots[i].message) }
        if !me.isDropping || isNewest && mutant != .positionNotInTheCommit { s.source.position += 1 }
      }
    case .committed:
      if mutant == .cellClearedTooEarly { return go("clears busy", .ended) { $0.source.isBusy = false } }
      finishSource(s, go)
    case .ended:
      if mutant == .cellClearedTooEarly, mine(s, 1) != nil { return finishSource(s, go) }
      go("clears busy", .idle) { s in
        if me.toCount { s.source.dropped += 1 }
        // A source that lives knows where it is, whatever it has committed.
        s.source = Process(position: s.source.position, dropped: s.source.dropped)
      }
    default: return
    }
  }

  private var isCountedInTheCommit: Bool {
    mutant != .countedBeforeTheCommit && mutant != .countedAfterTheCommit && mutant != .notCounted
  }

  private func finishSource(_ s: State, _ go: (StaticString, Stage, (inout State) -> Void) -> Void) {
    guard let i = mine(s, 1) else { return go("has nothing to free", .ended) { _ in } }
    if s.source.isDropping {
      go("frees the oldest", .ended) { $0.slots[i] = Slot() }
    } else {
      go("publishes", .ended) {
        $0.slots[i].kind = .ready
        $0.slots[i].owner = 0
      }
    }
  }

  private func worker(_ s: State, _ take: (Step, State) -> Void) {
    let me = s.worker
    func go(_ what: StaticString, _ stage: Stage, _ change: (inout State) -> Void = { _ in }) {
      var n = s
      n.worker.stage = stage
      change(&n)
      take(Step("worker", what), n)
    }
    let held = mine(s, 2)
    switch me.stage {
    case .idle:
      guard let i = oldestReady(s) else { return }
      go("claims", .holds) {
        $0.slots[i].kind = .leased
        $0.slots[i].owner = 2
      }
    case .holds:
      go("delivers", .counted)
      go("gives its message up", .counted) {
        $0.worker.isDropping = true
        if mutant == .countedBeforeTheCommit { $0.worker.dropped += 1 }
      }
    case .counted:
      guard let i = held else { return go("has lost its message", .settled) }
      if mutant == .givenUpFreedBeforeCommit, me.isDropping {
        return go("frees its message", .settled) { s in
          lose(&s, s.slots[i].message)
          s.slots[i] = Slot()
        }
      }
      go("settles", .settled) { if mutant != .givenUpNotSettled || !me.isDropping { $0.slots[i].kind = .settling } }
    case .settled:
      go("commits", .committed) { s in
        s.worker.isBusy = true
        if me.isDropping, isCountedInTheCommit { s.worker.dropped += 1 }
        if me.isDropping, mutant == .countedAfterTheCommit { s.worker.toCount = true }
        guard let i = held else { return }
        let message = s.slots[i].message
        if me.isDropping { return lose(&s, message) }
        if (s.delivered | s.lost) & bit(message) != 0 { s.isDoubled = true }
        s.delivered |= bit(message)
      }
    case .committed:
      if mutant == .cellClearedTooEarly { return go("clears busy", .ended) { $0.worker.isBusy = false } }
      guard let i = held else { return go("has nothing to free", .ended) }
      go("frees", .ended) { $0.slots[i] = Slot() }
    case .ended:
      if mutant == .cellClearedTooEarly, let i = held { return go("frees", .ended) { $0.slots[i] = Slot() } }
      go("clears busy", .idle) { s in
        if me.toCount { s.worker.dropped += 1 }
        s.worker = Process(dropped: s.worker.dropped)
      }
    default: return
    }
  }

  private func recover(_ s: State, _ isSource: Bool, _ take: (Step, State) -> Void) {
    let owner: UInt8 = isSource ? 1 : 2
    let me = isSource ? s.source : s.worker
    var n = s
    if let i = mine(s, owner) {
      let isBusy = me.isBusy && mutant != .recoveryIgnoresBusy
      switch (s.slots[i].kind, isBusy) {
      case (.writing, false), (.settling, true): n.slots[i] = Slot()
      default:
        n.slots[i].kind = .ready
        n.slots[i].owner = 0
      }
      return take(Step("runner", "puts a slot right"), n)
    }
    let next = Process(position: me.position, dropped: me.dropped)
    if isSource { n.source = next } else { n.worker = next }
    take(Step("runner", "starts it again"), n)
  }

  func fault(in s: State) -> String? {
    s.isDoubled ? "a message has met two ends" : nil
  }

  func isEnd(_ s: State) -> Bool {
    guard s.source.stage == .idle, s.worker.stage == .idle, s.source.position == messages else { return false }
    guard (0..<2).allSatisfy({ s.slots[$0].kind == .free }), s.delivered | s.lost == (1 << messages) - 1 else { return false }
    return s.source.dropped + s.worker.dropped == UInt8(s.lost.nonzeroBitCount)
  }
}
