import Platform
import Synchronization
import Testing

@testable import Rings

extension RingsTests {
/// A source, a transform and a sink on one thread, joined by rings. One of them is abandoned after its k-th step, as a
/// SIGKILL would leave it, for every k; recovery follows, a successor goes on, and at the end every message has arrived
/// exactly once and nothing is held.
@Suite(.serialized) struct AbandonedHandoffTests {
  struct Shape: CustomTestStringConvertible, Sendable {
    var name: String
    var messages = 7
    var capacity = 2
    var emit = 1
    var batch = 1
    var readers = 1
    var payload = 24
    var start = RingStart.zero
    /// Nobody asks for room first: a batch is handed over as far as it fits, and who would wait then is abandoned too.
    var isCrowded = false
    /// Every third message is given up.
    var drops = false
    /// Another transform has died with the first messages, one of them in hand.
    var isRedelivered = false
    /// The rings have the least memory that they can do with.
    var isTight = false
    /// What all writers do when there is no room.
    var whenFull = WhenFull.block
    /// The readers are processes of one stage, which share messages by their keys.
    var isPartitioned = false
    var testDescription: String { name }
  }

  static let shapes = [
    Shape(name: "one message at a time"),
    Shape(name: "a ring of one slot", capacity: 1),
    Shape(name: "batches of three", capacity: 7, batch: 3),
    Shape(name: "two outputs a call", capacity: 4, emit: 2),
    Shape(name: "two readers", capacity: 3, readers: 2),
    Shape(name: "large messages", capacity: 2, payload: 20_000),
    Shape(name: "counters that overflow", capacity: 2, batch: 2, readers: 2, start: .justBelowOverflow),
    Shape(name: "rings that are full", capacity: 2, batch: 3, isCrowded: true),
    Shape(name: "one of two rings is full", capacity: 3, emit: 2, batch: 2, readers: 2, payload: 17_000, isCrowded: true),
    Shape(name: "calls in parts", capacity: 2, emit: 5),
    Shape(name: "calls in parts for two readers", capacity: 1, emit: 3, readers: 2),
    Shape(name: "messages that are dropped", capacity: 4, emit: 2, batch: 2, drops: true),
    Shape(name: "messages that come back", capacity: 3, batch: 2, isRedelivered: true),
    Shape(name: "parts of messages that come back", capacity: 2, emit: 3, isRedelivered: true),
    Shape(name: "everything", capacity: 5, emit: 2, batch: 2, readers: 2, payload: 17_000),
    Shape(name: "the least memory", capacity: 5, batch: 3, payload: 17_000, isTight: true),
    Shape(name: "the least memory, that is full", capacity: 5, batch: 3, readers: 2, payload: 17_000, isCrowded: true, isTight: true),
    Shape(name: "calls in parts in the least memory", capacity: 5, emit: 3, readers: 2, payload: 17_000, isTight: true),
    Shape(name: "the newest dropped", messages: 9, capacity: 2, batch: 3, isCrowded: true, whenFull: .dropNewest),
    Shape(name: "the newest dropped, calls in parts", capacity: 2, emit: 5, readers: 2, isCrowded: true, whenFull: .dropNewest),
    Shape(name: "the oldest dropped", messages: 9, capacity: 2, batch: 3, isCrowded: true, whenFull: .dropOldest),
    Shape(name: "the oldest dropped, two readers", messages: 9, capacity: 3, emit: 2, batch: 2, readers: 2, isCrowded: true, whenFull: .dropOldest),
    Shape(name: "the oldest dropped, calls in parts", capacity: 2, emit: 5, readers: 2, isCrowded: true, whenFull: .dropOldest),
    Shape(name: "the oldest dropped in the least memory", messages: 9, capacity: 5, batch: 3, payload: 17_000, isCrowded: true, isTight: true, whenFull: .dropOldest),
    Shape(name: "the newest dropped in the least memory", messages: 9, capacity: 5, batch: 3, payload: 17_000, isCrowded: true, isTight: true, whenFull: .dropNewest),
    Shape(name: "keys", capacity: 5, emit: 2, batch: 2, readers: 2, isPartitioned: true),
    Shape(name: "keys, rings that are full", capacity: 2, emit: 2, batch: 3, readers: 3, isCrowded: true, isPartitioned: true),
    Shape(name: "keys, counters that overflow", capacity: 2, batch: 2, readers: 2, start: .justBelowOverflow, isPartitioned: true),
    Shape(name: "keys, calls in parts", capacity: 1, emit: 5, readers: 2, isPartitioned: true),
    Shape(name: "keys, parts of messages that come back", capacity: 1, emit: 4, readers: 2, isRedelivered: true, isPartitioned: true),
    Shape(name: "keys, calls in parts in the least memory", capacity: 5, emit: 3, readers: 2, payload: 17_000, isTight: true, isPartitioned: true),
    Shape(name: "keys, the newest dropped", messages: 9, capacity: 1, emit: 2, batch: 2, readers: 2, isCrowded: true, whenFull: .dropNewest, isPartitioned: true),
    Shape(name: "keys, the oldest dropped", messages: 9, capacity: 3, emit: 3, batch: 2, readers: 2, isCrowded: true, whenFull: .dropOldest, isPartitioned: true),
    Shape(name: "keys, the oldest dropped, calls in parts", capacity: 2, emit: 5, readers: 2, isCrowded: true, whenFull: .dropOldest, isPartitioned: true),
    Shape(name: "the oldest dropped, messages that come back", messages: 9, capacity: 3, batch: 2, isCrowded: true, isRedelivered: true, whenFull: .dropOldest),
  ]

