/// How the end of the input travels down: a source, two workers, a sink, and the runner between them, which recovers
/// those that have died, starts them again while there is work, and closes a ring once all who write to it have ended.
///
/// The promise: everybody leaves in the end, and no message is left behind.
///
/// Two rules of the supervisor have no mutant here, since breaking one alone does no harm. That the last worker to leave is
/// started again when a slot is open: a worker leaves in order only when nothing is ready, so an open slot is another's,
/// and if that one dies it is replaced itself. And that a source is recovered before its readers' ring closes: a slot that
/// its dead hand still holds counts as open, so somebody waits for it.
struct Closing: Model {
  enum Mutant: CaseIterable {
    /// A reader looks at the slots first and reads `closed` after that.
    case readsClosedAfterItsScan
    /// A reader leaves a closed ring when its own place in the line has nothing for it.
    case leavesWithoutAScanOfAllSlots
    /// A source that has died counts as one that has ended, whatever its record says.
    case deadSourceTakenForEnded
    /// The readers' ring closes when every worker is gone or dead.
    case endDeclaredBeforeWorkersAreRecovered
    /// Nobody is started again once the input is closed.
    case deadNotReplacedAfterClosing
  }

  let messages: Int
  let kills: UInt8
  var mutant: Mutant?

  enum Slot: UInt8 { case none, writing, ready, leased, free }
  enum Life: UInt8 { case living, killed, left, gone }
  enum Stage: UInt8 { case looking, saw, claimed, committed }

  struct Worker {
    var life = Life.living
    var stage = Stage.looking
    var sawClosed = false
    var message: UInt8 = 0
  }

  struct Place {
    var slot = Slot.none
    var owner: UInt8 = 0
  }

  struct State {
    var a: [3 of Place] = [Place(), Place(), Place()]
    var b: [3 of Place] = [Place(), Place(), Place()]
    var source = Worker()
    var workers: [2 of Worker] = [Worker(), Worker()]
    var sink = Worker()
    var isAClosed = false
    var isBClosed = false
    var kills: UInt8 = 0
  }

  var start: State { State() }

  func steps(from s: State, _ take: (Step, State) -> Void) {
    source(s, take)
    for w in 0..<2 { worker(s, w, take) }
    runner(s, take)
    sink(s, take)
  }

  private func made(_ s: State) -> Int { (0..<messages).count { s.a[$0].slot != .none } }

  private func source(_ s: State, _ take: (Step, State) -> Void) {
    guard s.source.life == .living else { return }
    let next = made(s)
    var n = s
    switch s.source.stage {
    case .committed:
      n.a[next - 1] = Place(slot: .ready)
      n.source.stage = .looking
      take(Step("source", "publishes"), n)
    default:
      if next == messages {
        n.source.life = .left
        take(Step("source", "leaves"), n)
      } else {
        // The last commit says that it was the last.
        n.a[next] = Place(slot: .writing, owner: 1)
        n.source.stage = .committed
        take(Step("source", "commits"), n)
      }
    }
    if s.kills < kills {
      var n = s
      n.kills += 1
      n.source.life = .killed
      take(.kill("source"), n)
    }
  }

  private func worker(_ s: State, _ w: Int, _ take: (Step, State) -> Void) {
    let me = s.workers[w]
    guard me.life == .living else { return }
    let owner = UInt8(w + 2)
    func go(_ what: StaticString, _ change: (inout State) -> Void) {
      var n = s
      change(&n)
      take(Step("worker ", UInt8(w), what), n)
    }
    let ready = (0..<messages).first { s.a[$0].slot == .ready }
    func claim(_ m: Int) {
      go("claims") {
        $0.a[m] = Place(slot: .leased, owner: owner)
        $0.workers[w] = Worker(stage: .claimed, message: UInt8(m))
      }
    }
    switch (me.stage, mutant == .readsClosedAfterItsScan) {
    case (.looking, false): go("reads closed") { $0.workers[w] = Worker(stage: .saw, sawClosed: s.isAClosed) }
    case (.saw, false):
      // A place in the line that has moved on does not see what was put back behind it.
      let isBlind = mutant == .leavesWithoutAScanOfAllSlots && me.sawClosed
      if let m = ready, !(isBlind && (0..<messages).contains { $0 > m && s.a[$0].slot == .free }) {
        claim(m)
      } else {
        go("finds nothing") {
          $0.workers[w] = Worker()
          if me.sawClosed { $0.workers[w].life = .left }
        }
      }
    case (.looking, true):
      if let m = ready { claim(m) } else { go("finds nothing") { $0.workers[w].stage = .saw } }
    case (.saw, true):
      go("reads closed") {
        $0.workers[w] = Worker()
        if s.isAClosed { $0.workers[w].life = .left }
      }
    case (.claimed, _):
      go("commits") {
        $0.b[Int(me.message)] = Place(slot: .writing, owner: owner)
        $0.workers[w].stage = .committed
      }
    case (.committed, _):
      if s.b[Int(me.message)].slot == .writing {
        go("publishes") { $0.b[Int(me.message)] = Place(slot: .ready) }
      } else {
        go("frees its input") {
          $0.a[Int(me.message)] = Place(slot: .free)
          $0.workers[w] = Worker()
        }
      }
    }
    if s.kills < kills {
      var n = s
      n.kills += 1
      n.workers[w].life = .killed
      take(.kill("worker ", UInt8(w)), n)
    }
  }

