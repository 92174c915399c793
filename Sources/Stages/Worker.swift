package import PluginKit
package import Plans
import Platform
package import Rings
import Specs

/// Runs a worker process to its end.
///
/// - Parameters:
///   - arguments: `ringway __worker STAGE PROCESS RUNNER`; only the runner's process number is read here, the rest names
///     the process in `ps`
///   - plugins: every plugin that this program has
///   - load: loads the plugin of a shared library
///   - keys: makes what finds the keys of messages
package func runWorker(arguments: [String], plugins: [AnyPlugin], load: @escaping LibraryLoader, keys: @escaping KeyMaker) -> Never {
  guard arguments.count >= 5, let runner = Int32(arguments[4]) else {
    CurrentProcess.exit(ExitCode.usage.rawValue)
  }
  switch enlist(under: runner) {
  case .ended(let status): CurrentProcess.exit(status)
  case .worker(let order): CurrentProcess.exit(runWorker(order, plugins: plugins, load: load, keys: keys))
  }
}

/// Loads the plugin of a shared library: its path, and what the stage is.
package typealias LibraryLoader = (_ path: String, _ kind: PluginSpec.Kind) throws -> (plugin: AnyPlugin, spec: PluginSpec)

/// Makes what finds the keys of messages, by those who know the language of the rule.
package typealias KeyMaker = (_ rule: PartitionRule) throws -> Partition.KeyReader

/// What becomes of a process that was started as a worker.
package enum Enlistment {
  case worker(WorkOrder)
  /// It is to end with this status, and the runner knows why, if there still is one.
  case ended(status: Int32)
}

/// Makes this process a worker, before the stage's code runs in it: it dies with the runner, is known to the run's guard, has its lock
/// and its limits. It may be another program than the runner, and what that does on its own way to this call (an interpreter's `sitecustomize`, say)
/// is under the guard alone.
///
/// - Parameters:
///   - runner: the process number of the runner
///   - reserved: how many numbers are kept free for what is still to be handed over; nil for a process that has everything
package func enlist(under runner: Int32, reserved: Int32? = nil) -> Enlistment {
  guard CurrentProcess.dieWithParent(runner) else { return .ended(status: ExitCode.stopped.rawValue) }
  CurrentProcess.ignoreWriteSignals()
  var enlisted: WorkOrder?
  let status = exitStatus { control in
    if let reserved, try !Channel.takeOver(from: control.descriptor, first: WorkOrder.Descriptor.order, reserved: reserved) { return .stopped }
    guard let order = WorkOrder(decoding: try Descriptors.readAll(WorkOrder.Descriptor.order, limit: 64 << 20)) else {
      throw WorkerFailure(.invariantBroken, "the work order cannot be read")
    }
    if let groups = order.groups.flatMap(Int32.init(exactly:)) {
      RunGuard.enter(RunGuard.place(ofWorker: order.worker), groups)
      Descriptors.close(groups)
    }
    guard try holdsLock(order), CurrentProcess.dieWithParent(runner) else { return .stopped }
    try order.confine()
    enlisted = order
    return .success
  }
  return enlisted.map(Enlistment.worker) ?? .ended(status: status)
}

/// Runs a worker that has enlisted to its end.
///
/// - Returns: the exit status of the process
package func runWorker(_ order: WorkOrder, plugins: [AnyPlugin], load: LibraryLoader? = nil, keys: @escaping KeyMaker) -> Int32 {
  exitStatus { control in
    if let library = order.library { control.send(.opening("opening \(library)")) }
    let (plugin, spec) = try find(order, plugins, load)
    let worker = try Worker(order, spec: spec, control: control, keys: keys)
    switch plugin {
    case .source(let type): try SourceLoop.run(type, worker)
    case .transform(let type): try run(transform: type, worker)
    case .sink(let type): try run(sink: type, worker)
    case .delivery(let type): try DeliveryLoop.run(type, worker)
    case .versatile(let source, let transform, let sink):
      switch order.kind {
      case .source: try SourceLoop.run(source, worker)
      case .transform: try run(transform: transform, worker)
      case .sink: try run(sink: sink, worker)
      }
    }
    return .success
  }
}

/// The exit status of a worker that has done this, or has told the runner why it could not.
private func exitStatus(of body: (ControlLine) throws -> ExitCode) -> Int32 {
  let control = ControlLine(descriptor: WorkOrder.Descriptor.control)
  do {
    return try body(control).rawValue
  } catch let end as MessageGivenUp {
    control.send(.messageFailed(id: end.id, error: end.error, errors: end.errors, deaths: end.deaths))
    return ExitCode.messageFailed.rawValue
  } catch let failure as WorkerFailure {
    control.send(.failed(code: failure.code, text: failure.description))
    return failure.code.rawValue
  } catch let corruption as RingCorruption {
    control.send(.failed(code: .invariantBroken, text: "\(corruption)"))
    return ExitCode.invariantBroken.rawValue
  } catch {
    // Nothing that a plugin or we foresaw: it counts as a crash, and the last words go to the log.
    try? Descriptors.writeAll(2, "\(error)\n")
    return 1
  }
}

