import Plans
import Platform
import Rings

/// A batch that may still grow, for a stage with `batch`. It is complete when it is large enough, when its time is over, and when nothing more
/// can come: its input has ended, or a writer waits for the places that it holds.
struct Gathering {
  private let limits: Batch
  private var count = 0
  private var bytes = 0
  private var deadline: UInt64 = 0

  init(_ limits: Batch) { self.limits = limits }

  var isEmpty: Bool { count == 0 }
  var isFull: Bool { count >= limits.count || limits.bytes.map { bytes >= $0 } ?? false }

  /// Nanoseconds for which it may wait for more.
  var left: UInt64 {
    let now = Clock.now
    return isEmpty || isFull || deadline <= now ? 0 : deadline - now
  }

  mutating func add(_ lease: Lease) {
    if count == 0 { deadline = Clock.now &+ limits.within }
    count += 1
    bytes += lease.payload.count
  }

  mutating func begin() { (count, bytes) = (0, 0) }
}

extension Worker {
  /// Nothing can be claimed at the moment.
  ///
  /// - Returns: whether to look again; false when the batch is complete as it is
  func waitForMore(_ gathering: Gathering) throws -> Bool {
    let left = gathering.left
    if left == 0 { return false }
    guard let wait = pacer?.wait, wait > 0 else { return try handoff.waitForMore(until: Clock.now &+ left) }
    // The rate lets none begin yet.
    handoff.waitingForInput { _ = Descriptors.wait([], until: .now + .nanoseconds(Int64(clamping: min(left, wait)))) }
    return true
  }

  /// Claims a batch, and waits for it to fill as `batch` says.
  ///
  /// - Returns: how many there are
  func gather(atMost most: Int, into leases: inout [Lease]) throws -> Int {
    guard let batch else { return try claim(atMost: most, into: &leases) }
    var gathering = Gathering(batch)
    while leases.count < most, !gathering.isFull {
      if !gathering.isEmpty, mustWait || leases.last?.isAlone == true {
        if leases.last?.isAlone != true, try waitForMore(gathering) { continue }
        break
      }
      guard let lease = try claim() else {
        if try waitForMore(gathering) { continue }
        break
      }
      leases.append(lease)
      gathering.add(lease)
    }
    return leases.count
  }
}
