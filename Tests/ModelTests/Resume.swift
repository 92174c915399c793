/// `--state`: the runner dies at any moment, the same command is given again, perhaps twice at once, and a worker of the dead runner may take
/// some steps more before the kernel has ended it. The queue, the cell and what they say are files.
///
/// The promise: every message is delivered once, and "finished" is said when all of them are.
struct Resume: Model {
  enum Mutant: CaseIterable {
    /// Two runners at once.
    case noLock
    case oldWorkersAreNotWaitedFor
    case workersWithoutALock
    /// A worker whose runner dies after it was asked for, and whose lock is looked at before it is taken, is seen by nobody.
    case asksForItsRunnerBeforeItLocks
    /// The plan is what makes a folder a state.
    case planIsWrittenFirst
    case beginsAnewDespiteThePlan
    case recoveryIgnoresBusy
    case busyIsClearedBeforeTheSlotsAreRight
    case finishedIsSaidWithMessagesInHand
  }

  let kills: UInt8
  var messages = 2
  var mutant: Mutant?

  enum Kind: UInt8 { case none, ready, leased, settling, free }
  enum RunnerStage: UInt8 { case absent, starts, hasLock, makes, waits, recovers, watches }
  enum WorkerStage: UInt8 { case absent, spawned, asked, locked, idle, committed, ended, dead }

  struct Runner {
    var stage = RunnerStage.absent
    /// How many of the files it has made.
    var made: UInt8 = 0
  }

  struct Worker {
    var stage = WorkerStage.absent
    /// Its runner, counted from 1; 0 when that is dead.
    var parent: UInt8 = 0
  }

  struct State {
    var runners: [2 of Runner] = [Runner(), Runner()]
    /// One of a dead runner, say, and its successor: both have the same number.
    var workers: [2 of Worker] = [Worker(), Worker()]
    var lock: UInt8 = 0
    var workerLock: UInt8 = 0
    // The files.
    var hasQueue = false
    var hasPlan = false
    var isFinished = false
    var slots: [3 of Kind] = [.none, .none, .none]
    var isBusy = false
    var delivered: [3 of UInt8] = [0, 0, 0]
    var kills: UInt8 = 0
  }

  var start: State { State() }

  func steps(from s: State, _ take: (Step, State) -> Void) {
    for r in 0..<2 {
      run(s, r, take)
      if s.runners[r].stage != .absent, s.kills < kills {
        var n = s
        n.kills += 1
        leave(&n, r)
        take(.kill("runner", UInt8(r)), n)
      }
    }
    for w in 0..<2 where s.workers[w].stage != .absent {
      work(s, w, take)
      guard [.absent, .ended, .dead].contains(s.workers[w].stage) == false else { continue }
      var n = s
      n.workers[w].stage = .dead
      if n.workerLock == w + 1 { n.workerLock = 0 }
      if s.workers[w].parent == 0 {
        // The kernel does that in its own time.
        n.workers[w] = Worker()
        take(Step("worker", UInt8(w), "dies with its runner"), n)
      } else if s.kills < kills {
        n.kills += 1
        take(.kill("worker", UInt8(w)), n)
      }
    }
  }

  /// A runner is gone, whatever the reason.
  private func leave(_ s: inout State, _ r: Int) {
    s.runners[r] = Runner()
    if s.lock == r + 1 { s.lock = 0 }
    for w in 0..<2 where s.workers[w].parent == r + 1 {
      s.workers[w].parent = 0
      if s.workers[w].stage == .dead || s.workers[w].stage == .ended { s.workers[w] = Worker() }
    }
  }

  private func run(_ s: State, _ r: Int, _ take: (Step, State) -> Void) {
    func go(_ what: StaticString, _ change: (inout State) -> Void) {
      var n = s
      change(&n)
      take(Step("runner", UInt8(r), what), n)
    }
    switch s.runners[r].stage {
    case .absent: go("starts") { $0.runners[r].stage = .starts }
    case .starts:
      if s.lock != 0, mutant != .noLock { return go("names who uses the state") { leave(&$0, r) } }
      go("takes the lock") {
        $0.lock = UInt8(r + 1)
        $0.runners[r].stage = .hasLock
      }
    case .hasLock:
      if s.hasPlan, mutant != .beginsAnewDespiteThePlan {
        if s.isFinished { return go("has nothing left to do") { leave(&$0, r) } }
        // What is missing beside a plan is damage: nobody goes on with that.
        if s.hasQueue { go("finds a state") { $0.runners[r].stage = .waits } }
        return
      }
      go("finds none") {
        $0.hasQueue = false
        $0.runners[r].stage = .makes
      }
    case .makes:
      let makesPlan = (s.runners[r].made == 0) == (mutant == .planIsWrittenFirst)
      go(makesPlan ? "writes the plan" : "makes the queue") {
        if makesPlan {
          $0.hasPlan = true
        } else {
          $0.hasQueue = true
          $0.isBusy = false
          for i in 0..<messages { $0.slots[i] = .ready }
        }
        $0.runners[r].made += 1
        if $0.runners[r].made == 2 { spawn(&$0, r) }
      }
    case .waits:
      if s.workerLock == 0 || mutant == .oldWorkersAreNotWaitedFor { go("finds no worker") { $0.runners[r].stage = .recovers } }
    case .recovers: recover(s, r, go)
    case .watches:
      let hasWorker = (0..<2).first { s.workers[$0].parent == r + 1 }
      guard let w = hasWorker else { return }
      if s.workers[w].stage == .dead {
        return go("reaps its worker") {
          $0.workers[w] = Worker()
          $0.runners[r].stage = .recovers
        }
      }
      let isDone = s.workers[w].stage == .ended
      if isDone || mutant == .finishedIsSaidWithMessagesInHand && !(0..<messages).contains(where: { s.slots[$0] == .ready }) {
        go("says that it has finished") {
          $0.isFinished = true
          if isDone { leave(&$0, r) }
        }
      }
    }
  }

