import Foundation
import Testing

/// Every model keeps its promise in every state it can reach, and breaks it without any one of its rules.
///
/// With RINGWAY_MODELS=full (`make models`) larger configurations are walked through too, and each says how large it was.
@Suite struct ModelTests {
  static let isFull = ProcessInfo.processInfo.environment["RINGWAY_MODELS"] == "full"

  // MARK: The hand-off without laps

  @Test func bareHandoffIsExactlyOnce() { holds(BareHandoff(messages: 3, kills: 2)) }

  @Test(arguments: BareHandoff.Mutant.allCases) func bareHandoffNotices(mutant: BareHandoff.Mutant) {
    fails(BareHandoff(messages: 3, kills: 2, mutant: mutant))
  }

  @Test(.enabled(if: isFull)) func bareHandoffWithMoreKills() { holds(BareHandoff(messages: 4, kills: 3)) }

  // MARK: The whole hand-off

  enum Whole: CaseIterable {
    case plain, sleeper, twoReaders, severalOutputs, parts, partsInTheSameSlot, partsOfOneWorker, partsForTwoReaders, wholeBatch, deadStayAway
    case deaths, turns, turnsOfTheDead, order, orderOfBatches, orderOfTwoSources

    var model: WholeHandoff {
      switch self {
      case .plain: WholeHandoff()
      case .sleeper: WholeHandoff(messages: 4, kills: 0, hasSleeper: true)
      case .twoReaders: WholeHandoff(capacities: [2, 1, 1], isReversed: true)
      case .severalOutputs: WholeHandoff(emits: 2, batch: 2)
      case .parts: WholeHandoff(emits: 3)
      case .partsInTheSameSlot: WholeHandoff(kills: 2, capacities: [1, 1, 0], emits: 2)
      case .partsOfOneWorker: WholeHandoff(kills: 2, capacities: [1, 1, 0], emits: 2, workers: 1)
      case .partsForTwoReaders: WholeHandoff(capacities: [2, 1, 1], emits: 2)
      case .wholeBatch: WholeHandoff(kills: 0, capacities: [2, 3, 0], emits: 2, batch: 2, workers: 1)
      case .deadStayAway: WholeHandoff(replacesTheDead: false)
      case .deaths: WholeHandoff(kills: 2, capacities: [1, 1, 0], countsDeaths: true)
      case .turns: WholeHandoff(kills: 0, capacities: [2, 2, 2], emits: 2, takesTurns: true)
      case .turnsOfTheDead: WholeHandoff(capacities: [2, 2, 0], emits: 2, takesTurns: true)
      case .order: WholeHandoff(messages: 3, kills: 2, workers: 1)
      case .orderOfBatches: WholeHandoff(messages: 3, capacities: [3, 2, 0], batch: 2, workers: 1)
      case .orderOfTwoSources: WholeHandoff(workers: 1, sources: 2)
      }
    }
  }

  @Test(arguments: Whole.allCases) func wholeHandoffIsExactlyOnce(whole: Whole) { holds(whole.model) }

  @Test(arguments: WholeHandoff.Mutant.allCases) func wholeHandoffNotices(mutant: WholeHandoff.Mutant) {
    let whole: Whole =
      switch mutant {
      case .leasesPinTheLine, .settlingLeasesPinTheLine: .sleeper
      case .voidedToTheSameLap: .severalOutputs
      case .waitsWhileHoldingSlots: .twoReaders
      case .partCountNotInRecord, .partLeftInRecord, .partLeftInSlot, .recoveryDoesNotGiveThePartToTheSlot: .partsOfOneWorker
      case .recoveryLeavesPartInRecord: .partsInTheSameSlot
      case .batchInParts: .wholeBatch
      case .epochMovesBeforeTheSlotsAreReady, .noEpoch: .deadStayAway
      case .keepsItsTurnWhileItWaits: .turns
      case .recoveryLeavesTheTurn: .turnsOfTheDead
      case .markWithoutTheNumberOfDeaths, .markLeftAfterTheCall, .everyLeaseCountsADeath: .deaths
      case .putBackComesLast: .order
      case .putBackComesInTheOrderOfSlots: .orderOfTwoSources
      default: .plain
      }
    var model = whole.model
    model.mutant = mutant
    if mutant == .putBackComesInTheOrderOfSlots { (model.batch, model.kills) = (2, 2) }
    fails(model)
  }

  /// Who dies between its claim and the raising of the head can leave a message out of order, too.
  @Test func headKeepsTheOrder() { fails(WholeHandoff(messages: 3, kills: 2, workers: 1, mutant: .recoveryLeavesTheHead)) }

