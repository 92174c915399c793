import PluginKit
import Rings

/// Feeds a plugin that takes several messages in one call. All of a batch are in hand while the call runs; each is settled for
/// itself, and what is settled is handed over as the pace says, not when the whole batch has ended.
///
/// A call that fails with several messages unsettled is taken apart: each is tried again alone, so that an error is counted where
/// it belongs.
enum SettlingLoop {
  static func run<B: Batching>(_ type: B.Type, _ worker: Worker) throws {
    let handoff = worker.handoff
    var plugin = try B(worker.given, worker.context)
    worker.ready()
    handoff.keepsCallsWhole = plugin.isJoint
    var crew = Crew(worker)
    var leases: [Lease] = []
    while true {
      if try worker.gather(atMost: max(1, min(plugin.batch, worker.mostClaimed)), into: &leases) == 0 {
        if handoff.canCommit {
          try handoff.commit()
        } else if try worker.waitForInput() == .closed {
          break
        }
        continue
      }
      // What came back is older than what was there before it.
      if handoff.isOrdered { leases.sort { $0.sequence < $1.sequence } }
      try crew.work(leases, &plugin)
      leases.removeAll(keepingCapacity: true)
    }
    try worker.close { try plugin.close() }
  }

  /// A claimed message, and whether nothing may be tried with it.
  private struct Member {
    var lease: Lease
    /// It was in a batch that failed.
    var isSuspect = false
    var goesAlone: Bool { isSuspect || lease.isAlone || lease.errors > 0 }
  }

  private struct Crew {
    private let worker: Worker
    private let out: StageOutput
    private var pace: BatchPace
    private var handoff: Handoff { worker.handoff }

    init(_ worker: Worker) {
      self.worker = worker
      out = StageOutput(worker.handoff)
      pace = BatchPace(most: min(256, worker.mostClaimed))
    }

    /// Settles all of them, and hands everything over.
    mutating func work<B: Batching>(_ leases: [Lease], _ plugin: inout B) throws {
      var waiting = leases.map { Member(lease: $0) }[...]
      while let first = waiting.first {
        if worker.policy.isPoison(first.lease.deaths) {
          waiting.removeFirst()
          handoff.begin(first.lease)
          try worker.giveUp(first.lease, MessagePolicy.poison(first.lease.deaths), errors: first.lease.errors)
          continue
        }
        let together = first.goesAlone ? waiting.prefix(1) : waiting.prefix { !$0.goesAlone }
        waiting = waiting.dropFirst(together.count)
        // What may kill the worker must not take finished work with it; and what goes on together goes on by itself.
        if first.goesAlone || plugin.isJoint { try handOver(isFull: false) }
        let again = try call(Array(together), &plugin)
        for member in again { handoff.unmark(member.lease) }
        waiting = (again + waiting)[...]
        if handoff.isOrdered { waiting.sort { $0.lease.sequence < $1.lease.sequence } }
        if plugin.isJoint { try handOver(isFull: true) }
      }
      try handOver(isFull: leases.count > 1)
    }

    private mutating func handOver(isFull: Bool) throws {
      if handoff.pendingCalls == 0 { return }
      try handoff.commit()
      pace.handedOver(isFull: isFull)
    }

    /// - Returns: those that are to be tried again, in their order
    private mutating func call<B: Batching>(_ members: [Member], _ plugin: inout B) throws -> [Member] {
      for member in members {
        worker.chaos?.strike()
        handoff.markInHand(member.lease)
      }
      var next = 0
      var again: [Member] = []
      let isJoint = plugin.isJoint
      pace.callBegins()
      handoff.begin(members[0].lease)
      do {
        try plugin.process(members.map { Message($0.lease) }, out) { outcome in
          guard next < members.count else { throw WorkerFailure(.pluginProtocol, "the plugin settled more messages than it was given") }
          next += 1
          switch outcome {
          case .done: handoff.end(.done)
          case .failed(let error): if let member = try failed(members[next - 1], error) { again.append(member) }
          }
          if !isJoint, pace.callEnded() || handoff.isHeavy { try handOver(isFull: true) }
          if next < members.count { handoff.begin(members[next].lease) }
        }
        if next < members.count { throw WorkerFailure(.pluginProtocol, "the plugin settled \(next) of \(members.count) messages") }
      } catch let failure as WorkerFailure {
        handoff.abandon()
        throw failure
      } catch let end as MessageGivenUp {
        throw end
      } catch let corruption as RingCorruption {
        throw corruption
      } catch is OutOfTurn {
        handoff.abandon()
        again += members[next...].map { Member(lease: $0.lease, isSuspect: true) }
      } catch {
        let unsettled = members[next...]
        if unsettled.isEmpty { throw error }
        if unsettled.count == 1 {
          if let member = try failed(members[next], error) { again.append(member) }
        } else {
          handoff.abandon()
          again += unsettled.map { Member(lease: $0.lease, isSuspect: true) }
        }
      }
      return again
    }

    /// The open call has failed.
    ///
    /// - Returns: the message, when it is to be tried again
    private func failed(_ member: Member, _ error: any Error) throws -> Member? {
      handoff.abandon()
      var member = member
      let errors = handoff.recordError(&member.lease)
      if worker.policy.retries(afterErrors: errors, error) {
        handoff.countRetry()
        return member
      }
      handoff.begin(member.lease)
      try worker.giveUp(member.lease, error, errors: errors)
      return nil
    }
  }
}
