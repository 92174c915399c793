import Platform
import Synchronization
import Testing

@testable import Rings

extension RingsTests {
/// Rings with fewer segments than messages: there may be room in the line and none in the arena.
@Suite struct TightRingTests {
  private func tight(capacity: Int, messageBytes: Int = 32_768, producers: Int, consumers: Int) throws -> Ring {
    let least = try #require(RingShape.leastBytes(capacity: capacity, messageBytes: messageBytes, producers: producers, consumers: consumers))
    let shape = RingShape(capacity: capacity, messageBytes: messageBytes, producers: producers, consumers: consumers, bytes: least)
    return try Ring.create(try #require(shape), name: "test")
  }

  @Test(arguments: [(256, 1 << 20, 1), (64, 16_384, 3), (1, 100_000, 7), (1000, 20_000, 2)])
  func aRingIsAsLargeAsItsLimitAllows(capacity: Int, messageBytes: Int, producers: Int) throws {
    func shape(_ bytes: Int?) -> RingShape? {
      RingShape(capacity: capacity, messageBytes: messageBytes, producers: producers, consumers: 2, bytes: bytes)
    }
    let full = try #require(shape(nil))
    let least = try #require(RingShape.leastBytes(capacity: capacity, messageBytes: messageBytes, producers: producers, consumers: 2))
    #expect(!full.isTight && shape(full.bytes) == full && shape(Int.max) == full)
    #expect(shape(least - 1) == nil)
    for bytes in [least, least + (full.bytes - least) / 3, full.bytes - 1] where bytes >= least && bytes < full.bytes {
      let found = try #require(shape(bytes))
      #expect(found.isTight && found.bytes <= bytes)
      #expect(found.smallCount > 2 * producers && (found.largeCount == 0 || found.largeCount > producers))
      // No segment of either kind would fit beside these.
      #expect(found.bytes + RingShape.smallBytes + found.largeBytes + 8192 > bytes)
    }
  }

  @Test func aTightRingIsAttachedWithItsShape() throws {
    let ring = try tight(capacity: 50, producers: 2, consumers: 1)
    let attached = try Ring(attaching: ring.descriptor)
    #expect(attached.shape == ring.shape && attached.shape.isTight)
    // Another division of the same memory is refused.
    ring.word(Ring.Offset.largeCount).set(UInt64(ring.shape.largeCount + 1))
    #expect(throws: RingCorruption.self) { try Ring(attaching: ring.descriptor) }
  }

  /// Two sources, two transforms whose calls make more than an arena holds, and readers that gather as much as they can get before they
  /// hand over. All rings have the least memory; nobody waits for ever, and nobody is forgotten.
  @Test func theLeastMemoryIsEnough() throws {
    let count = 400
    let input = try tight(capacity: 30, producers: 2, consumers: 2)
    let outputs = try (0..<2).map { _ in try tight(capacity: 40, producers: 2, consumers: 1) }
    let block = try CellBlock.create(cells: 8, name: "test")
    let running = Atomic<Int>(6)
    let failures = Mutex<[String]>([])
    let seen = Mutex([[String]](repeating: [], count: 2))
    func start(_ body: @escaping @Sendable () throws -> Void) {
      #expect(Thread.start {
        do { try body() } catch { failures.withLock { $0.append("\(error)") } }
        running.subtract(1, ordering: .releasing)
      })
    }
    @Sendable func emit(_ name: String, _ n: Int, _ handoff: Handoff) throws {
      let length = [40, 20_000, 16_000, 9_000, 32_768, 17_000, 16_384][n % 7]
      try (Array((name + " ").utf8) + [UInt8](repeating: 0x2e, count: length - name.utf8.count - 1)).withUnsafeBytes { try handoff.emit($0) }
    }
    @Sendable func name(_ lease: Lease) -> String { String(decoding: lease.payload.prefix { $0 != 0x20 }, as: UTF8.self) }
    for s in 0..<2 {
      let cell = try block.cell(s)
      start {
        let source = Handoff(worker: WorkerNumber(s + 1), cell: cell, input: nil, outputs: [(input, s)], stageHash: 1)
        for n in 1...count {
          source.begin()
          try emit("\(s).\(n)", n, source)
          source.end(.source(position: (UInt64(n), 0, 0, 0)))
          if n % 9 == 0 || source.isHeavy { try source.commit() }
        }
        try source.commit()
        try source.close()
      }
    }
    for t in 0..<2 {
      let cell = try block.cell(2 + t)
      // They meet the rings in another order.
      let mine = (t == 0 ? outputs : outputs.reversed()).map { (ring: $0, lane: t) }
      start {
        let transform = Handoff(worker: WorkerNumber(t + 3), cell: cell, input: (input, t), outputs: mine, stageHash: 2)
        var calls = 0
        while true {
          guard let lease = try transform.claim() else {
            if transform.pendingCalls > 0 { try transform.commit() } else if try transform.waitForInput() == .closed { break }
            continue
          }
          transform.begin(lease)
          calls += 1
          for i in 0..<(calls % 5 == 0 ? 12 : 1) { try emit("\(name(lease)).\(i)", calls + i, transform) }
          transform.end(.done)
          if transform.isHeavy { try transform.commit() }
        }
        try transform.close()
      }
    }
    for r in 0..<2 {
      let cell = try block.cell(4 + r)
      let ring = outputs[r]
      start {
        let reader = Handoff(worker: WorkerNumber(r + 5), cell: cell, input: (ring, 0), outputs: [], stageHash: 3)
        while try reader.waitForInput() == .ready {
          var leases: [Lease] = []
          while leases.count < 20, try reader.claim(atMost: 1, into: &leases) == 1 {}
          for lease in leases {
            reader.begin(lease)
            let id = name(lease)
            seen.withLock { $0[r].append(id) }
            reader.end(.done)
          }
          try reader.commit()
        }
      }
    }
    while running.load(ordering: .acquiring) > 4, failures.withLock(\.isEmpty) { Processor.yield() }
    input.close()
    while running.load(ordering: .acquiring) > 2, failures.withLock(\.isEmpty) { Processor.yield() }
    for ring in outputs { ring.close() }
    while running.load(ordering: .acquiring) > 0, failures.withLock(\.isEmpty) { Processor.yield() }
    #expect(failures.withLock { $0 } == [])
    let all = seen.withLock { $0 }
    #expect(all[0].count == Set(all[0]).count && Set(all[0]) == Set(all[1]) && all[0].count == all[1].count)
    #expect(Set(all[0].map { $0.split(separator: ".").prefix(2).joined(separator: ".") }).count == 2 * count)
    #expect(([input] + outputs).map(\.lateWakes) == [0, 0, 0])
  }

