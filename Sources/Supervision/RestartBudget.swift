import Plans

/// How often a stage may start a worker that then makes no progress. A worker that has committed anything since its start
/// costs nothing: it is started again at once.
struct RestartBudget {
  enum Verdict: Equatable {
    case now
    case after(Duration)
    case spent
  }

  private let limits: RestartLimits
  private var failures: [ContinuousClock.Instant] = []

  init(_ limits: RestartLimits) { self.limits = limits }

  mutating func workerDied(progressed: Bool, at now: ContinuousClock.Instant) -> Verdict {
    if progressed {
      failures = []
      return .now
    }
    failures.append(now)
    failures.removeAll { now - $0 > limits.within }
    if failures.count > limits.max { return .spent }
    // Doubling: backoff, 2 x backoff, 4 x backoff, ... but never beyond half a minute.
    let doublings = min(failures.count - 1, 16)
    return .after(min(limits.backoff * (1 << doublings), max(limits.backoff, .seconds(30))))
  }
}
