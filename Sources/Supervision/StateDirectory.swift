import Plans
import Platform
import Rings
import Specs

/// The folder of `--state`, as a run uses it: rings and cells are files there, so that a run outlives its runner.
///
/// A runner that finds a state takes the folder's lock, then that of every worker, since another's children cannot be reaped; looks at
/// all that it is about to trust; and recovers every worker as if it had been reaped. From there on it is a run like any other.
final class StateDirectory {
  private let folder: StateFolder
  private let plan: Plan
  private let sync: RunOptions.Sync
  private let lock: Int32
  /// The graph that was found; nil in a new folder.
  private var stored: StatePlan?
  private var id: UInt64 = 0
  private(set) var session = StateSession()
  /// A descriptor of each worker's lock file, to be handed to it.
  private(set) var workerLocks: [Int32] = []
  private var isReleased = false

  /// How long workers of a dead runner are waited for. The kernel kills them with it, so this is how long one may hang in a disk.
  private static let patience = Duration.seconds(30)

  /// Takes the folder, and makes it if need be; what it holds is compared with the plan.
  init(_ path: String, for plan: Plan, sync: RunOptions.Sync) throws(StartFailure) {
    // Who may use it is asked of the folder, not of a link to it.
    folder = StateFolder(Files.linkTarget(path) == nil ? path : Files.canonical(path) ?? path)
    self.plan = plan
    self.sync = sync
    if let stage = plan.stages.first(where: { $0.resources.contains(.standardInput) }) {
      throw StartFailure(
        code: .usage,
        text: "stage \"\(stage.name)\" reads standard input, which cannot be read a second time: run without --state, or read a file with file.read")
    }
    try folder.prepare()
    lock = try folder.takeLock()
    do throws(StartFailure) {
      if folder.isComplete {
        let found = try folder.readPlan()
        stored = found
        id = found.id
        session = try folder.readSession()
        try compare(found)
        try checkDisk()
        try checkBoot()
        try folder.removeTemporaries()
      } else {
        id = UInt64.random(in: 1...UInt64.max)
        try folder.clear()
      }
    } catch {
      release()
      throw error
    }
  }

  deinit { release() }

  /// Gives the folder back.
  func release() {
    if isReleased { return }
    isReleased = true
    for descriptor in workerLocks { Descriptors.close(descriptor) }
    Descriptors.close(lock)
  }

  var isResumed: Bool { stored != nil }
  /// A run has come to its end here.
  var isFinished: Bool { isResumed && session.phase == StateSession.finished }

  /// What to say when there is nothing to do.
  var finishedText: String {
    "nothing is left to do: the run in \(folder.path) finished at \(Machine.describe(timeOfDay: session.ended)) "
      + "(to run again, name another directory with --state or remove this one)"
  }

  private func compare(_ found: StatePlan) throws(StartFailure) {
    let differences = found.differences(to: StatePlan(plan, id: id))
    if differences.isEmpty { return }
    throw StartFailure(
      code: .invalidPipeline,
      text: "the run in \(folder.path) was begun with another graph: " + differences.joined(separator: "; ")
        + " (change it back to go on; to begin anew, name another directory with --state or remove this one)")
  }

  /// What the kernel could not write it has forgotten by now.
  private func checkDisk() throws(StartFailure) {
    if session.unsynced.isEmpty { return }
    throw StartFailure(
      code: .io,
      text: "the state in \(folder.path) cannot be trusted: what the last run wrote may not have reached the disk (\(session.unsynced)), and asking again would hide it "
        + "(look after the disk; to begin anew, name another directory with --state or remove this one)")
  }

  /// Memory that is mapped reaches the disk in any order, so what a machine left that went down in the middle of a run proves nothing.
  private func checkBoot() throws(StartFailure) {
    let isRunning = session.phase == StateSession.running
    if session.boot == Machine.bootID || !isRunning && session.isSynced { return }
    throw StartFailure(
      code: .invariantBroken,
      text: "the state in \(folder.path) cannot be trusted: the machine was started anew "
        + (isRunning ? "in the middle of the run" : "after a run with `--sync none`")
        + ", and what had reached the disk by then fits together by luck alone (to begin anew, name another directory with --state or remove this one)")
  }

