/// The sizes of a ring, and where its parts lie in its mapping:
///
///     0        header: magic, sizes; then one hint a line
///     1024     masks of parked consumers, 512 bytes; masks of parked producers, 512 bytes
///     4096     one line a lane to sleep on: consumers, then producers
///     slots    64 bytes each, `capacity` of them
///     segments one line each: small ones first, then large ones
///     arena    small segments of 64 KiB, many payloads each; large ones of one payload each
///
/// A payload of at most a quarter of a small segment goes into one; a larger one gets a large segment for itself, so
/// nothing can fragment. There are enough of both that a producer which holds one of its own can wait for a slot without
/// keeping another producer from its segment: every slot may pin one, and every producer may hold as many as it does
/// while it waits (one large or two small).
///
/// A queue that is given `bytes` has fewer segments than that, and then producers wait for segments as they do for slots. That
/// cannot end in a deadlock. Producers that wait hold at most one large and two small segments each, and there is one more of each
/// kind than all of them hold. That one is free, or it belongs to somebody who does not wait: a producer at work, which hands over
/// or comes to wait itself; or messages that are published, which their readers hand over without waiting for anything from this
/// ring (nobody waits for a batch to fill, and rings form no circle). What a call needs at once never exceeds what the
/// others leave over when all of them wait (`largeAtOnce`, `smallAtOnce`); a call that makes more goes on in parts. Segments of the
/// dead are swept by whoever waits (`Ring.hasFreeSegments`).
package struct RingShape: Sendable, Equatable {
  /// How many messages may wait or be worked on, exactly: 1...1,048,576.
  package let capacity: Int
  /// The largest payload in bytes: 1...1 GiB.
  package let messageBytes: Int
  package let producers: Int
  package let consumers: Int
  let smallCount: Int
  let largeCount: Int

  /// - Parameter limit: how many bytes the ring may reserve; nil for as many as it can use
  /// - Returns: nil when a number is out of range (lanes: 0...4095), or the limit is lower than `leastBytes`
  package init?(capacity: Int, messageBytes: Int, producers: Int, consumers: Int, bytes limit: Int? = nil) {
    // A slot pins at most one segment, and a producer holds at most one large or two small while it waits.
    func shape(_ small: Int, _ large: Int) -> RingShape? {
      RingShape(
        capacity: capacity, messageBytes: messageBytes, producers: producers, consumers: consumers, smallCount: 2 * max(1, producers) + small,
        largeCount: messageBytes <= Self.smallPayload ? 0 : max(1, producers) + large)
    }
    guard var found = shape(capacity, capacity) else { return nil }
    if let limit, found.bytes > limit {
      // As many of both as fit, then more small ones.
      guard let most = Self.last(in: 1...capacity, where: { shape($0, $0).map { $0.bytes <= limit } ?? false }),
        let small = Self.last(in: most...capacity, where: { shape($0, most).map { $0.bytes <= limit } ?? false }),
        let fitting = shape(small, most)
      else { return nil }
      found = fitting
    }
    self = found
  }

  /// With as many segments as a header says.
  init?(capacity: Int, messageBytes: Int, producers: Int, consumers: Int, smallCount: Int, largeCount: Int) {
    guard 1...(1 << 20) ~= capacity, 1...(1 << 30) ~= messageBytes, 0...4095 ~= producers, 0...4095 ~= consumers else { return nil }
    let lanes = max(1, producers)
    guard 2 * lanes + 1...2 * lanes + capacity ~= smallCount else { return nil }
    guard messageBytes <= Self.smallPayload ? largeCount == 0 : lanes + 1...lanes + capacity ~= largeCount else { return nil }
    self.capacity = capacity
    self.messageBytes = messageBytes
    self.producers = producers
    self.consumers = consumers
    self.smallCount = smallCount
    self.largeCount = largeCount
  }

  /// The lowest limit with which producers cannot keep one another from going on.
  package static func leastBytes(capacity: Int, messageBytes: Int, producers: Int, consumers: Int) -> Int? {
    let lanes = max(1, producers)
    return RingShape(
      capacity: capacity, messageBytes: messageBytes, producers: producers, consumers: consumers, smallCount: 2 * lanes + 1,
      largeCount: messageBytes <= smallPayload ? 0 : lanes + 1)?.bytes
  }

  /// The highest number for which it holds; it holds for all that are lower.
  private static func last(in range: ClosedRange<Int>, where holds: (Int) -> Bool) -> Int? {
    guard holds(range.lowerBound) else { return nil }
    var (low, high) = (range.lowerBound, range.upperBound)
    while low < high {
      let middle = low + (high - low + 1) / 2
      if holds(middle) { low = middle } else { high = middle - 1 }
    }
    return low
  }

  static let smallBytes = 64 << 10
  /// The largest payload that goes into a small segment.
  static let smallPayload = smallBytes / 4
  static let slotBytes = 64
  static let line = 64

  /// Whether there may be room in the line and none in the arena.
  var isTight: Bool { smallCount < capacity + 2 * max(1, producers) || largeCount > 0 && largeCount < capacity + max(1, producers) }
  /// How many large messages a producer can have under way at once, whatever the others hold while they wait.
  var largeAtOnce: Int { largeCount == 0 ? Int.max : largeCount - max(1, producers) }
  /// The same for small messages: at least four fit into a segment.
  var smallAtOnce: Int { 4 * (smallCount - 2 * max(1, producers)) }
  var largeBytes: Int { (messageBytes + 4095) & ~4095 }

  var lanesOffset: Int { 4096 }
  var slotsOffset: Int { Self.page(lanesOffset + (producers + consumers) * Self.line) }
  var segmentsOffset: Int { Self.page(slotsOffset + capacity * Self.slotBytes) }
  var arenaOffset: Int { Self.page(segmentsOffset + (smallCount + largeCount) * Self.line) }
  var largeOffset: Int { arenaOffset + smallCount * Self.smallBytes }

  /// The address space that a ring reserves. Memory is taken only as it is touched.
  package var bytes: Int { largeOffset + largeCount * largeBytes }

  /// Tells a damaged header from a sound one where the sizes alone do not.
  var fingerprint: UInt64 {
    [capacity, messageBytes, producers, consumers, smallCount, largeCount].reduce(0x9e37_79b9_7f4a_7c15) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  private static func page(_ n: Int) -> Int { (n + 4095) & ~4095 }
}
