import Plans
import Specs

/// What the parent decides: a state machine without clock, descriptor or process. Time comes with the events.
///
/// A worker goes through starting, ready and dead, and from there to backing off, to starting again, or to gone. A stage
/// has ended when its input is closed, every slot is free, and every worker is gone and has been recovered; then the rings
/// of its readers close, once all of their writers have ended. That is how the end of the input travels down the graph.
struct Supervisor {
  enum Event {
    /// The worker has opened its plugin.
    case ready(worker: Int)
    /// What it does while it opens its plugin.
    case opening(worker: Int, text: String)
    /// It has handed everything over and closes its plugin.
    case closing(worker: Int)
    /// The worker has been reaped.
    case reaped(worker: Int, end: WorkerEnd)
    /// What the dead left has been put right; the facts were read after that.
    case recovered(worker: Int, facts: Facts)
    /// A worker's plugin says that it cannot go on.
    case failed(worker: Int, code: ExitCode, text: String)
    /// A message was given up and `then: stop` decided.
    case messageFailed(worker: Int, text: String)
    case backoffOver(worker: Int)
    /// The time for a start is over.
    case startupOver(worker: Int, start: Int)
    /// The time for closing a plugin is over; perhaps somebody has stopped its process (SIGSTOP).
    case closingOver(worker: Int, start: Int, isStopped: Bool)
    /// A process could not be started, or the driver met something that no run survives.
    case broken(code: ExitCode, text: String)
    case signal
    /// The time for a drain is over, and so many messages are left in front of each stage.
    case drainOver(left: [Int])
  }

  /// How a worker's process ended.
  enum WorkerEnd: Equatable {
    case exited(Int32)
    case killed(String)
    /// By a signal that its own code has caused.
    case crashed(String)

    var text: String {
      switch self {
      case .exited(let status): "exit status \(status)"
      case .killed(let text), .crashed(let text): text
      }
    }

    /// Whether nobody else has ended it, and not in order.
    var isOwnDoing: Bool {
      switch self {
      case .exited(let status): status != 0
      case .killed: false
      case .crashed: true
      }
    }
  }

  /// What the driver finds in shared memory after recovery.
  struct Facts: Equatable {
    /// The worker has committed something since its start.
    var progressed: Bool
    /// A source's record says that it is done.
    var ended: Bool
    /// Open slots of the worker's ring: the stage's, or its own where keys decide which process gets a message.
    var openSlots: Int
    /// The worker's last lines on standard error.
    var lastWords: String = ""
  }

  enum Action: Equatable {
    case spawn(worker: Int)
    case recover(worker: Int)
    case kill(worker: Int)
    case tell(worker: Int, RunnerMessage)
    case closeInput(stage: Int)
    case startBackoff(worker: Int, Duration)
    /// Asks for `startupOver` after the time; `start` tells one start of a worker from the others.
    case limitStartup(worker: Int, start: Int, Duration)
    /// Asks for `closingOver` after the time.
    case limitClosing(worker: Int, start: Int, Duration)
    case startDrain(Duration)
    case note(stage: Int?, String)
    case finish
  }

  enum Outcome: String, Sendable { case finished, drained, stopped, failed }

  private enum WorkerState: Equatable { case starting, ready, dead(WorkerEnd), backingOff, gone }

  private struct Worker {
    let stage: Int
    var state = WorkerState.starting
    var restarts = 0
    /// How many deaths had counted for its stage when it was started.
    var startedAt = 0
    /// Whether it has been ready since its start.
    var wasReady = false
    var isClosing = false
    /// What it said last of its opening.
    var opening = ""
    /// Why it is being killed, when it is for a fault of its own.
    var fault: String?
  }

  private struct StageState {
    let workers: Range<Int>
    var budget: RestartBudget
    var isInputClosed = false
    var hasEnded = false
  }

  private let plan: Plan
  private let readers: [[Int]]
  private let writers: [[Int]]
  private var workers: [Worker] = []
  private var stages: [StageState] = []
  private var haveSourcesStarted = false
  private var isDraining = false
  /// Whether the workers that are left are being killed.
  private(set) var isStopping = false
  private var isFinished = false
  private(set) var code = ExitCode.success
  /// What ended the run, in sentences; empty when it ended by itself.
  private(set) var cause = ""

