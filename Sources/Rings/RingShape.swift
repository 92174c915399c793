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
package struct RingShape: Sendable, Equatable {
  /// How many messages may wait or be worked on, exactly: 1...1,048,576.
  package let capacity: Int
  /// The largest payload in bytes: 1...1 GiB.
  package let messageBytes: Int
  package let producers: Int
  package let consumers: Int

  /// - Returns: nil when a number is out of range (lanes: 0...4095)
  package init?(capacity: Int, messageBytes: Int, producers: Int, consumers: Int) {
    guard 1...(1 << 20) ~= capacity, 1...(1 << 30) ~= messageBytes, 0...4095 ~= producers, 0...4095 ~= consumers else { return nil }
    self.capacity = capacity
    self.messageBytes = messageBytes
    self.producers = producers
    self.consumers = consumers
  }

  static let smallBytes = 64 << 10
  /// The largest payload that goes into a small segment.
  static let smallPayload = smallBytes / 4
  static let slotBytes = 64
  static let line = 64

  /// A slot pins at most one small segment, and a producer holds at most two while it waits.
  var smallCount: Int { capacity + 2 * max(1, producers) }
  var largeCount: Int { messageBytes <= Self.smallPayload ? 0 : capacity + max(1, producers) }
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
    [capacity, messageBytes, producers, consumers].reduce(0x9e37_79b9_7f4a_7c15) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  private static func page(_ n: Int) -> Int { (n + 4095) & ~4095 }
}
