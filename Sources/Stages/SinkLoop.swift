import Plans
import PluginKit
import Rings

/// Feeds a sink. What it has taken is settled after its flush, together with the length it has reached, in one instant.
enum SinkLoop {
  static func run<S: Sink>(_ type: S.Type, _ worker: Worker) throws {
    let handoff = worker.handoff
    var sink = try S(worker.given, worker.context)
    let record = worker.cell.record
    try sink.resume(atLength: worker.cell.hasCommitted ? record.committedLength : nil)
    worker.ready()
    var pace = BatchPace(most: min(1024, worker.mostClaimed))

    var gathering = worker.batch.map(Gathering.init)

    func handOver(isFull: Bool) throws {
      try handoff.commit(committedLength: try sink.flush())
      pace.handedOver(isFull: isFull)
      gathering?.begin()
    }

    // The length at the start is committed before anything is written: a worker that dies during its very first flush
    // leaves its successor a length to go back to.
    try handoff.commit(committedLength: try sink.flush())

    while true {
      guard let lease = try worker.claim() else {
        if handoff.pendingCalls > 0 {
          if let gathering, try worker.waitForMore(gathering) { continue }
          try handOver(isFull: false)
        } else if try handoff.waitForInput() == .closed {
          break
        }
        continue
      }
      if lease.isAlone, handoff.pendingCalls > 0 { try handOver(isFull: false) }
      pace.callBegins()
      do {
        try take(lease, &sink, worker)
      } catch let end as MessageGivenUp {
        handoff.abandon()
        // What was taken before it is in the sink's buffer and belongs where it was going.
        try handOver(isFull: false)
        throw end
      }
      gathering?.add(lease)
      if gathering?.isFull ?? pace.callEnded() || lease.isAlone { try handOver(isFull: true) }
    }
    try worker.close { try sink.close() }
  }

  private static func take<S: Sink>(_ lease: Lease, _ sink: inout S, _ worker: Worker) throws {
    let handoff = worker.handoff
    var lease = lease
    worker.chaos?.strike()
    handoff.begin(lease)
    if worker.policy.isPoison(lease.deaths) {
      return try worker.giveUp(lease: lease, MessagePolicy.poison(lease.deaths), errors: lease.errors)
    }
    while true {
      do {
        try sink.write(Message(lease))
        return handoff.end(.done)
      } catch let failure as WorkerFailure {
        handoff.abandon()
        throw failure
      } catch {
        let errors = handoff.recordError(&lease)
        guard worker.policy.retries(afterErrors: errors, error) else {
          return try worker.giveUp(lease: lease, error, errors: errors)
        }
        handoff.countRetry()
      }
    }
  }
}
