import PluginKit
import Platform
import Rings

/// Feeds a sink that has many deliveries under way. Each message is settled for itself as its outcome comes in; outcomes
/// that come together are settled together.
enum DeliveryLoop {
  static func run<S: DeliverySink>(_ type: S.Type, _ worker: Worker) throws {
    var sink = try S(worker.given, worker.context)
    var house = try House(worker, most: max(1, sink.concurrency))
    worker.ready()
    while try house.goOn(&sink) {}
    try worker.close { try sink.close() }
  }

  /// What is under way, what is being gathered, and what wakes the worker.
  private struct House {
    private let worker: Worker
    private let bell: InputBell
    private let never: EventDescriptor
    /// Set to when a message may begin, or a batch is complete; nil where there are no such times.
    private let timer: TimerDescriptor?
    /// Readable when the bell or the timer is.
    private let both: DescriptorGroup?
    private var underWay: UnderWay
    /// Claimed, for a delivery that may still grow.
    private var group: [Lease] = []
    private var gathering: Gathering?
    /// Members of a delivery that has failed, to be delivered each by itself.
    private var suspects: [Lease] = []
    private var handoff: Handoff { worker.handoff }

    init(_ worker: Worker, most: Int) throws {
      self.worker = worker
      let bell = try InputBell(worker.handoff)
      guard let never = EventDescriptor() else { throw SystemError("eventfd", "") }
      self.never = never
      let timer = worker.pacer != nil || worker.batch != nil ? try TimerDescriptor() : nil
      both = try timer.map { try DescriptorGroup(bell.descriptor, $0.descriptor) }
      self.bell = bell
      self.timer = timer
      underWay = UnderWay(most: most)
      gathering = worker.batch.map(Gathering.init)
    }

    /// - Returns: false when everything has its outcome and nothing more will come
    mutating func goOn<S: DeliverySink>(_ sink: inout S) throws -> Bool {
      try fill(&sink)
      if underWay.isEmpty {
        if handoff.pendingCalls > 0 {
          try handoff.commit()
        } else if underWay.next == nil {
          if let wake = wakeForMore() {
            handoff.waitingForInput { _ = Descriptors.wait([.readable(wake)], until: nil) }
            bell.clear()
          } else if bell.isWatching {
            handoff.waitingForInput { _ = Descriptors.wait([.readable(bell.descriptor)], until: nil) }
            bell.clear()
          } else if try handoff.waitForInput() == .closed {
            return false
          }
        }
        return true
      }
      var wake: Int32?
      if underWay.wantsMore, let timer, group.isEmpty, let wait = worker.pacer?.wait, wait > 0 {
        // A message is no news before it may begin.
        timer.set(to: Clock.now + wait)
        wake = timer.descriptor
      } else if underWay.wantsMore {
        // With room for more, a message is news too; a full house only waits for answers.
        wake = wakeForMore()
        if wake == nil, !handoff.isInputClosed {
          bell.arm(handoff)
          wake = bell.descriptor
        }
      }
      // A sink that has as many under way as it may is what the others wait for.
      let outcomes =
        if let wake { try handoff.waitingForInput { try sink.advance(wake: wake) } } else { try sink.advance(wake: never.descriptor) }
      bell.clear()
      for outcome in outcomes { try settle(outcome, &sink) }
      if handoff.pendingCalls > 0 { try handoff.commit() }
      underWay.noteProgress(worker.cell)
      return true
    }

    /// What becomes readable when a batch that is being gathered may grow, or must begin; nil when there is none.
    private func wakeForMore() -> Int32? {
      guard let left = gathering?.left, left > 0, let timer, let both else { return nil }
      timer.set(to: Clock.now &+ min(left, worker.pacer.map { $0.wait > 0 ? $0.wait : .max } ?? .max))
      bell.arm(handoff, isGathering: true)
      // The bell's thread may have looked before it was told.
      return handoff.hasWaitingWriters ? nil : both.descriptor
    }

