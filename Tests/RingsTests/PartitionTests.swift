import Platform
import Testing

@testable import Rings

extension RingsTests {
/// Outputs of which each message goes to one, by its key.
@Suite struct PartitionTests {
  private struct NoKey: Error {}

  /// The first letter of a message is its key; one that begins with a hyphen has none.
  @Sendable private static func firstLetter(_ text: UnsafeRawBufferPointer, isNamed: Bool) throws -> [UInt8] {
    if isNamed { return Array(text) }
    guard let first = text.first, first != UInt8(ascii: "-") else { throw NoKey() }
    return [first]
  }

  /// One writer; the first rings are one reader's, which shares messages by their keys, and each of the others is a reader's that gets all.
  private final class Bench {
    let rings: [Ring]
    let shared: Int
    let cells: CellBlock
    let writer: Handoff
    private let whenFull: [WhenFull]

    init(
      shared: Int, others: Int = 0, capacity: Int = 64, messageBytes: Int = 32_768, whenFull: WhenFull = .block, ports: [PortSet]? = nil, input: Ring? = nil,
      othersFirst: Bool = false
    ) throws {
      self.shared = shared
      rings = try (0..<shared + others).map { _ in
        try Ring.create(try #require(RingShape(capacity: capacity, messageBytes: messageBytes, producers: 1, consumers: 1)), name: "test")
      }
      cells = try CellBlock.create(cells: 2, name: "test")
      self.whenFull = rings.indices.map { $0 < shared ? whenFull : .block }
      writer = Handoff(
        worker: 1, cell: try cells.cell(0), input: input.map { ($0, 0) }, outputs: rings.map { ($0, 0) }, ports: ports, whenFull: self.whenFull,
        partitions: [Partition(outputs: 0..<shared, key: PartitionTests.firstLetter)], stageHash: 1)
    }

    deinit { for ring in rings { ring.unmap() } }

    private var position: UInt64 = 0

    func put(_ text: String, key: String? = nil, port: Int = 0, commits: Bool = true) throws {
      writer.begin()
      try Array(text.utf8).withUnsafeBytes {
        if let key { try writer.emit($0, format: 1, to: port, key: Array(key.utf8)) }
        else if port > 0 { try writer.emit($0, format: 1, to: port) }
        else { try writer.emit($0) }
      }
      position += 1
      writer.end(.source(position: (position, 0, 0, 0)))
      if commits { try writer.commit() }
    }

    /// What each ring holds, in order; taken out.
    func take() throws -> [[String]] {
      try rings.indices.map { i in
        let reader = Handoff(worker: WorkerNumber(10 + i), cell: try cells.cell(1), input: (rings[i], 0), outputs: [], stageHash: 2)
        var all: [String] = []
        while let lease = try reader.claim() {
          reader.begin(lease)
          all.append(String(decoding: lease.payload, as: UTF8.self) + (lease.key.map { " by " + String(decoding: $0, as: UTF8.self) } ?? ""))
          reader.end(.done)
          try reader.commit()
        }
        return all
      }
    }

    func counts(_ reader: Int) throws -> [Int] {
      let found = try cells.cell(0).counts(reader)
      return [Int(found.given), Int(found.dropped)]
    }

    func recover() throws {
      _ = try Recovery.recover(
        worker: 1, cell: cells.cell(0), rings: rings.enumerated().map { Recovery.Attachment(ring: $1, producerLane: 0, reader: $0 < shared ? 0 : $0 - shared + 1) })
    }
  }

  private static let letters = "abcdefghijklmnopqrstuvwxyz".map(String.init)

