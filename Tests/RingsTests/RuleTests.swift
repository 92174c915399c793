import Platform
import Synchronization
import Testing

@testable import Rings

extension RingsTests {
/// Rules that only a certain interleaving shows, each with that interleaving. A nested step of another worker runs in the
/// failpoint of the first: the order is always the one that is drawn.
@Suite struct RuleTests {
  /// A ring with its workers: writers are 1, 2, ..., readers 11, 12, ...
  private struct Bench {
    let ring: Ring
    let cells: CellBlock

    init(capacity: Int, producers: Int = 2, consumers: Int = 2) throws {
      let shape = try #require(RingShape(capacity: capacity, messageBytes: 32_768, producers: producers, consumers: consumers))
      ring = try Ring.create(shape, name: "test")
      cells = try CellBlock.create(cells: 20, name: "test")
    }

    func writer(_ lane: Int = 0, also others: [Ring] = []) throws -> Handoff {
      Handoff(worker: WorkerNumber(lane + 1), cell: try cells.cell(lane), input: nil, outputs: ([ring] + others).map { ($0, lane) }, stageHash: 1)
    }

    func reader(_ lane: Int = 0, into outputs: [Ring] = []) throws -> Handoff {
      Handoff(
        worker: WorkerNumber(lane + 11), cell: try cells.cell(lane + 10), input: (ring, lane), outputs: outputs.map { ($0, lane) }, stageHash: 2)
    }

    func put(_ text: String, _ writer: Handoff) throws {
      writer.begin()
      try emit(text, writer)
      writer.end(.source(position: (UInt64(text.utf8.count), 0, 0, 0)))
      try writer.commit()
    }

    /// Large enough for a segment of its own, which is sealed with its publication.
    func putLarge(_ letter: Character, _ writer: Handoff) throws { try put(String(repeating: letter, count: 20_000), writer) }

    @discardableResult
    func recoverWriter(_ lane: Int = 0, also others: [Ring] = []) throws -> Recovery.Summary {
      try Recovery.recover(
        worker: WorkerNumber(lane + 1), cell: cells.cell(lane), rings: ([ring] + others).map { Recovery.Attachment(ring: $0, producerLane: lane) })
    }

    @discardableResult
    func recoverReader(_ lane: Int = 0, into outputs: [Ring] = []) throws -> Recovery.Summary {
      try Recovery.recover(
        worker: WorkerNumber(lane + 11), cell: cells.cell(lane + 10),
        rings: [Recovery.Attachment(ring: ring, consumerLane: lane)] + outputs.map { Recovery.Attachment(ring: $0, producerLane: lane) })
    }
  }

  // MARK: Sleeping and waking

  /// Between the look of a reader that is about to sleep and its sleep, a writer publishes and dies before it wakes anybody.
  /// The runner recovers the writer; without its wake-up the reader sleeps beside a message.
  ///
  ///     reader   word read, bit set, nothing seen                                  sleeps? no: the word has moved
  ///     writer                                      publishes, dies
  ///     runner                                                       wakes
  @Test(arguments: [Failpoint.published, .hinted, .woke]) func recoveryWakesForTheDead(place: Failpoint) throws {
    let bench = try Bench(capacity: 2, producers: 1, consumers: 1)
    let writer = try bench.writer()
    try sleep(bench.ring) {
      try die(at: place) { try bench.put("x", writer) }
      try bench.recoverWriter()
    }
    #expect(bench.ring.lateWakes == 0)
  }

  ///     reader   word read, bit set, nothing seen                         sleeps? no: the word has moved
  ///     writer                                      publishes, wakes
  @Test func aWakeUpIsSeenByWhoIsAboutToSleep() throws {
    let bench = try Bench(capacity: 2, producers: 1, consumers: 1)
    let writer = try bench.writer()
    try sleep(bench.ring) { try bench.put("x", writer) }
    #expect(bench.ring.lateWakes == 0)
  }

  ///     reader   nothing seen                                     bit set, looks again: does not sleep
  ///     writer                  publishes, sees nobody to wake
  @Test func aReaderLooksAgainBeforeItSleeps() throws {
    let bench = try Bench(capacity: 2, producers: 1, consumers: 1)
    try bench.put("x", bench.writer())
    try park(bench.ring, unless: { true })
    #expect(bench.ring.lateWakes == 0)
  }