  enum Victim: String, CaseIterable, Sendable { case source, transform, sink }

  @Test(arguments: shapes, Victim.allCases) func everyStep(shape: Shape, victim: Victim) throws {
    var step = 0
    while try Line(shape).run(victim: victim, abandonAt: step) { step += 1 }
    #expect(step >= 6, "the walk through the steps did not happen")
  }

  /// Recovery is abandoned as well, after each of its own steps, and begins again.
  @Test(
    arguments: [
      Shape(name: "a ring of one slot", messages: 2, capacity: 1),
      Shape(name: "calls in parts", messages: 2, capacity: 1, emit: 3),
      Shape(name: "one of two rings is full", messages: 3, capacity: 2, batch: 2, readers: 2, isCrowded: true),
      Shape(name: "the oldest dropped", messages: 6, capacity: 2, batch: 3, isCrowded: true, whenFull: .dropOldest),
      Shape(name: "keys, the oldest dropped", messages: 4, capacity: 2, emit: 2, batch: 2, readers: 2, isCrowded: true, whenFull: .dropOldest, isPartitioned: true),
    ], Victim.allCases)
  func everyStepOfRecovery(shape: Shape, victim: Victim) throws {
    var step = 0
    var interruptions = 0
    var isThere = true
    while isThere {
      var recoveryStep = 0
      while true {
        let line = try Line(shape)
        line.interruptRecoveryAt = recoveryStep
        isThere = try line.run(victim: victim, abandonAt: step)
        if !line.wasRecoveryInterrupted { break }
        recoveryStep += 1
        interruptions += 1
      }
      step += 1
    }
    #expect(interruptions >= step, "the walk through recovery's steps did not happen")
  }
}
}

private struct Abandoned: Error {}
private struct Stuck: Error {}

/// The line of three, and its oracle.
private final class Line {
  private let shape: RingsTests.AbandonedHandoffTests.Shape
  private var count: Int { shape.messages }
  private let input: Ring
  private let outputs: [Ring]
  private let cells: [CommitCell]
  private var handoffs: [Handoff] = []
  /// What each reader's sink has written; cut back to what it has committed when its worker dies.
  private var written: [[String]]
  /// After how many of its steps the first recovery is abandoned.
  var interruptRecoveryAt: Int?
  private(set) var wasRecoveryInterrupted = false

