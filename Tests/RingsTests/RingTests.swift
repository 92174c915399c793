import Platform
import Synchronization
import Testing

@testable import Rings

/// Failpoints are the whole process's, so one test at a time.
@Suite(.serialized) enum RingsTests {}

extension RingsTests {
/// One ring: exact capacity, leases that do not pin the line, redelivery in order, parts, waiting.
@Suite struct RingTests {
  private struct Bench {
    let ring: Ring
    let cells: [CommitCell]

    init(capacity: Int, messageBytes: Int = 4096, producers: Int = 1, consumers: Int = 2, start: RingStart = .zero) throws {
      let shape = try #require(RingShape(capacity: capacity, messageBytes: messageBytes, producers: producers, consumers: consumers))
      ring = try Ring.create(shape, name: "test", start: start)
      let block = try CellBlock.create(cells: producers + consumers, name: "test")
      cells = try (0..<(producers + consumers)).map { try block.cell($0) }
    }

    func producer(_ lane: Int = 0) -> Handoff {
      Handoff(worker: WorkerNumber(lane + 1), cell: cells[lane], input: nil, outputs: [(ring, lane)], stageHash: 1)
    }

    func consumer(_ lane: Int = 0) -> Handoff {
      let number = ring.shape.producers + lane
      return Handoff(worker: WorkerNumber(number + 1), cell: cells[number], input: (ring, lane), outputs: [], stageHash: 2)
    }

    func put(_ text: String, _ handoff: Handoff, _ n: Int = 1) throws {
      handoff.begin()
      try Array(text.utf8).withUnsafeBytes { try handoff.emit($0) }
      handoff.end(.source(position: (UInt64(n), 0, 0, 0)))
      try handoff.commit()
    }

    func kill(consumer lane: Int) throws -> Recovery.Summary {
      let number = ring.shape.producers + lane
      return try Recovery.recover(
        worker: WorkerNumber(number + 1), cell: cells[number], rings: [Recovery.Attachment(ring: ring, consumerLane: lane)])
    }
  }

  private func claim(_ handoff: Handoff) throws -> Lease? {
    var leases: [Lease] = []
    return try handoff.claim(atMost: 1, into: &leases) == 1 ? leases[0] : nil
  }

  private func text(_ lease: Lease?) -> String? { lease.map { String(decoding: $0.payload, as: UTF8.self) } }

  private func settle(_ lease: Lease, _ handoff: Handoff) throws {
    handoff.begin(lease)
    handoff.end(.done)
    try handoff.commit()
  }

