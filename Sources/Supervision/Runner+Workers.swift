import Plans
import Platform
import Rings
import Specs

// A worker from its start to its recovery: what it is told, what it says, how it ends.

extension Runner {
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

  /// Somebody has killed the guard of the run.
  func replaceGuard() {
    let old = keeper.pid
    spareGuards -= 1
    let what = "the run's guard (process \(old)) was killed"
    do throws(SystemError) {
      try keeper.replace()
      sayOfRun("\(what); another one is there")
    } catch {
      spareGuards = 0
      sayOfRun("\(what), and no other can be started (\(error)): what workers start outlives a kill of the runner")
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
      guard let reaped = try process.child.reap(beforeItIsFree: { keeper.strikeOut(RunGuard.place(ofWorker: worker + 1)) }) else { return }
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
    var descriptors = [stage.resources.contains(.standardInput) ? 0 : null] + Array(repeating: null, count: Int(WorkOrder.Descriptor.first) - 1)
    func give(_ descriptor: Int32) -> Int {
      descriptors.append(descriptor)
      return descriptors.count - 1
    }
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
    defer { Descriptors.close(orderFile) }
    descriptors[Int(WorkOrder.Descriptor.order)] = orderFile
    let started = try prestarted?.take(worker, descriptors) ?? StartedProcess(stage, process, environment, descriptors)
    // A program of its own may start something before it gets there itself.
    keeper.enter(RunGuard.place(ofWorker: worker + 1), group: started.child.pid)
    goneSince[worker] = nil
    timers.append((.now + Self.longStart, .slowStart(worker: worker, pid: started.child.pid)))
    workers[worker] = WorkerProcess(started, sequenceAtStart: cell.sequence)
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
}
