package import Plans
import Platform
import Rings
import Specs

/// Runs a plan to its end, on the calling thread, which must be the main one.
///
/// - Parameter prestarted: workers of the plan that have been started already, and the guard
package func run(
  _ plan: Plan, options: RunOptions = RunOptions(), prestarted: PrestartedWorkers? = nil, observer: any RunObserver
) -> RunReport {
  let began = ContinuousClock.now
  // Before the queues are made: memory that is shared counts as a file, and ends the process when it is larger than a file may be.
  CurrentProcess.ignoreWriteSignals()
  do throws(StartFailure) {
    // First of all, unless the check has one: the less there is, the sooner it is forked.
    let keeper: RunGuard
    do throws(SystemError) {
      if let ready = prestarted?.takeKeeper() { keeper = ready } else { keeper = try RunGuard() }
    } catch {
      throw StartFailure(code: .system, text: "the guard of the run cannot be started: \(error)\(error.remedy)")
    }
    defer { keeper.end() }
    var state: StateDirectory?
    if let path = options.state { state = try StateDirectory(path, for: plan, sync: options.sync) }
    defer { state?.release() }
    let memory = try StageMemory(plan, ringStart: options.ringStart, state: state)
    defer { memory.release() }
    func say(_ text: String) { observer.heard(RunLine(origin: .runner, stage: nil, process: nil, text: text)) }
    let standing = try state?.begin(memory, say)
    let runner = Runner(plan, memory, options, observer, began, state, standing, keeper, prestarted)
    if let state, state.isFinished {
      say(state.finishedText)
      return runner.report().withoutTimes
    }
    var report = runner.run()
    do throws(StartFailure) { try state?.end(report, memory) } catch {
      if report.code == .success {
        report.code = error.code
        report.cause = error.text
        report.outcome = Supervisor.Outcome.failed.rawValue
      } else {
        say(error.text)
      }
    }
    return report
  } catch {
    return RunReport(
      pipeline: plan.name, outcome: Supervisor.Outcome.failed.rawValue, code: error.code, cause: error.text,
      seconds: (ContinuousClock.now - began).inSeconds, stages: [], ledger: [], bottleneck: nil)
  }
}

/// Performs what the supervisor decides: spawns, reaps, recovers, reads what workers say. It never waits for anything but
/// the next event.
final class Runner {
  let plan: Plan
  let memory: StageMemory
  let options: RunOptions
  let observer: any RunObserver
  let began: ContinuousClock.Instant
  var supervisor: Supervisor
  var workers: [Int: WorkerProcess] = [:]
  var pending: [Supervisor.Event] = []
  var timers: [(at: ContinuousClock.Instant, event: Timer)] = []
  var stalls: [Int: StallWatch] = [:]
  var isFinished = false
  let environment = Machine.environment()
  let prestarted: PrestartedWorkers?
  var null: Int32 = -1
  /// What each stage has given up, as far as the log is told.
  var givenUp: [Int: DropNotes] = [:]
  /// Why each stage's plugin could not be opened the last time, in full.
  var openingFailures: [Int: String] = [:]
  /// What the full queues had dropped when it was told last, and which stages have such queues.
  var toldDropped: [Int: Int] = [:]
  let droppingStages: [Int]
  /// When a worker that is gone went; the time after that is nobody's.
  var goneSince: [Int: UInt64] = [:]
  let state: StateDirectory?
  /// Kills what workers have started when this process is killed.
  let keeper: RunGuard
  /// How often the guard may still be replaced; with 0 nobody looks after it any more.
  var spareGuards = 5
  /// Whether the ends of orphans are about to be taken.
  var takesOrphans = false
  var hasBegun = false
  var chaos: ChaosKeeper?

  enum Timer {
    /// A worker that was stopped on purpose goes on.
    case goOn(worker: Int)
    case supervisor(Supervisor.Event)
    case drain
    case startup(worker: Int, start: Int, limit: Duration)
    case slowStart(worker: Int, pid: Int32)
    case closing(worker: Int, start: Int, limit: Duration)
    case tick
    case queues
    case orphans
    case stall(stage: Int)
  }