  /// Parks the only reader; the interleaving runs in place of its second look, which sees nothing yet. Whoever is not woken
  /// sleeps for a second and counts it.
  private func sleep(_ ring: Ring, _ interleaving: () throws -> Void) throws {
    var hasLooked = false
    var failure: (any Error)?
    try park(ring, unless: {
      if hasLooked { return true }
      hasLooked = true
      do { try interleaving() } catch { failure = error }
      return false
    })
    if let failure { throw failure }
  }

  private func park(_ ring: Ring, unless isReady: () -> Bool) throws {
    var patience = Patience(seconds: 1)
    try ring.park(.consumers, 0, for: &patience, unless: isReady)
  }

  // MARK: Memory

  // Each message has a writer of its own here, which takes the first segment that is free.

  /// A reader dies between settling and its commit, so the message comes back. The next writer must not have been given its
  /// memory.
  @Test func memoryIsKeptUntilTheCommit() throws {
    let bench = try Bench(capacity: 4)
    try bench.putLarge("a", bench.writer())
    let reader = try bench.reader()
    _ = try work(reader)
    try die(at: .settled) { try reader.commit() }
    try bench.putLarge("b", bench.writer())
    try bench.recoverReader()
    #expect(try letters(bench.reader(1)) == ["a", "b"])
  }

  /// A settling slot counts as a reference: it may come back. A writer that found no segment sweeps before the runner comes.
  @Test func theSweepSparesWhatIsBeingAcknowledged() throws {
    let bench = try Bench(capacity: 4)
    try bench.putLarge("a", bench.writer())
    let reader = try bench.reader()
    _ = try work(reader)
    try die(at: .settled) { try reader.commit() }
    sweep(bench.ring)
    try bench.putLarge("b", bench.writer())
    try bench.recoverReader()
    #expect(try letters(bench.reader(1)) == ["a", "b"])
  }

  ///     reader   slot of a is free                                                           count of a's segment - 1
  ///     sweep                       no slot refers to it: free, next generation
  ///     writer                                                       b goes into the same
  @Test func anAcknowledgementOfAnOlderGenerationIsIgnored() throws {
    let bench = try Bench(capacity: 4)
    try bench.putLarge("a", bench.writer())
    let reader = try bench.reader()
    _ = try work(reader)
    try at(.cleared) {
      sweep(bench.ring)
      try bench.putLarge("b", bench.writer())
    } during: {
      try reader.commit()
    }
    // Were the segment free now, this would be written over b.
    try bench.putLarge("c", bench.writer())
    #expect(try letters(bench.reader(1)) == ["b", "c"])
  }

  /// As a writer does that finds no segment.
  private func sweep(_ ring: Ring) { Recovery.sweep(ring.view) }

  // MARK: Slots

  /// A taken slot that is given back goes to the next lap, for the line goes on behind it. In the same lap readers would
  /// wait for it, and writers, who go on from the tail, would never fill it.
  ///
  ///     a   takes slot 0                           dies, or has no room elsewhere and gives it back
  ///     b                  fills slot 1, ready
  @Test(arguments: [true, false]) func readersPassASlotThatWasGivenBack(byRecovery: Bool) throws {
    let bench = try Bench(capacity: 3)
    let full = try Bench(capacity: 1)
    try full.put("full", full.writer(1))
    let (a, b) = (try bench.writer(0, also: byRecovery ? [] : [full.ring]), try bench.writer(1))
    a.begin()
    try emit("a", a)
    a.end(.source(position: (1, 0, 0, 0)))
    if byRecovery {
      try die(at: .filled) { try a.commit() }
      try bench.put("b", b)
      #expect(try bench.recoverWriter().voided == 1)
    } else {
      // What follows its giving back is a wait, so it ends there.
      try at(.filled) { try bench.put("b", b) } during: { try die(at: .voided) { try a.commit() } }
    }
    #expect(try letters(bench.reader()) == ["b"])
  }

