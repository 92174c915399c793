package import PluginKit
import Plans
import Platform
import Rings
import Specs

/// Runs a worker process to its end.
///
/// - Parameters:
///   - arguments: `ringway __worker STAGE PROCESS RUNNER`; only the runner's process number is read here, the rest names
///     the process in `ps`
///   - plugins: every plugin that this program has
///   - load: loads the plugin of a shared library
package func runWorker(arguments: [String], plugins: [AnyPlugin], load: @escaping LibraryLoader) -> Never {
  guard arguments.count >= 5, let runner = Int32(arguments[4]) else {
    CurrentProcess.exit(ExitCode.usage.rawValue)
  }
  CurrentProcess.exit(runWorker(under: runner, plugins: plugins, load: load, arguments: arguments))
}

/// Loads the plugin of a shared library: its path, and what the stage is.
package typealias LibraryLoader = (_ path: String, _ kind: PluginSpec.Kind) throws -> (plugin: AnyPlugin, spec: PluginSpec)

/// Runs a worker in this process, which may be another program than the runner.
///
/// - Parameters:
///   - runner: the process number of the runner
///   - arguments: handed on to a program that the worker becomes
/// - Returns: the exit status of the process
package func runWorker(under runner: Int32, plugins: [AnyPlugin], load: LibraryLoader? = nil, arguments: [String] = []) -> Int32 {
  guard CurrentProcess.dieWithParent(runner) else { return ExitCode.stopped.rawValue }
  CurrentProcess.ignoreWriteSignals()
  let control = ControlLine(descriptor: WorkOrder.Descriptor.control)
  do {
    guard let order = WorkOrder(decoding: try Descriptors.readAll(WorkOrder.Descriptor.order, limit: 64 << 20)) else {
      throw WorkerFailure(.invariantBroken, "the work order cannot be read")
    }
    try order.confine()
    let (plugin, spec) = try find(order, plugins, load)
    if case .launched(let type) = plugin { try launch(type, order, arguments) }
    let worker = try Worker(order, spec: spec, control: control)
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
    case .launched: break
    }
    return ExitCode.success.rawValue
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

private func run(transform: any Transform.Type, _ worker: Worker) throws {
  if let batching = transform as? any Batching.Type { return try SettlingLoop.run(batching, worker) }
  try TransformLoop.run(transform, worker)
}

private func run(sink: any Sink.Type, _ worker: Worker) throws {
  if let batching = sink as? any Batching.Type { return try SettlingLoop.run(batching, worker) }
  try SinkLoop.run(sink, worker)
}

/// Becomes the program that the plugin names, with the descriptors of this worker; it reads the order anew.
private func launch(_ type: any LaunchedPlugin.Type, _ order: WorkOrder, _ arguments: [String]) throws -> Never {
  let given = try order.given(type.spec)
  let program = try type.program(given, order.context)
  do throws(SystemError) {
    try Files.seek(WorkOrder.Descriptor.order, to: 0)
    try CurrentProcess.become(program.path, program.arguments + arguments.dropFirst())
  } catch {
    throw WorkerFailure(.pluginProtocol, "\(program.path) cannot be started: \(error.reason)")
  }
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
      stage: stage, kind: kind, process: process, sockets: sockets.compactMap(Int32.init(exactly:)),
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
  /// How many messages may be claimed and not yet handed over: half a fair share, so that a line of leases never
  /// fills the queue.
  let mostClaimed: Int
  /// Keeps the stage to its `rate`; nil without one.
  let pacer: Pacer?

  init(_ order: WorkOrder, spec: PluginSpec, control: ControlLine) throws {
    given = try order.given(spec)
    self.control = control
    context = order.context
    do {
      func attach(_ attachment: WorkOrder.Attachment) throws -> (ring: Ring, lane: Int) {
        (try Ring(attaching: Int32(clamping: attachment.descriptor)), attachment.lane)
      }
      let cells = try CellBlock(attaching: Int32(clamping: order.cells))
      cell = try cells.cell(order.process)
      let input = try order.input.map(attach)
      handoff = Handoff(
        worker: WorkerNumber(clamping: order.worker), cell: cell, input: input, outputs: try order.outputs.map(attach),
        stageHash: MessageID.hash(order.stage))
      pacer = if let rate = order.rate { Pacer(RateGate(cells, rate: rate), handoff) } else { nil }
      mostClaimed = input.map { max(1, $0.ring.shape.capacity / max(2, 2 * $0.ring.shape.consumers)) } ?? 1
    } catch let error as SystemError {
      throw WorkerFailure(.system, "\(error)")
    }
    policy = MessagePolicy(retries: order.retries, deaths: order.deaths, then: order.then)
  }

  /// Told after the plugin has been opened: the runner lets the sources go when every stage is ready.
  func ready() {
    cell.markReady()
    control.send(.ready)
  }

  /// Gives up a message: it is dropped and counted, or it stops the run and stays in its queue.
  ///
  /// - Throws: `MessageGivenUp` when the policy says stop. What was done before this message is handed over first.
  func giveUp(_ lease: Lease, error: String, errors: Int) throws {
    switch policy.then {
    case .drop:
      handoff.end(.dropped)
      control.send(.messageDropped(id: lease.id.hex, error: error, errors: errors, deaths: lease.deaths))
    case .stop:
      handoff.abandon()
      try handoff.commit()
      throw MessageGivenUp(id: lease.id.hex, error: error, errors: errors, deaths: lease.deaths)
    }
  }
}