  /// - Parameter standing: where an earlier run has left off; what has ended stays so, and is not started again
  init(_ plan: Plan, from standing: Standing? = nil) {
    self.plan = plan
    readers = plan.stages.indices.map(plan.readers(of:))
    writers = plan.stages.indices.map(plan.writers(to:))
    for (i, stage) in plan.stages.enumerated() {
      let first = workers.count
      for _ in 0..<stage.processes { workers.append(Worker(stage: i)) }
      stages.append(StageState(workers: first..<workers.count, budget: RestartBudget(stage.restart)))
      guard let standing else { continue }
      let isGone = { process in standing.hasEnded[i] || stage.kind == .source && standing.endedSources[i][process] }
      for worker in first..<workers.count where isGone(worker - first) { workers[worker].state = .gone }
    }
  }

  /// The first actions of a run.
  mutating func start() -> [Action] {
    var actions: [Action] = []
    for stage in stages.indices where stages[stage].workers.allSatisfy({ workers[$0].state == .gone }) { actions += endIfDone(stage, 0) }
    return workers.indices.filter { workers[$0].state == .starting }.flatMap(spawn) + actions
  }

  private func spawn(_ worker: Int) -> [Action] {
    guard let limit = plan.stages[workers[worker].stage].startupTimeout else { return [.spawn(worker: worker)] }
    return [.spawn(worker: worker), .limitStartup(worker: worker, start: workers[worker].restarts, limit)]
  }

  var outcome: Outcome {
    switch code {
    case .success: isDraining ? .drained : .finished
    case .stopped: .stopped
    default: .failed
    }
  }

  func stage(of worker: Int) -> Int { workers[worker].stage }
  func workers(of stage: Int) -> Range<Int> { stages[stage].workers }
  func restarts(of stage: Int) -> Int { stages[stage].workers.reduce(0) { $0 + workers[$1].restarts } }
  func isAlive(_ worker: Int) -> Bool { workers[worker].state == .starting || workers[worker].state == .ready }

  /// What a worker that is not ready yet said last of its opening; nil for any other.
  func opening(of worker: Int) -> String? { workers[worker].state == .starting ? workers[worker].opening : nil }

  private func name(_ worker: Int) -> String {
    let stage = plan.stages[workers[worker].stage]
    return stage.processes == 1 ? stage.name : "\(stage.name)[\(worker - stages[workers[worker].stage].workers.lowerBound)]"
  }

  // MARK: Events

  mutating func handle(_ event: Event, at now: ContinuousClock.Instant) -> [Action] {
    if isFinished { return [] }
    switch event {
    case .ready(let worker): return ready(worker)
    case .reaped(let worker, var end):
      // To take too long over closing is a fault of its own, like a crash in it.
      if let fault = workers[worker].fault, case .killed = end { end = workers[worker].isClosing ? .crashed(fault) : .killed(fault) }
      workers[worker].fault = nil
      workers[worker].state = .dead(end)
      return [.recover(worker: worker)]
    case .opening(let worker, let text):
      workers[worker].opening = text
      return []
    case .closing(let worker):
      workers[worker].isClosing = true
      guard let limit = plan.stages[workers[worker].stage].timeout else { return [] }
      return [.limitClosing(worker: worker, start: workers[worker].restarts, limit)]
    case .recovered(let worker, let facts): return recovered(worker, facts, now)
    case .failed(let worker, let code, let text): return fail(worker, code, text)
    case .messageFailed(let worker, let text):
      let stage = plan.stages[workers[worker].stage]
      let remedy = stage.onError.then == .stop ? "; unless `on_error` says `then: stop`, a stage that reads `\(stage.name).dead_letter` takes it, and the run goes on" : ""
      return stop(.messageFailed, "stage \"\(stage.name)\" gave up a message: \(text)\(remedy)")
    case .backoffOver(let worker):
      guard workers[worker].state == .backingOff, !isStopping else { return [] }
      return spawnAgain(worker)
    case .startupOver(let worker, let start): return startupOver(worker, start)
    case .closingOver(let worker, let start, let isStopped): return closingOver(worker, start, isStopped)
    case .broken(let code, let text): return stop(code, text)
    case .signal: return signal()
    case .drainOver(let left): return isDraining ? drainOver(left) : []
    }
  }

