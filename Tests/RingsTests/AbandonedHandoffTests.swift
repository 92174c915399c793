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
    var capacity = 2
    var emit = 1
    var batch = 1
    var readers = 1
    var payload = 24
    var start = RingStart.zero
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
    Shape(name: "everything", capacity: 5, emit: 2, batch: 2, readers: 2, payload: 17_000),
  ]

  enum Victim: String, CaseIterable, Sendable { case source, transform, sink }

  @Test(arguments: shapes, Victim.allCases) func everyStep(shape: Shape, victim: Victim) throws {
    var step = 0
    while try Line(shape).run(victim: victim, abandonAt: step) { step += 1 }
    #expect(step >= 6, "the walk through the steps did not happen")
  }
}
}

private struct Abandoned: Error {}

/// The line of three, and its oracle.
private final class Line {
  private let shape: RingsTests.AbandonedHandoffTests.Shape
  private let count = 7
  private let input: Ring
  private let outputs: [Ring]
  private let cells: [CommitCell]
  private var handoffs: [Handoff] = []
  /// What each reader's sink has written; cut back to what it has committed when its worker dies.
  private var written: [[String]]

  init(_ shape: RingsTests.AbandonedHandoffTests.Shape) throws {
    self.shape = shape
    func ring(_ producers: Int) throws -> Ring {
      let ringShape = try #require(RingShape(capacity: shape.capacity, messageBytes: 32_768, producers: producers, consumers: 1))
      return try Ring.create(ringShape, name: "test", start: shape.start)
    }
    input = try ring(1)
    outputs = try (0..<shape.readers).map { _ in try ring(1) }
    let block = try CellBlock.create(cells: 2 + shape.readers, name: "test")
    cells = try (0..<(2 + shape.readers)).map { try block.cell($0) }
    written = [[String]](repeating: [], count: shape.readers)
    for number in 0..<(2 + shape.readers) { handoffs.append(makeHandoff(number)) }
  }

  /// 0 is the source, 1 the transform, then the sinks.
  private func makeHandoff(_ number: Int) -> Handoff {
    let worker = WorkerNumber(number + 1)
    switch number {
    case 0: return Handoff(worker: worker, cell: cells[0], input: nil, outputs: [(input, 0)], stageHash: 1)
    case 1: return Handoff(worker: worker, cell: cells[1], input: (input, 0), outputs: outputs.map { ($0, 0) }, stageHash: 2)
    default: return Handoff(worker: worker, cell: cells[number], input: (outputs[number - 2], 0), outputs: [], stageHash: 3)
    }
  }

  private func attachments(_ number: Int) -> [Recovery.Attachment] {
    switch number {
    case 0: [Recovery.Attachment(ring: input, producerLane: 0)]
    case 1: [Recovery.Attachment(ring: input, consumerLane: 0)] + outputs.map { Recovery.Attachment(ring: $0, producerLane: 0) }
    default: [Recovery.Attachment(ring: outputs[number - 2], consumerLane: 0)]
    }
  }

  /// - Returns: whether the victim had that many steps
  func run(victim: RingsTests.AbandonedHandoffTests.Victim, abandonAt step: Int) throws -> Bool {
    let number = victim == .source ? 0 : victim == .transform ? 1 : 2
    var steps = 0
    var wasAbandoned = false
    for _ in 0..<400 {
      if isDone { break }
      for worker in handoffs.indices {
        let isVictim = worker == number && !wasAbandoned
        Failpoint.handler = isVictim ? { _ in
          steps += 1
          if steps > step { throw Abandoned() }
        } : nil
        defer { Failpoint.handler = nil }
        do { try turn(worker) } catch is Abandoned {
          Failpoint.handler = nil
          wasAbandoned = true
          try recover(worker)
        }
      }
    }
    let place = "\(shape.name), \(victim) abandoned after step \(step)"
    #expect(isDone, "\(place): it does not come to its end")
    let expected = (1...count).flatMap { n in (0..<shape.emit).map { "\(n).\($0)" } }
    for lines in written { #expect(lines == expected, "\(place)") }
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

  private var isDone: Bool {
    cells[0].record.position.0 == UInt64(count) && ([input] + outputs).allSatisfy(\.isDrained)
  }

  private func recover(_ number: Int) throws {
    _ = try Recovery.recover(worker: WorkerNumber(number + 1), cell: cells[number], rings: attachments(number))
    // Recovery that was interrupted and begins again changes nothing more.
    let again = try Recovery.recover(worker: WorkerNumber(number + 1), cell: cells[number], rings: attachments(number))
    #expect(again.redelivered == 0 && again.voided == 0 && again.freed == 0 && again.published == 0 && again.deaths.isEmpty)
    handoffs[number] = makeHandoff(number)
    if number >= 2 { written[number - 2].removeLast(written[number - 2].count - Int(cells[number].record.committedLength)) }
  }

  /// One worker does what it can without waiting: with a message of the lap before at the tail, a ring has no room although
  /// other slots are free.
  private func turn(_ number: Int) throws {
    let handoff = handoffs[number]
    switch number {
    case 0:
      var next = Int(cells[0].record.position.0)
      for _ in 0..<shape.batch where next < count && input.hasRoom(handoff.pendingCalls + 1) {
        next += 1
        handoff.begin()
        try emit("\(next)", handoff)
        handoff.end(.source(position: (UInt64(next), 0, 0, 0)))
      }
      if handoff.pendingCalls > 0 { try handoff.commit() }
    case 1:
      var leases: [Lease] = []
      for _ in 0..<shape.batch where outputs.allSatisfy({ $0.hasRoom((handoff.pendingCalls + 1) * shape.emit) }) {
        leases = []
        if try handoff.claim(atMost: 1, into: &leases) == 0 { break }
        handoff.begin(leases[0])
        let text = String(decoding: leases[0].payload, as: UTF8.self).split(separator: " ")[0]
        for i in 0..<shape.emit { try emit("\(text).\(i)", handoff) }
        handoff.end(.done)
      }
      if handoff.pendingCalls > 0 { try handoff.commit() }
    default:
      var leases: [Lease] = []
      for _ in 0..<shape.batch {
        leases = []
        if try handoff.claim(atMost: 1, into: &leases) == 0 { break }
        handoff.begin(leases[0])
        written[number - 2].append(String(String(decoding: leases[0].payload, as: UTF8.self).split(separator: " ")[0]))
        handoff.end(.done)
      }
      if handoff.pendingCalls > 0 { try handoff.commit(committedLength: UInt64(written[number - 2].count)) }
    }
  }

  private func emit(_ text: String, _ handoff: Handoff) throws {
    let bytes = Array((text + " ").utf8) + [UInt8](repeating: 0x2e, count: max(0, shape.payload - text.utf8.count - 1))
    try bytes.withUnsafeBytes { try handoff.emit($0) }
  }
}