  // MARK: Rings and cells

  /// Makes the stage's cells, or maps those that are there.
  func cells(of stage: Stage) throws(StartFailure) -> CellBlock {
    let name = StateFolder.cells(stage.name)
    let memory = try memory(name, count: CellBlock.bytes(cells: stage.processes))
    let owner = StateFolder.owner(id, name)
    if !isResumed {
      let cells = CellBlock.create(in: memory, owner: owner)
      try folder.step(.filledMemory)
      return cells
    }
    do throws(RingCorruption) { return try CellBlock(in: memory, owner: owner) } catch { throw folder.damaged(name, error.description) }
  }

  /// Makes a ring in front of a stage, or maps the one that is there.
  func ring(of stage: Stage, _ index: Int, _ shape: RingShape, start: RingStart) throws(StartFailure) -> Ring {
    let name = StateFolder.queue(stage.name, stage.partition == nil ? nil : index)
    let memory = try memory(name, count: shape.bytes)
    let owner = StateFolder.owner(id, name)
    if !isResumed {
      let ring = Ring.create(shape, in: memory, owner: owner, start: start)
      try folder.step(.filledMemory)
      return ring
    }
    let ring: Ring
    do throws(RingCorruption) { ring = try Ring(in: memory) } catch { throw folder.damaged(name, error.description) }
    if ring.owner == owner, ring.shape == shape { return ring }
    ring.unmap()
    throw folder.damaged(name, StateFolder.strangerText)
  }

  private func memory(_ name: String, count: Int) throws(StartFailure) -> SharedMemory {
    let file = folder.file(name)
    if !isResumed {
      let memory = try folder.doing(name) { () throws(SystemError) in try SharedMemory.create(file: file, count: count) }
      try folder.step(.madeMemory)
      return memory
    }
    let memory = try folder.finding(name) { () throws(SystemError) in try SharedMemory.open(file: file) }
    if memory.count == count { return memory }
    memory.unmap()
    throw folder.damaged(name, "it has \(memory.count) bytes, and should have \(count)")
  }

  // MARK: The beginning

  /// Completes a new state, or puts right what the last run left.
  ///
  /// - Parameter say: told what is being waited for, and what is gone on with
  /// - Returns: where the run stands; nil for a new one
  func begin(_ memory: StageMemory, _ say: (String) -> Void) throws(StartFailure) -> Standing? {
    guard let stored else {
      try openWorkerLocks()
      try writeSession()
      try folder.step(.wroteSession)
      // From here on it is a state.
      try folder.write(StateFolder.plan, StatePlan(plan, id: id).text)
      try folder.step(.wrotePlan)
      return nil
    }
    try waitForWorkers(stored.workers, say)
    try verify(memory, stored.workers)
    try recover(memory, stored)
    try verify(memory, stored.workers)
    let standing = Standing(plan, memory)
    if isFinished { return standing }
    try checkOutputs(memory)
    for i in plan.stages.indices {
      for cell in memory.cells(of: i, in: plan) { cell.beginSession() }
      for ring in memory.parts[i].rings {
        if !plan.writers(to: i).allSatisfy({ standing.hasEnded[$0] }) { ring.reopen() }
        ring.restoreHints()
        ring.restamp(at: Clock.now)
        // Whoever lets a run go on that had given up on a message has changed something meanwhile.
        if session.phase != StateSession.running { ring.forgive() }
      }
    }
    session.resumes += 1
    say(
      "going on with the run in \(folder.path) that was begun at \(Machine.describe(timeOfDay: session.created)): "
        + "\(standing.openSlots.reduce(0, +)) messages wait in its queues")
    try writeSession()
    let now = StatePlan(plan, id: id)
    // What may differ, the pipeline's name say, has its new value from here on.
    if now != stored { try folder.write(StateFolder.plan, now.text) }
    try openWorkerLocks()
    return standing
  }