  /// Where to begin to look is a hint, and so a bit that has flipped in one neither loses a message nor lets anybody wait for ever.
  @Test(arguments: [1, 7, 32], [RingStart.zero, .justBelowOverflow]) func aResumeTrustsNoHint(capacity: Int, start: RingStart) throws {
    for hint in [Ring.Offset.tail, Ring.Offset.head] {
      for bit in 0..<64 {
        let bench = try Bench(capacity: capacity, start: start)
        var (source, sink) = (bench.producer(), bench.consumer())
        for n in 1...3 * capacity {
          try bench.put("\(n)", source, n)
          if n <= 2 * capacity { try settle(try #require(try claim(sink)), sink) }
        }
        // Two are held, of which the second has been acknowledged, when all of them die.
        let held = bench.consumer(1)
        _ = try claim(sink)
        if let lease = try claim(held) { try settle(lease, held) }
        for lane in 0...1 { _ = try bench.kill(consumer: lane) }
        _ = try Recovery.recover(worker: 1, cell: bench.cells[0], rings: [Recovery.Attachment(ring: bench.ring, producerLane: 0)])
        _ = bench.ring.word(hint).add(1 << bit)
        do throws(RingCorruption) { try bench.ring.verify(workers: 3) } catch { continue }
        bench.ring.restoreHints()
        (source, sink) = (bench.producer(), bench.consumer())
        func readAll() throws -> Int {
          var n = 0
          while let lease = try claim(sink) {
            try settle(lease, sink)
            n += 1
          }
          return n
        }
        #expect(try readAll() == max(1, capacity - 1), "hint \(hint), bit \(bit)")
        for lap in 1...2 {
          for n in 1...capacity { try bench.put("more", source, lap * capacity + n) }
          #expect(try readAll() == capacity, "hint \(hint), bit \(bit)")
        }
        bench.ring.unmap()
      }
    }
  }

  @Test(arguments: [1, 2, 3, 7, 64]) func theCapacityIsExact(capacity: Int) throws {
    let bench = try Bench(capacity: capacity)
    let producer = bench.producer()
    for n in 1...capacity {
      #expect(bench.ring.hasRoom(1))
      try bench.put("\(n)", producer, n)
    }
    #expect(!bench.ring.hasRoom(1) && bench.ring.openSlots == capacity)
    // Being worked on counts as well as waiting.
    let consumer = bench.consumer()
    let lease = try #require(try claim(consumer))
    #expect(!bench.ring.hasRoom(1))
    try settle(lease, consumer)
    #expect(bench.ring.hasRoom(1) && !bench.ring.hasRoom(2))
  }

  @Test func aLongLeaseDoesNotStopTheLine() throws {
    let bench = try Bench(capacity: 3)
    let (producer, slow, fast) = (bench.producer(), bench.consumer(0), bench.consumer(1))
    try bench.put("long", producer)
    let long = try #require(try claim(slow))
    // Many laps pass beside it.
    for n in 1...100 {
      try bench.put("\(n)", producer, n)
      let lease = try #require(try claim(fast))
      #expect(text(lease) == "\(n)")
      try settle(lease, fast)
    }
    #expect(text(long) == "long" && bench.ring.openSlots == 1)
    try settle(long, slow)
    #expect(bench.ring.isDrained)
  }

  @Test func aWholeLapOfLeasesIsFull() throws {
    let bench = try Bench(capacity: 2)
    let (producer, consumer) = (bench.producer(), bench.consumer())
    for n in 1...2 { try bench.put("\(n)", producer, n) }
    let first = try #require(try claim(consumer))
    let second = try #require(try claim(consumer))
    #expect(!bench.ring.hasRoom(1))
    try settle(second, consumer)
    try bench.put("3", producer, 3)
    #expect(!bench.ring.hasRoom(1))
    try settle(first, consumer)
    #expect(text(try claim(consumer)) == "3")
  }

  @Test func whatADeadWorkerHadComesFirstAndInOrder() throws {
    let bench = try Bench(capacity: 8)
    let (producer, victim, other) = (bench.producer(), bench.consumer(0), bench.consumer(1))
    for n in 1...6 { try bench.put("\(n)", producer, n) }
    for _ in 1...3 { _ = try claim(victim) }
    let inHand = try #require(try claim(victim))
    victim.begin(inHand)
    let summary = try bench.kill(consumer: 0)
    #expect(summary.redelivered == 4 && !summary.rolledForward)
    // Only the message that its plugin worked on counts the death.
    #expect(summary.deaths.map(\.deaths) == [1])
    var seen: [String] = []
    var deaths: [Int] = []
    while let lease = try claim(other) {
      seen.append(text(lease) ?? "")
      deaths.append(lease.deaths)
      try settle(lease, other)
    }
    #expect(seen == ["1", "2", "3", "4", "5", "6"])
    #expect(deaths == [0, 0, 0, 1, 0, 0])
  }

  /// The victim claims 1, another reader passes it and claims 2; neither has raised the head when the victim dies.
  @Test func whatWasClaimedBeforeTheHeadWasRaisedIsFoundAgain() throws {
    let bench = try Bench(capacity: 4)
    let (producer, victim, other) = (bench.producer(), bench.consumer(0), bench.consumer(1))
    for n in 1...2 { try bench.put("\(n)", producer, n) }
    #expect(text(try claim(victim)) == "1")
    let second = try #require(try claim(other))
    #expect(bench.ring.word(Ring.Offset.head).relaxed == 0)
    #expect(try bench.kill(consumer: 0).redelivered == 1)
    #expect(text(try claim(other)) == "1")
    try settle(second, other)
  }

  /// Looking for room moves leases along, lap after lap; the slot that is then freed lies many laps ahead of the tail.
  @Test func roomIsSeenHoweverFarTheLeasesWereMoved() throws {
    let bench = try Bench(capacity: 2)
    let consumer = bench.consumer()
    for n in 1...2 { try bench.put("\(n)", bench.producer(), n) }
    let first = try #require(try claim(consumer))
    _ = try #require(try claim(consumer))
    var producer = Producer(bench.ring, lane: 0, owner: 1)
    try Array("3".utf8).withUnsafeBytes { try producer.append($0, MessageID(high: 0, low: 0), format: 0) }
    for _ in 1...10 { #expect(try producer.takeSlots(1) == 0) }
    #expect(!bench.ring.hasRoom(1))
    try settle(first, consumer)
    #expect(bench.ring.hasRoom(1) && !bench.ring.hasRoom(2))
    while try producer.takeSlots(1) == 0 {}
    try producer.publish(1, at: 0)
    try producer.published(1)
    #expect(text(try claim(consumer)) == "3")
  }

  /// Each worker needs two slots in both rings, and takes the rings in another order: both ask for their turn all the time.
  @Test func workersThatNeedSeveralSlotsInTwoRingsDoNotWaitForEachOther() throws {
    let rings = try (0..<2).map { _ in try Bench(capacity: 2, producers: 2, consumers: 1) }
    let calls = 2_000
    let running = Atomic<Int>(4)
    let counts = Mutex([0, 0])
    for w in 0..<2 {
      let cell = rings[0].cells[w]
      let outputs = [(rings[w].ring, w), (rings[1 - w].ring, w)]
      #expect(Thread.start {
        let worker = Handoff(worker: WorkerNumber(w + 1), cell: cell, input: nil, outputs: outputs.map { (ring: $0.0, lane: $0.1) }, stageHash: 1)
        for n in 1...calls {
          worker.begin()
          for _ in 0..<2 { try? [UInt8](repeating: 7, count: 8).withUnsafeBytes { try worker.emit($0) } }
          worker.end(.source(position: (UInt64(n), 0, 0, 0)))
          try? worker.commit()
        }
        running.subtract(1, ordering: .releasing)
      })
    }
    for r in 0..<2 {
      let (ring, cell) = (rings[r].ring, rings[r].cells[2])
      #expect(Thread.start {
        let reader = Handoff(worker: WorkerNumber(10 + r), cell: cell, input: (ring, 0), outputs: [], stageHash: 2)
        while (try? reader.waitForInput()) == .ready {
          guard let lease = try? reader.claim() else { continue }
          reader.begin(lease)
          reader.end(.done)
          try? reader.commit()
          counts.withLock { $0[r] += 1 }
        }
        running.subtract(1, ordering: .releasing)
      })
    }
    while running.load(ordering: .acquiring) > 2 { Processor.yield() }
    for bench in rings { bench.ring.close() }
    while running.load(ordering: .acquiring) > 0 { Processor.yield() }
    #expect(counts.withLock { $0 } == [4 * calls, 4 * calls])
    #expect(rings.map(\.ring.lateWakes) == [0, 0])
  }