  init(
    _ plan: Plan, _ memory: StageMemory, _ options: RunOptions, _ observer: any RunObserver, _ began: ContinuousClock.Instant,
    _ state: StateDirectory?, _ standing: Standing?, _ keeper: RunGuard, _ prestarted: PrestartedWorkers?
  ) {
    self.plan = plan
    self.memory = memory
    self.options = options
    self.observer = observer
    self.began = began
    self.state = state
    self.keeper = keeper
    self.prestarted = prestarted
    chaos = options.chaos.map(ChaosKeeper.init)
    supervisor = Supervisor(plan, from: standing)
    droppingStages = plan.stages.indices.filter { plan.stages[$0].queue?.whenFull ?? .block != .block }
  }

  func run() -> RunReport {
    Machine.forbidCoreFiles()
    Machine.adoptOrphans()
    var signals: SignalDescriptor?
    do throws(SystemError) {
      null = try Channel.openNull()
      signals = try SignalDescriptor.take()
    } catch {
      pending.append(.broken(code: .system, text: "\(error)"))
    }
    defer {
      Descriptors.close(null)
      if let signals { Descriptors.close(signals.descriptor) }
    }
    if let tick = options.tick { timers.append((.now + tick, .tick)) }
    for stage in droppingStages { toldDropped[stage] = queueDropped(stage) }
    if !droppingStages.isEmpty { timers.append((.now + Self.queuePeriod, .queues)) }
    for (i, stage) in plan.stages.enumerated() {
      guard let timeout = stage.timeout else { continue }
      let watch = StallWatch(timeout: timeout)
      stalls[i] = watch
      timers.append((.now + watch.period, .stall(stage: i)))
    }
    perform(supervisor.start())
    // What is left has nothing to do: a run that goes on may have ended stages.
    prestarted?.discard()
    while !isFinished {
      while !pending.isEmpty { perform(supervisor.handle(pending.removeFirst(), at: .now)) }
      if isFinished { break }
      wait(signals)
    }
    for stage in givenUp.keys.sorted() {
      if let more = givenUp[stage]?.finish() { sayOfUnnamed(stage, more) }
    }
    sayOfQueues()
    var report = self.report()
    for line in report.ledger where !line.balances {
      supervisor.breakInvariant("the ledger does not balance: \(line.text)")
      report = self.report()
    }
    observer.progressed(report)
    return report
  }

  // MARK: Waiting

  /// What may end a wait.
  private enum Waker {
    case signals, guardsEnd
    case end(worker: Int), control(worker: Int), output(worker: Int)
  }

  func wait(_ signals: SignalDescriptor?) {
    var interests: [Descriptors.Interest] = []
    var sources: [Waker] = []
    if let signals {
      interests.append(.readable(signals.descriptor))
      sources.append(.signals)
    }
    if spareGuards > 0 {
      interests.append(.readable(keeper.pidfd))
      sources.append(.guardsEnd)
    }
    for (number, worker) in workers {
      interests.append(.readable(worker.child.pidfd))
      sources.append(.end(worker: number))
      if let control = worker.control {
        interests.append(.readable(control))
        sources.append(.control(worker: number))
      }
      if let output = worker.output {
        interests.append(.readable(output))
        sources.append(.output(worker: number))
      }
    }
    let ready = Descriptors.wait(interests, until: timers.map(\.at).min())
    var ended: [Int] = []
    for (i, source) in sources.enumerated() where ready[i] {
      switch source {
      case .signals:
        for signal in signals?.read() ?? [] {
          if case .child = signal { childEnded() } else { pending.append(.signal) }
        }
      case .guardsEnd: replaceGuard()
      case .end(let worker): ended.append(worker)
      case .control(let worker): for message in workers[worker]?.hear() ?? [] { heard(message, from: worker) }
      case .output(let worker): _ = workers[worker]?.readOutput(second: second) { say(.plugin, worker, $0) }
      }
    }
    // Deaths last, so that what a worker said before it is heard before it.
    for worker in ended { reap(worker) }
    let now = ContinuousClock.now
    let due = timers.filter { $0.at <= now }
    timers.removeAll { $0.at <= now }
    for timer in due { fire(timer.event, now, late: now - timer.at) }
  }

  /// After this a start that is not limited is told of.
  static let longStart = Duration.seconds(10)

  var second: Int64 { (ContinuousClock.now - began).components.seconds }

