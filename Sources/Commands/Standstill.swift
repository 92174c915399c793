import Plans
import Specs
import Supervision

/// Finds the stages that take nothing although their queues are full: who writes to one waits, and with it everybody else who reads from there.
struct Standstill {
  /// Shorter ones are common: one message may take so long.
  static let worthTelling = 2.0

  private let plan: Plan
  /// For each stage whose queue was full at the last look: what it had taken then, and since when nothing more.
  private var stuck: [Int: (received: Int, since: Double)] = [:]

  init(_ plan: Plan) { self.plan = plan }

  /// - Returns: a sentence for each such stage
  mutating func look(_ report: RunReport) -> [String] {
    report.stages.indices.compactMap { i in
      let stage = report.stages[i]
      guard plan.stages.indices.contains(i), plan.stages[i].queue?.whenFull == .block, let queued = stage.queued, let capacity = stage.capacity, queued >= capacity else {
        stuck[i] = nil
        return nil
      }
      guard let before = stuck[i], before.received == stage.received else {
        stuck[i] = (stage.received, report.seconds)
        return nil
      }
      let seconds = report.seconds - before.since
      if seconds < Self.worthTelling { return nil }
      return "\(stage.name) has taken nothing for \(Quantity.fixed(seconds, 0)) s, and its queue is full: \(plan.writersWait(for: i))"
    }
  }
}
