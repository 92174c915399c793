package import Platform
import Rings
package import Specs

/// What is in a state directory, for people and programs. Nothing is changed, and a run that uses it is not disturbed.
package struct StateReport: Sendable {
  package enum Standing: Sendable, Equatable {
    /// A runner has it.
    case running(FileLock.Holder)
    /// The run has come to its end.
    case finished
    /// The same command goes on with it.
    case resumable
    /// Its making was interrupted; the same command makes it.
    case incomplete
  }

  package struct StageEntry: Sendable {
    package var name: String
    package var plugin: String
    package var kind: String
    package var processes: Int
    /// Messages in its queues, and how many of them a worker has taken; nil for a source.
    package var queued: Int?
    package var leased: Int?
    /// How many they take.
    package var capacity: Int?
    package var received: UInt64 = 0
    package var emitted: UInt64 = 0
    package var dropped: UInt64 = 0
    /// What its queue has dropped because it was full; counted by those who write to it.
    package var queueDropped: UInt64 = 0
    package var deadLettered: UInt64 = 0
    /// Messages that a sink has taken.
    package var delivered: UInt64 { received &- min(received, dropped &+ deadLettered) }
    /// Of a source, for each process: the four words of its position, and whether it has said its last word.
    package var positions: [[UInt64]] = []
    package var ended: Bool?
    /// Bytes of a file that are good.
    package var committedLength: UInt64?
  }

  package var directory: String
  package var standing: Standing
  package var pipeline = ""
  package var file = ""
  /// How the last run ended (`running` when it did not), its exit code, and why.
  package var phase = ""
  package var code = 0
  package var cause = ""
  /// Seconds since 1970; 0 for not.
  package var created = 0
  package var started = 0
  package var ended = 0
  package var resumes = 0
  package var stages: [StageEntry] = []
  /// What is wrong, a sentence each, with the file that it is about.
  package var faults: [String] = []
  /// Names of files that are no part of the state.
  package var strangers: [String] = []

  /// What was dropped in front of each stage.
  private var drops: [String: UInt64] = [:]

  /// Reads a state and looks at everything that a resume would trust; at less of it while a run uses it, for that is in motion.
  package init(reading path: String) throws(StartFailure) {
    directory = path
    let folder = StateFolder(path)
    guard Files.status(path)?.kind == .directory else { throw StartFailure(code: .invalidPipeline, text: "there is no folder \(path)") }
    let names = try folder.names()
    guard names.contains(StateFolder.lock) else {
      throw StartFailure(code: .invalidPipeline, text: "\(path) is no state directory: it has no file `lock`")
    }
    let lock = try folder.finding(StateFolder.lock) { () throws(SystemError) in try Files.open(folder.file(StateFolder.lock), 0) }
    defer { Descriptors.close(lock) }
    let holder = try folder.doing(StateFolder.lock) { () throws(SystemError) in try FileLock.holder(lock) }
    strangers = names.filter { !StateFolder.isOurs($0) }
    guard folder.isComplete else {
      standing = holder == .nobody ? .incomplete : .running(holder)
      if holder == .nobody { do throws(StartFailure) { try folder.checkNothingWasBegun(names) } catch { faults.append(error.text) } }
      return
    }
    do throws(StartFailure) {
      try folder.check(lock: try folder.finding(StateFolder.lock) { () throws(SystemError) in try Descriptors.readAll(lock, limit: 4096) })
    } catch {
      faults.append(error.text)
    }
    let plan = try folder.readPlan()
    let session = try folder.readSession()
    pipeline = plan.pipeline
    file = plan.file
    phase = session.phase
    code = session.code
    cause = session.cause
    created = session.created
    started = session.started
    ended = session.ended
    resumes = session.resumes
    standing = session.phase == StateSession.finished ? .finished : .resumable
    if holder != .nobody { standing = .running(holder) }
    for entry in plan.stages { stages.append(read(entry, plan, folder)) }
    for i in stages.indices { stages[i].queueDropped = drops[stages[i].name] ?? 0 }
    for number in stride(from: 1, through: plan.workers, by: 1) where !names.contains(StateFolder.workerLock(number)) {
      faults.append(folder.damaged(StateFolder.workerLock(number), "it is not there").text)
    }
    if session.boot != Machine.bootID, session.phase == StateSession.running || !session.isSynced {
      faults.append("the machine was started anew since \(path) was in use, and not everything had reached the disk: it cannot be gone on with")
    }
    if !session.unsynced.isEmpty { faults.append("what the last run wrote may not have reached the disk (\(session.unsynced)): it cannot be gone on with") }
    // A run that began meanwhile may have moved what was looked at.
    if case .running = standing { return }
    if let now = try? FileLock.holder(lock), now != .nobody {
      standing = .running(now)
      faults = []
    }
  }

  package var isSound: Bool { faults.isEmpty }

  private mutating func read(_ entry: StatePlan.Entry, _ plan: StatePlan, _ folder: StateFolder) -> StageEntry {
    var stage = StageEntry(name: entry.name, plugin: entry.plugin, kind: entry.kind, processes: entry.processes)
    do throws(StartFailure) { try readCells(&stage, plan, folder) } catch { faults.append(error.text) }
    if let capacity = entry.capacity, let messageBytes = entry.messageBytes {
      do throws(StartFailure) {
        let producers = plan.stages.filter { entry.reads($0.name) }.reduce(0) { $0 + $1.processes }
        let isPartitioned = entry.partition != nil
        let shape = RingShape(
          capacity: capacity, messageBytes: messageBytes, producers: producers, consumers: isPartitioned ? 1 : entry.processes, bytes: entry.bytes)
        for process in 0..<(isPartitioned ? entry.processes : 1) {
          try readRing(&stage, StateFolder.queue(stage.name, isPartitioned ? process : nil), shape, plan, folder)
        }
      } catch {
        faults.append(error.text)
      }
    }
    return stage
  }

  private func open(_ name: String, _ folder: StateFolder) throws(StartFailure) -> SharedMemory {
    try folder.finding(name) { () throws(SystemError) in try SharedMemory.open(file: folder.file(name), isWritable: false) }
  }

  private mutating func readCells(_ stage: inout StageEntry, _ plan: StatePlan, _ folder: StateFolder) throws(StartFailure) {
    let name = StateFolder.cells(stage.name)
    let memory = try open(name, folder)
    let expected = CellBlock.bytes(cells: stage.processes)
    if memory.count != expected {
      let found = memory.count
      memory.unmap()
      throw folder.damaged(name, "it has \(found) bytes, and should have \(expected)")
    }
    do throws(RingCorruption) {
      let block = try CellBlock(in: memory, owner: StateFolder.owner(plan.id, name))
      defer { block.unmap() }
      let readers = plan.stages.filter { $0.reads(stage.name) }
      for i in 0..<stage.processes {
        guard let cell = try? block.cell(i) else { continue }
        if !isRunning { try cell.verify() }
        let record = cell.record
        stage.received &+= record.received
        stage.emitted &+= record.emitted
        stage.dropped &+= record.dropped
        stage.deadLettered &+= record.deadLettered
        for (k, reader) in readers.enumerated() { drops[reader.name, default: 0] &+= cell.counts(k).dropped }
        if record.hasLength { stage.committedLength = record.committedLength }
        guard stage.kind == PluginSpec.Kind.source.rawValue else { continue }
        let (a, b, c, d) = record.position
        stage.positions.append([a, b, c, d])
        stage.ended = (stage.ended ?? true) && record.ended
      }
    } catch {
      throw folder.damaged(name, error.description)
    }
  }

  private var isRunning: Bool { if case .running = standing { true } else { false } }

  private func readRing(_ stage: inout StageEntry, _ name: String, _ shape: RingShape?, _ plan: StatePlan, _ folder: StateFolder) throws(StartFailure) {
    let memory = try open(name, folder)
    let ring: Ring
    do throws(RingCorruption) { ring = try Ring(in: memory) } catch { throw folder.damaged(name, error.description) }
    defer { ring.unmap() }
    guard ring.shape == shape, ring.owner == StateFolder.owner(plan.id, name) else { throw folder.damaged(name, StateFolder.strangerText) }
    stage.queued = (stage.queued ?? 0) + ring.openSlots
    stage.leased = (stage.leased ?? 0) + ring.leasedSlots
    stage.capacity = (stage.capacity ?? 0) + ring.shape.capacity
    if isRunning { return }
    do throws(RingCorruption) { try ring.verify(workers: plan.workers) } catch { throw folder.damaged(name, error.description) }
  }
}