  @Test(
    .enabled(if: isFull),
    arguments: [
      WholeHandoff(messages: 3, kills: 2), WholeHandoff(kills: 3), WholeHandoff(messages: 4, capacities: [3, 2, 0]),
      WholeHandoff(messages: 3, batch: 2), WholeHandoff(kills: 2, capacities: [2, 2, 2], isReversed: true),
      WholeHandoff(kills: 2, emits: 3), WholeHandoff(messages: 3, kills: 2, capacities: [2, 1, 0], emits: 2, workers: 1),
      WholeHandoff(messages: 6, kills: 0, capacities: [3, 2, 0], hasSleeper: true), WholeHandoff(kills: 2, countsDeaths: true),
      WholeHandoff(messages: 3, kills: 0, capacities: [2, 2, 2], emits: 2, isReversed: true, takesTurns: true),
      WholeHandoff(messages: 4, kills: 3, batch: 2, workers: 1), WholeHandoff(kills: 2, workers: 1, sources: 2),
      WholeHandoff(messages: 3, replacesTheDead: false),
    ])
  func wholeHandoffWithMore(model: WholeHandoff) { holds(model) }

  // MARK: The end

  @Test func closingLeavesNothingBehind() { holds(Closing(messages: 3, kills: 2)) }

  @Test(arguments: Closing.Mutant.allCases) func closingNotices(mutant: Closing.Mutant) {
    fails(Closing(messages: 3, kills: 2, mutant: mutant))
  }

  @Test(.enabled(if: isFull)) func closingWithMoreKills() { holds(Closing(messages: 3, kills: 5)) }

  // MARK: Drops

  @Test(arguments: Drops.Policy.allCases) func everyMessageIsDeliveredOrCounted(policy: Drops.Policy) {
    holds(Drops(policy: policy, messages: 5, kills: 2))
  }

  @Test(arguments: Drops.Mutant.allCases) func dropsNotice(mutant: Drops.Mutant) {
    let policy: Drops.Policy =
      switch mutant {
      case .positionNotInTheCommit: .dropNewest
      case .oldestFreedBeforeCommit, .oldestTakenFromAWorker, .oldestComesBack, .oldestFreedUncounted, .holdsSlotsMeanwhile:
        .dropOldest
      default: .block
      }
    fails(Drops(policy: policy, messages: 4, kills: 2, mutant: mutant))
  }

  @Test(.enabled(if: isFull), arguments: Drops.Policy.allCases) func dropsWithMoreKills(policy: Drops.Policy) {
    holds(Drops(policy: policy, messages: 7, kills: 4))
  }

  // MARK: Order

  @Test(arguments: [Ordered(messages: 4, kills: 2), Ordered(messages: 4, kills: 2, parted: 1), Ordered(messages: 4, kills: 2, parted: 4)])
  func outputsFollowInputs(model: Ordered) { holds(model) }

  /// Whoever waits takes what comes back: nobody else is needed.
  @Test func whoIsAheadTakesWhatComesBack() { holds(Ordered(messages: 4, kills: 1, most: 1, replacesTheDead: false)) }

  @Test(arguments: Ordered.Mutant.allCases) func orderNotices(mutant: Ordered.Mutant) {
    let parted: UInt8 =
      switch mutant {
      case .partsDoNotWait: 3
      case .partsWaitForLaterCalls, .recoveryForgetsParts: 1
      default: 0
      }
    let isAlone = mutant == .nothingIsTakenAhead
    fails(Ordered(messages: 3, kills: 1, parted: parted, most: isAlone ? 1 : 2, replacesTheDead: !isAlone, mutant: mutant))
  }

  @Test(.enabled(if: isFull), arguments: [Ordered(messages: 4, kills: 4), Ordered(messages: 4, kills: 3, parted: 1, most: 1), Ordered(messages: 4, kills: 3, parted: 3)])
  func orderWithMore(model: Ordered) { holds(model) }

  // MARK: Keys

  @Test(arguments: [1, 2]) func aKeysMessagesKeepTheirOrderAndTheirProcess(capacity: Int) { holds(Partitions(messages: 5, kills: 2, capacity: capacity)) }

  @Test(arguments: Partitions.Mutant.allCases) func partitionsNotice(mutant: Partitions.Mutant) { fails(Partitions(messages: 4, kills: 1, capacity: 3, mutant: mutant)) }

  @Test(.enabled(if: isFull)) func partitionsWithMore() { holds(Partitions(messages: 6, kills: 4, capacity: 3, batch: 3)) }

  // MARK: A run that goes on

  @Test func theSameCommandGoesOn() { holds(Resume(kills: 3)) }

  @Test(arguments: Resume.Mutant.allCases) func resumeNotices(mutant: Resume.Mutant) { fails(Resume(kills: 2, mutant: mutant)) }

  @Test(.enabled(if: isFull)) func resumeWithMore() { holds(Resume(kills: 5, messages: 3)) }

  // MARK: Files

  @Test(arguments: [0, 1]) func fileHoldsEachMessageOnce(before: UInt8) { holds(FileSink(messages: 3, kills: 3, before: before)) }

  @Test(arguments: FileSink.Mutant.allCases) func fileSinkNotices(mutant: FileSink.Mutant) {
    fails(FileSink(messages: 3, kills: 2, mutant: mutant))
  }