  /// Laps, generations and the words that sleepers sleep on all go past their last number while a lease stays and workers die.
  @Test(arguments: [1, 3, 8]) func countersMayOverflow(capacity: Int) throws {
    let bench = try Bench(capacity: capacity, messageBytes: 20_000, start: .justBelowOverflow)
    let (producer, other) = (bench.producer(), bench.consumer(1))
    var long: Lease?
    let slow = bench.consumer(0)
    if capacity > 1 {
      try bench.put("long", producer)
      let lease: Lease = try #require(try claim(slow))
      long = lease
    }
    var expected = 0
    for n in 1...60 {
      try bench.put("\(n)" + String(repeating: " ", count: n % 3 == 0 ? 18_000 : 0), producer, n)
      if n % 7 == 0 {
        let victim = Handoff(worker: 60, cell: bench.cells[0], input: (bench.ring, 1), outputs: [], stageHash: 0)
        _ = try claim(victim)
        _ = try Recovery.recover(worker: 60, cell: bench.cells[0], rings: [Recovery.Attachment(ring: bench.ring, consumerLane: 1)])
      }
      let lease = try #require(try claim(other))
      expected += 1
      #expect(text(lease)?.split(separator: " ").first == "\(expected)")
      try settle(lease, other)
    }
    if let long {
      #expect(text(long) == "long")
      try settle(long, slow)
    }
    #expect(bench.ring.isDrained)
  }

