import Glibc
import Plans
import Platform
import Specs
import Testing

@testable import Supervision

// The macro that checks an expectation takes no mutating calls, but it takes functions.
private func handle(_ supervisor: inout Supervisor, _ event: Supervisor.Event, at now: ContinuousClock.Instant) -> [Supervisor.Action] {
  supervisor.handle(event, at: now)
}

private func start(_ supervisor: inout Supervisor) -> [Supervisor.Action] { supervisor.start() }

private func died(
  _ budget: inout RestartBudget, progressed: Bool, wasReady: Bool = true, startedAt: Int? = nil, at now: ContinuousClock.Instant
) -> RestartBudget.Verdict {
  budget.workerDied(progressed: progressed, wasReady: wasReady, startedAt: startedAt ?? budget.counted, at: now)
}

private func stalled(_ watch: inout StallWatch, _ worker: Int, calls: UInt64, isWaiting: Bool, at now: ContinuousClock.Instant) -> Bool {
  watch.isStalled(worker, calls: calls, isWaiting: isWaiting, at: now)
}

/// What the parent decides, without a process.
@Suite struct SupervisorTests {
  /// source -> work (two processes) -> sink
  static func plan(restart: RestartLimits = RestartLimits(), resources: [ExternalResource] = []) -> Plan {
    Plan(
      name: "test", description: "", file: "test.yaml", directory: "/",
      stages: [
        Stage(name: "source", plugin: "p", kind: .source, resources: resources, restart: restart),
        Stage(name: "work", plugin: "p", kind: .transform, inputs: ["source"], processes: 2, queue: Queue(), restart: restart),
        Stage(name: "sink", plugin: "p", kind: .sink, inputs: ["work"], queue: Queue(), restart: restart),
      ], drain: .seconds(30))
  }

  private typealias Event = Supervisor.Event
  private typealias Action = Supervisor.Action

  private static func facts(progressed: Bool = true, ended: Bool = false, open: Int = 0) -> Supervisor.Facts {
    Supervisor.Facts(progressed: progressed, ended: ended, openSlots: open)
  }

  private static func started(_ plan: Plan = plan()) -> Supervisor {
    var supervisor = Supervisor(plan)
    for worker in 0..<4 { _ = supervisor.handle(.ready(worker: worker), at: .now) }
    return supervisor
  }

  private func die(_ worker: Int, _ supervisor: inout Supervisor, _ end: Supervisor.WorkerEnd, _ facts: Supervisor.Facts) -> [Supervisor.Action] {
    #expect(handle(&supervisor, .reaped(worker: worker, end: end), at: .now) == [.recover(worker: worker)], "reap, then recover, then decide")
    return supervisor.handle(.recovered(worker: worker, facts: facts), at: .now)
  }

