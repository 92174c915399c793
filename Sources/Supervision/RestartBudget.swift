import Plans

/// How often a stage may start a worker that then makes no progress. A worker that has committed anything since its start
/// costs nothing: it is started again at once. Workers that die together count once, since none of them was started after the
/// other's death: what killed them need not kill their successors (who ends all processes of a name, a machine out of memory).
///
/// A start that has not become ready counts until one does, however long it took: with a start of some seconds the window alone would let a
/// stage that can never be opened try for ever.
struct RestartBudget {
  enum Verdict: Equatable {
    case now
    case after(Duration)
    case spent
  }

  private let limits: RestartLimits
  private var failures: [(at: ContinuousClock.Instant, wasReady: Bool)] = []
  /// How many deaths without progress have counted since the run's start. A worker that is started remembers it.
  private(set) var counted = 0

  init(_ limits: RestartLimits) { self.limits = limits }

  /// Whether the starts that count have not become ready in a row, and took longer than the window.
  var isStuck: Bool {
    guard let first = failures.first, let last = failures.last else { return false }
    return !failures.contains(where: \.wasReady) && last.at - first.at > limits.within
  }

  mutating func workerIsReady() { failures.removeAll { !$0.wasReady } }

  /// - Parameters:
  ///   - wasReady: whether it had opened its plugin
  ///   - startedAt: what `counted` was when the worker was started
  mutating func workerDied(progressed: Bool, wasReady: Bool, startedAt: Int, at now: ContinuousClock.Instant) -> Verdict {
    if progressed {
      failures = []
      return .now
    }
    if startedAt == counted {
      counted += 1
      failures.append((now, wasReady))
      failures.removeAll { $0.wasReady && now - $0.at > limits.within }
      if failures.count > limits.max { return .spent }
    }
    // Doubling: backoff, 2 x backoff, 4 x backoff, ... but never beyond half a minute.
    let doublings = min(max(failures.count - 1, 0), 16)
    return .after(min(limits.backoff * (1 << doublings), max(limits.backoff, .seconds(30))))
  }
}