  /// A writer dies between its commit and its publication: who publishes for it says when.
  @Test func whatRecoveryPublishesHasATime() throws {
    let bench = try Bench(capacity: 2)
    struct Killed: Error {}
    let before = Clock.now
    Failpoint.handler = { if $0 == .committed { throw Killed() } }
    defer { Failpoint.handler = nil }
    #expect(throws: Killed.self) { try bench.put("x", bench.producer()) }
    Failpoint.handler = nil
    _ = try Recovery.recover(worker: 1, cell: bench.cells[0], rings: [Recovery.Attachment(ring: bench.ring, producerLane: 0)])
    #expect(try #require(try claim(bench.consumer())).published >= before)
  }

  @Test func deathsAndErrorsAreCountedApartAndStay() throws {
    let bench = try Bench(capacity: 2)
    try bench.put("x", bench.producer())
    for round in 1...3 {
      let consumer = bench.consumer()
      var lease = try #require(try claim(consumer))
      #expect(lease.deaths == round - 1 && lease.errors == round - 1)
      consumer.begin(lease)
      // The worker that tries again itself knows it too.
      #expect(consumer.recordError(&lease) == round && lease.errors == round)
      _ = try bench.kill(consumer: 0)
      // A second recovery counts nothing twice.
      _ = try bench.kill(consumer: 0)
    }
    #expect(try claim(bench.consumer())?.deaths == 3)
  }