  init(_ shape: RingsTests.AbandonedHandoffTests.Shape) throws {
    self.shape = shape
    func ring(_ producers: Int) throws -> Ring {
      let least = RingShape.leastBytes(capacity: shape.capacity, messageBytes: 32_768, producers: producers, consumers: 1)
      let ringShape = RingShape(
        capacity: shape.capacity, messageBytes: 32_768, producers: producers, consumers: 1, bytes: shape.isTight ? least : nil)
      return try Ring.create(try #require(ringShape), name: "test", start: shape.start)
    }
    input = try ring(1)
    outputs = try (0..<shape.readers).map { _ in try ring(1) }
    let block = try CellBlock.create(cells: 3 + shape.readers, name: "test")
    cells = try (0..<(3 + shape.readers)).map { try block.cell($0) }
    written = [[String]](repeating: [], count: shape.readers)
    for number in 0..<(2 + shape.readers) { handoffs.append(makeHandoff(number)) }
  }

  /// 0 is the source, 1 the transform, then the sinks.
  private func makeHandoff(_ number: Int) -> Handoff {
    let worker = WorkerNumber(number + 1)
    switch number {
    case 0: return Handoff(worker: worker, cell: cells[0], input: nil, outputs: [(input, 0)], whenFull: [shape.whenFull], stageHash: 1)
    case 1:
      return Handoff(
        worker: worker, cell: cells[1], input: (input, 0), outputs: outputs.map { ($0, 0) }, whenFull: outputs.map { _ in shape.whenFull },
        partitions: partitions, stageHash: 2)
    default: return Handoff(worker: worker, cell: cells[number], input: (outputs[number - 2], 0), outputs: [], stageHash: 3)
    }
  }

  private var partitions: [Partition] {
    shape.isPartitioned ? [Partition(outputs: 0..<outputs.count) { text, _ in Array(text.prefix { $0 != UInt8(ascii: " ") }) }] : []
  }

  /// Whether a message comes to a reader.
  private func isFor(_ reader: Int, _ text: String) -> Bool {
    !shape.isPartitioned || Partition.index(of: Array(text.utf8), among: outputs.count) == reader
  }

  private func attachments(_ number: Int) -> [Recovery.Attachment] {
    switch number {
    case 0: [Recovery.Attachment(ring: input, producerLane: 0)]
    case 1:
      [Recovery.Attachment(ring: input, consumerLane: 0)]
        + outputs.map { Recovery.Attachment(ring: $0, producerLane: 0, reader: shape.isPartitioned ? 0 : nil) }
    default: [Recovery.Attachment(ring: outputs[number - 2], consumerLane: 0)]
    }
  }

  private var victim = 0
  private var steps = 0
  private var abandonAt = 0
  private var wasAbandoned = false

  /// - Returns: whether the victim had that many steps
  func run(victim: RingsTests.AbandonedHandoffTests.Victim, abandonAt step: Int) throws -> Bool {
    self.victim = victim == .source ? 0 : victim == .transform ? 1 : 2
    abandonAt = step
    if shape.isRedelivered { try loseAnother() }
    for _ in 0..<400 {
      if isDone { break }
      for worker in handoffs.indices { try act(worker) }
    }
    let place = "\(shape.name), \(victim) abandoned after step \(step)"
    try #require(isDone, "\(place): it does not come to its end")
    let expected = (1...count).flatMap { n in isDropped(n) ? [] : (0..<shape.emit).map { "\(n).\($0)" } }
    let record = cells[1].record
    if shape.whenFull != .block {
      try checkDrops(expected, place)
    } else {
      for (r, lines) in written.enumerated() { try #require(lines == expected.filter { isFor(r, $0) }, "\(place)") }
      #expect(record.received == UInt64(count) && record.dropped == UInt64((1...count).count(where: isDropped)), "\(place)")
      #expect(record.emitted + cells[cells.count - 1].record.emitted == UInt64(expected.count), "\(place)")
    }
    #expect(record.partSlot == nil && record.partCount == 0, "\(place)")
    for handoff in handoffs { try handoff.close() }
    for ring in [input] + outputs {
      #expect(ring.isDrained, "\(place): a slot is not free")
      Recovery.sweep(ring.view)
      let held = (0..<ring.view.segmentCount).filter { !SegmentWord(raw: ring.view.segment($0).acquired).isIn(.free) }
      #expect(held.isEmpty, "\(place): segments \(held) are not free")
      ring.unmap()
    }
    return wasAbandoned
  }

  /// Nothing is lost that is not counted, what arrives is in order and there once, and where the oldest goes the last is there.
  private func checkDrops(_ all: [String], _ place: String) throws {
    let last = cells[cells.count - 1]
    let entered = cells[0].counts(0)
    let received = cells[1].record.received + last.record.received
    #expect(entered.given == UInt64(count) && received == entered.given - entered.dropped, "\(place): \(entered), \(received) received")
    if shape.isPartitioned {
      let (mine, other) = (cells[1].counts(0), last.counts(0))
      let given = mine.given + other.given, arrived = written.reduce(0) { $0 + $1.count }
      #expect(given == received * UInt64(shape.emit) && UInt64(arrived) == given - mine.dropped - other.dropped, "\(place): \(arrived) of \(given), \(mine)")
      for (r, lines) in written.enumerated() {
        let own = all.filter { isFor(r, $0) }
        #expect(lines == own.filter(Set(lines).contains), "\(place): \(lines)")
        if shape.whenFull == .dropOldest { #expect(lines.last == own.last, "\(place)") }
      }
      return
    }
    for (r, lines) in written.enumerated() {
      let (mine, other) = (cells[1].counts(r), last.counts(r))
      let (given, dropped) = (mine.given + other.given, mine.dropped + other.dropped)
      #expect(given == received * UInt64(shape.emit), "\(place): \(given) given")
      #expect(UInt64(lines.count) == given - dropped, "\(place): \(lines.count) of \(given) have arrived, and \(dropped) were dropped")
      #expect(lines == all.filter(Set(lines).contains), "\(place): \(lines)")
      if shape.whenFull == .dropOldest { #expect(lines.last == all.last, "\(place)") }
    }
  }

  private var isDone: Bool {
    cells[0].record.position.0 == UInt64(count) && ([input] + outputs).allSatisfy(\.isDrained)
  }

  private func isDropped(_ message: Int) -> Bool { shape.drops && message % 3 == 0 }

  /// One worker's turn; if it is abandoned, its recovery and a successor. Turns may nest: readers make room during a call.
  private func act(_ worker: Int) throws {
    let outer = Failpoint.handler
    defer { Failpoint.handler = outer }
    Failpoint.handler = { [self] place in
      // On one thread there is nobody who would end a wait.
      if place == .waiterMarked { throw shape.isCrowded ? Abandoned() : Stuck() }
      if worker != victim || wasAbandoned { return }
      steps += 1
      if steps > abandonAt {
        wasAbandoned = true
        throw Abandoned()
      }
    }
    do { try turn(worker) } catch is Abandoned {
      Failpoint.handler = nil
      try recover(worker)
    }
  }

  /// A second worker of the transform takes what there is and dies with the first message in hand; of a call in parts the
  /// first part is out by then.
  private func loseAnother() throws {
    try turn(0)
    let lane = WorkerNumber(100)
    let cell = cells[cells.count - 1]
    let other = Handoff(
      worker: lane, cell: cell, input: (input, 0), outputs: outputs.map { ($0, 0) }, whenFull: outputs.map { _ in shape.whenFull }, partitions: partitions,
      stageHash: 2)
    var leases: [Lease] = []
    #expect(try other.claim(atMost: shape.capacity, into: &leases) > 0)
    other.begin(leases[0])
    // Once a part is out nobody would make room for another.
    for i in 0..<shape.emit where outputs.allSatisfy(\.isDrained) { try emit("1.\(i)", other) }
    let summary = try Recovery.recover(worker: lane, cell: cell, rings: attachments(1))
    #expect(summary.deaths.map(\.deaths) == [1] && summary.redelivered == leases.count)
  }

  private func recover(_ number: Int) throws {
    let worker = WorkerNumber(number + 1)
    if let step = interruptRecoveryAt, wasAbandoned, number == victim, !wasRecoveryInterrupted {
      var recoverySteps = 0
      Failpoint.handler = { [self] _ in
        recoverySteps += 1
        if recoverySteps <= step { return }
        wasRecoveryInterrupted = true
        throw Abandoned()
      }
      do { _ = try Recovery.recover(worker: worker, cell: cells[number], rings: attachments(number)) } catch is Abandoned {}
      Failpoint.handler = nil
    }
    _ = try Recovery.recover(worker: worker, cell: cells[number], rings: attachments(number))
    // Recovery that was interrupted and begins again changes nothing more.
    let again = try Recovery.recover(worker: worker, cell: cells[number], rings: attachments(number))
    #expect(again.redelivered == 0 && again.voided == 0 && again.freed == 0 && again.published == 0 && again.deaths.isEmpty)
    for attachment in attachments(number) { checkWords(of: attachment.ring, without: worker) }
    handoffs[number] = makeHandoff(number)
    if number >= 2 { written[number - 2].removeLast(written[number - 2].count - Int(cells[number].record.committedLength)) }
  }

  private func segment(_ ring: Ring, _ index: Int) -> SegmentWord { SegmentWord(raw: ring.view.segment(index).acquired) }

  /// The dead hold nothing, and every message lies in a segment that will not be freed before it.
  private func checkWords(of ring: Ring, without dead: WorkerNumber) {
    var references: [Int: UInt64] = [:]
    for i in 0..<ring.shape.capacity {
      let fields = ring.slot(i)
      let state = fields.state
      if state.isIn(.free) { continue }
      // A message that it gave back says so, and is nobody's.
      #expect(state.owner != dead || state.isIn(.ready), "\(shape.name): slot \(i) is still the dead worker's")
      if state.isIn(.writing) { continue }
      let index = Int(fields.place.relaxed >> 32)
      let found = segment(ring, index)
      #expect(!found.isIn(.free) && found.generation == UInt32(fields.extent.relaxed >> 32), "\(shape.name): the memory of slot \(i) is not its own")
      references[index, default: 0] += 1
    }
    for s in 0..<ring.view.segmentCount {
      let found = segment(ring, s)
      #expect(!found.isIn(.open) || found.owner != dead, "\(shape.name): segment \(s) is still the dead worker's")
      #expect(!found.isIn(.sealed) || found.count >= references[s, default: 0], "\(shape.name): segment \(s) counts too little")
    }
  }

  /// One worker does what it can without waiting: with a message of the lap before at the tail, a ring has no room although
  /// other slots are free.
  private func turn(_ number: Int) throws {
    let handoff = handoffs[number]
    switch number {
    case 0:
      var next = Int(cells[0].record.position.0)
      for _ in 0..<shape.batch where next < count && hasRoom(input, handoff.pendingCalls + 1) {
        next += 1
        handoff.begin()
        try emit("\(next)", handoff)
        handoff.end(.source(position: (UInt64(next), 0, 0, 0)))
      }
      if handoff.pendingCalls > 0 { try handoff.commit() }
    case 1:
      var leases: [Lease] = []
      for _ in 0..<shape.batch where outputs.allSatisfy({ hasRoom($0, min(shape.capacity, (handoff.pendingCalls + 1) * shape.emit)) }) {
        leases = []
        if try handoff.claim(atMost: 1, into: &leases) == 0 { break }
        handoff.begin(leases[0])
        let text = name(of: leases[0])
        for i in 0..<shape.emit {
          if goesInParts { try relieve() }
          try emit("\(text).\(i)", handoff)
        }
        if goesInParts { try relieve() }
        if isDropped(Int(text) ?? 0) {
          handoff.abandon()
          handoff.begin(leases[0])
          handoff.end(.dropped)
        } else {
          handoff.end(.done)
        }
      }
      if handoff.pendingCalls > 0 { try handoff.commit() }
    default:
      var leases: [Lease] = []
      for _ in 0..<shape.batch {
        leases = []
        if try handoff.claim(atMost: 1, into: &leases) == 0 { break }
        handoff.begin(leases[0])
        written[number - 2].append(name(of: leases[0]))
        handoff.end(.done)
      }
      if handoff.pendingCalls > 0 { try handoff.commit(committedLength: UInt64(written[number - 2].count)) }
    }
  }

  private var goesInParts: Bool { shape.whenFull == .block && (shape.emit > shape.capacity || shape.isTight && shape.emit > 1) }

  private func hasRoom(_ ring: Ring, _ count: Int) -> Bool {
    shape.isCrowded || ring.hasRoom(count) && (!shape.isTight || ring.hasFreeSegments(small: 0, large: 1))
  }

  /// Readers go on while a call hands over its parts.
  private func relieve() throws {
    for _ in 0..<(2 * shape.capacity) where !outputs.allSatisfy(\.isDrained) { for sink in 2..<handoffs.count { try act(sink) } }
  }

  /// What stands before the dots that fill a payload up.
  private func name(of lease: Lease) -> String { String(decoding: lease.payload.prefix { $0 != 0x20 }, as: UTF8.self) }

  private func emit(_ text: String, _ handoff: Handoff) throws {
    let bytes = Array((text + " ").utf8) + [UInt8](repeating: 0x2e, count: max(0, shape.payload - text.utf8.count - 1))
    try bytes.withUnsafeBytes { try handoff.emit($0) }
  }
}
