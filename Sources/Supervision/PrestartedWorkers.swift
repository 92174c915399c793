package import Plans
package import Platform
import Specs

/// Workers that are programs of their own, started while their pipeline file is still being checked: an interpreter takes longer to
/// begin than everything else of a start. They wait for what a worker is given, and no code of a stage runs in them before (`enlist`).
///
/// Those that are not wanted are discarded, and all end with this process, as workers do.
package final class PrestartedWorkers {
  /// Their place is kept free in each, so that nothing else gets the numbers.
  private struct Waiting {
    let started: StartedProcess
    let room: Int
  }

  /// By the worker's number in the supervisor.
  private var waiting: [Int: Waiting] = [:]
  /// Kills what they have started when this process is killed. The run goes on with it.
  package var keeper: RunGuard?
  private var isKeeperTaken = false

  package init() {}

  /// Starts what a plan needs, but no more than keep the CPUs busy: the check needs them too. Who is not started here, or cannot be, is started
  /// with the run, and reported then.
  package func start(_ plan: Plan) {
    let environment = Machine.environment()
    guard plan.stages.contains(where: Self.startsEarly), let null = try? Channel.openNull() else { return }
    defer { Descriptors.close(null) }
    let most = 2 * Machine.usableCPUs, first = Self.first
    var number = 0
    for (i, stage) in plan.stages.enumerated() {
      defer { number += stage.processes }
      let room = Self.mostHandedOver(of: stage, readers: plan.readers(of: i).map { plan.stages[$0] })
      if !Self.startsEarly(stage) || room > Channel.mostHandedOver { continue }
      for process in 0..<min(stage.processes, max(0, most - waiting.count)) {
        guard let started = try? StartedProcess(
          stage, process, environment, Array(repeating: null, count: first + room), WorkOrder.prestarted, String(room)) else { return }
        keeper?.enter(RunGuard.place(ofWorker: number + process + 1), group: started.child.pid)
        waiting[number + process] = Waiting(started: started, room: room)
      }
    }
  }

  private static func startsEarly(_ stage: Stage) -> Bool { stage.launch?.isInert ?? false }

  /// The guard, whose end is the caller's business from now on.
  func takeKeeper() -> RunGuard? {
    defer { isKeeperTaken = true }
    return isKeeperTaken ? nil : keeper
  }

  /// The process of a worker that has been started, once it has got its descriptors.
  ///
  /// - Parameter descriptors: by their numbers in the worker, the order first
  /// - Returns: nil when there is none, or none that they could be handed over to
  func take(_ worker: Int, _ descriptors: [Int32]) -> StartedProcess? {
    guard let found = waiting.removeValue(forKey: worker) else { return nil }
    let handed = Array(descriptors[Self.first...])
    let isThere = handed.count <= found.room && (try? Channel.handOver(handed, over: found.started.control)) != nil
    if !isThere { discard([worker: found]) }
    return isThere ? found.started : nil
  }

  /// The number of the first that is handed over.
  private static let first = Int(WorkOrder.Descriptor.order)

  /// As many as `Runner.spawn` gives at most from the order on: its cells, its queue, those of its readers, its sockets, standard output, the guard's
  /// file and its lock.
  private static func mostHandedOver(of stage: Stage, readers: [Stage]) -> Int {
    let sockets = stage.resources.count { if case .listens = $0 { true } else { false } }
    return 1 + 5 + sockets + readers.reduce(0) { $0 + $1.queues }
  }

  /// Ends those that nobody has taken, and the guard.
  package func discard() {
    discard(waiting)
    waiting = [:]
    takeKeeper()?.end()
  }

  private func discard(_ all: [Int: Waiting]) {
    for one in all.values { one.started.child.killGroup() }
    for (worker, one) in all { one.started.discard { keeper?.strikeOut(RunGuard.place(ofWorker: worker + 1)) } }
  }
}