  /// The numbers of a process that has been reaped may be those of others.
  @Test func whoHasBeenReapedIsLeftAlone() async {
    await #expect(processExitsWith: .success) {
      var order = ChildProcess.Order(arguments: ["sleep", "1000"], descriptors: [])
      order.program = "/bin/sleep"
      let child = try ChildProcess.spawn(order)
      var worker = WorkerProcess(StartedProcess(child: child, control: -1, output: -1), sequenceAtStart: 0)
      worker.end = .exited(0)
      worker.kill()
      // SIGKILL would come first, and be what it ended by.
      kill(child.pid, SIGTERM)
      _ = Descriptors.wait([.readable(child.pidfd)], until: nil)
      #expect(try child.reap()?.end == .signalled(SIGTERM))
    }
  }

  @Test func sourcesStartWhenEveryStageIsReady() {
    var supervisor = Supervisor(Self.plan())
    #expect(start(&supervisor) == (0..<4).map { .spawn(worker: $0) })
    for worker in [0, 1, 3] { #expect(handle(&supervisor, .ready(worker: worker), at: .now) == []) }
    #expect(handle(&supervisor, .ready(worker: 2), at: .now) == [.tell(worker: 0, .go)])
  }

  @Test func whatCannotBeClosedInOrderEndsTheRun() {
    for (end, code) in [(Supervisor.WorkerEnd.exited(3), ExitCode.pluginProtocol), (.crashed("signal 11"), .pluginProtocol), (.killed("signal 9"), .success), (.exited(0), .success)] {
      var supervisor = Supervisor(Self.plan())
      _ = start(&supervisor)
      for worker in 0..<4 { _ = supervisor.handle(.ready(worker: worker), at: .now) }
      _ = die(0, &supervisor, .exited(0), Self.facts(ended: true))
      _ = supervisor.handle(.closing(worker: 1), at: .now)
      _ = die(1, &supervisor, end, Self.facts())
      #expect(supervisor.code == code, "\(end)")
      if code == .success { continue }
      var last: [Action] = []
      for worker in 2..<4 { last = die(worker, &supervisor, .killed("signal 9"), Self.facts()) }
      #expect(last == [.finish], "\(end)")
    }
  }

  @Test func aWorkerThatIsNotReadyInTimeIsKilledAndSpendsARestart() {
    var plan = Self.plan(restart: RestartLimits(max: 1, within: .seconds(10), backoff: .milliseconds(1)))
    plan.stages[1].startupTimeout = .seconds(30)
    var supervisor = Supervisor(plan)
    let limits = [1, 2].map { Action.limitStartup(worker: $0, start: 0, .seconds(30)) }
    let first = start(&supervisor)
    #expect(first.filter(limits.contains) == limits && first.count == 6)
    _ = supervisor.handle(.ready(worker: 1), at: .now)
    #expect(handle(&supervisor, .startupOver(worker: 1, start: 0), at: .now) == [], "it was ready in time")
    #expect(handle(&supervisor, .startupOver(worker: 2, start: 0), at: .now) == [
      .note(stage: 1, "work[1] was not ready within the startup_timeout of 30s: the worker is killed"), .kill(worker: 2),
    ])
    #expect(die(2, &supervisor, .killed("signal 9"), Self.facts(progressed: false)).contains(.startBackoff(worker: 2, .milliseconds(1))))
    #expect(handle(&supervisor, .startupOver(worker: 2, start: 0), at: .now) == [], "it is not there")
    #expect(handle(&supervisor, .backoffOver(worker: 2), at: .now) == [.spawn(worker: 2), .limitStartup(worker: 2, start: 1, .seconds(30))])
    #expect(handle(&supervisor, .startupOver(worker: 2, start: 0), at: .now) == [], "the time was that of another start")
    #expect(handle(&supervisor, .startupOver(worker: 2, start: 1), at: .now).last == .kill(worker: 2))
    _ = die(2, &supervisor, .killed("signal 9"), Self.facts(progressed: false))
    #expect(supervisor.code == .restartsSpent)
    #expect(supervisor.cause.hasSuffix("the last time: it was not ready within the startup_timeout of 30s"), "\(supervisor.cause)")
  }

  @Test func aStartThatTakesTooLongNamesWhatItWasAt() {
    var plan = Self.plan(restart: RestartLimits(max: 0, within: .seconds(10), backoff: .milliseconds(1)))
    plan.stages[1].startupTimeout = .seconds(30)
    var supervisor = Supervisor(plan)
    _ = start(&supervisor)
    #expect(handle(&supervisor, .opening(worker: 1, text: "import frames"), at: .now) == [])
    #expect(handle(&supervisor, .startupOver(worker: 1, start: 0), at: .now) == [
      .note(stage: 1, "work[0] was not ready within the startup_timeout of 30s, and was at `import frames`: the worker is killed"), .kill(worker: 1),
    ])
    _ = die(1, &supervisor, .killed("signal 9"), Self.facts(progressed: false))
    #expect(supervisor.cause.hasSuffix("the last time: it was not ready within the startup_timeout of 30s, and was at `import frames`"), "\(supervisor.cause)")
  }

  @Test func aPluginThatTakesTooLongToCloseEndsTheRun() {
    var plan = Self.plan()
    plan.stages[1].timeout = .seconds(5)
    var supervisor = Supervisor(plan)
    _ = start(&supervisor)
    for worker in 0..<4 { _ = supervisor.handle(.ready(worker: worker), at: .now) }
    _ = die(0, &supervisor, .exited(0), Self.facts(ended: true))
    #expect(handle(&supervisor, .closingOver(worker: 1, start: 0, isStopped: false), at: .now) == [], "it is not closing")
    for worker in 1...2 { #expect(handle(&supervisor, .closing(worker: worker), at: .now) == [.limitClosing(worker: worker, start: 0, .seconds(5))]) }
    _ = die(2, &supervisor, .exited(0), Self.facts())
    #expect(handle(&supervisor, .closingOver(worker: 2, start: 0, isStopped: false), at: .now) == [], "it has closed in time")
    var stopped = supervisor
    #expect(handle(&stopped, .closingOver(worker: 1, start: 0, isStopped: true), at: .now).last == .kill(worker: 1))
    _ = die(1, &stopped, .killed("signal 9"), Self.facts())
    #expect(stopped.code == .success, "whoever has stopped it is to blame")
    #expect(handle(&supervisor, .closingOver(worker: 1, start: 0, isStopped: false), at: .now) == [
      .note(stage: 1, "the plugin took longer than the timeout of 5s to close in work[0]: the worker is killed"), .kill(worker: 1),
    ])
    _ = die(1, &supervisor, .killed("signal 9"), Self.facts())
    #expect(supervisor.code == .pluginProtocol)
    #expect(supervisor.cause == "stage \"work\" did not close in order (its plugin took longer than the timeout of 5s to close): what it had not put away is lost", "\(supervisor.cause)")
  }

  /// A drain that only waits for plugins to close has no messages left.
  @Test func aDrainEndsPluginsThatDoNotClose() {
    var supervisor = Self.started()
    _ = supervisor.handle(.signal, at: .now)
    var other = supervisor
    #expect(handle(&other, .drainOver(left: [0, 0, 0]), at: .now).count == 4)
    #expect(other.code == .stopped && other.cause.hasSuffix(": source did not stop"), "\(other.cause)")
    _ = die(0, &supervisor, .exited(0), Self.facts(ended: true))
    for worker in 1...2 { _ = supervisor.handle(.closing(worker: worker), at: .now) }
    other = supervisor
    _ = other.handle(.drainOver(left: [0, 3, 0]), at: .now)
    #expect(other.code == .stopped && other.cause.hasSuffix("messages are left: 3 in the queue of work"), "\(other.cause)")
    _ = die(2, &supervisor, .exited(0), Self.facts())
    // The sink waits for a stage that does not end.
    #expect(handle(&supervisor, .drainOver(left: [0, 0, 0]), at: .now) == [.kill(worker: 1), .kill(worker: 3)])
    #expect(supervisor.code == .pluginProtocol && supervisor.cause.contains(": work[0] did not close in order"), "\(supervisor.cause)")
  }

  @Test func theEndTravelsDownTheGraph() {
    var supervisor = Self.started()
    #expect(die(0, &supervisor, .exited(0), Self.facts(ended: true)) == [.closeInput(stage: 1)])
    #expect(die(1, &supervisor, .exited(0), Self.facts(open: 3)) == [], "the other one still works on what is open")
    #expect(die(2, &supervisor, .exited(0), Self.facts()) == [.closeInput(stage: 2)])
    #expect(die(3, &supervisor, .exited(0), Self.facts()) == [.finish])
    #expect(supervisor.outcome == .finished && supervisor.code == .success)
  }

  @Test func anOpenSlotInAClosedRingGetsAWorker() {
    var supervisor = Self.started()
    _ = die(0, &supervisor, .exited(0), Self.facts(ended: true))
    _ = die(1, &supervisor, .exited(0), Self.facts(open: 1))
    // The one that held the last message dies with it.
    #expect(die(2, &supervisor, .killed("signal 9"), Self.facts(open: 1)).contains(.spawn(worker: 2)))
  }

  /// Where keys decide each process has a ring of its own, and nobody else can empty it, however many are left.
  @Test func whatIsOpenForOneProcessGetsThatOneAgain() {
    var plan = Self.plan()
    plan.stages[1].partition = PartitionRule(key: ".")
    var supervisor = Self.started(plan)
    _ = die(0, &supervisor, .exited(0), Self.facts(ended: true))
    #expect(die(1, &supervisor, .exited(0), Self.facts(open: 3)) == [.spawn(worker: 1)], "the other one cannot take it")
    #expect(die(2, &supervisor, .exited(0), Self.facts()) == [])
    #expect(die(1, &supervisor, .killed("signal 9"), Self.facts(open: 1)).contains(.spawn(worker: 1)))
    #expect(die(1, &supervisor, .exited(0), Self.facts()) == [.closeInput(stage: 2)])
    #expect(die(3, &supervisor, .exited(0), Self.facts()) == [.finish])
  }

  @Test func aBusyProcessAmongIdleOnesIsNamed() throws {
    func stage(_ name: String, _ busy: Double, _ shares: [(Int, Double)] = []) -> RunReport.StageReport {
      var stage = RunReport.StageReport(name: name, plugin: "p", kind: name == "a" ? .source : .transform, processes: max(1, shares.count))
      stage.busy = busy
      stage.busyOfRun = busy
      stage.shares = shares.map { RunReport.Share(received: $0.0, busyOfRun: $0.1) }
      return stage
    }
    func sentence(_ stages: [RunReport.StageReport]) -> String? { Bottleneck.find(in: stages, writers: [[], [0]], readers: [[1], []])?.sentence }
    let hot = [stage("a", 0.3), stage("b", 0.26, [(10, 0.02), (970, 0.96), (20, 0.04)])]
    #expect(sentence(hot) == "b limits the run: its process b[1] got 97 % of the messages by their keys and was busy 96 % of the time, the 2 others 3 %")
    #expect(try abs(#require(hot[1].skew) - 2.91) < 1e-9)
    let even = [stage("a", 0.3), stage("b", 0.9, [(500, 0.9), (500, 0.9)])]
    #expect(sentence(even) == "b limits the run: busy 90 % of the time in 2 processes" && even[1].skew == 1)
    #expect(sentence([stage("a", 0.9), stage("b", 0.1, [(1, 0.1), (0, 0)])]) == "a limits the run: busy 90 % of the time")
    #expect(stage("b", 0).skew == nil && stage("b", 0, [(0, 0)]).skew == nil && stage("b", 0, [(Int.max, 0), (Int.max, 0)]).skew == 1)
  }

  @Test func aSourceThatLeavesWithoutHavingEndedHasDied() {
    var supervisor = Self.started()
    #expect(die(0, &supervisor, .exited(0), Self.facts()).contains(.spawn(worker: 0)))
    #expect(handle(&supervisor, .ready(worker: 0), at: .now) == [.tell(worker: 0, .go)])
  }

  @Test func deathsWithoutProgressWaitTwiceAsLongEachTimeAndAreCounted() {
    var supervisor = Self.started(Self.plan(restart: RestartLimits(max: 3, within: .seconds(10), backoff: .milliseconds(100))))
    let now = ContinuousClock.now
    for (n, pause) in [100, 200, 400].enumerated() {
      _ = supervisor.handle(.reaped(worker: 1, end: .killed("signal 11")), at: now)
      let actions = supervisor.handle(.recovered(worker: 1, facts: Self.facts(progressed: false)), at: now + .seconds(n))
      #expect(actions.contains(.startBackoff(worker: 1, .milliseconds(pause))))
      #expect(handle(&supervisor, .backoffOver(worker: 1), at: now) == [.spawn(worker: 1)])
    }
    _ = supervisor.handle(.reaped(worker: 1, end: .killed("signal 11")), at: now)
    let last = supervisor.handle(.recovered(worker: 1, facts: Self.facts(progressed: false)), at: now + .seconds(3))
    #expect(last == [0, 2, 3].map { .kill(worker: $0) })
    #expect(supervisor.code == .restartsSpent && supervisor.cause.contains("stage \"work\" died more than 3 times within 10s") && supervisor.cause.contains("signal 11"))
  }

  /// However long each takes; until one becomes ready.
  @Test func startsThatNeverBecomeReadyAreCounted() {
    var supervisor = Self.started(Self.plan(restart: RestartLimits(max: 2, within: .seconds(10), backoff: .milliseconds(100))))
    var now = ContinuousClock.now
    func failToStart(at now: ContinuousClock.Instant) -> [Action] {
      _ = supervisor.handle(.reaped(worker: 1, end: .exited(1)), at: now)
      let actions = supervisor.handle(.recovered(worker: 1, facts: Self.facts(progressed: false)), at: now)
      _ = supervisor.handle(.backoffOver(worker: 1), at: now)
      return actions
    }
    // It was ready once, which does not count for long.
    _ = failToStart(at: now)
    for _ in 0..<2 {
      now += .seconds(60)
      _ = failToStart(at: now)
    }
    #expect(supervisor.code == .success)
    // Somebody else of the stage becomes ready: it can be done.
    _ = supervisor.handle(.reaped(worker: 2, end: .killed("signal 9")), at: now)
    _ = supervisor.handle(.recovered(worker: 2, facts: Self.facts()), at: now)
    _ = supervisor.handle(.ready(worker: 2), at: now)
    for _ in 0..<2 {
      now += .seconds(60)
      _ = failToStart(at: now)
    }
    #expect(supervisor.code == .success)
    now += .seconds(60)
    _ = failToStart(at: now)
    #expect(supervisor.code == .restartsSpent)
    #expect(supervisor.cause == "stage \"work\" was started more than 2 times in a row without becoming ready; the last time: exit status 1")
  }

  /// A stage that is not there and whose queue is full holds up who writes to it, and all that read there.
  @Test func whoWaitsForADeadReaderIsNamed() {
    var supervisor = Self.started()
    func note(_ open: Int) -> String {
      let actions = die(1, &supervisor, .killed("signal 11"), Self.facts(progressed: false, open: open))
      guard case .note(_, let text)? = actions.first else { return "" }
      _ = supervisor.handle(.backoffOver(worker: 1), at: .now)
      return text
    }
    #expect(note(255).hasSuffix("starting again in 100ms"))
    #expect(note(256).hasSuffix("starting again in 200ms; its queue is full, so source waits"))
  }

  @Test func progressForgivesAndOldFailuresAreForgotten() {
    var budget = RestartBudget(RestartLimits(max: 1, within: .seconds(10), backoff: .seconds(1)))
    let now = ContinuousClock.now
    #expect(died(&budget, progressed: false, at: now) == .after(.seconds(1)))
    #expect(died(&budget, progressed: true, at: now) == .now)
    #expect(died(&budget, progressed: false, at: now) == .after(.seconds(1)))
    #expect(died(&budget, progressed: false, at: now + .seconds(11)) == .after(.seconds(1)))
    #expect(died(&budget, progressed: false, at: now + .seconds(12)) == .spent)
  }

  /// Who was started before the last death that counted died with that one.
  @Test func workersThatDieTogetherCountOnce() {
    var budget = RestartBudget(RestartLimits(max: 2, within: .seconds(10), backoff: .seconds(1)))
    let now = ContinuousClock.now
    for _ in 0..<20 { #expect(died(&budget, progressed: false, startedAt: 0, at: now) == .after(.seconds(1))) }
    for _ in 0..<20 { #expect(died(&budget, progressed: false, startedAt: 1, at: now) == .after(.seconds(2))) }
    #expect(died(&budget, progressed: true, at: now) == .now)
    #expect(died(&budget, progressed: false, startedAt: 1, at: now) == .after(.seconds(1)), "nothing counts, and still it does not spin")
    for pause in [1, 2] { #expect(died(&budget, progressed: false, at: now) == .after(.seconds(pause))) }
    #expect(died(&budget, progressed: false, startedAt: 3, at: now) == .after(.seconds(2)), "one of the pair before")
    #expect(died(&budget, progressed: false, at: now) == .spent)
  }

  /// A stage of two whose workers are killed together, again and again, has as many starts as a stage of one.
  @Test func aStageThatDiesAsAWholeHasAsManyStartsAsOne() {
    var supervisor = Self.started(Self.plan(restart: RestartLimits(max: 3, within: .seconds(10), backoff: .milliseconds(100))))
    for pause in [100, 200, 400] {
      for worker in [1, 2] {
        #expect(die(worker, &supervisor, .killed("signal 9"), Self.facts(progressed: false)).contains(.startBackoff(worker: worker, .milliseconds(pause))))
      }
      for worker in [1, 2] { #expect(handle(&supervisor, .backoffOver(worker: worker), at: .now) == [.spawn(worker: worker)]) }
    }
    #expect(die(2, &supervisor, .killed("signal 9"), Self.facts(progressed: false)) == [0, 1, 3].map { .kill(worker: $0) })
    #expect(supervisor.code == .restartsSpent)
  }

  @Test func oneSignalDrainsTwoStop() {
    var supervisor = Self.started()
    let first = supervisor.handle(.signal, at: .now)
    #expect(first.contains(.tell(worker: 0, .stop)) && first.contains(.startDrain(.seconds(30))))
    #expect(!first.contains { if case .kill = $0 { true } else { false } })
    #expect(handle(&supervisor, .signal, at: .now) == (0..<4).map { .kill(worker: $0) })
    #expect(supervisor.code == .stopped && supervisor.outcome == .stopped)
  }

  @Test func aDrainEndsWell() {
    var supervisor = Self.started()
    _ = supervisor.handle(.signal, at: .now)
    _ = die(0, &supervisor, .killed("signal 9"), Self.facts())
    _ = die(1, &supervisor, .exited(0), Self.facts())
    _ = die(2, &supervisor, .exited(0), Self.facts())
    #expect(die(3, &supervisor, .exited(0), Self.facts()) == [.finish])
    #expect(supervisor.outcome == .drained && supervisor.code == .success)
  }

  /// A plugin may open what is there only later. Nothing was made, so nothing is lost when it is not waited for.
  @Test func aDrainBeforeTheStartWaitsForNobodyWhoOpens() {
    var supervisor = Supervisor(Self.plan())
    for worker in [0, 1, 2] { _ = supervisor.handle(.ready(worker: worker), at: .now) }
    #expect(handle(&supervisor, .signal, at: .now).contains(.tell(worker: 0, .stop)))
    #expect(die(0, &supervisor, .exited(0), Self.facts(ended: true)) == [.closeInput(stage: 1)])
    _ = die(1, &supervisor, .exited(0), Self.facts())
    #expect(die(2, &supervisor, .exited(0), Self.facts()) == [.closeInput(stage: 2), .kill(worker: 3)])
    #expect(die(3, &supervisor, .killed("signal 9"), Self.facts()) == [.finish])
    #expect(supervisor.outcome == .drained && supervisor.code == .success)
  }

  /// One that is started again may find messages of its predecessor.
  @Test func aDrainWaitsForAWorkerThatStartsAgain() {
    var supervisor = Self.started()
    _ = die(3, &supervisor, .killed("signal 9"), Self.facts())
    _ = supervisor.handle(.signal, at: .now)
    _ = die(0, &supervisor, .exited(0), Self.facts(ended: true))
    _ = die(1, &supervisor, .exited(0), Self.facts())
    #expect(die(2, &supervisor, .exited(0), Self.facts()) == [.closeInput(stage: 2)])
  }

  @Test func theFirstCauseWinsAndABrokenInvariantBeatsIt() {
    var supervisor = Self.started()
    _ = supervisor.handle(.failed(worker: 3, code: .io, text: "disk full"), at: .now)
    _ = supervisor.handle(.messageFailed(worker: 1, text: "later"), at: .now)
    #expect(supervisor.code == .io && supervisor.cause == "stage \"sink\": disk full")
    _ = supervisor.handle(.broken(code: .invariantBroken, text: "damaged"), at: .now)
    #expect(supervisor.code == .invariantBroken)
  }

  @Test func aSourceThatCannotGoOnLetsTheRestFinish() {
    var supervisor = Self.started()
    let actions = supervisor.handle(.failed(worker: 0, code: .io, text: "file gone"), at: .now)
    #expect(!actions.contains { if case .kill = $0 { true } else { false } })
    #expect(die(0, &supervisor, .exited(74), Self.facts()) == [.closeInput(stage: 1)])
    _ = die(1, &supervisor, .exited(0), Self.facts())
    _ = die(2, &supervisor, .exited(0), Self.facts())
    #expect(die(3, &supervisor, .exited(0), Self.facts()) == [.finish])
    #expect(supervisor.outcome == .failed && supervisor.code == .io)
  }

  @Test func aStandardInputThatDiesCannotBeStartedAgain() {
    var supervisor = Self.started(Self.plan(resources: [.standardInput]))
    #expect(die(0, &supervisor, .killed("signal 9"), Self.facts()) == [1, 2, 3].map { .kill(worker: $0) })
    #expect(supervisor.code == .stopped)
  }

  /// The actions that were decided before the first failure are performed after it: each spawn may fail, or some of them.
  @Test(arguments: [[0, 1, 2, 3], [0], [0, 1, 2], [3], [1, 3]]) func aRunWhoseWorkersCannotBeStartedEnds(failing: [Int]) {
    var supervisor = Supervisor(Self.plan())
    var actions = supervisor.start()
    var living = Set<Int>()
    var isFinished = false
    while !actions.isEmpty {
      switch actions.removeFirst() {
      case .spawn(let worker) where failing.contains(worker): actions += supervisor.spawnFailed(worker, "worker \(worker): no", at: .now)
      case .spawn(let worker): living.insert(worker)
      case .kill(let worker) where living.remove(worker) != nil: actions += die(worker, &supervisor, .killed("signal 9"), Self.facts())
      case .finish: isFinished = true
      default: break
      }
    }
    #expect(isFinished && living.isEmpty)
    #expect(supervisor.code == .system && supervisor.cause == "worker \(failing[0]): no", "the first cause is told")
  }

  /// Once the run has begun the machine is asked again, a few times; its end does not wait for that.
  @Test func aWorkerThatCannotBeStartedAgainIsTriedAgain() {
    let limits = RestartLimits(max: 2, within: .seconds(10), backoff: .milliseconds(100))
    let now = ContinuousClock.now
    var supervisor = Self.started(Self.plan(restart: limits))
    #expect(die(1, &supervisor, .killed("signal 9"), Self.facts()).contains(.spawn(worker: 1)))
    for pause in [100, 200] {
      let actions = supervisor.spawnFailed(1, "no more", at: now)
      #expect(actions == [.note(stage: 1, "no more; trying again in \(pause)ms"), .startBackoff(worker: 1, .milliseconds(pause))])
      #expect(handle(&supervisor, .backoffOver(worker: 1), at: now) == [.spawn(worker: 1)])
    }
    var other = supervisor
    #expect(supervisor.spawnFailed(1, "no more", at: now) == [0, 2, 3].map { .kill(worker: $0) })
    #expect(supervisor.code == .system && supervisor.cause == "no more")
    // With the run being stopped nobody is waited for.
    _ = handle(&other, .broken(code: .io, text: "x"), at: now)
    for worker in [0, 2, 3] { #expect(!die(worker, &other, .killed("signal 9"), Self.facts()).contains(.finish)) }
    #expect(other.spawnFailed(1, "no more", at: now) == [.finish] && other.code == .io)
  }

  /// Events in any order: no worker is started while it lives, none is recovered that was not reaped, a ring closes once, and
  /// in the end everything is gone.
  @Test func whateverHappensItEnds() {
    let seed = UInt64.random(in: 1...999_999)
    print("supervisor: seed \(seed)")
    var state = seed
    func random(_ n: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % n
    }
    for _ in 0..<2_000 {
      var plan = Self.plan(restart: RestartLimits(max: 4, within: .seconds(10), backoff: .milliseconds(1)))
      if random(2) == 0 { for i in plan.stages.indices { plan.stages[i].startupTimeout = .seconds(1) } }
      if random(2) == 0 { for i in plan.stages.indices { plan.stages[i].timeout = .seconds(1) } }
      var supervisor = Supervisor(plan)
      var alive = Set<Int>()
      var reaped = Set<Int>()
      var backing = Set<Int>()
      var closed = Set<Int>()
      var isFinished = false
      var neverStarted = Set<Int>()
      var startups: [(worker: Int, start: Int)] = []
      var closings: [(worker: Int, start: Int)] = []
      func perform(_ first: [Supervisor.Action]) {
        var actions = first
        while !actions.isEmpty {
          switch actions.removeFirst() {
          case .spawn(let worker):
            #expect(!alive.contains(worker) && !reaped.contains(worker))
            backing.remove(worker)
            if random(60) == 0 {
              neverStarted.insert(worker)
              actions += supervisor.spawnFailed(worker, "x", at: .now)
            } else {
              alive.insert(worker)
            }
          case .recover(let worker): #expect(reaped.contains(worker))
          case .kill(let worker): #expect(alive.contains(worker) || neverStarted.contains(worker))
          case .tell(let worker, _): #expect(alive.contains(worker))
          case .closeInput(let stage):
            let isNew = closed.insert(stage).inserted
            #expect(isNew, "a ring is closed once")
          case .startBackoff(let worker, _): backing.insert(worker)
          case .finish:
            #expect(alive.isEmpty && reaped.isEmpty && !isFinished)
            isFinished = true
          case .limitStartup(let worker, let start, _): startups.append((worker, start))
          case .limitClosing(let worker, let start, _): closings.append((worker, start))
          case .startDrain, .note: break
          }
        }
      }
      perform(supervisor.start())
      var steps = 0
      while !isFinished, steps < 2_000 {
        steps += 1
        let choice = random(40)
        if choice == 0 {
          perform(supervisor.handle(.signal, at: .now))
        } else if choice == 1, let worker = alive.randomElement() {
          perform(supervisor.handle(.failed(worker: worker, code: .io, text: "x"), at: .now))
        } else if choice < 6, !startups.isEmpty {
          // Also long after the start that it was for.
          let (worker, start) = startups.remove(at: random(startups.count))
          perform(supervisor.handle(.startupOver(worker: worker, start: start), at: .now))
        } else if choice < 8, !closings.isEmpty {
          let (worker, start) = closings.remove(at: random(closings.count))
          perform(supervisor.handle(.closingOver(worker: worker, start: start, isStopped: random(2) == 0), at: .now))
        } else if choice == 8, let worker = alive.sorted().dropFirst(random(4)).first {
          perform(supervisor.handle(.closing(worker: worker), at: .now))
        } else if choice < 12, let worker = alive.sorted().dropFirst(random(4)).first {
          perform(supervisor.handle(.ready(worker: worker), at: .now))
        } else if choice < 26, let worker = alive.sorted().dropFirst(random(4)).first {
          alive.remove(worker)
          reaped.insert(worker)
          perform(supervisor.handle(.reaped(worker: worker, end: random(2) == 0 ? .exited(0) : .killed("signal 9")), at: .now))
          reaped.remove(worker)
          perform(supervisor.handle(.recovered(worker: worker, facts: Self.facts(progressed: random(2) == 0, ended: random(3) == 0, open: random(3) == 0 ? 1 : 0)), at: .now))
        } else if let worker = backing.first {
          backing.remove(worker)
          perform(supervisor.handle(.backoffOver(worker: worker), at: .now))
        }
      }
      #expect(isFinished, "seed \(seed): it does not end")
      if !isFinished { return }
    }
  }
}

@Suite struct WorkerEndTests {
  private static let limits = ProcessLimits(memoryBytes: 64 << 20, cpuSeconds: 3600)

  @Test(arguments: [
    (ChildProcess.End.signalled(24), 3_600_000_000, "it used its limits.cpu of 1h"), (.signalled(9), 3_605_000_000, "it used its limits.cpu of 1h"),
    (.signalled(9), 3_599_999_999, "signal 9 (Killed)"), (.signalled(6), 0, "signal 6 (Aborted), with a limits.memory of 64 MiB"),
    (.signalled(15), 0, "signal 15 (Terminated)"), (.exited(1), 3_700_000_000, "exit status 1"),
  ] as [(ChildProcess.End, Int64, String)])
  func theLimitThatAWorkerRanIntoIsNamed(_ end: ChildProcess.End, _ cpu: Int64, _ text: String) {
    #expect(Supervisor.WorkerEnd(end, cpuMicroseconds: cpu, limits: Self.limits).text == text)
  }

  @Test func withoutLimitsAnEndIsWhatItIs() {
    for signal in [6, 9, 24] as [Int32] {
      let end = ChildProcess.End.signalled(signal)
      #expect(Supervisor.WorkerEnd(end, cpuMicroseconds: 1 << 50, limits: ProcessLimits()).text == end.description)
    }
  }
}

@Suite struct StallWatchTests {
  @Test func aCallThatStandsStillIsNoticed() {
    var watch = StallWatch(timeout: .seconds(1))
    let start = ContinuousClock.now
    for (tenth, isStalled) in [(0, false), (3, false), (6, false), (9, false), (11, true)] {
      let now = start + .milliseconds(tenth * 100)
      watch.beginSample(at: now)
      #expect(stalled(&watch, 0, calls: 7, isWaiting: false, at: now) == isStalled)
    }
  }

  @Test func movingWaitingAndRestingAreNoStall() {
    var watch = StallWatch(timeout: .seconds(1))
    let start = ContinuousClock.now
    for second in 0..<10 {
      let now = start + .milliseconds(second * 300)
      watch.beginSample(at: now)
      #expect(!stalled(&watch, 0, calls: UInt64(2 * second + 1), isWaiting: false, at: now))
      #expect(!stalled(&watch, 1, calls: 7, isWaiting: true, at: now))
      #expect(!stalled(&watch, 2, calls: 8, isWaiting: false, at: now))
    }
  }

  @Test func aRunnerThatStoodStillItselfBlamesNobody() {
    var watch = StallWatch(timeout: .seconds(1))
    let start = ContinuousClock.now
    watch.beginSample(at: start)
    #expect(!stalled(&watch, 0, calls: 7, isWaiting: false, at: start))
    let later = start + .seconds(3600)
    watch.beginSample(at: later)
    #expect(!stalled(&watch, 0, calls: 7, isWaiting: false, at: later))
  }
}

@Suite struct ReportTests {
  private func stage(_ name: String, busy: Double, input: Double = 0, room: Double = 0, processes: Int = 1) -> RunReport.StageReport {
    var report = RunReport.StageReport(name: name, plugin: "p", kind: .transform, processes: processes)
    report.busy = busy
    report.busyOfRun = busy
    report.waitingInput = input
    report.waitingRoom = room
    return report
  }

  @Test func theBusiestStageIsTheBottleneckAndItsNeighboursBearWitness() {
    let stages = [stage("camera", busy: 0.1, room: 0.9), stage("detect", busy: 0.98, processes: 4), stage("send", busy: 0.3, input: 0.7)]
    let found = Bottleneck.find(in: stages, writers: [[], [0], [1]], readers: [[1], [2], []])
    #expect(found == Bottleneck(
      stage: "detect",
      sentence: "detect limits the run: busy 98 % of the time in 4 processes, camera waited 90 % for room in its queue, send waited 70 % for input"))
  }

  /// Processes that wait for each other hold up the run as much as busy ones, and what they wait for is said.
  @Test func aStageThatWaitsForItsOwnOrderIsTheBottleneck() throws {
    var ordered = stage("price", busy: 0.3, processes: 4)
    ordered.busyOfRun = 0.9
    ordered.waitingTurn = 0.6
    let found = Bottleneck.find(in: [ordered, stage("out", busy: 0.5)], writers: [[], [0]], readers: [[1], []])
    #expect(found?.sentence.hasPrefix("price limits the run: busy 30 % of the time in 4 processes, waited 60 % for its turn in the order (larger queues") == true)
    var report = RunReport(pipeline: "p", outcome: "finished", code: .success, cause: "", seconds: 1, stages: [ordered, stage("out", busy: 0.5)], ledger: [])
    let text = report.json.compact
    #expect(text.contains(#""waiting_turn":0.6"#) && !text.contains(#""waiting_turn":null"#))
    report.stages.removeFirst()
    #expect(!report.json.compact.contains("waiting_turn"))
  }

  @Test func anIdleRunHasNoBottleneck() {
    #expect(Bottleneck.find(in: [stage("a", busy: 0.05), stage("b", busy: 0.1)], writers: [[], [0]], readers: [[1], []]) == nil)
  }

  @Test func theLedgerBalancesOrSaysWhereNot() {
    let good = RunReport.LedgerLine(stage: "a", entered: 10, left: 2, dropped: 1, deadLettered: 0, handedOn: 7)
    let bad = RunReport.LedgerLine(stage: "a", entered: 10, left: 2, dropped: 1, deadLettered: 0, handedOn: 8)
    #expect(good.balances && good.text == "a: 10 in = 7 out + 1 dropped + 0 dead letters + 2 left")
    #expect(!bad.balances && bad.text == "a: 10 in ≠ 8 out + 1 dropped + 0 dead letters + 2 left")
  }

  @Test func theReportHasItsKeys() throws {
    let report = RunReport(
      pipeline: "p", outcome: "finished", code: .success, cause: "", seconds: 1.23456, stages: [stage("a", busy: 0.5, input: 0.25, room: 0.25)], ledger: [],
      bottleneck: nil)
    #expect(report.json.compact == #"{"pipeline":"p","outcome":"finished","exit_code":0,"cause":null,"seconds":1.235,"bottleneck":null,"bottleneck_sentence":null,"stages":{"a":{"plugin":"p","processes":1,"in":0,"out":0,"errors":0,"retries":0,"dead_letters":0,"dropped":0,"queue_dropped":0,"restarts":0,"busy":0.5,"waiting_input":0.25,"waiting_room":0.25,"latency_ms":{"p50":0,"p99":0,"max":0}}},"ledger":{}}"#)
  }

  /// What a worker says over its control socket is shown too.
  @Test func wordsOfAWorkerDoNotPlayWithTheTerminal() {
    #expect(WorkerMessage.failed(code: .io, text: "a\u{1b}[2Jb\nc\u{9b}d é").printable == .failed(code: .io, text: "a\u{fffd}[2Jb c\u{fffd}d é"))
    #expect(WorkerMessage.messageFailed(id: "\u{7}1", error: "\r\n", errors: 1, deaths: 0).printable == .messageFailed(id: "\u{fffd}1", error: " ", errors: 1, deaths: 0))
  }

  @Test func linesAreBoundedAndFloodsAreCounted() {
    var splitter = LineSplitter()
    var lines: [String] = []
    func take(_ text: String, _ second: Int64) { Array(text.utf8).withUnsafeBytes { splitter.take($0, second: second) { lines.append($0) } } }
    take("one\r\ntw", 0)
    take("o\n\u{1b}[31mred\n", 0)
    #expect(lines == ["one", "two", "\u{fffd}[31mred"])
    take(String(repeating: "x", count: 10_000) + "\n", 0)
    #expect(lines.count == 6 && lines.allSatisfy { $0.utf8.count <= LineSplitter.longest })
    lines = []
    for _ in 0..<2_000 { take("flood\n", 1) }
    #expect(lines.count == LineSplitter.mostPerSecond)
    take("later\n", 2)
    #expect(lines.suffix(2) == ["… 1500 more lines (only 500 a second are shown)", "later"])
    #expect(splitter.lastLines.count == 5)
  }
}
