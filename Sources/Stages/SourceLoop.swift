import PluginKit
import Platform
import Plans
import Rings

/// Makes messages until the source ends or the run is drained, and hands them over with the source's position: both
/// move in one instant, so a source that dies is started again exactly behind what its readers have.
enum SourceLoop {
  static func run<S: Source>(_ type: S.Type, _ worker: Worker) throws {
    let handoff = worker.handoff
    let record = worker.cell.record
    var source = try S(worker.given, worker.context)
    if worker.cell.hasCommitted { try source.resume(at: Position(record.position)) }
    worker.ready()
    // A source that died between its last commit and its exit has nothing more to say.
    if record.ended { return }
    handoff.waitingForInput { worker.control.waitForGo() }

    let deputy = S.mayBlock ? try Deputy(handoff) : nil
    let out = StageOutput(handoff, deputy, isSource: true)
    var pace = BatchPace(most: 256)
    var position: Position?

    func handOver(ended: Bool = false, isFull: Bool) throws {
      if handoff.pendingCalls > 0 || ended { try handoff.commit(ended: ended) }
      pace.handedOver(isFull: isFull)
      worker.control.look()
      if let reached = position {
        position = nil
        try source.committed(reached)
      }
    }

    while true {
      if worker.control.isStopping {
        try source.stop()
        break
      }
      if let pacer = worker.pacer, pacer.wait > 0 {
        if handoff.pendingCalls > 0 {
          try handOver(isFull: false)
        } else {
          pacer.sleep(orUntilReadable: worker.control.descriptor)
          worker.control.look()
        }
        continue
      }
      worker.chaos?.strike()
      pace.callBegins()
      handoff.begin()
      let step: SourceStep
      do {
        step = try next(&source, out, deputy)
      } catch let failure as MessageFailure {
        try giveUp(failure, worker)
        worker.control.look()
        continue
      } catch let failure as WorkerFailure {
        // What it made before it could not go on is good.
        handoff.abandon()
        try handOver(isFull: false)
        throw failure
      }
      switch step {
      case .emitted(let next), .moved(let next):
        if case .emitted = step { worker.pacer?.begun() }
        handoff.end(.source(position: next.words))
        position = next
        if pace.callEnded() || handoff.isHeavy { try handOver(isFull: true) }
      case .wait(let readable, let until):
        handoff.abandon()
        if handoff.pendingCalls > 0 {
          try handOver(isFull: false)
        } else {
          handoff.waitingForInput {
            var interests = [Descriptors.Interest.readable(worker.control.descriptor)]
            if let readable { interests.append(.readable(readable)) }
            _ = Descriptors.wait(interests, until: until)
            worker.control.look()
          }
        }
      case .end:
        handoff.abandon()
        try handOver(ended: true, isFull: false)
        try worker.close { try source.close() }
        return
      }
    }
    // Told to stop, it has not come to its end: a run that is resumed goes on here.
    try handOver(isFull: false)
    try worker.close { try source.close() }
  }

  /// Asks for the next message. Meanwhile what is finished may be handed over.
  private static func next<S: Source>(_ source: inout S, _ out: StageOutput, _ deputy: Deputy?) throws -> SourceStep {
    guard let deputy else { return try source.next(out) }
    deputy.lend()
    let step = Result { try source.next(out) }
    try deputy.take()
    return try step.get()
  }

  /// A message that the source could not make, and has moved past.
  private static func giveUp(_ failure: MessageFailure, _ worker: Worker) throws {
    worker.handoff.abandon()
    worker.handoff.countError()
    worker.handoff.begin()
    try worker.giveUp(nil, failure, errors: 1)
  }
}

extension Position {
  init(_ words: (UInt64, UInt64, UInt64, UInt64)) { self.init(words.0, words.1, words.2, words.3) }
}