  @Test func aCallThatEmitsMoreThanTheRingHoldsGoesOnInParts() throws {
    let input = try Bench(capacity: 2)
    let output = try Bench(capacity: 3, consumers: 1)
    try input.put("work", input.producer())
    let total = 20
    // A reader on a thread of its own makes room.
    let seen = Mutex<[String]>([])
    let ring = output.ring
    let cell = output.cells[1]
    let isDone = Atomic<Bool>(false)
    #expect(Thread.start {
      let reader = Handoff(worker: 9, cell: cell, input: (ring, 0), outputs: [], stageHash: 0)
      var leases: [Lease] = []
      while (try? reader.waitForInput()) == .ready {
        leases.removeAll()
        guard (try? reader.claim(atMost: 1, into: &leases)) == 1 else { continue }
        let text = String(decoding: leases[0].payload, as: UTF8.self)
        seen.withLock { $0.append(text) }
        reader.begin(leases[0])
        reader.end(.done)
        try? reader.commit()
      }
      isDone.store(true, ordering: .releasing)
    })
    // The worker dies in the middle of the call, after some parts; its successor skips what has gone on.
    let attachments = [Recovery.Attachment(ring: input.ring, consumerLane: 0), Recovery.Attachment(ring: ring, producerLane: 0)]
    for stopAt in [8, 15, total] {
      let worker = Handoff(worker: 5, cell: input.cells[1], input: (input.ring, 0), outputs: [(ring, 0)], stageHash: 7)
      let lease = try #require(try claim(worker))
      worker.begin(lease)
      for i in 0..<stopAt { try Array("part \(i)".utf8).withUnsafeBytes { try worker.emit($0) } }
      if stopAt == total {
        worker.end(.done)
        try worker.commit()
      } else {
        let summary = try Recovery.recover(worker: 5, cell: input.cells[1], rings: attachments)
        #expect(summary.redelivered == 1)
      }
    }
    ring.close()
    while !isDone.load(ordering: .acquiring) { Processor.yield() }
    #expect(seen.withLock { $0 } == (0..<total).map { "part \($0)" })
    #expect(input.ring.isDrained && ring.isDrained && ring.lateWakes == 0)
  }

  @Test func identitiesStayTheSameOverRedelivery() throws {
    let input = try Bench(capacity: 4)
    let output = try Bench(capacity: 4, consumers: 1)
    try input.put("a", input.producer(), 1)
    try input.put("b", input.producer(), 2)
    // A worker takes both, emits, and dies before its commit: the outputs were never seen.
    let worker = Handoff(worker: 5, cell: input.cells[1], input: (input.ring, 0), outputs: [(output.ring, 0)], stageHash: 7)
    while let lease = try claim(worker) {
      worker.begin(lease)
      try worker.emit(lease.payload)
      worker.end(.done)
    }
    _ = try Recovery.recover(worker: 5, cell: input.cells[1], rings: [Recovery.Attachment(ring: input.ring, consumerLane: 0), Recovery.Attachment(ring: output.ring, producerLane: 0)])
    let first = try #require(try claim(input.consumer(1)))
    #expect(first.id == MessageID.source(stage: 1, position: (1, 0, 0, 0)))
    #expect(first.id.hex.count == 32)
    #expect(output.ring.isDrained)
    // Pinned: receivers remember keys over releases of ours.
    #expect(MessageID.source(stage: MessageID.hash("numbers"), position: (1, 0, 0, 0)).hex == Self.pinned)
  }

  private static let pinned = "4b012fe5a41a6966faae6acccf6bcfd4"

  @Test func aMessageThatIsTooLargeIsRefused() throws {
    let bench = try Bench(capacity: 2, messageBytes: 100)
    let producer = bench.producer()
    producer.begin()
    let bytes = [UInt8](repeating: 0, count: 101)
    #expect(throws: RingError.messageTooLarge(length: 101, limit: 100)) { try bytes.withUnsafeBytes { try producer.emit($0) } }
    producer.abandon()
    try bench.put("still works", producer)
    #expect(text(try claim(bench.consumer())) == "still works")
  }

  @Test func attachingChecksTheHeader() throws {
    let bench = try Bench(capacity: 4)
    #expect(try Ring(attaching: try Channel.duplicate(bench.ring.descriptor)).shape == bench.ring.shape)
    for (offset, value) in [(0, 1), (8, 99), (16, 5), (16, UInt64.max), (24, 1 << 20), (32, 9), (40, 9), (48, 4096)] as [(Int, UInt64)] {
      let before = bench.ring.word(offset).acquired
      bench.ring.word(offset).release(value)
      #expect(throws: RingCorruption.self) { try Ring(attaching: try Channel.duplicate(bench.ring.descriptor)) }
      bench.ring.word(offset).release(before)
    }
  }

  /// Whoever refuses a ring leaves nothing of it behind.
  @Test func refusingARingGivesItsDescriptorBack() throws {
    let ring = try Ring.create(try #require(RingShape(capacity: 4, messageBytes: 100, producers: 1, consumers: 1)), name: "refused-ring")
    ring.word(0).release(1)
    for _ in 0..<3 { #expect(throws: RingCorruption.self) { try Ring(attaching: try Channel.duplicate(ring.descriptor)) } }
    let left = Files.glob("/proc/self/fd/*").filter { Files.linkTarget($0)?.contains("refused-ring") == true }
    #expect(left.count == 1)
    ring.unmap()
  }

  // MARK: Files

  /// What is in a ring of a file is there for whoever maps the file next, and a file that is no such ring is refused.
  @Test func aRingInAFileOutlivesItsMapping() throws {
    let path = "/tmp/ringway-ring-\(CurrentProcess.id)-\(UInt64.random(in: 0...UInt64.max))"
    defer { try? Files.remove(path) }
    let shape = try #require(RingShape(capacity: 4, messageBytes: 100, producers: 1, consumers: 1))
    let cells = try CellBlock.create(cells: 2, name: "test")
    func handoff(_ ring: Ring, _ n: Int) throws -> Handoff {
      Handoff(worker: WorkerNumber(n + 1), cell: try cells.cell(n), input: n == 1 ? (ring, 0) : nil, outputs: n == 0 ? [(ring, 0)] : [], stageHash: 1)
    }
    let made = Ring.create(shape, in: try SharedMemory.create(file: path, count: shape.bytes), owner: 7)
    #expect(throws: SystemError.self) { _ = try SharedMemory.create(file: path, count: shape.bytes) }
    let writer = try handoff(made, 0)
    writer.begin()
    try "kept".utf8.withContiguousStorageIfAvailable { try writer.emit(UnsafeRawBufferPointer($0)) }
    writer.end(.source(position: (1, 0, 0, 0)))
    try writer.commit()
    made.close()
    made.unmap()

    let found = try Ring(in: try SharedMemory.open(file: path))
    #expect(found.owner == 7 && found.isClosed && found.readySlots == 1)
    try found.verify(workers: 2)
    found.reopen()
    #expect(!found.isClosed)
    let lease = try #require(try handoff(found, 1).claim())
    #expect(lease.payload.elementsEqual("kept".utf8))
    found.unmap()

    // A reader of the file may look, and nothing more is asked of it.
    let shown = try Ring(in: try SharedMemory.open(file: path, isWritable: false))
    #expect(shown.leasedSlots == 1)
    #expect(throws: RingCorruption.self, "it is held by worker 2") { try shown.verify(workers: 1) }
    shown.unmap()
    let descriptor = try Files.openForLocking(path)
    try Files.truncate(descriptor, to: shape.bytes - 4096)
    Descriptors.close(descriptor)
    #expect(throws: RingCorruption.self) { _ = try Ring(in: try SharedMemory.open(file: path)) }
  }

  @Test func aSlotThatPointsOutsideIsNoticed() throws {
    let bench = try Bench(capacity: 2)
    try bench.put("x", bench.producer())
    for (offset, value) in [(16, UInt64.max), (24, UInt64(1) << 31), (16, UInt64(70_000))] as [(Int, UInt64)] {
      let field = SharedWord(bench.ring.slot(0).base + offset)
      let before = field.relaxed
      field.set(value)
      #expect(throws: RingCorruption.self) { _ = try claim(bench.consumer()) }
      _ = try bench.kill(consumer: 0)
      field.set(before)
    }
  }

  /// Through marks, errors and a death.
  @Test func aFormatArrivesAndStays() throws {
    for format: UInt8 in [0, 2, 15] {
      let bench = try Bench(capacity: 4)
      let producer = bench.producer()
      producer.begin()
      try Array("x".utf8).withUnsafeBytes { try producer.emit($0, format: format) }
      producer.end(.source(position: (1, 0, 0, 0)))
      try producer.commit()
      let consumer = bench.consumer()
      var lease = try #require(try claim(consumer))
      #expect(lease.format == format)
      consumer.begin(lease)
      consumer.recordError(&lease)
      _ = try bench.kill(consumer: 0)
      let again = try #require(try claim(bench.consumer()))
      #expect(again.format == format && again.errors == 1 && again.deaths == 1 && again.skip == 0)
    }
  }

  /// All slots lie a million laps ahead of the tail, so that whoever looks for a free one would follow them for ever.
  @Test func aLineWithoutEndIsNoticed() throws {
    let bench = try Bench(capacity: 4)
    let producer = bench.producer()
    for i in 0..<4 { bench.ring.slot(i).word.release(SlotWord(1_000_000, .free, owner: 0).raw) }
    #expect { try bench.put("x", producer) } throws: { "\($0)".contains("has no end") }
  }

  @Test func lapsAndWordsKeepTheirBits() {
    for lap: UInt64 in [0, 1, (1 << 40) - 1] {
      for owner: WorkerNumber in [0, 1, 4095] {
        for deaths: UInt64 in [0, 1, 254, 300] {
          let word = SlotWord(lap, .settling, owner: owner, deaths: deaths)
          #expect(word.lap == lap && word.isIn(.settling) && word.owner == owner && word.deaths == min(deaths, 254))
          #expect(word.with(lap: 5, .leased) == SlotWord(5, .leased, owner: owner, deaths: deaths))
        }
      }
    }
  }

  @Test func distancesBetweenLapsGoTheShortWayRound() {
    let most: UInt64 = (1 << 40) - 1
    for (word, lap, laps) in [(0, 0, 0), (5, 3, 2), (3, 5, -2), (0, most, 1), (most, 0, -1), (most, most + 2, -2), (1, most + 1, 1)] as [(UInt64, UInt64, Int64)] {
      for owner: WorkerNumber in [0, 4095] {
        #expect(SlotWord(word, .settling, owner: owner, deaths: 254).laps(from: lap) == laps)
      }
    }
  }

  @Test func latencyBucketsKnowAValueToWithinAQuarter() {
    for value: UInt64 in [0, 3, 4, 5, 100, 1_000, 123_456, 1_000_000_000, 60_000_000_000] {
      let upper = CommitCell.upperEnd(ofBucket: CommitCell.bucket(value))
      #expect(upper >= value && Double(upper) <= max(5, Double(value) * 1.25 + 1))
    }
  }

  @Test func aSleeperIsWokenWhenThereIsWorkAndWhenTheRingCloses() throws {
    let bench = try Bench(capacity: 2, consumers: 1)
    let ring = bench.ring
    let cell = bench.cells[1]
    let count = Atomic<Int>(0)
    let isDone = Atomic<Bool>(false)
    #expect(Thread.start {
      let reader = Handoff(worker: 2, cell: cell, input: (ring, 0), outputs: [], stageHash: 0)
      var leases: [Lease] = []
      while (try? reader.waitForInput()) == .ready {
        leases.removeAll()
        guard (try? reader.claim(atMost: 1, into: &leases)) == 1 else { continue }
        reader.begin(leases[0])
        reader.end(.done)
        try? reader.commit()
        count.add(1, ordering: .releasing)
      }
      isDone.store(true, ordering: .releasing)
    })
    let producer = bench.producer()
    // Sparse: each message meets a reader that sleeps or is about to; more than the ring holds, so the producer sleeps too.
    for n in 1...300 {
      try bench.put("\(n)", producer, n)
      if n % 3 == 0 { while count.load(ordering: .acquiring) < n { Processor.yield() } }
    }
    ring.close()
    while !isDone.load(ordering: .acquiring) { Processor.yield() }
    #expect(count.load(ordering: .acquiring) == 300 && ring.lateWakes == 0)
  }
}
}

