import PluginKit
import Platform
import Rings

/// Feeds a sink that has many deliveries under way. Each message is settled for itself as its outcome comes in; outcomes
/// that come together are settled together.
enum DeliveryLoop {
  static func run<S: DeliverySink>(_ type: S.Type, _ worker: Worker) throws {
    let handoff = worker.handoff
    var sink = try S(worker.given, worker.context)
    let bell = try InputBell(handoff)
    guard let never = EventDescriptor() else { throw SystemError("eventfd", "") }
    let timer = try worker.pacer.map { _ in try TimerDescriptor() }
    worker.ready()
    var underWay = UnderWay(most: max(1, sink.concurrency))

    while true {
      try fill(&underWay, &sink, worker)
      if underWay.isEmpty {
        if handoff.pendingCalls > 0 {
          try handoff.commit()
        } else if underWay.next == nil {
          if bell.isWatching {
            handoff.waitingForInput { _ = Descriptors.wait([.readable(bell.descriptor)], until: nil) }
            bell.clear()
          } else if try handoff.waitForInput() == .closed {
            break
          }
        }
        continue
      }
      var wake: Int32?
      if underWay.wantsMore, let timer, let wait = worker.pacer?.wait, wait > 0 {
        // A message is no news before it may begin.
        timer.set(to: Clock.now + wait)
        wake = timer.descriptor
      } else if underWay.wantsMore, !handoff.isInputClosed {
        // With room for more, a message is news too; a full house only waits for answers.
        bell.arm(handoff)
        wake = bell.descriptor
      }
      // A sink that has as many under way as it may is what the others wait for.
      let outcomes =
        if let wake { try handoff.waitingForInput { try sink.advance(wake: wake) } } else { try sink.advance(wake: never.descriptor) }
      bell.clear()
      for outcome in outcomes { try settle(outcome, &underWay, &sink, worker) }
      if handoff.pendingCalls > 0 { try handoff.commit() }
      underWay.noteProgress(worker.cell)
    }
    try worker.close { try sink.close() }
  }

  /// Begins as many deliveries as may be under way. A message that a worker died with goes alone.
  private static func fill<S: DeliverySink>(_ underWay: inout UnderWay, _ sink: inout S, _ worker: Worker) throws {
    while underWay.count < underWay.most {
      let lease: Lease
      if let waiting = underWay.next {
        guard underWay.isEmpty else { return }
        underWay.next = nil
        lease = waiting
      } else {
        guard !underWay.isExclusive, underWay.isEmpty || !worker.mustWait, let claimed = try worker.claim() else { return }
        lease = claimed
      }
      if worker.policy.isPoison(lease.deaths) {
        worker.handoff.begin(lease)
        try worker.giveUp(lease, MessagePolicy.poison(lease.deaths), errors: lease.errors)
      } else if lease.isAlone, !underWay.isEmpty {
        underWay.next = lease
        return
      } else {
        try begin(lease, &underWay, &sink, worker)
      }
    }
  }

  private static func begin<S: DeliverySink>(_ lease: Lease, _ underWay: inout UnderWay, _ sink: inout S, _ worker: Worker) throws {
    worker.chaos?.strike()
    worker.handoff.markInHand(lease)
    let token = underWay.add(lease)
    underWay.noteProgress(worker.cell)
    try sink.begin(Delivery(token: token, message: Message(lease)))
  }

  private static func settle<S: DeliverySink>(
    _ outcome: Outcome, _ underWay: inout UnderWay, _ sink: inout S, _ worker: Worker
  ) throws {
    guard var lease = underWay.remove(outcome.token) else {
      throw WorkerFailure(.pluginProtocol, "the plugin reported the outcome of a delivery that is not under way")
    }
    for _ in 0..<outcome.retries { worker.handoff.countRetry() }
    switch outcome.result {
    case .delivered:
      worker.handoff.begin(lease)
      worker.handoff.end(.done)
    case .failed(let error):
      let errors = worker.handoff.recordError(&lease)
      if worker.policy.retries(afterErrors: errors, MessageFailure(error)) {
        worker.handoff.countRetry()
        return try begin(lease, &underWay, &sink, worker)
      }
      worker.handoff.begin(lease)
      try worker.giveUp(lease, MessageFailure(error), errors: errors)
    }
  }
}

/// The deliveries that have begun and have no outcome yet.
private struct UnderWay {
  let most: Int
  private var leases: [Int: Lease] = [:]
  private var order: [Int] = []
  private var nextToken = 0
  private var oldest = -1
  /// Claimed, but to be delivered alone, once everything else has its outcome.
  var next: Lease?

  init(most: Int) { self.most = most }

  var isEmpty: Bool { leases.isEmpty }
  var count: Int { leases.count }
  /// Whether the only delivery under way is one that goes alone.
  var isExclusive: Bool { leases.count == 1 && leases.values.contains(where: \.isAlone) }
  var wantsMore: Bool { count < most && next == nil && !isExclusive }

  mutating func add(_ lease: Lease) -> Int {
    nextToken += 1
    leases[nextToken] = lease
    order.append(nextToken)
    return nextToken
  }

  mutating func remove(_ token: Int) -> Lease? { leases.removeValue(forKey: token) }

  /// Keeps the call counter odd while anything is under way, and moves it whenever the oldest delivery is another one: so
  /// the stage's `timeout` is how long one delivery may take, as everywhere.
  mutating func noteProgress(_ cell: CommitCell) {
    var first = 0
    while first < order.count, leases[order[first]] == nil { first += 1 }
    order.removeFirst(first)
    let now = order.first ?? -1
    if now == oldest { return }
    oldest = now
    let isOdd = cell.calls & 1 == 1
    if now < 0 {
      if isOdd { cell.callChanged() }
    } else {
      cell.callChanged()
      if isOdd { cell.callChanged() }
    }
  }
}