  private mutating func ready(_ worker: Int) -> [Action] {
    guard workers[worker].state == .starting else { return [] }
    workers[worker].state = .ready
    workers[worker].wasReady = true
    stages[workers[worker].stage].budget.workerIsReady()
    let isSource = plan.stages[workers[worker].stage].kind == .source
    if haveSourcesStarted { return isSource ? [.tell(worker: worker, isDraining ? .stop : .go)] : [] }
    guard workers.allSatisfy({ $0.state != .starting && $0.state != .backingOff }) else { return [] }
    haveSourcesStarted = true
    return sourceWorkers.filter { workers[$0].state == .ready }.map { .tell(worker: $0, isDraining ? .stop : .go) }
  }

  private mutating func startupOver(_ worker: Int, _ start: Int) -> [Action] {
    let stage = workers[worker].stage
    guard workers[worker].state == .starting, workers[worker].restarts == start, let limit = plan.stages[stage].startupTimeout else { return [] }
    let doing = workers[worker].opening.isEmpty ? "" : ", and was at `\(workers[worker].opening)`"
    let text = "was not ready within the startup_timeout of \(Quantity.describe(limit))" + doing
    workers[worker].fault = "it " + text
    return [.note(stage: stage, "\(name(worker)) \(text): the worker is killed"), .kill(worker: worker)]
  }

  private mutating func closingOver(_ worker: Int, _ start: Int, _ isStopped: Bool) -> [Action] {
    let stage = workers[worker].stage
    guard isAlive(worker), workers[worker].isClosing, workers[worker].restarts == start, let limit = plan.stages[stage].timeout else { return [] }
    let text = "plugin took longer than the timeout of \(Quantity.describe(limit)) to close"
    // Then its plugin is not to blame, and may have been done.
    if !isStopped { workers[worker].fault = "its " + text }
    return [.note(stage: stage, "the \(text) in \(name(worker)): the worker is killed"), .kill(worker: worker)]
  }