    /// Begins as many deliveries as may be under way. A message that a worker died with goes alone.
    private mutating func fill<S: DeliverySink>(_ sink: inout S) throws {
      while underWay.count < underWay.most {
        if let suspect = suspects.popLast() {
          try begin([suspect], &sink)
          continue
        }
        let lease: Lease
        if let waiting = underWay.next {
          guard underWay.isEmpty else { return }
          underWay.next = nil
          lease = waiting
        } else {
          guard !underWay.isExclusive, underWay.isEmpty && group.isEmpty || !worker.mustWait, let claimed = try worker.claim() else {
            return try beginGroup(ifComplete: true, &sink)
          }
          lease = claimed
        }
        if worker.policy.isPoison(lease.deaths) {
          handoff.begin(lease)
          try worker.giveUp(lease, MessagePolicy.poison(lease.deaths), errors: lease.errors)
        } else if lease.isAlone, !underWay.isEmpty || !group.isEmpty {
          underWay.next = lease
          return try beginGroup(ifComplete: false, &sink)
        } else if lease.isAlone || gathering == nil {
          try begin([lease], &sink)
        } else {
          group.append(lease)
          gathering?.add(lease)
          if gathering?.isFull ?? true { try beginGroup(ifComplete: false, &sink) }
        }
      }
    }

    /// - Parameter isComplete: only when nothing more is waited for
    private mutating func beginGroup<S: DeliverySink>(ifComplete isComplete: Bool, _ sink: inout S) throws {
      if group.isEmpty || isComplete && (gathering?.left ?? 0) > 0 && !handoff.isInputClosed && !handoff.hasWaitingWriters { return }
      let whole = group
      group = []
      gathering?.begin()
      try begin(whole, &sink)
    }

    private mutating func begin<S: DeliverySink>(_ leases: [Lease], _ sink: inout S) throws {
      for lease in leases {
        worker.chaos?.strike()
        handoff.markInHand(lease)
      }
      let token = underWay.add(leases)
      underWay.noteProgress(worker.cell)
      try sink.begin(Delivery(token: token, messages: leases.map { Message($0) }))
    }

    private mutating func settle<S: DeliverySink>(_ outcome: Outcome, _ sink: inout S) throws {
      guard let leases = underWay.remove(outcome.token), var lease = leases.first else {
        throw WorkerFailure(.pluginProtocol, "the plugin reported the outcome of a delivery that is not under way")
      }
      for _ in 0..<outcome.retries { handoff.countRetry() }
      switch outcome.result {
      case .delivered:
        for lease in leases {
          handoff.begin(lease)
          handoff.end(.done)
        }
      case .failed where leases.count > 1:
        // Nobody knows whose failure it is, and a death meanwhile is nobody's.
        for lease in leases { handoff.unmark(lease) }
        suspects += leases.reversed()
      case .failed(let error):
        let errors = handoff.recordError(&lease)
        if worker.policy.retries(afterErrors: errors, MessageFailure(error)) {
          handoff.countRetry()
          return try begin([lease], &sink)
        }
        handoff.begin(lease)
        try worker.giveUp(lease, MessageFailure(error), errors: errors)
      }
    }
  }
}

/// The deliveries that have begun and have no outcome yet.
private struct UnderWay {
  let most: Int
  private var leases: [Int: [Lease]] = [:]
  private var order: [Int] = []
  private var nextToken = 0
  private var oldest = -1
  /// Claimed, but to be delivered alone, once everything else has its outcome.
  var next: Lease?

  init(most: Int) { self.most = most }

  var isEmpty: Bool { leases.isEmpty }
  var count: Int { leases.count }
  /// Whether the only delivery under way is one that goes alone.
  var isExclusive: Bool { leases.count == 1 && leases.values.contains { $0.contains(where: \.isAlone) } }
  var wantsMore: Bool { count < most && next == nil && !isExclusive }

  mutating func add(_ members: [Lease]) -> Int {
    nextToken += 1
    leases[nextToken] = members
    order.append(nextToken)
    return nextToken
  }

  mutating func remove(_ token: Int) -> [Lease]? { leases.removeValue(forKey: token) }

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
