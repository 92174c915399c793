/// Lets so many messages a second begin, over all processes of a stage.
///
/// They share one word: when the next message is due, if all come evenly. Taking a turn moves it on by one interval, in one
/// atomic exchange: so no two processes have the same turn, and a worker that is started again finds the word where its
/// predecessor left it. A message may begin before it is due by no more than a burst; after a quiet time it is due at once, and
/// what was not used is gone. A worker that dies with a turn leaves it unused.
package struct RateGate {
  private let due: SharedWord
  /// Nanoseconds from one message to the next.
  let interval: UInt64
  /// Nanoseconds by which a message may be early.
  let burst: UInt64
  /// The turn that was taken and not used yet.
  private var turn: UInt64?

  /// Nanoseconds: a sleep ends late by up to one or two milliseconds, so shorter intervals are only kept on average.
  private static let longestBurst: UInt64 = 10_000_000

  /// - Parameter rate: messages a second; more than 0
  package init(_ block: CellBlock, rate: Double) {
    due = block.due
    // Rounded up: at most so many. A hundred days at the longest, which leaves room for adding.
    interval = UInt64(max(1, min(1e9 / rate, 9e15)).rounded(.up))
    burst = Self.longestBurst / interval > 1 ? Self.longestBurst - interval : 0
  }

  /// A run goes on. Its word may come from before the machine was started anew, when the clock showed more; the turns of those who
  /// are gone do not count.
  package static func resume(_ block: CellBlock, rate: Double, at now: UInt64) {
    let gate = RateGate(block, rate: rate)
    block.due.set(min(block.due.relaxed, now + gate.interval))
  }

  /// When the next message of this process may begin, in nanoseconds of `Clock.now`. The turn is kept until it is used, but
  /// not for longer than an interval: many processes that have kept theirs would begin at once.
  package mutating func take(at now: UInt64) -> UInt64 {
    if let turn, now < turn || now - turn <= burst + interval { return turn }
    var found = due.relaxed
    while true {
      let place = isPlausible(found, now) ? max(found, now) : now
      guard let other = due.exchange(found, place + interval) else {
        let turn = place - min(place, burst)
        self.turn = turn
        return turn
      }
      found = other
    }
  }

  /// The message has begun. One that came later than its turn by more than half an interval, from a source that waited
  /// for it say, moves the ones behind it: otherwise two would come together.
  package mutating func begun(at now: UInt64) {
    turn = nil
    due.raise(to: now + interval - max(burst, interval / 2))
  }

  /// Each process of a stage has at most one turn. What lies further ahead than that was written by a worker that ran wild.
  private func isPlausible(_ found: UInt64, _ now: UInt64) -> Bool {
    let (most, overflow) = interval.multipliedReportingOverflow(by: 4096)
    return found < now || found - now <= (overflow ? 1 << 62 : most)
  }
}