  /// What is given back moves the end of the line on, and not the tail, which says only what was published. Writers may give back more laps
  /// than one walk along the line passes: the next walk goes on where that one has ended, or nobody would ever write again. A reader that has
  /// not come to the end does not know whether there is a message, so it does not sleep.
  @Test func anyNumberOfLapsThatWereGivenBackIsPassed() throws {
    let bench = try Bench(capacity: 2)
    let (a, b) = (try bench.writer(0), try bench.writer(1))
    a.begin()
    try emit("a", a)
    a.end(.source(position: (1, 0, 0, 0)))
    for _ in 0..<(3 * bench.ring.view.longestWalk) {
      #expect(try a.outputs[0].takeSlots(1) == 1)
      try a.outputs[0].void(from: 0)
    }
    #expect(bench.ring.word(Ring.Offset.tail).relaxed == 0)
    try bench.put("b", b)
    try a.commit()
    let reader = try bench.reader()
    #expect(reader.input?.pointee.hasMessage() == true)
    #expect(try letters(reader) == ["b", "a"])
    #expect(try reader.claim() == nil && reader.input?.pointee.hasMessage() == false)
  }

  /// Settling takes several steps, and between any two the line may come round: a lease that is being acknowledged is moved
  /// along like any other, and stays what it is.
  @Test(arguments: [Failpoint.settled, .committed]) func theLineGoesRoundALeaseThatIsBeingAcknowledged(place: Failpoint) throws {
    let bench = try Bench(capacity: 2)
    let (writer, slow, fast) = (try bench.writer(), try bench.reader(0), try bench.reader(1))
    try bench.put("slow", writer)
    _ = try work(slow)
    try at(place) {
      for n in 1...9 {
        try bench.put("\(n)", writer)
        #expect(try letters(fast) == [Character("\(n)")])
      }
    } during: {
      try slow.commit()
    }
    #expect(bench.ring.isDrained)
    try bench.put("x", writer)
    #expect(try letters(fast) == ["x"])
  }

