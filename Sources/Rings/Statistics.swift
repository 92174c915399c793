import Platform

/// What a worker counts for people: exact enough, not part of any commit. The runner reads it at any time; only the worker
/// writes it, and recovery once the worker is gone.
extension CommitCell {
  /// What a worker waits for. `turn` is its turn to hand over, where outputs follow the order of the inputs.
  package enum Wait: UInt64, Sendable {
    case none, input, room, turn

    fileprivate var statistic: Int { self == .input ? 3 : self == .turn ? 9 : 4 }
  }

  func statistic(_ index: Int) -> SharedWord { SharedWord(base + 512 + index * 8) }

  /// Goes up when a call of the plugin begins and when it ends: odd while one runs. A value that stays odd and the same
  /// for longer than the stage's `timeout` is a message that takes too long.
  package var calls: UInt64 { statistic(0).relaxed }
  package func callChanged() { statistic(0).advance() }

  package var retries: UInt64 { statistic(1).relaxed }
  package func countRetry() { statistic(1).advance() }

  /// How often the plugin failed on a message.
  package var errors: UInt64 { statistic(2).relaxed }
  package func countError() { statistic(2).advance() }

  /// Nanoseconds spent waiting so far, a wait in progress included.
  package func waited(_ kind: Wait, at now: UInt64) -> UInt64 {
    let done = statistic(kind.statistic).relaxed
    let since = statistic(5).relaxed
    guard since != 0, statistic(6).relaxed == kind.rawValue, now > since else { return done }
    return done &+ (now &- since)
  }

  func beginWait(_ kind: Wait, at now: UInt64) {
    statistic(6).set(kind.rawValue)
    statistic(5).set(now)
  }

  /// Whether the worker waits at the moment: its call stands still, but the plugin is not to blame.
  package var isWaiting: Bool { statistic(5).relaxed != 0 }

  /// Also called by recovery, for a worker that died while it waited.
  func endWait(at now: UInt64) {
    let since = statistic(5).relaxed
    guard since != 0 else { return }
    statistic(5).set(0)
    if now > since { statistic((Wait(rawValue: statistic(6).relaxed) ?? .room).statistic).advance(by: now - since) }
  }

  /// When the stage's plugin was open for the first time (`Clock.now`), 0 before.
  package var readySince: UInt64 { statistic(7).relaxed }
  package func markReady() {
    if statistic(7).relaxed == 0 { statistic(7).set(Clock.now) }
  }

  // MARK: Latencies

  /// Nanoseconds from publication to commit. Four buckets for each power of two: a value is known to within a quarter.
  @inline(__always)
  package func recordLatency(_ nanoseconds: UInt64, count: UInt64 = 1) {
    SharedWord(base + 1024 + Self.bucket(nanoseconds) * 8).advance(by: count)
    if statistic(8).relaxed < nanoseconds { statistic(8).set(nanoseconds) }
  }

  package var longestLatency: UInt64 { statistic(8).relaxed }

  /// The counts of all buckets, for adding up over the processes of a stage.
  package var latencies: [UInt64] { (0..<Self.buckets).map { SharedWord(base + 1024 + $0 * 8).relaxed } }

  package static let buckets = 192

  static func bucket(_ nanoseconds: UInt64) -> Int {
    let value = max(4, nanoseconds)
    let power = 63 - value.leadingZeroBitCount
    return min(buckets - 1, (power - 2) * 4 + Int(value >> UInt64(power - 2) & 3))
  }

  /// The upper end of a bucket in nanoseconds.
  package static func upperEnd(ofBucket bucket: Int) -> UInt64 {
    let power = UInt64(max(0, min(bucket, buckets - 1)) / 4)
    return (4 + UInt64(bucket & 3) + 1) << power
  }
}