extension StatePlan.Entry {
  /// An input may name a port of its stage.
  fileprivate func reads(_ stage: String) -> Bool { inputs.contains { $0.prefix { $0 != "." } == stage } }
}

extension StateReport {
  package var json: JSON {
    var state: String
    var pid: JSON = .null
    switch standing {
    case .running(let holder):
      state = "running"
      if case .process(let number) = holder { pid = .integer(Int(number)) }
    case .finished: state = "finished"
    case .resumable: state = "resumable"
    case .incomplete: state = "incomplete"
    }
    if !isSound { state = "damaged" }
    func count(_ n: UInt64) -> JSON { .integer(Int(clamping: n)) }
    return [
      "directory": .string(directory), "state": .string(state), "pid": pid, "pipeline": .string(pipeline), "file": .string(file),
      "last_run": [
        "outcome": .string(phase), "exit_code": .integer(code), "cause": cause.isEmpty ? .null : .string(cause), "started": .integer(started),
        "ended": ended == 0 ? .null : .integer(ended),
      ],
      "created": .integer(created), "resumes": .integer(resumes),
      "stages": .object(stages.map { stage in
        (
          stage.name,
          [
            "plugin": .string(stage.plugin), "kind": .string(stage.kind), "processes": .integer(stage.processes),
            "queued": stage.queued.map(JSON.integer) ?? .null, "leased": stage.leased.map(JSON.integer) ?? .null,
            "capacity": stage.capacity.map(JSON.integer) ?? .null, "in": count(stage.received),
            "out": stage.kind == PluginSpec.Kind.sink.rawValue ? count(stage.delivered) : count(stage.emitted),
            "dropped": count(stage.dropped), "queue_dropped": count(stage.queueDropped), "dead_letters": count(stage.deadLettered), "ended": stage.ended.map(JSON.boolean) ?? .null,
            // As texts: a word may be larger than what a reader of JSON keeps.
            "positions": .array(stage.positions.map { .array($0.map { .string(String($0)) }) }),
            "committed_length": stage.committedLength.map(count) ?? .null,
          ]
        )
      }),
      "faults": .array(faults.map(JSON.string)), "strangers": .array(strangers.map(JSON.string)),
    ]
  }
}
