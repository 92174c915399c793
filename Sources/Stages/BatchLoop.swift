import PluginKit
import Rings

/// Claims what is there, up to the batch's size, and calls the plugin once for all of it. What it has made is handed over at once,
/// so that a message waits for no more than its own batch.
enum BatchLoop {
  static func run<T: BatchTransform>(_ opened: T, _ worker: Worker) throws {
    let handoff = worker.handoff
    var transform = opened
    let out = StageOutput(handoff)
    let most = min(transform.batch, worker.mostClaimed)
    var leases: [Lease] = []
    while true {
      leases.removeAll(keepingCapacity: true)
      if try handoff.claim(atMost: most, into: &leases) == 0 {
        if try handoff.waitForInput() == .closed { break }
        continue
      }
      // What may kill the worker must not take others with it; it comes last.
      let alone = leases.last.flatMap { $0.isAlone ? $0 : nil }
      if alone != nil { leases.removeLast() }
      if !leases.isEmpty {
        try work(leases, &transform, out, worker)
        try handoff.commit()
      }
      if let alone {
        try TransformLoop.process(alone, &transform, out, worker)
        try handoff.commit()
      }
    }
    try transform.close()
  }

  private static func work<T: BatchTransform>(_ leases: [Lease], _ transform: inout T, _ out: StageOutput, _ worker: Worker) throws {
    let handoff = worker.handoff
    handoff.beginWork(leases)
    do {
      try transform.work(leases.map { Message($0) })
      handoff.endWork()
    } catch let failure as WorkerFailure {
      handoff.endWork()
      throw failure
    } catch {
      handoff.endWork()
      // It may be the fault of one; only by itself can it be told which.
      for lease in leases { try TransformLoop.process(lease, &transform, out, worker) }
      return
    }
    var failed: [Lease] = []
    for (i, lease) in leases.enumerated() {
      handoff.begin(lease)
      do {
        try transform.emit(i, out)
        handoff.end(.done)
      } catch let failure as WorkerFailure {
        handoff.abandon()
        throw failure
      } catch let corruption as RingCorruption {
        throw corruption
      } catch {
        handoff.abandon()
        failed.append(lease)
      }
    }
    for lease in failed { try TransformLoop.process(lease, &transform, out, worker) }
  }
}