extension RingsTests {
  /// A worker that has run wild may leave anything: recovery and the reading of counts say so or go on, but they do not crash.
  @Suite struct GarbageTests {
    @Test func recoverySurvivesAnything() throws {
      let seed = UInt64.random(in: 1...999_999)
      print("garbage: seed \(seed)")
      var state = seed
      func random() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
      }
      for _ in 0..<300 {
        let shape = try #require(RingShape(capacity: 5, messageBytes: 20_000, producers: 2, consumers: 2))
        let ring = try Ring.create(shape, name: "test")
        let block = try CellBlock.create(cells: 1, name: "test")
        let cell = try block.cell(0)
        for _ in 0..<40 {
          let area = random() % 3
          let offset = Int(random() % (area == 0 ? 512 : area == 1 ? UInt64(5 * RingShape.slotBytes) : 4096)) & ~7
          // Plausible words among the wild ones: small numbers, and owners that are ours.
          let value = random() % 3 == 0 ? random() % 64 : random() % 2 == 0 ? SlotWord(random() % 3, .leased, owner: 1).raw &+ random() % 5 << 20 : random()
          switch area {
          case 0: ring.word(128 + offset).release(value)
          case 1: SharedWord(ring.slot(0).base + offset).release(value)
          default: SharedWord(cell.base + offset).release(value)
          }
        }
        _ = try? Recovery.recover(worker: 1, cell: cell, rings: [Recovery.Attachment(ring: ring, consumerLane: 0, producerLane: 0)])
        _ = (ring.openSlots, ring.readySlots, ring.leasedSlots, ring.isDrained, ring.lateWakes, ring.isClosed, cell.record, cell.latencies)
        _ = (cell.waited(.input, at: 5), cell.waited(.room, at: UInt64.max), cell.isWaiting, cell.longestLatency, cell.sequence)
        ring.unmap()
        block.unmap()
      }
    }
  }
}