  func fire(_ timer: Timer, _ now: ContinuousClock.Instant, late: Duration) {
    switch timer {
    case .supervisor(let event): pending.append(event)
    case .drain: pending.append(.drainOver(left: memory.parts.map(\.openSlots)))
    case .startup(let worker, let start, let limit):
      // So late means that the runner itself stood still (it was stopped, or the machine slept), and the worker perhaps with it.
      if late > .seconds(1) {
        timers.append((now + limit, timer))
      } else {
        pending.append(.startupOver(worker: worker, start: start))
      }
    case .closing(let worker, let start, let limit):
      // The same; and while it stands still because we have stopped it, its plugin is not to blame.
      if late > .seconds(1) || chaos?.isStopped(worker) ?? false {
        timers.append((now + limit, timer))
      } else {
        let isStopped = workers[worker].map { $0.end == nil && $0.child.isStopped } ?? false
        pending.append(.closingOver(worker: worker, start: start, isStopped: isStopped))
      }
    case .slowStart(let worker, let pid):
      if workers[worker]?.child.pid == pid, let doing = supervisor.opening(of: worker) {
        say(.runner, worker, "has not been ready for \(Quantity.describe(Self.longStart))" + (doing.isEmpty ? "" : ", and is at `\(doing)`"))
      }
    case .goOn(let worker):
      chaos?.wentOn(worker)
      if let process = workers[worker], process.end == nil { process.child.goOn() }
    case .tick:
      observer.progressed(report())
      if let tick = options.tick { timers.append((now + tick, .tick)) }
    case .orphans:
      takesOrphans = false
      ChildProcess.reapOrphans(except: Set(workers.values.map(\.child.pid) + [keeper.pid]))
    case .queues:
      sayOfQueues()
      timers.append((now + Self.queuePeriod, .queues))
    case .stall(let stage):
      guard var watch = stalls[stage] else { return }
      watch.beginSample(at: now)
      for worker in supervisor.workers(of: stage) {
        guard let process = workers[worker], supervisor.isAlive(worker), let cell = cell(worker) else { continue }
        if watch.isStalled(worker, calls: cell.calls, isWaiting: cell.isWaiting || chaos?.isStopped(worker) ?? false, at: now) {
          let limit = plan.stages[stage].timeout.map { Quantity.describe($0) } ?? ""
          say(.runner, worker, "a message took longer than the timeout of \(limit): the worker is killed")
          process.kill()
        }
      }
      stalls[stage] = watch
      timers.append((now + watch.period, .stall(stage: stage)))
    }
  }

  // MARK: Actions

  func perform(_ actions: [Supervisor.Action]) {
    var actions = actions
    while !actions.isEmpty {
      switch actions.removeFirst() {
      case .spawn(let worker):
        do { try spawn(worker) } catch {
          let stage = plan.stages[supervisor.stage(of: worker)].name
          let text = "a worker of stage \"\(stage)\" cannot be started: \(error)" + ((error as? SystemError)?.remedy ?? "")
          actions += supervisor.spawnFailed(worker, text, at: .now)
        }
      case .recover(let worker): recover(worker)
      case .kill(let worker): workers[worker]?.kill()
      case .tell(let worker, let message):
        if message == .go { begin() }
        workers[worker]?.tell(message)
      case .closeInput(let stage): for ring in memory.parts[stage].rings { ring.close() }
      case .startBackoff(let worker, let pause): timers.append((.now + pause, .supervisor(.backoffOver(worker: worker))))
      case .limitStartup(let worker, let start, let limit):
        timers.append((.now + limit, .startup(worker: worker, start: start, limit: limit)))
      case .limitClosing(let worker, let start, let limit):
        timers.append((.now + limit, .closing(worker: worker, start: start, limit: limit)))
      case .startDrain(let limit): timers.append((.now + limit, .drain))
      case .note(let stage, let text):
        observer.heard(RunLine(origin: .runner, stage: stage.map { plan.stages[$0].name }, process: nil, text: text))
      case .finish: isFinished = true
      }
    }
  }

  /// Every stage is ready, and no source has been let go yet.
  func begin() {
    if hasBegun { return }
    hasBegun = true
    do throws(StartFailure) { try state?.noteOutputs() } catch { pending.append(.broken(code: error.code, text: error.text)) }
  }
}

extension Duration {
  var inSeconds: Double {
    let (seconds, atto) = components
    return Double(seconds) + Double(atto) / 1e18
  }
}