  @Test(arguments: [1, 2, 3, 7]) func eachMessageGoesToOneRingAndEqualKeysToTheSame(shared: Int) throws {
    let bench = try Bench(shared: shared, others: 1, capacity: 128)
    for n in 0..<4 { for letter in Self.letters { try bench.put("\(letter)\(n)", commits: n % 2 == 0) } }
    try bench.writer.commit()
    let all = try bench.take()
    let expected = (0..<4).flatMap { n in Self.letters.map { "\($0)\(n)" } }
    #expect(all[shared] == expected, "the other reader gets everything")
    let parts = all.prefix(shared)
    #expect(parts.flatMap { $0 }.sorted() == expected.sorted(), "each message once")
    for letter in Self.letters {
      let own = parts.filter { $0.contains { $0.hasPrefix(letter) } }
      #expect(own.count == 1 && own[0].filter { $0.hasPrefix(letter) } == (0..<4).map { "\(letter)\($0)" }, "the key \(letter): \(own)")
    }
    #expect(parts.allSatisfy { !$0.isEmpty } || shared > 5, "26 keys are spread over \(shared) rings")
    #expect(try bench.counts(0) == [104, 0] && bench.counts(1) == [104, 0])
    #expect(try bench.cells.cell(0).record.emitted == 104)
  }

  /// A resumed run, and another process, must find the ring again in which a key's messages lie.
  @Test func whereAKeyGoesStaysTheSame() {
    let found = ["1", "\"user\"", "null", "{\"a\":1}", ""].map { Partition.index(of: Array($0.utf8), among: 1000) }
    #expect(found == [13, 348, 660, 136, 8])
    #expect(Partition.index(of: [1], among: 0) == 0)
  }

  @Test func aMessageWithoutAKeyGoesToNobody() throws {
    let bench = try Bench(shared: 2, others: 1)
    bench.writer.begin()
    try Array("a1".utf8).withUnsafeBytes { try bench.writer.emit($0) }
    #expect(throws: NoKey.self) { try Array("-".utf8).withUnsafeBytes { try bench.writer.emit($0) } }
    // Whoever goes on all the same has emitted nothing by it.
    try Array("b2".utf8).withUnsafeBytes { try bench.writer.emit($0) }
    bench.writer.end(.done)
    try bench.writer.commit()
    let all = try bench.take()
    #expect((all[0] + all[1]).sorted() == ["a1", "b2"] && all[2] == ["a1", "b2"])
  }

  @Test func aKeyThatIsNamedTravelsWithItsMessage() throws {
    let bench = try Bench(shared: 3, others: 1)
    for n in 0..<20 { try bench.put("\(n)", key: "\"k\(n % 4)\"") }
    let all = try bench.take()
    #expect(all[3] == (0..<20).map(String.init), "who reads everything sees no key")
    for k in 0..<4 {
      let place = Partition.index(of: Array("\"k\(k)\"".utf8), among: 3)
      #expect(all[place].filter { $0.hasSuffix(" by \"k\(k)\"") } == (0..<5).map { "\(4 * $0 + k) by \"k\(k)\"" })
    }
    #expect(bench.writer.wantsKey(0) && !bench.writer.wantsKey(1))
  }

  /// A message and its key share what a queue takes.
  @Test func aKeyCountsWithItsMessage() throws {
    let bench = try Bench(shared: 1, messageBytes: 100)
    try bench.put(String(repeating: "x", count: 90), key: "\"abcd\"")
    #expect(throws: RingError.messageTooLarge(length: 101, limit: 100)) { try bench.put(String(repeating: "x", count: 91), key: "\"abcd\"") }
    bench.writer.abandon()
    try bench.put(String(repeating: "y", count: 100))
    #expect(try bench.take()[0].map(\.count) == [90 + 4 + 6, 100])
  }

  /// Whoever goes on with its call after that has given it to nobody: not to a reader either that takes no key and would have room.
  @Test func whatIsTooLongWithItsKeyGoesToNobody() throws {
    let bench = try Bench(shared: 1, others: 1, messageBytes: 100)
    bench.writer.begin()
    func emit(_ text: String, _ key: String) throws { try Array(text.utf8).withUnsafeBytes { try bench.writer.emit($0, format: 1, to: 0, key: Array(key.utf8)) } }
    #expect(throws: RingError.messageTooLarge(length: 101, limit: 100)) { try emit(String(repeating: "x", count: 91), "\"abcd\"") }
    try emit("y", "1")
    bench.writer.end(.source(position: (1, 0, 0, 0)))
    try bench.writer.commit()
    #expect(try bench.take() == [["y by 1"], ["y"]])
  }