  private func openSlots(_ s: State) -> Bool {
    (0..<messages).contains { s.a[$0].slot != .none && s.a[$0].slot != .free }
  }

  /// What the supervisor does about the dead, and about those who have left.
  private func runner(_ s: State, _ take: (Step, State) -> Void) {
    if s.source.life == .killed || s.source.life == .left {
      var n = s
      for m in 0..<messages where s.a[m].owner == 1 { n.a[m] = Place(slot: .ready) }
      let hasEnded = made(s) == messages || mutant == .deadSourceTakenForEnded
      n.source = Worker(life: hasEnded ? .gone : .living)
      if hasEnded { n.isAClosed = true }
      take(Step("runner", "recovers the source"), n)
    }
    for w in 0..<2 where s.workers[w].life == .killed || s.workers[w].life == .left {
      var n = s
      let me = s.workers[w]
      let owner = UInt8(w + 2)
      for m in 0..<messages {
        if s.b[m].owner == owner { n.b[m] = Place(slot: .ready) }
        if s.a[m].owner == owner {
          let isDone = me.stage == .committed && me.message == UInt8(m)
          n.a[m] = Place(slot: isDone ? .free : .ready)
        }
      }
      n.workers[w] = Worker()
      if s.isAClosed {
        let isClean = me.life == .left
        let othersLive = s.workers[1 - w].life != .gone
        if !openSlots(n) || isClean && othersLive || mutant == .deadNotReplacedAfterClosing {
          n.workers[w].life = .gone
          endIfDone(&n)
        }
      }
      take(Step("runner", n.workers[w].life == .gone ? "sees the end of a worker" : "recovers a worker and starts it again"), n)
    }
    let areOut = (0..<2).allSatisfy { s.workers[$0].life == .gone || s.workers[$0].life == .killed }
    if mutant == .endDeclaredBeforeWorkersAreRecovered, s.isAClosed, areOut, !s.isBClosed {
      var n = s
      n.isBClosed = true
      take(Step("runner", "closes the output"), n)
    }
  }

  private func endIfDone(_ s: inout State) {
    guard s.workers[0].life == .gone, s.workers[1].life == .gone else { return }
    if openSlots(s), mutant != .deadNotReplacedAfterClosing {
      s.workers[0] = Worker()
    } else {
      s.isBClosed = true
    }
  }

  private func sink(_ s: State, _ take: (Step, State) -> Void) {
    guard s.sink.life == .living else { return }
    var n = s
    let ready = (0..<messages).first { s.b[$0].slot == .ready }
    let looksFirst = mutant == .readsClosedAfterItsScan
    if s.sink.stage == .looking, !looksFirst {
      n.sink = Worker(stage: .saw, sawClosed: s.isBClosed)
      return take(Step("sink", "reads closed"), n)
    }
    if s.sink.stage == .saw, looksFirst {
      n.sink = Worker(life: s.isBClosed ? .left : .living)
      return take(Step("sink", "reads closed"), n)
    }
    if let m = ready {
      n.b[m] = Place(slot: .free)
      n.sink = Worker()
      take(Step("sink", "takes a message"), n)
    } else {
      n.sink = looksFirst ? Worker(stage: .saw) : Worker(life: s.sink.sawClosed ? .left : .living)
      take(Step("sink", "finds nothing"), n)
    }
  }

  func fault(in s: State) -> String? {
    let hasAll = (0..<messages).allSatisfy { s.b[$0].slot == .free }
    return s.sink.life == .left && !hasAll ? "the sink has left although a message was to come" : nil
  }

  func isEnd(_ s: State) -> Bool {
    guard s.sink.life == .left, s.source.life == .gone, s.workers[0].life == .gone, s.workers[1].life == .gone else { return false }
    return (0..<messages).allSatisfy { s.a[$0].slot == .free && s.b[$0].slot == .free }
  }
}