  /// Takes the lock of every worker and gives it back: none lives then.
  private func waitForWorkers(_ count: Int, _ say: (String) -> Void) throws(StartFailure) {
    let deadline = ContinuousClock.now + Self.patience
    for number in stride(from: 1, through: count, by: 1) {
      let name = StateFolder.workerLock(number)
      let left = try folder.finding(name) { () throws(SystemError) in
        let file = try Files.openForLocking(folder.file(name))
        defer { Descriptors.close(file) }
        return try FileLock.take(file, until: deadline) { say("waiting for the end of \(StateFolder.described($0)), a worker of the last run") }
      }
      if let left {
        let worker = "\(StateFolder.described(left)), a worker of the last run in \(folder.path)"
        throw StartFailure(
          code: .stopped,
          text: .now < deadline
            ? "stopped while waiting for the end of \(worker)"
            : "\(worker), has not ended in \(Quantity.describe(Self.patience)): end it and run again")
      }
    }
  }

  private func openWorkerLocks() throws(StartFailure) {
    for number in stride(from: workerLocks.count + 1, through: plan.processes, by: 1) {
      let name = StateFolder.workerLock(number)
      workerLocks.append(try folder.doing(name) { () throws(SystemError) in try Files.openForLocking(folder.file(name)) })
      try folder.step(.madeWorkerLock)
    }
  }

  private func verify(_ memory: StageMemory, _ workers: Int) throws(StartFailure) {
    for (i, stage) in plan.stages.enumerated() {
      for (k, ring) in memory.parts[i].rings.enumerated() {
        let name = StateFolder.queue(stage.name, stage.partition == nil ? nil : k)
        do throws(RingCorruption) { try ring.verify(workers: workers) } catch { throw folder.damaged(name, error.description) }
      }
      for cell in memory.cells(of: i, in: plan) {
        do throws(RingCorruption) { try cell.verify() } catch { throw folder.damaged(StateFolder.cells(stage.name), error.description) }
      }
    }
  }

  /// Every worker that there was, by the numbers that it had. No death counts: nothing is known of how they ended.
  private func recover(_ memory: StageMemory, _ stored: StatePlan) throws(StartFailure) {
    var number = 0
    for entry in stored.stages {
      for process in 0..<entry.processes {
        number += 1
        guard let stage = plan.index(of: entry.name) else { continue }
        do {
          _ = try Recovery.recover(
            worker: WorkerNumber(clamping: number), cell: try memory.cell(stage: stage, process: process),
            rings: memory.attachments(stage: stage, process: process), countsDeaths: false)
        } catch {
          throw folder.damaged(StateFolder.queue(entry.name, entry.partition == nil ? nil : process), "\(error)")
        }
      }
    }
  }

  private func writeSession() throws(StartFailure) {
    let now = Machine.timeOfDay
    if session.created == 0 { session.created = now }
    session.phase = StateSession.running
    session.code = 0
    session.cause = ""
    session.pid = Int(CurrentProcess.id)
    session.boot = Machine.bootID
    session.started = now
    session.ended = 0
    session.isSynced = false
    try folder.write(StateFolder.session, session.text)
  }

  // MARK: What sinks write

  /// Notes which files the sinks have open. Called when every stage is ready, before the first message: from then on another file of the
  /// same name is not the one that was written.
  func noteOutputs() throws(StartFailure) {
    let found = outputs.compactMap { stage, path -> StateSession.Output? in
      guard let status = Files.status(path), status.kind == .file else { return nil }
      return StateSession.Output(stage: stage, path: path, device: status.device, inode: status.inode)
    }
    if found == session.outputs { return }
    session.outputs = found
    try folder.write(StateFolder.session, session.text)
  }

  private var outputs: [(stage: String, path: String)] {
    plan.stages.flatMap { stage in
      stage.resources.compactMap { resource in
        guard case .writesFile(let path, _) = resource else { return nil }
        return (stage.name, path.hasPrefix("/") ? path : plan.directory + "/" + path)
      }
    }
  }

