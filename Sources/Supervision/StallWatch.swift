/// Notices a call of a plugin that does not end: the worker's call counter stays odd and the same for longer than the
/// stage's `timeout`. Time in which the worker waited for its ring does not count, nor does time in which the runner
/// itself stood still (it was stopped, or the machine slept).
struct StallWatch {
  private struct Seen {
    var calls: UInt64
    var since: ContinuousClock.Instant
  }

  private let timeout: Duration
  private var seen: [Int: Seen] = [:]
  private var lastSample: ContinuousClock.Instant?

  init(timeout: Duration) { self.timeout = timeout }

  /// How often to sample.
  var period: Duration { max(.milliseconds(5), min(timeout / 4, .seconds(1))) }

  /// A new look begins. A gap since the last one means that the runner stood still: everything starts anew.
  mutating func beginSample(at now: ContinuousClock.Instant) {
    if let last = lastSample, now - last > period * 4 + .seconds(1) { seen = [:] }
    lastSample = now
  }

  /// - Returns: whether the worker is to be killed
  mutating func isStalled(_ worker: Int, calls: UInt64, isWaiting: Bool, at now: ContinuousClock.Instant) -> Bool {
    guard calls & 1 == 1, !isWaiting else {
      seen[worker] = nil
      return false
    }
    guard let before = seen[worker], before.calls == calls else {
      seen[worker] = Seen(calls: calls, since: now)
      return false
    }
    if now - before.since < timeout { return false }
    seen[worker] = nil
    return true
  }
}