  @Test(.enabled(if: isFull)) func fileSinkWithMoreKills() { holds(FileSink(messages: 4, kills: 6, batch: 3)) }

  // MARK: Waiting

  @Test(arguments: Processor.allCases, [false, true]) func noWakeUpIsLost(processor: Processor, isBatch: Bool) {
    holds(WakeUp(processor: processor, isBatch: isBatch, kills: 1))
  }

  @Test(arguments: WakeUp.Mutant.allCases) func wakeUpNotices(mutant: WakeUp.Mutant) {
    // On x86 the waiter's bit is set by an instruction that is a fence as well, so only the weak processor needs the other.
    let kills: UInt8 = mutant == .noWakeUpAfterDeath || mutant == .recoveryWakesOnlyMarkedLanes ? 1 : 0
    fails(WakeUp(processor: mutant == .noFenceInWaiter ? .weak : .x86, isBatch: true, kills: kills, mutant: mutant))
  }

  @Test(.enabled(if: isFull), arguments: Processor.allCases) func wakeUpWithMoreKills(processor: Processor) {
    holds(WakeUp(processor: processor, kills: 3))
  }

  @Test(arguments: [0, 1] as [UInt8]) func noRoomIsOverlooked(kills: UInt8) {
    holds(Room(kills: kills, alarms: 2 * (1 - kills)))
    holds(Room(capacity: 3, messages: 5, kills: kills))
  }

  @Test(arguments: Room.Mutant.allCases) func roomNotices(mutant: Room.Mutant) { fails(Room(alarms: 0, mutant: mutant)) }

  @Test(.enabled(if: isFull)) func roomWithMore() {
    holds(Room(kills: 1, alarms: 3))
    holds(Room(capacity: 3, messages: 6, kills: 2, alarms: 1))
  }

  // MARK: The order of stores

  @Test(arguments: Processor.allCases) func commitIsSeenInOrder(processor: Processor) { holds(CommitOrder(processor: processor)) }

  @Test(arguments: CommitOrder.Mutant.allCases) func commitOrderNotices(mutant: CommitOrder.Mutant) {
    // x86 keeps the order of stores by itself: what lacks a release shows on the weak processor.
    let needsWeak = mutant == .sequenceWithoutRelease || mutant == .slotWithoutRelease
    fails(CommitOrder(processor: needsWeak ? .weak : .x86, mutant: mutant))
  }

  // MARK: The checker itself

  /// Two take two locks in opposite orders: the shortest way into the deadlock is two steps long.
  @Test func explorerFindsTheShortestWay() {
    let finding = Explorer.explore(TwoLocks())
    #expect(finding.counterexample?.steps == ["a takes its first lock", "b takes its first lock"])
    #expect(Explorer.explore(TwoLocks(isOrdered: true)).counterexample == nil)
    #expect(Explorer.explore(TwoLocks(isOrdered: true), most: 3).counterexample?.fault == "there are more than 3 states")
  }
}

private struct TwoLocks: Model {
  var isOrdered = false

  struct State {
    /// Who holds which lock, and how many locks each has taken.
    var holders: [2 of UInt8] = [0, 0]
    var taken: [2 of UInt8] = [0, 0]
  }

  var start: State { State() }

  func steps(from s: State, _ take: (Step, State) -> Void) {
    for p in 0..<2 where s.taken[p] < 2 {
      let lock = Int(s.taken[p]) ^ (p == 1 && !isOrdered ? 1 : 0)
      if s.holders[lock] != 0 { continue }
      var n = s
      n.holders[lock] = UInt8(p + 1)
      n.taken[p] += 1
      if n.taken[p] == 2 { for lock in 0..<2 where n.holders[lock] == UInt8(p + 1) { n.holders[lock] = 0 } }
      take(Step(p == 0 ? "a" : "b", s.taken[p] == 0 ? "takes its first lock" : "takes its second lock"), n)
    }
  }

  func fault(in s: State) -> String? { nil }
  func isEnd(_ s: State) -> Bool { s.taken[0] == 2 && s.taken[1] == 2 }
}

/// The model keeps its promise in every state.
private func holds<M: Model>(_ model: M, location: SourceLocation = #_sourceLocation) {
  let finding = Explorer.explore(model)
  if ModelTests.isFull { print("\(model): \(finding)") }
  #expect(finding.counterexample == nil, "\(model): \(finding)", sourceLocation: location)
  #expect(finding.ends > 0, "\(model) has no end", sourceLocation: location)
}

/// A rule is broken, and the checker sees it.
private func fails<M: Model>(_ model: M, location: SourceLocation = #_sourceLocation) {
  let finding = Explorer.explore(model, most: 4_000_000)
  if ModelTests.isFull { print("\(model): \(finding)") }
  let fault = finding.counterexample?.fault
  #expect(fault != nil && fault?.hasPrefix("there are more") != true, "nothing was noticed: \(model): \(finding)", sourceLocation: location)
}