/// Takes the worker's own lock, if the run has a state directory. Whether the runner lives is asked after that: a runner that died before
/// has a successor, which may have had this lock already and found nobody.
private func holdsLock(_ order: WorkOrder) throws -> Bool {
  guard let lock = order.lock else { return true }
  do throws(SystemError) { return try FileLock.take(Int32(clamping: lock)) } catch { throw WorkerFailure(.system, "\(error)") }
}

private func find(_ order: WorkOrder, _ plugins: [AnyPlugin], _ load: LibraryLoader?) throws -> (AnyPlugin, PluginSpec) {
  if let library = order.library, let load { return try load(library, order.kind) }
  guard let plugin = plugins.first(where: { $0.spec.name == order.plugin }) else {
    throw WorkerFailure(.pluginProtocol, "there is no plugin \"\(order.plugin)\" in this program")
  }
  return (plugin, plugin.spec)
}

/// Tells the runner why this worker, which is about to end, cannot run at all.
package func reportFailure(_ code: ExitCode, _ text: String) {
  ControlLine(descriptor: WorkOrder.Descriptor.control).send(.failed(code: code, text: text))
}

/// Tells the runner what this worker, which is not ready yet, is about to do.
package func reportOpening(_ text: String) { ControlLine(descriptor: WorkOrder.Descriptor.control).send(.opening(text)) }

/// Tells the runner why this worker, which is about to end as a crash, could not be opened.
package func reportOpeningFailure(_ error: String, _ details: String) {
  ControlLine(descriptor: WorkOrder.Descriptor.control).send(.openingFailed(error, details: details))
}

private func run(transform: any Transform.Type, _ worker: Worker) throws {
  if let batching = transform as? any Batching.Type { return try SettlingLoop.run(batching, worker) }
  try TransformLoop.run(transform, worker)
}

private func run(sink: any Sink.Type, _ worker: Worker) throws {
  if let batching = sink as? any Batching.Type { return try SettlingLoop.run(batching, worker) }
  try SinkLoop.run(sink, worker)
}

extension WorkOrder {
  func given(_ spec: PluginSpec) throws -> Given {
    let decoded = spec.decode(settings, directory: directory, place: .none, path: "with")
    guard let given = decoded.given else {
      throw WorkerFailure(.invalidPipeline, decoded.diagnostics.map(\.message).joined(separator: "; "))
    }
    return given
  }

  var context: Context {
    Context(
      stage: stage, kind: kind, process: process, batch: batch?.count, sockets: sockets.compactMap(Int32.init(exactly:)),
      standardOutput: standardOutput.flatMap(Int32.init(exactly:)))
  }
}

/// What every loop needs: the hand-off, the policy and the plugin's surroundings.
struct Worker {
  let handoff: Handoff
  let cell: CommitCell
  let policy: MessagePolicy
  let given: Given
  let context: Context
  let control: ControlLine
  /// The cells of all processes of the stage.
  private let cells: CellBlock
  private let order: WorkOrder
  /// How many messages may be claimed and not yet handed over: half a fair share, so that a line of leases never
  /// fills the queue.
  let mostClaimed: Int
  /// Keeps the stage to its `rate`; nil without one.
  let pacer: Pacer?
  /// What the stage's `batch` says.
  let batch: Batch?
  /// Nil when nothing disturbs the worker on purpose.
  let chaos: ChaosMaker?
  /// How the keys of the stage's own messages were found; nil where they have none.
  private let key: Partition.KeyReader?

  init(_ order: WorkOrder, spec: PluginSpec, control: ControlLine, keys: KeyMaker) throws {
    given = try order.given(spec)
    self.order = order
    self.control = control
    context = order.context
    key = try order.partition.map(keys)
    do {
      func attach(_ attachment: WorkOrder.Attachment) throws -> (ring: Ring, lane: Int) {
        (try Ring(attaching: Int32(clamping: attachment.descriptor)), attachment.lane)
      }
      cells = try CellBlock(attaching: Int32(clamping: order.cells))
      cell = try cells.cell(order.process)
      let input = try order.input.map(attach)
      handoff = Handoff(
        worker: WorkerNumber(clamping: order.worker), cell: cell, input: input, outputs: try order.outputs.map(attach),
        ports: order.outputs.map { output in output.ports.reduce(PortSet()) { $0.union(PortSet(port: $1)) } },
        whenFull: order.outputs.map { WhenFull(rawValue: $0.whenFull.rawValue) ?? .block },
        partitions: try order.partitions.map { Partition(outputs: $0.outputs, key: Self.named($0.reader, try keys($0.rule))) },
        stageHash: MessageID.hash(order.stage), isOrdered: order.isOrdered)
      pacer = if let rate = order.rate { Pacer(RateGate(cells, rate: rate), handoff) } else { nil }
      batch = order.batch
      mostClaimed = max(batch?.count ?? 1, input.map { $0.ring.shape.capacity / max(2, 2 * $0.ring.shape.consumers) } ?? 1)
      if batch != nil { handoff.gathers() }
    } catch let error as SystemError {
      throw WorkerFailure(.system, "\(error)")
    }
    chaos = ChaosMaker(order, handoff, cell, control)
    policy = MessagePolicy(retries: order.retries, deaths: order.deaths, then: order.then, maxDeadLetters: order.maxDeadLetters)
  }

