import Platform

/// How many calls are gathered before they are handed over.
///
/// A hand-over costs the same for one message as for a hundred, so fast calls share one; slow calls go alone, since
/// everything that waits for the hand-over waits for the slowest. The size doubles while a full batch takes less than
/// the shortest time worth sharing, and halves when it takes longer than a reader should wait.
package struct BatchPace: BitwiseCopyable {
  /// The most that may be gathered.
  let most: Int
  private(set) var size = 1
  /// A time of `Clock.now`.
  private var started = Clock.now
  private var calls = 0

  /// Nanoseconds.
  static let worthSharing: UInt64 = 200_000
  /// Nanoseconds.
  static let longEnough: UInt64 = 400_000

  package init(most: Int) { self.most = max(1, most) }

  /// A call is about to begin. The first one's time counts too: a slow call that was measured without it would seem to be worth sharing.
  @inline(__always)
  package mutating func callBegins() {
    if calls == 0 { started = Clock.now }
  }

  /// A call has ended.
  ///
  /// - Returns: whether it is time to hand over
  @inline(__always)
  package mutating func callEnded() -> Bool {
    calls &+= 1
    if calls >= size { return true }
    // The clock costs as much as a small message, so a long batch looks at it only now and then.
    return calls & 15 == 0 && Clock.now &- started > Self.longEnough
  }

  /// A batch was handed over; `isFull` tells whether it ended because it was full and not because nothing was left.
  package mutating func handedOver(isFull: Bool) {
    let took = Clock.now &- started
    if took > Self.longEnough {
      size = max(1, size / 2)
    } else if isFull, took < Self.worthSharing {
      size = min(most, size * 2)
    }
    calls = 0
  }
}
