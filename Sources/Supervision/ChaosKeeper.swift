import Plans

/// What the runner keeps of `--chaos`: who is stopped, whose death it was, and how much of everything was done.
struct ChaosKeeper {
  static let longestStop = Duration.seconds(1)

  private var dice: ChaosDice
  private var stopped: Set<Int> = []
  private var killed: Set<Int> = []
  private(set) var counts: [Int: RunReport.ChaosCounts] = [:]

  init(_ chaos: Chaos) { dice = ChaosDice(UInt64(truncatingIfNeeded: chaos.seed)) }

  func isStopped(_ worker: Int) -> Bool { stopped.contains(worker) }

  /// A worker of a stage has waited.
  mutating func delayed(stage: Int) { counts[stage, default: .init()].delays += 1 }

  /// - Returns: how long the worker is to stand still; nil when it does already
  mutating func stop(_ worker: Int, stage: Int) -> Duration? {
    guard stopped.insert(worker).inserted else { return nil }
    counts[stage, default: .init()].stops += 1
    // The least of several: mostly short, so that a run with many messages comes to its end.
    return (0..<4).map { _ in dice.time(upTo: Self.longestStop) }.min()
  }

  mutating func wentOn(_ worker: Int) { stopped.remove(worker) }

  mutating func kill(_ worker: Int) { killed.insert(worker) }

  /// A worker has ended, by SIGKILL or otherwise: one that was faster than its death has not been killed.
  ///
  /// - Returns: whether it was our doing
  mutating func ended(_ worker: Int, stage: Int, bySIGKILL: Bool) -> Bool {
    stopped.remove(worker)
    guard killed.remove(worker) != nil, bySIGKILL else { return false }
    counts[stage, default: .init()].kills += 1
    return true
  }
}
