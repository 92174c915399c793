import PluginKit
import Rings

/// Claims one message at a time and calls the plugin; hands over what is done when the batch is full, when nothing can
/// be claimed, or when time says so. Messages are claimed one by one although they are handed over together: a message
/// that is worked on for long holds back none that nobody has begun.
enum TransformLoop {
  static func run<T: Transform>(_ type: T.Type, _ worker: Worker) throws {
    let handoff = worker.handoff
    var transform = try T(worker.given, worker.context)
    worker.ready()
    let out = StageOutput(handoff)
    var pace = BatchPace(most: min(256, worker.mostClaimed))

    while true {
      guard let lease = try worker.claim() else {
        if handoff.canCommit {
          try handoff.commit()
          pace.handedOver(isFull: false)
        } else if try worker.waitForInput() == .closed {
          break
        }
        continue
      }
      // What may kill the worker must not take finished work with it.
      if lease.isAlone { try handoff.commit() }
      pace.callBegins()
      try process(lease, &transform, out, worker)
      if pace.callEnded() || handoff.isHeavy || lease.isAlone {
        try handoff.commit()
        pace.handedOver(isFull: true)
      }
    }
    try worker.close { try transform.close() }
  }

  private static func process<T: Transform>(_ lease: Lease, _ transform: inout T, _ out: StageOutput, _ worker: Worker) throws {
    let handoff = worker.handoff
    var lease = lease
    if worker.policy.isPoison(lease.deaths) {
      handoff.begin(lease)
      return try worker.giveUp(lease, MessagePolicy.poison(lease.deaths), errors: lease.errors)
    }
    while true {
      worker.chaos?.strike()
      handoff.begin(lease)
      do {
        try transform.process(Message(lease), out)
        return handoff.end(.done)
      } catch let failure as WorkerFailure {
        handoff.abandon()
        throw failure
      } catch let corruption as RingCorruption {
        throw corruption
      } catch {
        handoff.abandon()
        let errors = handoff.recordError(&lease)
        guard worker.policy.retries(afterErrors: errors, error) else {
          handoff.begin(lease)
          return try worker.giveUp(lease, error, errors: errors)
        }
        handoff.countRetry()
      }
    }
  }
}
