import Platform
import Testing

@testable import Rings

extension RingsTests {
/// Queues that drop what finds no room.
@Suite struct WhenFullTests {
  private struct Bench {
    let rings: [Ring]
    let cells: CellBlock

    init(capacities: [Int], producers: Int = 2) throws {
      rings = try capacities.map { capacity in
        try Ring.create(try #require(RingShape(capacity: capacity, messageBytes: 32_768, producers: producers, consumers: 1)), name: "test")
      }
      cells = try CellBlock.create(cells: 20, name: "test")
    }

    func writer(_ policies: [WhenFull], lane: Int = 0) throws -> Handoff {
      Handoff(
        worker: WorkerNumber(lane + 1), cell: try cells.cell(lane), input: nil, outputs: rings.map { ($0, lane) }, whenFull: policies, stageHash: 1)
    }

    func reader(_ ring: Int = 0) throws -> Handoff {
      Handoff(worker: WorkerNumber(11 + ring), cell: try cells.cell(10 + ring), input: (rings[ring], 0), outputs: [], stageHash: 2)
    }

    /// Hands over several messages at once.
    func put(_ texts: ClosedRange<Int>, _ writer: Handoff) throws {
      for n in texts {
        writer.begin()
        try Array("\(n)".utf8).withUnsafeBytes { try writer.emit($0) }
        writer.end(.source(position: (UInt64(n), 0, 0, 0)))
      }
      try writer.commit()
    }

    func recoverWriter(_ lane: Int = 0) throws -> Recovery.Summary {
      try Recovery.recover(
        worker: WorkerNumber(lane + 1), cell: cells.cell(lane), rings: rings.map { Recovery.Attachment(ring: $0, producerLane: lane) })
    }
  }

  private func take(_ reader: Handoff) throws -> [Int] {
    var all: [Int] = []
    while let lease = try reader.claim() {
      reader.begin(lease)
      all.append(Int(String(decoding: lease.payload, as: UTF8.self)) ?? -1)
      reader.end(.done)
      try reader.commit()
    }
    return all
  }

  @Test(arguments: [(WhenFull.dropNewest, [1, 2, 3, 4], [9]), (.dropOldest, [5, 6, 7, 8], [9])])
  func aFullQueueDrops(policy: WhenFull, kept: [Int], next: [Int]) throws {
    let bench = try Bench(capacities: [4])
    let (writer, reader) = (try bench.writer([policy]), try bench.reader())
    for n in 1...8 { try bench.put(n...n, writer) }
    #expect(try take(reader) == kept)
    try bench.put(9...9, writer)
    #expect(try take(reader) == next)
    #expect(try bench.cells.cell(0).counts(0) == (9, 4))
    #expect(try bench.cells.cell(0).record.emitted == 9)
  }

  /// More at once than the line takes: the newest of it go.
  @Test func ofABatchTheNewestGo() throws {
    let bench = try Bench(capacities: [3])
    try bench.put(1...10, bench.writer([.dropOldest]))
    #expect(try take(bench.reader()) == [8, 9, 10])
    #expect(try bench.cells.cell(0).counts(0) == (10, 7))
  }

  /// Each reader's queue has its own policy.
  @Test func onlyTheQueueThatDropsLoses() throws {
    let bench = try Bench(capacities: [8, 2, 2])
    try bench.put(1...8, bench.writer([.block, .dropNewest, .dropOldest]))
    #expect(try take(bench.reader(0)) == Array(1...8))
    #expect(try take(bench.reader(1)) == [1, 2])
    #expect(try take(bench.reader(2)) == [7, 8])
    let cell = try bench.cells.cell(0)
    #expect(cell.counts(0) == (8, 0) && cell.counts(1) == (8, 6) && cell.counts(2) == (8, 6))
  }

  /// What readers work on stays theirs. If they have all, the oldest of the new ones goes.
  @Test func whatIsWorkedOnIsNotDropped() throws {
    let bench = try Bench(capacities: [3])
    let (writer, reader) = (try bench.writer([.dropOldest]), try bench.reader())
    try bench.put(1...3, writer)
    let leases = try (1...2).map { _ in try #require(try reader.claim()) }
    try bench.put(4...5, writer)
    #expect(leases.map { String(decoding: $0.payload, as: UTF8.self) } == ["1", "2"])
    let last = try #require(try reader.claim())
    #expect(String(decoding: last.payload, as: UTF8.self) == "5")
    try bench.put(6...7, writer)
    for lease in leases + [last] {
      reader.begin(lease)
      reader.end(.done)
    }
    try reader.commit()
    #expect(try take(reader) == [])
    #expect(try bench.cells.cell(0).counts(0) == (7, 4))
  }

  /// A message that a worker died with does not stand in the way of newer ones.
  @Test func whatAWorkerDiedWithIsDroppedLikeAnyOther() throws {
    let bench = try Bench(capacities: [2])
    let (writer, victim) = (try bench.writer([.dropOldest]), try bench.reader())
    try bench.put(1...2, writer)
    victim.begin(try #require(try victim.claim()))
    _ = try Recovery.recover(worker: 11, cell: bench.cells.cell(10), rings: [Recovery.Attachment(ring: bench.rings[0], consumerLane: 0)])
    try bench.put(3...4, writer)
    let reader = try bench.reader()
    #expect(try take(reader) == [3, 4])
    #expect(try bench.cells.cell(0).counts(0) == (4, 2))
  }

  ///     writer   takes 1 out of the line, to drop it                  dies
  ///     reader                                        takes 2
  ///
  /// The runner drops 1 for the dead writer: in its queue again, it would come behind 2.
  @Test(arguments: [Failpoint.claimed, .settled, .recordWritten, .committed, .freed])
  func whatADeadWriterWasDroppingIsDropped(place: Failpoint) throws {
    struct Killed: Error {}
    let bench = try Bench(capacities: [2])
    let (writer, reader) = (try bench.writer([.dropOldest]), try bench.reader())
    try bench.put(1...2, writer)
    Failpoint.handler = { if $0 == place { throw Killed() } }
    defer { Failpoint.handler = nil }
    #expect(throws: Killed.self) { try bench.put(3...3, writer) }
    Failpoint.handler = nil
    #expect(try take(reader) == [2])
    _ = try bench.recoverWriter()
    _ = try bench.recoverWriter()
    #expect(try take(bench.reader()) == [])
    #expect(try bench.cells.cell(0).counts(0) == (2, 1))
    #expect(bench.rings[0].isDrained)
  }

  /// A reader that is far behind finds the line again at once.
  @Test func aReaderThatStoodStillGoesOn() throws {
    let bench = try Bench(capacities: [4])
    let (writer, reader) = (try bench.writer([.dropOldest]), try bench.reader())
    try bench.put(1...1, writer)
    let first = try #require(try reader.claim())
    for n in 2...20_000 { try bench.put(n...n, writer) }
    #expect(try #require(try reader.claim()).payload.elementsEqual("19998".utf8))
    reader.begin(first)
    reader.end(.done)
    try reader.commit()
    #expect(try bench.cells.cell(0).counts(0) == (20_000, 19_996))
  }
}
}