  private func spawn(_ s: inout State, _ r: Int) {
    // One of a runner before may still be there.
    guard let w = (0..<2).first(where: { s.workers[$0].stage == .absent }) else { return }
    s.workers[w] = Worker(stage: .spawned, parent: UInt8(r + 1))
    s.runners[r].stage = .watches
  }

  private func recover(_ s: State, _ r: Int, _ go: (StaticString, (inout State) -> Void) -> Void) {
    let isBusy = s.isBusy && mutant != .recoveryIgnoresBusy
    let held = (0..<messages).first { s.slots[$0] == .leased || s.slots[$0] == .settling }
    if s.isBusy, held == nil || mutant == .busyIsClearedBeforeTheSlotsAreRight { return go("clears busy") { $0.isBusy = false } }
    if let held {
      return go("puts a message right") { $0.slots[held] = isBusy && s.slots[held] == .settling ? .free : .ready }
    }
    if s.workers.indices.contains(where: { s.workers[$0].stage == .absent }) { go("starts a worker") { spawn(&$0, r) } }
  }

  private func work(_ s: State, _ w: Int, _ take: (Step, State) -> Void) {
    func go(_ what: StaticString, _ stage: WorkerStage, _ change: (inout State) -> Void = { _ in }) {
      var n = s
      n.workers[w].stage = stage
      if stage == .ended {
        if n.workerLock == w + 1 { n.workerLock = 0 }
        if n.workers[w].parent == 0 { n.workers[w] = Worker() }
      }
      change(&n)
      take(Step("worker", UInt8(w), what), n)
    }
    let asksFirst = mutant == .asksForItsRunnerBeforeItLocks
    func lock(_ next: WorkerStage) {
      if mutant == .workersWithoutALock { return go("begins", next) }
      // It ends as one that was killed: whoever has the lock ends too.
      if s.workerLock != 0 { return go("finds its lock taken", .dead) { if $0.workers[w].parent == 0 { $0.workers[w] = Worker() } } }
      go("takes its lock", next) { $0.workerLock = UInt8(w + 1) }
    }
    func ask(_ next: WorkerStage) {
      if s.workers[w].parent == 0 { return go("has no runner", .ended) }
      go("has a runner", next)
    }
    switch s.workers[w].stage {
    case .spawned: if asksFirst { ask(.asked) } else { lock(.locked) }
    case .asked: lock(.idle)
    case .locked: ask(.idle)
    case .idle:
      if let held = (0..<messages).first(where: { s.slots[$0] == .leased || s.slots[$0] == .settling }) {
        if s.slots[held] == .leased { return go("settles", .idle) { $0.slots[held] = .settling } }
        return go("commits", .committed) {
          $0.isBusy = true
          $0.delivered[held] += 1
        }
      }
      if let ready = (0..<messages).first(where: { s.slots[$0] == .ready }) { return go("claims", .idle) { $0.slots[ready] = .leased } }
      go("ends", .ended)
    case .committed:
      if let held = (0..<messages).first(where: { s.slots[$0] == .settling }) { return go("frees", .committed) { $0.slots[held] = .free } }
      go("clears busy", .idle) { $0.isBusy = false }
    case .absent, .ended, .dead: return
    }
  }

  func fault(in s: State) -> String? {
    for i in 0..<messages where s.delivered[i] > 1 { return "a message is delivered twice" }
    if s.isFinished, (0..<messages).contains(where: { s.delivered[$0] == 0 }) { return "it says that it has finished, and a message is not delivered" }
    return nil
  }

  func isEnd(_ s: State) -> Bool { s.isFinished && (0..<2).allSatisfy { s.runners[$0].stage == .absent && s.workers[$0].stage == .absent } }
}