  /// A drain ends when its time does. With nothing left in the queues it is the plugins that do not come to their end.
  private mutating func drainOver(_ left: [Int]) -> [Action] {
    let late = "the drain took longer than \(Quantity.describe(plan.drain))"
    func some(_ names: [String]) -> String { names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", …" : "") }
    let queues = zip(plan.stages, left).compactMap { $1 > 0 ? "\($1) in the queue of \($0.name)" : nil }
    if !queues.isEmpty { return stop(.stopped, "\(late); messages are left: \(some(queues))") }
    let closing = workers.indices.filter { isAlive($0) && workers[$0].isClosing }
    let sources = sourceWorkers.filter { isAlive($0) && !workers[$0].isClosing }
    if closing.isEmpty || !sources.isEmpty { return stop(.stopped, "\(late)" + (sources.isEmpty ? "" : ": \(some(sources.map(name))) did not stop")) }
    let whose = closing.count == 1 ? "its plugin" : "their plugins"
    return stop(.pluginProtocol, "\(late): \(some(closing.map(name))) did not close in order, and what \(whose) had not put away is lost")
  }

  private var sourceWorkers: [Int] { workers.indices.filter { plan.stages[workers[$0].stage].kind == .source } }

  private mutating func recovered(_ worker: Int, _ facts: Facts, _ now: ContinuousClock.Instant) -> [Action] {
    guard case .dead(let end) = workers[worker].state else { return [] }
    if isStopping {
      workers[worker].state = .gone
      return finishIfGone()
    }
    let stage = workers[worker].stage
    let isSource = plan.stages[stage].kind == .source
    if workers[worker].isClosing, end.isOwnDoing {
      // What the plugin kept is lost, and no successor has it. One that somebody killed in this moment may have been done.
      workers[worker].state = .gone
      return stop(.pluginProtocol, "stage \"\(plan.stages[stage].name)\" did not close in order (\(end.text)): what it had not put away is lost" + words(facts))
    }
    // An exit that says what is wrong, from a worker whose words did not arrive.
    var actions: [Action] = []
    if case .exited(let status) = end, status != 0, status != 1, let code = ExitCode(rawValue: status), code != .success {
      workers[worker].state = .gone
      actions = fail(worker, code, "ended with exit status \(status)" + words(facts))
      if isStopping { return actions }
    }
    if isSource {
      if facts.ended || isDraining {
        workers[worker].state = .gone
        return actions + endIfDone(stage, facts.openSlots)
      }
      if plan.stages[stage].resources.contains(.standardInput) {
        workers[worker].state = .gone
        return stop(.stopped, "stage \"\(plan.stages[stage].name)\" died (\(end.text)) and standard input cannot be read again" + words(facts))
      }
      return restart(worker, end, facts, now)
    }
    if stages[stage].isInputClosed {
      let isClean = end == .exited(0)
      // Where each has a ring of its own nobody else can take what is open.
      let othersTakeIt = plan.stages[stage].partition == nil && stages[stage].workers.contains { $0 != worker && workers[$0].state != .gone }
      if facts.openSlots == 0 || isClean && othersTakeIt {
        workers[worker].state = .gone
        let note = "\(name(worker)) died while it closed its plugin (\(end.text)): what that had not put away may be lost"
        return (workers[worker].isClosing && !isClean ? [.note(stage: stage, note)] : []) + endIfDone(stage, facts.openSlots)
      }
      // An open slot in a closed ring gets a worker, also when this one left in order: what it saw another one hold has
      // come back since.
      if isClean { return spawnAgain(worker) }
    }
    return restart(worker, end, facts, now)
  }

  /// Who waits for a stage that is not there.
  private func meanwhile(_ stage: Int, _ facts: Facts) -> String {
    guard let queue = plan.stages[stage].queue, queue.whenFull == .block, facts.openSlots >= queue.capacity else { return "" }
    return "; its queue is full, so \(plan.writersWait(for: stage))"
  }

  private mutating func restart(_ worker: Int, _ end: WorkerEnd, _ facts: Facts, _ now: ContinuousClock.Instant) -> [Action] {
    let stage = workers[worker].stage
    let what = "\(name(worker)) died: \(end.text)"
    let verdict = stages[stage].budget.workerDied(
      progressed: facts.progressed, wasReady: workers[worker].wasReady, startedAt: workers[worker].startedAt, at: now)
    switch verdict {
    case .now:
      return [.note(stage: stage, what + "; started again")] + spawnAgain(worker)
    case .after(let pause):
      workers[worker].state = .backingOff
      return [
        .note(stage: stage, what + ", without having made progress; starting again in \(Quantity.describe(pause))" + meanwhile(stage, facts)),
        .startBackoff(worker: worker, pause),
      ]
    case .spent:
      workers[worker].state = .gone
      let limits = plan.stages[stage].restart
      let times = "\(limits.max) \(limits.max == 1 ? "time" : "times")"
      let how =
        stages[stage].budget.isStuck
        ? "was started more than \(times) in a row without becoming ready" : "died more than \(times) within \(Quantity.describe(limits.within)) without making progress"
      return stop(.restartsSpent, "stage \"\(plan.stages[stage].name)\" \(how); the last time: \(end.text)" + words(facts))
    }
  }

  private func words(_ facts: Facts) -> String { facts.lastWords.isEmpty ? "" : ", after it wrote: \(facts.lastWords)" }

  private mutating func spawnAgain(_ worker: Int) -> [Action] {
    workers[worker].state = .starting
    workers[worker].wasReady = false
    workers[worker].isClosing = false
    workers[worker].opening = ""
    workers[worker].restarts += 1
    workers[worker].startedAt = stages[workers[worker].stage].budget.counted
    return spawn(worker)
  }

  // MARK: The end

  private mutating func endIfDone(_ stage: Int, _ openSlots: Int) -> [Action] {
    guard !stages[stage].hasEnded, stages[stage].workers.allSatisfy({ workers[$0].state == .gone }) else { return [] }
    // The last worker is gone although a slot is open: one is needed to empty it. With a ring of its own each worker has emptied that.
    if openSlots > 0, plan.stages[stage].kind != .source { return spawnAgain(stages[stage].workers.lowerBound) }
    stages[stage].hasEnded = true
    var actions: [Action] = []
    for reader in readers[stage] where !stages[reader].isInputClosed && writers[reader].allSatisfy({ stages[$0].hasEnded }) {
      stages[reader].isInputClosed = true
      actions.append(.closeInput(stage: reader))
      // Drained before anything was made: a worker that is still opening its plugin, a pipe without a reader say, has nothing to wait for.
      if isDraining, !haveSourcesStarted {
        actions += stages[reader].workers.filter { workers[$0].state == .starting }.map { .kill(worker: $0) }
      }
    }
    return actions + finishIfGone()
  }

  private mutating func finishIfGone() -> [Action] {
    guard !isFinished, workers.allSatisfy({ $0.state == .gone }) else { return [] }
    guard isStopping || stages.allSatisfy(\.hasEnded) else { return [] }
    isFinished = true
    return [.finish]
  }

  private mutating func signal() -> [Action] {
    if isDraining { return stop(.stopped, "stopped by a second signal; messages are left") }
    if isStopping { return [] }
    return drain()
  }

  /// A worker's plugin cannot go on. When it is a source, what it made before is finished first; any other stage leaves
  /// messages that nobody could take.
  private mutating func fail(_ worker: Int, _ code: ExitCode, _ text: String) -> [Action] {
    let stage = plan.stages[workers[worker].stage]
    let sentence = "stage \"\(stage.name)\": \(text)"
    guard stage.kind == .source, code != .invariantBroken, !isStopping else { return stop(code, sentence) }
    if self.code == .success {
      self.code = code
      cause = sentence
    }
    return isDraining ? [] : [.note(stage: nil, sentence)] + drain()
  }

  private mutating func drain() -> [Action] {
    isDraining = true
    var actions: [Action] = [.note(stage: nil, "draining: the sources stop, what is under way is finished (a second signal stops at once)")]
    actions.append(.startDrain(plan.drain))
    for worker in sourceWorkers {
      switch workers[worker].state {
      case .ready, .starting: actions.append(.tell(worker: worker, .stop))
      case .backingOff:
        workers[worker].state = .gone
        actions += endIfDone(workers[worker].stage, 0)
      case .dead, .gone: break
      }
    }
    return actions
  }

  /// Stops everything at once. The first cause wins; a broken invariant beats it.
  private mutating func stop(_ code: ExitCode, _ text: String) -> [Action] {
    if self.code == .success || code == .invariantBroken && self.code != .invariantBroken {
      self.code = code
      cause = text
    }
    // What stops a second time may have been the last to be waited for: a spawn that failed as well.
    if isStopping { return finishIfGone() }
    isStopping = true
    var actions: [Action] = []
    for worker in workers.indices {
      switch workers[worker].state {
      case .starting, .ready: actions.append(.kill(worker: worker))
      case .backingOff: workers[worker].state = .gone
      case .dead, .gone: break
      }
    }
    return actions + finishIfGone()
  }

  /// The spawn that was asked for did not happen. Once the run has begun the machine may soon give what it refuses now (processes,
  /// descriptors, memory), and so it is asked again as after a death without progress; before that nothing is lost by ending at once.
  mutating func spawnFailed(_ worker: Int, _ text: String, at now: ContinuousClock.Instant) -> [Action] {
    let stage = workers[worker].stage
    if haveSourcesStarted, !isStopping, case .after(let pause) = stages[stage].budget.workerDied(progressed: false, wasReady: true, startedAt: workers[worker].startedAt, at: now) {
      workers[worker].state = .backingOff
      return [.note(stage: stage, "\(text); trying again in \(Quantity.describe(pause))"), .startBackoff(worker: worker, pause)]
    }
    workers[worker].state = .gone
    return stop(.system, text)
  }

  /// For what is found after the end: the ledger does not balance.
  mutating func breakInvariant(_ text: String) {
    code = .invariantBroken
    cause = text
  }
}