  private func checkOutputs(_ memory: StageMemory) throws(StartFailure) {
    // One that nothing was written to may be any file.
    session.outputs.removeAll { output in
      !(plan.index(of: output.stage).map { memory.cells(of: $0, in: plan).contains { $0.record.committedLength > 0 } } ?? false)
    }
    for output in session.outputs {
      let status = Files.status(output.path)
      if let status, status.device == output.device, status.inode == output.inode { continue }
      throw StartFailure(
        code: .io,
        text: "stage \"\(output.stage)\" cannot go on: \(output.path) is \(status == nil ? "gone" : "another file than the one that it wrote") "
          + "(put it back; to begin anew, name another directory with --state or remove \(folder.path))")
    }
  }

  // MARK: The end

  /// Says how the run has ended. Unless that was asked not to be, everything has reached the disk before.
  func end(_ report: RunReport, _ memory: StageMemory) throws(StartFailure) {
    var failure: StartFailure?
    if sync == .end { failure = try reachDisk(memory) }
    session.phase = failure == nil ? report.outcome : Supervisor.Outcome.failed.rawValue
    session.code = Int((failure?.code ?? report.code).rawValue)
    session.cause = failure?.text ?? report.cause
    session.unsynced = failure?.text ?? ""
    session.ended = Machine.timeOfDay
    session.isSynced = sync == .end && failure == nil
    try folder.write(StateFolder.session, session.text)
    if let failure { throw failure }
  }

  /// - Returns: what may not have reached the disk. The kernel tells of that once, and then takes it for written (fsync(2)): who asks again
  ///   hears that all is well, so it is noted down, and no run goes on from there.
  private func reachDisk(_ memory: StageMemory) throws(StartFailure) -> StartFailure? {
    var failure: StartFailure?
    func attempt(_ told: (SystemError) -> StartFailure, _ body: () throws(SystemError) -> Void) throws(StartFailure) {
      do throws(SystemError) { try body() } catch {
        let found = told(error)
        if error.call != "fsync" { throw found }
        failure = failure ?? found
      }
    }
    for (stage, path) in outputs where Files.status(path)?.kind == .file {
      try attempt({ StartFailure(code: .io, text: "stage \"\(stage)\": \($0.call) \(path): \($0.reason)") }) { () throws(SystemError) in
        try Files.sync(path)
        try Files.sync(String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)) + "/")
      }
    }
    for (stage, part) in zip(plan.stages, memory.parts) {
      for (k, ring) in part.rings.enumerated() {
        try attempt({ folder.failure(StateFolder.queue(stage.name, stage.partition == nil ? nil : k), $0) }) { () throws(SystemError) in try ring.sync() }
      }
      try attempt({ folder.failure(StateFolder.cells(stage.name), $0) }) { () throws(SystemError) in try part.cells.sync() }
    }
    return failure
  }
}

/// Where a run that goes on stands.
struct Standing: Equatable {
  /// For each stage: nothing will come from it any more, and nothing waits for it.
  var hasEnded: [Bool]
  /// For each stage and each of its processes: a source that has said its last word.
  var endedSources: [[Bool]]
  /// For each stage: the messages in its queues.
  var openSlots: [Int]

  init(_ plan: Plan, _ memory: StageMemory) {
    openSlots = memory.parts.map(\.openSlots)
    endedSources = plan.stages.indices.map { i in
      plan.stages[i].kind == .source ? memory.cells(of: i, in: plan).map(\.record.ended) : []
    }
    hasEnded = []
    // A stage stands after all that it reads.
    for i in plan.stages.indices {
      let isSource = plan.stages[i].kind == .source
      hasEnded.append(isSource ? endedSources[i].allSatisfy { $0 } : openSlots[i] == 0 && plan.writers(to: i).allSatisfy { hasEnded[$0] })
    }
  }

  init(hasEnded: [Bool], endedSources: [[Bool]], openSlots: [Int]) {
    self.hasEnded = hasEnded
    self.endedSources = endedSources
    self.openSlots = openSlots
  }
}
