/// Messages that do not arrive: a source that finds its ring full drops the newest or the oldest, and a worker gives up
/// messages. Whoever drops one counts it in its own record, in the commit that ends it. The source hands over two messages at once, and
/// the queue takes two.
///
/// The promise: each message is delivered or dropped, once, and the records count as many as were dropped. What is delivered is in
/// order.
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
    /// The oldest is taken although a worker has it.
    case oldestTakenFromAWorker
    /// A source that dies while it drops the oldest leaves it to its readers, which have gone past it.
    case oldestComesBack
    /// The oldest is freed for a dead source, and not counted.
    case oldestFreedUncounted
    /// The oldest goes while slots are held for what comes next: its commit makes them good.
    case holdsSlotsMeanwhile
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
    /// The worker is about to drop its message, not to hand it over.
    var isDropping = false
    /// The source takes the oldest out of the line.
    var isEvicting = false
    /// How many of the source's batch are given up: its oldest, its newest.
    var front: UInt8 = 0
    var back: UInt8 = 0
    var isBusy = false
    var position: UInt8 = 0
    var dropped: UInt8 = 0
    var toCount: UInt8 = 0
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
    var isDisordered = false
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
      } else if s.kills < kills, me.stage != .idle || me.front + me.back > 0 || mine(s, isSource ? 1 : 2) != nil {
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
    let batch = min(2, messages - me.position)
    switch me.stage {
    case .idle: if batch > 0 { fill(s, batch, go) }
    case .holds:
      let count = me.isEvicting ? 1 : me.front + me.back
      if mutant == .countedBeforeTheCommit { return go("counts", .counted) { $0.source.dropped += count } }
      go("goes on", .counted)
    case .counted:
      guard me.isEvicting, let i = evicted(s) else { return go("has nothing to settle", .settled) }
      if mutant == .oldestFreedBeforeCommit {
        return go("frees the oldest", .settled) { s in
          let message = s.slots[i].message
          s.slots[i] = Slot()
          lose(&s, message)
        }
      }
      // No mutant: recovery drops it settled or not. Readers settle to tell what is committed from what is only held.
      go("settles the oldest", .settled) { $0.slots[i].kind = .settling }
    case .settled:
      go("commits", .committed) { s in
        s.source.isBusy = true
        let count = me.isEvicting ? 1 : me.front + me.back
        if isCountedInTheCommit { s.source.dropped += count }
        if mutant == .countedAfterTheCommit { s.source.toCount = count }
        if me.isEvicting {
          if let i = evicted(s) { lose(&s, s.slots[i].message) }
          return
        }
        for k in 0..<me.front { lose(&s, me.position + 1 + k) }
        for k in 0..<me.back { lose(&s, me.position + batch - k) }
        if mutant != .positionNotInTheCommit || count < batch { s.source.position += batch }
      }
    case .committed:
      if mutant == .cellClearedTooEarly { return go("clears busy", .ended) { $0.source.isBusy = false } }
      finishSource(s, then: .ended, go)
    case .ended:
      if mutant == .cellClearedTooEarly, mine(s, 1) != nil { return finishSource(s, then: .ended, go) }
      go("clears busy", .idle) { s in
        s.source.dropped += me.toCount
        // A source that lives knows where it is, whatever it has committed; what it had given up of its batch it still has.
        s.source = Process(front: me.isEvicting ? me.front : 0, position: s.source.position, dropped: s.source.dropped)
      }
    default: return
    }
  }

  /// Takes a slot for each message of its batch, or gives one up.
  private func fill(_ s: State, _ batch: UInt8, _ go: (StaticString, Stage, (inout State) -> Void) -> Void) {
    let me = s.source
    let taken = UInt8((0..<2).count { s.slots[$0].owner == 1 })
    if taken + me.front + me.back == batch { return go("has a place for all that it keeps", .holds) { _ in } }
    if let i = (0..<2).first(where: { s.slots[$0].kind == .free }) {
      return go("takes a slot", .idle) { $0.slots[i] = Slot(kind: .writing, owner: 1, message: me.position + me.front + taken + 1) }
    }
    func void(_ s: inout State) { for i in 0..<2 where s.slots[i].owner == 1 { s.slots[i] = Slot() } }
    switch policy {
    case .block: if taken > 0 { go("voids its slots", .idle, void) }
    case .dropNewest: go("gives up what has no place", .idle) { if taken == 0 { $0.source.front += 1 } else { $0.source.back += 1 } }
    case .dropOldest:
      let oldest = oldestReady(s, orLeased: mutant == .oldestTakenFromAWorker)
      guard let i = oldest else {
        return go("voids its slots and gives its own oldest up", .idle) {
          void(&$0)
          $0.source.front += 1
        }
      }
      go("voids its slots and claims the oldest", .holds) {
        if mutant != .holdsSlotsMeanwhile { void(&$0) }
        $0.slots[i].kind = .leased
        $0.slots[i].owner = 1
        $0.source.isEvicting = true
      }
    }
  }

  /// The slot of the message that the source takes out of the line.
  private func evicted(_ s: State) -> Int? { (0..<2).first { s.slots[$0].owner == 1 && s.slots[$0].kind != .writing } }

  private var isCountedInTheCommit: Bool {
    mutant != .countedBeforeTheCommit && mutant != .countedAfterTheCommit && mutant != .notCounted
  }

  private func finishSource(_ s: State, then stage: Stage, _ go: (StaticString, Stage, (inout State) -> Void) -> Void) {
    if s.source.isEvicting {
      guard let i = evicted(s) else { return go("has nothing to free", stage) { _ in } }
      return go("frees the oldest", stage) { $0.slots[i] = Slot() }
    }
    guard let i = mine(s, 1) else { return go("has nothing to publish", stage) { _ in } }
    go("publishes", s.source.stage) {
      $0.slots[i].kind = .ready
      $0.slots[i].owner = 0
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
      // The line: a reader waits for what is being written before it.
      guard let i = oldestReady(s), !(0..<2).contains(where: { s.slots[$0].kind == .writing && s.slots[$0].message < s.slots[i].message }) else { return }
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
        if me.isDropping, mutant == .countedAfterTheCommit { s.worker.toCount = 1 }
        guard let i = held else { return }
        let message = s.slots[i].message
        if me.isDropping { return lose(&s, message) }
        if (s.delivered | s.lost) & bit(message) != 0 { s.isDoubled = true }
        if s.delivered >> message != 0 { s.isDisordered = true }
        s.delivered |= bit(message)
      }
    case .committed:
      if mutant == .cellClearedTooEarly { return go("clears busy", .ended) { $0.worker.isBusy = false } }
      guard let i = held else { return go("has nothing to free", .ended) }
      go("frees", .ended) { $0.slots[i] = Slot() }
    case .ended:
      if mutant == .cellClearedTooEarly, let i = held { return go("frees", .ended) { $0.slots[i] = Slot() } }
      go("clears busy", .idle) { s in
        s.worker.dropped += me.toCount
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
      if isSource, !isBusy, mutant != .oldestComesBack, let i = evicted(s) {
        if mutant == .oldestFreedUncounted {
          n.slots[i] = Slot()
          lose(&n, s.slots[i].message)
          return take(Step("runner", "frees the oldest"), n)
        }
        n.source.isBusy = true
        n.source.dropped += 1
        lose(&n, s.slots[i].message)
        return take(Step("runner", "counts the oldest as dropped"), n)
      }
      switch (s.slots[i].kind, isBusy) {
      case (.writing, false), (.settling, true): n.slots[i] = Slot()
      case (.leased, true) where isSource: n.slots[i] = Slot()
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
    if s.isDoubled { return "a message has met two ends" }
    return s.isDisordered ? "messages are out of order" : nil
  }

  func isEnd(_ s: State) -> Bool {
    guard s.source.stage == .idle, s.worker.stage == .idle, s.source.position == messages else { return false }
    guard (0..<2).allSatisfy({ s.slots[$0].kind == .free }), s.delivered | s.lost == (1 << messages) - 1 else { return false }
    return s.source.dropped + s.worker.dropped == UInt8(s.lost.nonzeroBitCount)
  }
}