  /// A writer dies with the only segments that are left. They are nobody's once their messages have gone, and whoever waits frees them.
  @Test func segmentsOfTheDeadAreFreedByWhoWaits() throws {
    let ring = try tight(capacity: 20, producers: 1, consumers: 1)
    let block = try CellBlock.create(cells: 3, name: "test")
    let large = [UInt8](repeating: 1, count: 20_000)
    func put(_ writer: Handoff, _ n: UInt64) throws {
      writer.begin()
      try large.withUnsafeBytes { try writer.emit($0) }
      writer.end(.source(position: (n, 0, 0, 0)))
      try writer.commit()
    }
    struct Killed: Error {}
    let first = Handoff(worker: 1, cell: try block.cell(0), input: nil, outputs: [(ring, 0)], stageHash: 1)
    try put(first, 1)
    // It dies before it seals what it has published.
    Failpoint.handler = { if $0 == .cleared { throw Killed() } }
    defer { Failpoint.handler = nil }
    #expect(throws: Killed.self) { try put(first, 2) }
    Failpoint.handler = nil
    _ = try Recovery.recover(worker: 1, cell: try block.cell(0), rings: [Recovery.Attachment(ring: ring, producerLane: 0)])
    #expect(!ring.hasFreeSegments(small: 0, large: 1))
    let reader = Handoff(worker: 2, cell: try block.cell(1), input: (ring, 0), outputs: [], stageHash: 2)
    for n in 1...2 {
      let lease = try #require(try reader.claim())
      reader.begin(lease)
      reader.end(.done)
      try reader.commit()
      #expect(ring.hasFreeSegments(small: 0, large: n))
    }
  }
}
}
