package import Plans
import Platform
import Rings
import Specs

/// Runs a plan to its end, on the calling thread, which must be the main one.
package func run(_ plan: Plan, options: RunOptions = RunOptions(), observer: any RunObserver) -> RunReport {
  let began = ContinuousClock.now
  // Before the queues are made: memory that is shared counts as a file, and ends the process when it is larger than a file may be.
  CurrentProcess.ignoreWriteSignals()
  do throws(StartFailure) {
    // First of all: the less there is, the sooner it is forked.
    let keeper: RunGuard
    do throws(SystemError) { keeper = try RunGuard(workers: plan.stages.reduce(0) { $0 + $1.processes }) } catch {
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
    let runner = Runner(plan, memory, options, observer, began, state, standing, keeper)
    if let state, state.isFinished {
      say(state.finishedText)
      return runner.report().withoutTimes
    }
    var report = runner.run()
    do throws(StartFailure) { try state?.end(report, memory) } catch {
      say(error.text)
      if report.code == .success {
        report.code = error.code
        report.cause = error.text
        report.outcome = Supervisor.Outcome.failed.rawValue
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
    _ state: StateDirectory?, _ standing: Standing?, _ keeper: RunGuard
  ) {
    self.plan = plan
    self.memory = memory
    self.options = options
    self.observer = observer
    self.began = began
    self.state = state
    self.keeper = keeper
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

  func wait(_ signals: SignalDescriptor?) {
    var interests: [Descriptors.Interest] = []
    var sources: [(worker: Int, kind: Int)] = []
    if let signals {
      interests.append(.readable(signals.descriptor))
      sources.append((-1, 0))
    }
    for (number, worker) in workers {
      interests.append(.readable(worker.child.pidfd))
      sources.append((number, 1))
      if let control = worker.control {
        interests.append(.readable(control))
        sources.append((number, 2))
      }
      if let output = worker.output {
        interests.append(.readable(output))
        sources.append((number, 3))
      }
    }
    let ready = Descriptors.wait(interests, until: timers.map(\.at).min())
    var ended: [Int] = []
    for (i, source) in sources.enumerated() where ready[i] {
      switch source.kind {
      case 0:
        for signal in signals?.read() ?? [] {
          if case .child = signal { childEnded() } else { pending.append(.signal) }
        }
      case 1: ended.append(source.worker)
      case 2: for message in workers[source.worker]?.hear() ?? [] { heard(message, from: source.worker) }
      default: _ = workers[source.worker]?.readOutput(second: second) { say(.plugin, source.worker, $0) }
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
    case .drain: pending.append(.drainOver(messagesAreLeft: memory.parts.contains { $0.openSlots > 0 }))
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
          process.child.killGroup()
        }
      }
      stalls[stage] = watch
      timers.append((now + watch.period, .stall(stage: stage)))
    }
  }

  // MARK: Workers

  func process(_ worker: Int) -> Int { worker - supervisor.workers(of: supervisor.stage(of: worker)).lowerBound }

  func cell(_ worker: Int) -> CommitCell? {
    try? memory.cell(stage: supervisor.stage(of: worker), process: process(worker))
  }

  func heard(_ message: WorkerMessage, from worker: Int) {
    switch message {
    case .ready:
      // Nobody is woken for it later.
      timers.removeAll { if case .slowStart(worker, _) = $0.event { true } else { false } }
      pending.append(.ready(worker: worker))
    case .opening(let text): pending.append(.opening(worker: worker, text: text))
    case .openingFailed(let error, let details):
      sayOfOpening(worker, error, details)
    case .closing: pending.append(.closing(worker: worker))
    case .failed(let code, let text): pending.append(.failed(worker: worker, code: code, text: text))
    case .messageFailed(let id, let error, let errors, let deaths):
      pending.append(.messageFailed(worker: worker, text: Self.givenUp(id, error, errors, deaths)))
    case .messageDropped(let id, let error, let errors, let deaths):
      noteGivenUp(worker, "dropped a message: " + Self.givenUp(id, error, errors, deaths))
    case .messageDeadLettered(let id, let error, let errors, let deaths):
      noteGivenUp(worker, "made a dead letter: " + Self.givenUp(id, error, errors, deaths))
    case .chaos(let deed): strike(worker, deed)
    }
  }

  /// Does to a worker what `--chaos` has drawn for it.
  func strike(_ worker: Int, _ deed: Chaos.Deed) {
    guard supervisor.isAlive(worker), let process = workers[worker], process.end == nil else { return }
    switch deed {
    case .kill:
      chaos?.kill(worker)
      process.child.killGroup()
    case .stop:
      guard let pause = chaos?.stop(worker, stage: supervisor.stage(of: worker)) else { return }
      process.child.stop()
      timers.append((.now + pause, .goOn(worker: worker)))
    case .delay: chaos?.delayed(stage: supervisor.stage(of: worker))
    }
  }

  func reap(_ worker: Int) {
    guard var process = workers[worker] else { return }
    let end: Supervisor.WorkerEnd
    do throws(SystemError) {
      guard let reaped = try process.child.reap(beforeItIsFree: { keeper.strikeOut(worker: worker + 1) }) else { return }
      process.end = reaped.end
      end = Supervisor.WorkerEnd(reaped.end, cpuMicroseconds: reaped.cpuMicroseconds, limits: plan.stages[supervisor.stage(of: worker)].limits)
    } catch {
      pending.append(.broken(code: .system, text: "\(error)"))
      return
    }
    // What it said last is heard now, and there is nobody any more to do anything to.
    workers[worker]?.end = process.end
    for message in process.finish(second: second, { say(.plugin, worker, $0) }) { heard(message, from: worker) }
    process.isBlameless = chaos?.ended(worker, stage: supervisor.stage(of: worker), bySIGKILL: process.end == .signalled(9)) ?? false
    workers[worker] = process
    pending.append(.reaped(worker: worker, end: process.isBlameless ? .killed("chaos, \(end.text)") : end))
  }

  /// It may be one that became ours when its parent ended. A list of all children has to be read to find out: at most once in a while.
  func childEnded() {
    if takesOrphans { return }
    takesOrphans = true
    timers.append((.now + Self.orphanPeriod, .orphans))
  }

  static let orphanPeriod = Duration.seconds(1)

  func recover(_ worker: Int) {
    guard let process = workers.removeValue(forKey: worker), let cell = cell(worker) else { return }
    let stage = supervisor.stage(of: worker)
    let sequence = cell.sequence
    do {
      let summary = try Recovery.recover(
        worker: WorkerNumber(clamping: worker + 1), cell: cell,
        rings: memory.attachments(stage: stage, process: self.process(worker)),
        countsDeaths: !supervisor.isStopping && !process.isBlameless, death: process.death)
      for death in summary.deaths {
        say(.runner, worker, "had message \(death.id.hex) in hand when it died; \(death.deaths) of \(plan.stages[stage].onError.deaths) deaths")
      }
    } catch {
      pending.append(.broken(code: .invariantBroken, text: "stage \"\(plan.stages[stage].name)\": \(error)"))
    }
    goneSince[worker] = Clock.now
    let facts = Supervisor.Facts(
      progressed: sequence != process.sequenceAtStart, ended: cell.record.ended,
      openSlots: openSlots(for: worker), lastWords: process.lastWords)
    pending.append(.recovered(worker: worker, facts: facts))
  }

  /// How many messages wait that this worker could take.
  func openSlots(for worker: Int) -> Int {
    memory.parts[supervisor.stage(of: worker)].input(of: process(worker))?.ring.openSlots ?? 0
  }

  func spawn(_ worker: Int) throws {
    let index = supervisor.stage(of: worker)
    let stage = plan.stages[index]
    let process = self.process(worker)
    let parts = memory.parts[index]
    let cell = try memory.cell(stage: index, process: process)
    var opened: [Int32] = []
    defer { for fd in opened { Descriptors.close(fd) } }

    var descriptors: [Int32] = []
    func give(_ descriptor: Int32) -> Int {
      descriptors.append(descriptor)
      return descriptors.count - 1
    }
    let output = try Channel.pipe()
    opened.append(output.write)
    let control: (ours: Int32, theirs: Int32)
    do { control = try Channel.socketPair() } catch {
      opened.append(output.read)
      throw error
    }
    opened.append(control.theirs)
    var failed = true
    defer { if failed { opened += [output.read, control.ours] } }

    _ = give(stage.resources.contains(.standardInput) ? 0 : null)
    _ = give(output.write)
    _ = give(output.write)
    _ = give(control.theirs)
    _ = give(null)  // the order's place
    let cells = give(parts.cells.descriptor)
    let input = parts.input(of: process).map { WorkOrder.Attachment(descriptor: give($0.ring.descriptor), lane: $0.lane) }
    let outputs = parts.outputs.map { WorkOrder.Attachment(descriptor: give($0.ring.descriptor), lane: $0.firstLane + process, ports: $0.ports, whenFull: $0.whenFull) }
    let sockets = parts.sockets.map { give($0) }
    let standardOutput = stage.resources.contains(.standardOutput) ? give(1) : nil
    let groups = give(keeper.groups)
    let lock = state.flatMap { $0.workerLocks.indices.contains(worker) ? give($0.workerLocks[worker]) : nil }
    var order = WorkOrder(
      stage: stage.name, plugin: stage.plugin, kind: stage.kind, worker: worker + 1, process: process, directory: plan.directory,
      settings: stage.settings, retries: stage.onError.retries, deaths: stage.onError.deaths, then: stage.onError.then,
      cells: cells, input: input, outputs: outputs, sockets: sockets, standardOutput: standardOutput)
    order.library = stage.library
    order.partition = stage.partition
    order.partitions = partitions(of: index)
    order.maxDeadLetters = stage.onError.maxDeadLetters
    order.deadLetterPort = stage.deadLetterPort
    order.ports = stage.ports
    order.file = plan.absoluteFile
    order.lock = lock
    order.groups = groups
    order.rate = stage.rate
    order.batch = stage.batch
    order.isOrdered = stage.isOrdered
    order.limits = stage.limits
    order.nice = stage.nice
    order.affinity = stage.affinity
    order.chaos = chaos(for: stage)
    let orderFile = try Channel.memoryFile(order.encoded(), name: "ringway-order")
    opened.append(orderFile)
    descriptors[Int(WorkOrder.Descriptor.order)] = orderFile
    let child = try ChildProcess.spawn(
      ChildProcess.Order(
        arguments: ["ringway", "__worker", stage.name, String(process), String(CurrentProcess.id)],
        environment: environment(for: stage), directory: stage.directory, descriptors: descriptors))
    failed = false
    goneSince[worker] = nil
    timers.append((.now + Self.longStart, .slowStart(worker: worker, pid: child.pid)))
    workers[worker] = WorkerProcess(child: child, control: control.ours, output: output.read, sequenceAtStart: cell.sequence)
  }

  /// Which outputs of a stage belong to readers that share messages by their keys.
  func partitions(of stage: Int) -> [WorkOrder.Partition] {
    let readers = plan.readers(of: stage)
    return readers.indices.compactMap { k in
      let reader = plan.stages[readers[k]]
      guard let rule = reader.partition, let first = memory.parts[stage].outputs.firstIndex(where: { $0.reader == k }) else { return nil }
      return WorkOrder.Partition(reader: reader.name, outputs: first..<first + reader.queues, rule: rule)
    }
  }

  /// What has been read from standard input cannot be read again: its reader is not killed on purpose.
  func chaos(for stage: Stage) -> Chaos? {
    var chaos = options.chaos
    if stage.resources.contains(.standardInput) { chaos?.kill = 0 }
    return chaos
  }

  func environment(for stage: Stage) -> [String] {
    var values = environment
    // A worker that crashes must not print pages of backtrace for each try.
    let added = [(name: "SWIFT_BACKTRACE", value: "enable=no")] + stage.environment
    values.removeAll { old in added.contains { $0.name == old.name } }
    return (values + added).map { "\($0.name)=\($0.value)" }
  }

  // MARK: Actions

  func perform(_ actions: [Supervisor.Action]) {
    var actions = actions
    while !actions.isEmpty {
      switch actions.removeFirst() {
      case .spawn(let worker):
        do { try spawn(worker) } catch {
          let stage = plan.stages[supervisor.stage(of: worker)].name
          actions += supervisor.spawnFailed(worker, "a worker of stage \"\(stage)\" cannot be started: \(error)" + ((error as? SystemError)?.remedy ?? ""))
        }
      case .recover(let worker): recover(worker)
      case .kill(let worker): workers[worker]?.child.killGroup()
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

extension SystemError {
  /// What to do where the machine gives no more; empty for other errors.
  var remedy: String {
    switch errno {
    // EAGAIN
    case 11: " (no more processes are allowed: use fewer, or raise `ulimit -u` or the limit of the container)"
    // ENOMEM
    case 12: " (there is no memory left: use fewer processes or smaller queues, or end what takes it)"
    // ENFILE, EMFILE
    case 23, 24: " (no more descriptors are allowed: use fewer processes, or raise `ulimit -n`)"
    default: ""
    }
  }
}