  /// Lets a failure say whose rule finds no key. Another try would find the same.
  private static func named(_ reader: String, _ key: @escaping Partition.KeyReader) -> Partition.KeyReader {
    { text, isNamed in
      do { return try key(text, isNamed) } catch let failure as MessageFailure {
        throw MessageFailure("no key for \"\(reader)\" (`partition`): \(failure.description)", isPermanent: true, details: failure.details)
      }
    }
  }

  /// Told after the plugin has been opened: the runner lets the sources go when every stage is ready.
  func ready() {
    cell.markReady()
    control.send(.ready)
  }

  /// Closes the plugin. What fails in it is no message's failure: those have been handed over.
  func close(_ close: () throws -> Void) throws {
    control.send(.closing)
    do { try close() } catch let failure as WorkerFailure { throw failure } catch {
      throw WorkerFailure(.io, "its plugin could not be closed, and what it had not put away is lost: \(error)")
    }
  }

  /// Gives up a message, whose call is open: it is dropped and counted, it goes on as a dead letter, or it stops the run and stays in
  /// its queue.
  ///
  /// - Parameter lease: nil for a message that a source could not make
  /// - Throws: `MessageGivenUp` when the run is to stop. What was done before this message is handed over first.
  func giveUp(_ lease: Lease?, _ error: any Error, errors: Int) throws {
    do { try giveUp(lease: lease, error, errors: errors) } catch let end as MessageGivenUp {
      handoff.abandon()
      try handoff.commit()
      throw end
    }
  }

  /// The same where what was done before is not to be handed over yet.
  func giveUp(lease: Lease?, _ error: any Error, errors: Int) throws {
    let id = lease?.id.hex ?? ""
    let deaths = lease?.deaths ?? 0
    func stop(_ more: String = "") -> MessageGivenUp { MessageGivenUp(id: id, error: "\(error)" + more, errors: errors, deaths: deaths) }
    switch policy.then {
    case .stop: throw stop()
    case .drop:
      handoff.end(.dropped)
      control.send(.messageDropped(id: id, error: "\(error)", errors: errors, deaths: deaths))
    case .deadLetter:
      if let most = policy.maxDeadLetters, deadLetters >= most { throw stop("; there are \(most) dead letters already, the most that `max_dead_letters` allows") }
      let letter = letter(lease, error, errors)
      func emit(_ text: [UInt8]) throws {
        try text.withUnsafeBytes { try handoff.emitLetter($0, format: MessageFormat.json.rawValue, to: order.deadLetterPort) }
      }
      do {
        if lease == nil, let original = (error as? MessageFailure)?.original {
          let whole = original.bytes.withUnsafeBytes { letter.encoded(($0, original.format.rawValue)) }
          // No queue is as large as all that a source may make.
          do { try emit(whole) } catch RingError.messageTooLarge { try emit(letter.encoded(nil)) }
        } else {
          try emit(letter.encoded(lease.map { ($0.payload, $0.format) }))
        }
      } catch let refused where refused is RingError || refused is MessageFailure {
        throw stop("; its dead letter cannot be handed on: \(refused)")
      }
      handoff.end(.deadLettered)
      control.send(.messageDeadLettered(id: id, error: "\(error)", errors: errors, deaths: deaths))
    }
  }

  private func letter(_ lease: Lease?, _ error: any Error, _ errors: Int) -> DeadLetter {
    DeadLetter(
      stage: order.stage, plugin: order.plugin, file: order.file, error: "\(error)", details: (error as? MessageFailure)?.details ?? "",
      errors: errors, deaths: lease?.deaths ?? 0, death: lease.flatMap(lastDeath), id: lease?.id.hex ?? "", key: key.map { shownKey(lease, $0) },
      handedOn: lease.map(handoff.handedOn) ?? 0)
  }

  /// The key that a message came here by: the one that was named for it, else what the rule says once more.
  private func shownKey(_ lease: Lease?, _ key: Partition.KeyReader) -> JSON {
    guard let lease, let text = lease.key.map(Array.init) ?? (try? key(lease.payload, false)), text.count <= DeadLetter.mostKey else { return .null }
    return JSONText.parse(text).node.map(JSON.init) ?? .null
  }

  /// How the last worker died that had the message in hand.
  private func lastDeath(_ lease: Lease) -> CommitCell.Death? {
    guard lease.deaths > 0, lease.lastOwner > 0 else { return nil }
    let process = Int(lease.lastOwner) - (order.worker - order.process)
    return (try? cells.cell(process))?.death(of: lease.id)
  }

  /// How many the stage has made so far.
  private var deadLetters: Int {
    let all = (0..<cells.count).reduce(0 as UInt64) { $0 &+ ((try? cells.cell($1).record.deadLettered) ?? 0) }
    return Int(clamping: all) + handoff.pendingDeadLetters
  }
}