  /// The same without anybody's choice of the moment: one thread acknowledges while another sends lap after lap past it.
  @Test func aLeaseIsAcknowledgedWhileItIsMovedAlong() throws {
    let bench = try Bench(capacity: 2, producers: 1)
    let rounds = 20_000
    let isDone = Atomic<Bool>(false)
    let failure = Mutex<String?>(nil)
    let slow = try bench.reader(1)
    let slowCell = try bench.cells.cell(11)
    let box = Unchecked(slow)
    #expect(Thread.start {
      do {
        var leases: [Lease] = []
        while try box.value.waitForInput() == .ready {
          leases.removeAll(keepingCapacity: true)
          if try box.value.claim(atMost: 1, into: &leases) == 0 { continue }
          box.value.begin(leases[0])
          box.value.end(.done)
          try box.value.commit()
        }
      } catch { failure.withLock { $0 = "\(error)" } }
      isDone.store(true, ordering: .releasing)
    })
    let (writer, fast) = (try bench.writer(), try bench.reader(0))
    var received: UInt64 = 0
    for n in 1...rounds {
      // Both slots may be the slow reader's for a moment.
      while !bench.ring.hasRoom(1), !isDone.load(ordering: .acquiring) { Processor.pause() }
      if isDone.load(ordering: .acquiring) { break }
      try bench.put("\(n)", writer)
      received += UInt64(try letters(fast).count)
    }
    bench.ring.close()
    while !isDone.load(ordering: .acquiring) { Processor.yield() }
    #expect(failure.withLock { $0 } == nil)
    received += UInt64(try letters(fast).count)
    #expect(received + slowCell.record.received == UInt64(rounds) && bench.ring.isDrained)
  }

  /// When a writer comes that waits for the room that a reader has: before the reader looks, when it has looked, or when it has said that it sleeps.
  enum WritersCome: CaseIterable { case first, betweenLooks, last }

  /// A reader that gathers a batch holds every place. Whichever of the two goes to sleep second sees the other, and does not sleep.
  @Test(arguments: WritersCome.allCases) func aReaderThatGathersEndsItsBatchForAWriter(_ come: WritersCome) throws {
    let bench = try Bench(capacity: 2, producers: 1, consumers: 1)
    let reader = try bench.reader()
    reader.gathers()
    let first = try bench.writer()
    for text in ["1", "2"] { try bench.put(text, first) }
    try first.close()
    let leases = try (0..<2).map { _ in try #require(try reader.claim()) }
    let (goes, isDone) = (Flag(), Flag())
    #expect(Thread.start {
      while !goes.isSet { Processor.yield() }
      if let writer = try? bench.writer() { try? bench.put("3", writer) }
      isDone.set()
    })
    func letTheWriterCome() {
      goes.set()
      while !bench.ring.hasSleepers(.producers) { Processor.yield() }
    }
    if come == .first { letTheWriterCome() }
    var hasSlept = false
    Failpoint.handler = { point in
      if come == .betweenLooks, point == .waiterMarks { letTheWriterCome() }
      if come == .last, point == .sleeps { goes.set() }
      if point == .sleeps { hasSlept = true }
    }
    defer { Failpoint.handler = nil }
    let deadline = Clock.now + 60_000_000_000
    #expect(try !reader.waitForMore(until: deadline))
    #expect(Clock.now < deadline && !isDone.isSet && hasSlept == (come == .last))
    for lease in leases {
      reader.begin(lease)
      reader.end(.done)
    }
    try reader.commit()
    while !isDone.isSet { Processor.yield() }
    #expect(bench.ring.readySlots == 1)
  }

  private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
  }

  /// A writer that meets nothing but leases has no room: it sleeps, and goes on when one is acknowledged.
  @Test func aWriterSleepsBesideAWholeLapOfLeases() throws {
    let bench = try Bench(capacity: 2, producers: 1)
    let (writer, reader) = (try bench.writer(), try bench.reader())
    for text in ["a", "b"] { try bench.put(text, writer) }
    let leases = [try work(reader), try work(reader)]
    #expect(leases.allSatisfy { $0 != nil })
    let isDone = Atomic<Bool>(false)
    let box = Unchecked(writer)
    #expect(Thread.start {
      try? bench.put("c", box.value)
      isDone.store(true, ordering: .releasing)
    })
    while !bench.ring.hasSleepers(.producers) { Processor.yield() }
    #expect(bench.ring.openSlots == 2)
    try reader.commit()
    while !isDone.load(ordering: .acquiring) { Processor.yield() }
    #expect(try letters(reader) == ["c"])
  }

  /// Two writers with two readers each could hold one slot of each ring and wait for the other: so nobody waits with a slot.
  @Test func aWriterHoldsNothingWhileItWaits() throws {
    let (bench, full) = (try Bench(capacity: 2), try Bench(capacity: 1))
    try full.put("full", full.writer(1))
    let box = Unchecked(try bench.writer(0, also: [full.ring]))
    let isDone = Atomic<Bool>(false)
    #expect(Thread.start {
      try? bench.put("x", box.value)
      isDone.store(true, ordering: .releasing)
    })
    while !full.ring.hasSleepers(.producers) { Processor.yield() }
    #expect(bench.ring.openSlots == 0 && bench.ring.hasRoom(2))
    // It may be there again before the reader has stopped looking.
    var seen = try letters(full.reader())
    while !isDone.load(ordering: .acquiring) { Processor.yield() }
    seen += try letters(full.reader())
    #expect(seen == ["f", "x"])
    #expect(try letters(bench.reader()) == ["x"])
  }

  // MARK: Redelivery

  /// The epoch says "look again", once. A reader that looks while recovery is under way sees what is ready so far, and must
  /// be told again.
  ///
  ///     runner   a is ready                                    b is ready, epoch
  ///     reader                looks: claims a, sees nothing                        looks: claims b
  @Test func aReaderThatLooksDuringARecoveryLooksAgain() throws {
    let bench = try Bench(capacity: 4)
    let writer = try bench.writer()
    for text in ["a", "b"] { try bench.put(text, writer) }
    let (victim, reader) = (try bench.reader(0), try bench.reader(1))
    for _ in 1...2 { _ = try claim(victim) }
    #expect(try letters(reader) == [])
    var seen: [Character] = []
    try at(.recoveredSlot) { seen += try letters(reader) } during: { try bench.recoverReader(0) }
    seen += try letters(reader)
    #expect(seen == ["a", "b"])
  }

  /// The order is that of publication. The slots' own differs once the line has come round.
  ///
  ///     slot      0   1   2
  ///     message   4   5   3
  @Test func whatComesBackComesInTheOrderOfPublication() throws {
    let bench = try Bench(capacity: 3)
    let (writer, victim) = (try bench.writer(), try bench.reader())
    for text in ["1", "2", "3"] { try bench.put(text, writer) }
    for _ in 1...2 { _ = try work(victim) }
    try victim.commit()
    for text in ["4", "5"] { try bench.put(text, writer) }
    for _ in 3...5 { _ = try claim(victim) }
    #expect(try bench.recoverReader().redelivered == 3)
    #expect(try letters(bench.reader(1)) == ["3", "4", "5"])
  }

  /// A lease that was moved along stands behind messages that were published after it. Its reader dies before it has raised
  /// the head, which its first hand-over would have done: a reader that begins at the head must not pass it.
  ///
  ///     reader   claims 1                                            dies
  ///     writer              4: moves 1 along, meets 2: full, dies
  @Test func whatWasClaimedComesFirstAlsoBehindTheHead() throws {
    let bench = try Bench(capacity: 3)
    let (writer, victim) = (try bench.writer(), try bench.reader())
    for text in ["1", "2", "3"] { try bench.put(text, writer) }
    _ = try claim(victim)
    try die(at: .restamped) { try bench.put("4", writer) }
    try bench.recoverWriter()
    try bench.recoverReader()
    #expect(try letters(bench.reader(1)) == ["1", "2", "3"])
  }

  // MARK: Parts

  /// A later message in the slot of one that went on in parts is another message: whatever is left of the parts, in the
  /// cell or in the slot, would cost it its first outputs.
  @Test(arguments: [false, true]) func aLaterMessageInTheSlotOfPartsKeepsItsOutputs(diesInBetween: Bool) throws {
    let (bench, output) = (try Bench(capacity: 1), try Bench(capacity: 2))
    let (writer, sink) = (try bench.writer(), try output.reader())
    var seen: [Character] = []
    try bench.put("first", writer)

    // Four outputs of the first message; two are out before the worker dies, and another worker does the rest.
    var worker = try bench.reader(0, into: [output.ring])
    var finisher = worker
    if diesInBetween {
      let lease = try #require(try claim(worker))
      worker.begin(lease)
      for letter in "abc" { try emit(String(letter), worker) }
      seen += try letters(sink)
      #expect(try bench.recoverReader(0, into: [output.ring]).redelivered == 1)
      finisher = try bench.reader(1, into: [output.ring])
    }
    var first = try #require(try claim(finisher))
    #expect(first.skip == (diesInBetween ? 2 : 0) && first.isAlone == diesInBetween)
    finisher.begin(first)
    for letter in "abcd" {
      try emit(String(letter), finisher)
      seen += try letters(sink)
    }
    #expect(finisher.recordError(&first) == 1)
    finisher.end(.done)
    try finisher.commit()
    seen += try letters(sink)
    #expect(seen == ["a", "b", "c", "d"])

    // The second message, in the same slot. The worker of the parts dies with it before it commits anything else.
    try bench.put("second", writer)
    if diesInBetween { worker = try bench.reader(0, into: [output.ring]) }
    let second = try #require(try claim(worker))
    #expect(second.slot == first.slot && second.skip == 0 && second.errors == 0 && second.deaths == 0)
    worker.begin(second)
    try emit("e", worker)
    #expect(try bench.recoverReader(0, into: [output.ring]).redelivered == 1)
    let again = try #require(try claim(finisher === worker ? bench.reader(1, into: [output.ring]) : finisher))
    #expect(again.skip == 0 && again.deaths == 1)
  }

  /// A part's count is that of the whole call: after the second part both are skipped.
  @Test func partsAddUp() throws {
    let (bench, output) = (try Bench(capacity: 1), try Bench(capacity: 2))
    try bench.put("x", bench.writer())
    let (worker, sink) = (try bench.reader(0, into: [output.ring]), try output.reader())
    let lease = try #require(try claim(worker))
    worker.begin(lease)
    var seen: [Character] = []
    for letter in "abcde" {
      try emit(String(letter), worker)
      seen += try letters(sink)
    }
    #expect(seen == ["a", "b", "c", "d"])
    try bench.recoverReader(0, into: [output.ring])
    #expect(try claim(bench.reader(1, into: [output.ring]))?.skip == 4)
  }

  // MARK: Deaths

  /// The mark of a death that was counted stays in the slot. It counts no more: the next worker dies before it begins.
  @Test func aMessageThatIsOnlyClaimedCountsNoDeath() throws {
    let bench = try Bench(capacity: 1)
    try bench.put("x", bench.writer())
    let first = try bench.reader(0)
    let held = try #require(try claim(first))
    first.begin(held)
    #expect(try bench.recoverReader(0).deaths.map(\.deaths) == [1])
    _ = try claim(bench.reader(0))
    #expect(try bench.recoverReader(0).deaths.isEmpty)
    let last = try bench.reader(1)
    let lease = try #require(try claim(last))
    #expect(lease.deaths == 1)
    // And in hand for the second time it counts again.
    last.begin(lease)
    #expect(try bench.recoverReader(1).deaths.map(\.deaths) == [2])
  }

  @Test func aMessageWhoseCallHasEndedCountsNoDeath() throws {
    let bench = try Bench(capacity: 1)
    try bench.put("x", bench.writer())
    _ = try work(bench.reader())
    #expect(try bench.recoverReader().deaths.isEmpty)
    #expect(try claim(bench.reader(1))?.deaths == 0)
  }

  // MARK: Helpers

  private struct Abandoned: Error {}

  /// Ends a worker at a failpoint, as a SIGKILL would.
  private func die(at place: Failpoint, _ body: () throws -> Void) throws {
    let outer = Failpoint.handler
    Failpoint.handler = { if $0 == place { throw Abandoned() } else { try outer?($0) } }
    defer { Failpoint.handler = outer }
    #expect(throws: Abandoned.self, "\(place) was not reached") { try body() }
  }

  /// Runs another worker's steps when one comes to a failpoint for the first time.
  private func at(_ place: Failpoint, _ interleaving: @escaping () throws -> Void, during body: () throws -> Void) throws {
    var hasRun = false
    Failpoint.handler = { found in
      if found != place || hasRun { return }
      hasRun = true
      let handler = Failpoint.handler
      Failpoint.handler = nil
      defer { Failpoint.handler = handler }
      try interleaving()
    }
    defer { Failpoint.handler = nil }
    try body()
    #expect(hasRun, "\(place) was not reached")
  }

  private func claim(_ handoff: Handoff) throws -> Lease? {
    var leases: [Lease] = []
    return try handoff.claim(atMost: 1, into: &leases) == 1 ? leases[0] : nil
  }

  /// Claims a message and ends its call, without a commit.
  private func work(_ reader: Handoff) throws -> Lease? {
    guard let lease = try claim(reader) else { return nil }
    reader.begin(lease)
    reader.end(.done)
    return lease
  }

  /// Reads all that is there: the first letter of each, if all its letters are the same or it has few.
  private func letters(_ reader: Handoff) throws -> [Character] {
    var seen: [Character] = []
    while let lease = try claim(reader) {
      let first = lease.payload.first ?? 0
      let isSound = lease.payload.count < 100 || lease.payload.allSatisfy { $0 == first }
      seen.append(isSound ? Character(UnicodeScalar(first)) : "?")
      reader.begin(lease)
      reader.end(.done)
      try reader.commit()
    }
    return seen
  }
}
}

private func emit(_ text: String, _ handoff: Handoff) throws { try Array(text.utf8).withUnsafeBytes { try handoff.emit($0) } }

/// Hands something to the one thread that uses it from then on.
private struct Unchecked<T>: @unchecked Sendable {
  let value: T
  init(_ value: T) { self.value = value }
}