  /// The message has 12 bytes, of which the last four say how long its key is: three have no room for that, and of eleven they say something else.
  @Test(arguments: [3, 11] as [UInt64]) func aKeyThatCannotBeLongerThanItsMessageIsDamage(length: UInt64) throws {
    let bench = try Bench(shared: 1)
    try bench.put("payload", key: "1")
    let fields = bench.rings[0].slot(0)
    fields.extent.set(fields.extent.relaxed & ~0xffff_ffff | length)
    #expect(throws: RingCorruption.self) { try bench.take() }
  }

  @Test func onlyThePortsThatAReaderNamesAreItsOwn() throws {
    let bench = try Bench(shared: 2, others: 1, ports: [PortSet(port: 1), PortSet(port: 1), .main])
    try bench.put("a")
    try bench.put("b", port: 1)
    try bench.put("c", port: 1)
    try bench.put("-", port: 2)
    let all = try bench.take()
    #expect(Set(all[0] + all[1]) == ["b", "c"] && all[0].count + all[1].count == 2 && all[2] == ["a"])
    #expect(try bench.counts(0) == [2, 0] && bench.counts(1) == [1, 0])
    #expect(try bench.cells.cell(0).record.emitted == 3)
  }

  /// What it will be is known only when it is handed on.
  @Test(arguments: [0, 1]) func whatWasReservedFindsItsRing(others: Int) throws {
    let bench = try Bench(shared: 2, others: others)
    for letter in ["a", "b", "c", "d"] {
      bench.writer.begin()
      let memory = try bench.writer.reserve(10)
      memory.copyBytes(from: Array("\(letter)23456789".utf8) + [0])
      try bench.writer.emitReserved(length: 5)
      bench.writer.end(.done)
    }
    bench.writer.begin()
    try bench.writer.reserve(1)[0] = UInt8(ascii: "-")
    #expect(throws: NoKey.self) { try bench.writer.emitReserved(length: 1) }
    bench.writer.abandon()
    #expect(throws: RingError.self) { try bench.writer.reserve(32_769) }
    try bench.writer.commit()
    let all = try bench.take()
    #expect((all[0] + all[1]).sorted() == ["a2345", "b2345", "c2345", "d2345"])
    if others > 0 { #expect(all[2] == ["a2345", "b2345", "c2345", "d2345"]) }
  }

  @Test func aLetterHasAKeyToo() throws {
    let bench = try Bench(shared: 4, ports: [PortSet](repeating: PortSet(port: 1), count: 4))
    for letter in ["a", "b"] {
      bench.writer.begin()
      try Array(letter.utf8).withUnsafeBytes { try bench.writer.emitLetter($0, format: 2, to: 1) }
      bench.writer.end(.deadLettered)
    }
    bench.writer.begin()
    #expect(throws: NoKey.self) { try Array("-".utf8).withUnsafeBytes { try bench.writer.emitLetter($0, format: 2, to: 1) } }
    bench.writer.abandon()
    try bench.writer.commit()
    let all = try bench.take()
    for letter in ["a", "b"] { #expect(all[Partition.index(of: Array(letter.utf8), among: 4)].contains(letter)) }
    #expect(all.flatMap { $0 }.count == 2)
  }

  /// A call that makes more for one key than its ring holds goes on in parts, and a worker that repeats it skips what has gone, whichever
  /// rings that was for.
  @Test(arguments: 0..<5) func aCallInPartsGoesOnWhereItWas(killedAfter: Int) throws {
    struct Killed: Error {}
    let input = try Ring.create(try #require(RingShape(capacity: 4, messageBytes: 100, producers: 1, consumers: 1)), name: "test")
    defer { input.unmap() }
    let bench = try Bench(shared: 3, capacity: 2, input: input)
    let source = Handoff(worker: 9, cell: try bench.cells.cell(1), input: nil, outputs: [(input, 0)], stageHash: 3)
    source.begin()
    try Array("go".utf8).withUnsafeBytes { try source.emit($0) }
    source.end(.source(position: (1, 0, 0, 0)))
    try source.commit()
    let outputs = (0..<12).map { "\(["a", "b", "c", "d"][$0 % 4])\($0)" }
    var arrived: [String] = []
    var parts = 0
    func work(_ handoff: Handoff, dies: Bool) throws {
      handoff.begin(try #require(try handoff.claim()))
      for text in outputs {
        let before = bench.rings.map(\.openSlots)
        try Array(text.utf8).withUnsafeBytes { try handoff.emit($0) }
        if bench.rings.map(\.openSlots) != before {
          arrived += try bench.take().flatMap { $0 }
          parts += 1
          if dies, parts > killedAfter { throw Killed() }
        }
      }
      handoff.end(.done)
      try handoff.commit()
    }
    do { try work(bench.writer, dies: true) } catch is Killed {
      let rings = bench.rings.map { Recovery.Attachment(ring: $0, producerLane: 0, reader: 0) } + [Recovery.Attachment(ring: input, consumerLane: 0)]
      _ = try Recovery.recover(worker: 1, cell: bench.cells.cell(0), rings: rings)
      let next = Handoff(
        worker: 1, cell: try bench.cells.cell(0), input: (input, 0), outputs: bench.rings.map { ($0, 0) },
        partitions: [Partition(outputs: 0..<3, key: Self.firstLetter)], stageHash: 1)
      try work(next, dies: false)
    }
    arrived += try bench.take().flatMap { $0 }
    #expect(parts >= 2 && arrived.sorted() == outputs.sorted(), "\(arrived)")
    for letter in ["a", "b", "c", "d"] { #expect(arrived.filter { $0.hasPrefix(letter) } == outputs.filter { $0.hasPrefix(letter) }) }
    #expect(input.isDrained)
    #expect(try bench.counts(0) == [12, 0] && bench.cells.cell(0).record.emitted == 12)
  }

  @Test(arguments: [(WhenFull.dropNewest, ["a1", "a2"]), (.dropOldest, ["a4", "a5"])])
  func eachRingDropsForItself(policy: WhenFull, kept: [String]) throws {
    let bench = try Bench(shared: 2, capacity: 2, whenFull: policy)
    let quiet = try #require(Self.letters.first { Partition.index(of: Array($0.utf8), among: 2) != Partition.index(of: Array("a".utf8), among: 2) })
    try bench.put("\(quiet)1")
    for n in 1...5 { try bench.put("a\(n)") }
    #expect(try bench.counts(0) == [6, 3])
    let all = try bench.take()
    #expect(all[Partition.index(of: Array("a".utf8), among: 2)] == kept)
    #expect(all[Partition.index(of: Array(quiet.utf8), among: 2)] == ["\(quiet)1"])
  }

  /// What a dead writer was dropping is counted where its reader is counted, however many rings that reader has.
  @Test(arguments: [Failpoint.claimed, .settled, .recordWritten, .committed, .freed])
  func whatADeadWriterWasDroppingIsCounted(place: Failpoint) throws {
    struct Killed: Error {}
    let bench = try Bench(shared: 3, capacity: 2, whenFull: .dropOldest)
    let last = try #require(Self.letters.first { Partition.index(of: Array($0.utf8), among: 3) == 2 })
    for n in 1...2 { try bench.put("\(last)\(n)") }
    Failpoint.handler = { if $0 == place { throw Killed() } }
    defer { Failpoint.handler = nil }
    #expect(throws: Killed.self) { try bench.put("\(last)3") }
    Failpoint.handler = nil
    try bench.recover()
    try bench.recover()
    #expect(try bench.counts(0) == [2, 1] && bench.counts(2) == [0, 0])
    #expect(try bench.take()[2] == ["\(last)2"])
  }

  /// A cell counts for 47 readers, and a reader may have as many rings as it has processes.
  @Test func moreRingsThanAreCountedApartCountAsOne() throws {
    let bench = try Bench(shared: 60, others: 1, messageBytes: 64)
    for letter in Self.letters + Self.letters.map({ $0.uppercased() }) { try bench.put(letter + "1") }
    #expect(try bench.counts(0) == [52, 0] && bench.counts(1) == [52, 0])
    #expect(try bench.take().prefix(60).flatMap { $0 }.count == 52)
  }
}
}
