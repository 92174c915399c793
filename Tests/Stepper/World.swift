import Glibc
import Platform
import Rings

struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// The rings and cells around the worker that is stepped, those who feed it and read from it, and the oracle.
///
/// Shared by descriptor with the stepped process, which attaches the same memory.
final class World {
  /// What the tracer knows beside the memory; it goes back together with it.
  struct Knowledge {
    /// How many messages the input ring has been given.
    var fed = 0
    /// What each reader has got, a message that is still held included.
    var delivered: [[Made]]
    /// How many workers have died with a message in hand.
    var deaths: [MessageID: Int] = [:]
    var held: Lease?
  }

  /// Workers' numbers; a worker's cell is the one before its number.
  enum Number {
    static let feeder: WorkerNumber = 1, worker: WorkerNumber = 2, other: WorkerNumber = 3, holder: WorkerNumber = 4
    static let sleepingProducer: WorkerNumber = 5, sleepingConsumer: WorkerNumber = 6, firstReader: WorkerNumber = 7
  }

  static let stage: UInt64 = 2
  private static let messageBytes = 32_768

  let shape: Shape
  let payloads: Payloads
  let input: Ring?
  let outputs: [Ring]
  let block: CellBlock
  var known: Knowledge

  init(_ shape: Shape) throws {
    self.shape = shape
    payloads = Payloads(shape)
    func create(_ name: String, _ capacity: Int) throws -> Ring {
      guard let ringShape = RingShape(capacity: capacity, messageBytes: Self.messageBytes, producers: 2, consumers: 2) else {
        throw Failure("no ring has this shape")
      }
      return try Ring.create(ringShape, name: name, start: shape.start)
    }
    input = shape.hasInput ? try create("input", shape.capacity) : nil
    outputs = shape.role == .sink ? [] : try (0..<shape.readers).map { _ in try create("output", shape.outputCapacity ?? shape.capacity) }
    block = try CellBlock.create(cells: Int(Number.firstReader) + shape.readers, name: "cells")
    known = Knowledge(delivered: [[Made]](repeating: [], count: outputs.count))
    places = Self.mappings()
    for ring in rings where inPlace[ObjectIdentifier(ring)] == nil { inPlace[ObjectIdentifier(ring)] = try countSegments(ring) }
  }

  /// The stepped process's side.
  init(_ shape: Shape, attaching first: Int32) throws {
    self.shape = shape
    payloads = Payloads(shape)
    var next = first
    func attach() throws -> Ring {
      defer { next += 1 }
      return try Ring(attaching: next)
    }
    input = shape.hasInput ? try attach() : nil
    outputs = shape.role == .sink ? [] : try (0..<shape.readers).map { _ in try attach() }
    block = try CellBlock(attaching: next)
    known = Knowledge(delivered: [])
  }

  var rings: [Ring] { (input.map { [$0] } ?? []) + outputs }
  var descriptors: [Int32] { rings.map(\.descriptor) + [block.descriptor] }

  func cell(_ worker: WorkerNumber) throws -> CommitCell { try block.cell(Int(worker) - 1) }

  /// The worker of the stage: the one that is stepped, its successor, or another of the same stage.
  func makeWork(_ number: WorkerNumber) throws -> Work {
    let lane = number == Number.worker ? 0 : 1
    let cell = try cell(number)
    let handoff = Handoff(
      worker: number, cell: cell, input: input.map { ($0, lane) }, outputs: outputs.map { ($0, lane) }, stageHash: Self.stage)
    return Work(shape: shape, payloads: payloads, handoff: handoff, cell: cell)
  }

  func recover(_ number: WorkerNumber) throws -> Recovery.Summary {
    let lane = number == Number.worker ? 0 : 1
    let attachments = (input.map { [Recovery.Attachment(ring: $0, consumerLane: lane)] } ?? [])
      + outputs.map { Recovery.Attachment(ring: $0, producerLane: lane) }
    return try Recovery.recover(worker: number, cell: cell(number), rings: attachments)
  }

  // MARK: Before and between

  /// Puts messages into the input ring.
  func feed(_ count: Int) throws {
    guard let input else { return }
    let feeder = Handoff(worker: Number.feeder, cell: try cell(Number.feeder), input: nil, outputs: [(input, 0)], stageHash: 1)
    for _ in 0..<count {
      known.fed += 1
      feeder.begin()
      try payloads.input(known.fed).withUnsafeBytes { try feeder.emit($0) }
      feeder.end(.source(position: (UInt64(known.fed), 0, 0, 0)))
      try feeder.commit()
    }
    try feeder.close()
  }

  /// Reads what there is.
  func drain() throws {
    for r in outputs.indices where outputs[r].readySlots > 0 {
      let reader = try makeReader(r)
      while let (lease, made) = try take(reader, r) {
        known.delivered[r].append(made)
        reader.begin(lease)
        reader.end(.done)
        try reader.commit()
      }
    }
  }

  private func makeReader(_ r: Int) throws -> Handoff {
    let number = Number.firstReader + WorkerNumber(r)
    return Handoff(worker: number, cell: try cell(number), input: (outputs[r], 0), outputs: [], stageHash: 3)
  }

  private func take(_ reader: Handoff, _ r: Int) throws -> (Lease, Made)? {
    var leases: [Lease] = []
    if try reader.claim(atMost: 1, into: &leases) == 0 { return nil }
    guard let made = payloads.made(leases[0].payload) else { throw Failure("reader \(r) got bytes that nobody has made") }
    if leases[0].id != id(made) { throw Failure("reader \(r) got \(made) under another message's id") }
    return (leases[0], made)
  }

  /// What a message of the input, and an output, must be named.
  private func id(_ message: Int) -> MessageID { MessageID.source(stage: 1, position: (UInt64(message), 0, 0, 0)) }

  private func id(_ made: Made) -> MessageID {
    if shape.hasInput { return id(made.message).child(stage: Self.stage, ordinal: UInt64(made.ordinal)) }
    let first = MessageID.source(stage: Self.stage, position: (UInt64(made.message), 7, 0, 0))
    return made.ordinal == 0 ? first : first.child(stage: Self.stage, ordinal: UInt64(made.ordinal))
  }

  /// A reader claims the first message and keeps it.
  func hold() throws {
    let holder = Handoff(worker: Number.holder, cell: try cell(Number.holder), input: (outputs[0], 1), outputs: [], stageHash: 3)
    guard let (lease, made) = try take(holder, 0) else { throw Failure("there is nothing to hold") }
    known.delivered[0].append(made)
    known.held = lease
  }

  private func letGo() throws {
    guard let lease = known.held else { return }
    let holder = Handoff(worker: Number.holder, cell: try cell(Number.holder), input: (outputs[0], 1), outputs: [], stageHash: 3)
    holder.begin(lease)
    holder.end(.done)
    try holder.commit()
    known.held = nil
  }

  /// Another worker of the stage takes all messages, works on the first, and dies.
  func loseAnother() throws {
    let other = try makeWork(Number.other)
    var leases: [Lease] = []
    _ = try other.handoff.claim(atMost: shape.calls, into: &leases)
    guard let first = leases.first else { throw Failure("there is nothing to die with") }
    // A call of more outputs than fit is left behind its first part, since its end would wait for room.
    other.handoff.begin(first)
    if shape.role != .sink {
      for ordinal in 0..<shape.emits {
        try payloads.output(known.fed - shape.calls + 1, ordinal).withUnsafeBytes { try other.handoff.emit($0) }
      }
    }
    for death in try recover(Number.other).deaths { known.deaths[death.id] = death.deaths }
    if known.deaths[id(known.fed - shape.calls + 1)] != 1 { throw Failure("the death of the other worker was not counted") }
  }

  /// The line goes round while the worker stands still: another one does what comes, and what the worker has claimed is moved
  /// along.
  func overtake() throws {
    let other = try makeWork(Number.other)
    for _ in 0..<shape.overtaking {
      // With what nobody has claimed yet there may be no room for more.
      try work(as: other)
      try feed(1)
      try work(as: other)
    }
    try other.handoff.close()
  }

  /// Everything that is there.
  private func work(as other: Work) throws {
    var leases: [Lease] = []
    while try other.handoff.claim(atMost: 1, into: &leases) > 0, let lease = leases.popLast() {
      guard let message = payloads.message(lease.payload) else { throw Failure("the input's bytes are damaged") }
      try other.call(lease, message)
      try other.commit(message)
    }
    try drain()
  }

  // MARK: After a death

  /// Puts right what the dead worker has left, and judges it.
  ///
  /// - Parameter hasBegun: a recovery was killed before this one and may have counted the death already
  func recoverAndJudge(hasBegun: Bool = false) throws -> Recovery.Summary {
    let before = try cell(Number.worker).record
    let summary = try recover(Number.worker)
    let record = try cell(Number.worker).record
    if record.received != before.received || record.emitted != before.emitted || record.dropped != before.dropped
      || record.position != before.position || record.ended != before.ended || record.committedLength != before.committedLength {
      throw Failure("recovery has changed what was committed")
    }
    let sequence = try cell(Number.worker).sequence
    let again = try recover(Number.worker)
    if !again.isEmpty { throw Failure("a second recovery found something: \(again)") }
    if try cell(Number.worker).record != record || cell(Number.worker).sequence != sequence { throw Failure("a second recovery has changed the record") }
    if !hasBegun {
      for death in summary.deaths {
        if death.deaths != known.deaths[death.id, default: 0] + 1 { throw Failure("a death was counted wrong: \(death)") }
        known.deaths[death.id] = death.deaths
      }
    }
    if summary.deaths.count > 1 { throw Failure("\(summary.deaths.count) messages were in hand at once") }
    try judgeBalance(record)
    return summary
  }

  /// What was committed and what lies in the rings must add up, at once and without anybody's help.
  private func judgeBalance(_ record: CellRecord) throws {
    let emitted = try record.emitted + cell(Number.other).record.emitted
    let received = try record.received + cell(Number.other).record.received
    if let input {
      if input.leasedSlots != 0 || input.openSlots != input.readySlots { throw Failure("a slot of the input is neither free nor ready") }
      if Int(received) + input.readySlots != known.fed {
        throw Failure("\(known.fed) messages came, \(received) count as received, and \(input.readySlots) are ready")
      }
      let dropped = (0...Int(record.received)).count { $0 > 0 && shape.isDropped($0) }
      if record.dropped != UInt64(dropped) { throw Failure("\(record.dropped) messages count as dropped, not \(dropped)") }
    }
    for (r, ring) in outputs.enumerated() {
      if ring.leasedSlots != (r == 0 && known.held != nil ? 1 : 0) || ring.openSlots != ring.readySlots + ring.leasedSlots {
        throw Failure("a slot of output \(r) is neither free nor ready")
      }
      if emitted != UInt64(known.delivered[r].count + ring.readySlots) {
        throw Failure("\(emitted) outputs count as emitted, reader \(r) has \(known.delivered[r].count), and \(ring.readySlots) are ready")
      }
    }
    if shape.role == .sink, record.committedLength != record.received || record.hasLength != (record.received > 0) {
      throw Failure("\(record.received) messages were received and the length is \(record.committedLength)")
    }
    if shape.role == .source, record.emitted != record.position.0 * UInt64(shape.emits) {
      throw Failure("the source stands at \(record.position.0) and \(record.emitted) outputs count as emitted")
    }
  }

  /// A successor does the rest, and everything must have arrived exactly once, in order, with nothing held at the end.
  func finishAndJudge() throws {
    let work = try makeWork(Number.worker)
    // Twice as many rounds as there are messages is more than enough.
    for _ in 0..<(2 * shape.messages + 2) {
      try drain()
      if try !turn(work) { break }
    }
    try drain()
    try letGo()
    try work.handoff.close()
    try judgeEnd(work.cell.record)
  }

  /// - Returns: whether there was something to do
  private func turn(_ work: Work) throws -> Bool {
    let record = work.cell.record
    let message: Int
    if let input {
      if input.isDrained {
        if known.fed == shape.messages { return false }
        try feed(1)
      }
      var leases: [Lease] = []
      if try work.handoff.claim(atMost: 1, into: &leases) == 0 { throw Failure("a message is ready and the successor cannot claim it") }
      guard let found = payloads.message(leases[0].payload) else { throw Failure("the input's bytes are damaged") }
      if shape.scene != .overtaken, found != Int(record.received) + 1 { throw Failure("the successor got message \(found) after \(record.received)") }
      if leases[0].id != id(found) { throw Failure("message \(found) came under another's id") }
      let deaths = known.deaths[leases[0].id, default: 0]
      if leases[0].deaths != deaths { throw Failure("message \(found) has \(leases[0].deaths) deaths, not \(deaths)") }
      message = found
      // A call in parts needs room in between.
      try work.call(leases[0], message) { try drain() }
    } else {
      if record.ended || record.position.0 == UInt64(shape.messages) { return false }
      message = Int(record.position.0) + 1
      try work.call(nil, message)
    }
    try work.commit(message, isLast: shape.scene == .ended && message == shape.messages)
    return true
  }

  private func judgeEnd(_ record: CellRecord) throws {
    let made = (1...shape.messages).flatMap { message in (0..<shape.outputs(message)).map { Made(message: message, ordinal: $0) } }
    for r in outputs.indices {
      // Two workers of a stage keep no order between them.
      let got = shape.scene == .overtaken ? known.delivered[r].sorted { ($0.message, $0.ordinal) < ($1.message, $1.ordinal) } : known.delivered[r]
      if got != made { throw Failure("reader \(r) got \(known.delivered[r]), not \(made)") }
    }
    // Equal as a whole: no part of a call may be left in it either.
    var expected = CellRecord()
    expected.received = try UInt64(shape.hasInput ? shape.messages : 0) - cell(Number.other).record.received
    expected.emitted = try UInt64(shape.role == .sink ? 0 : made.count) - cell(Number.other).record.emitted
    expected.dropped = UInt64((1...shape.messages).count { shape.isDropped($0) })
    if shape.role == .source { expected.position = (UInt64(shape.messages), 7, 0, 0) }
    expected.ended = shape.scene == .ended
    if shape.role == .sink { (expected.hasLength, expected.committedLength) = (true, UInt64(shape.messages)) }
    if record != expected { throw Failure("the record at the end is \(record), not \(expected)") }
    for number in [Number.worker, Number.sleepingProducer, Number.sleepingConsumer] {
      if try !recover(number).isEmpty { throw Failure("worker \(number) has left something behind at the end") }
    }
    for ring in rings {
      if !ring.isDrained { throw Failure("a slot is not free at the end") }
      let count = try countSegments(ring)
      if count != inPlace[ObjectIdentifier(ring)] { throw Failure("\(count) payloads find memory in the ring at the end, not \(inPlace[ObjectIdentifier(ring)] ?? 0)") }
    }
  }

  // MARK: Segments

  private var places: [Range<UInt>] = []
  private var inPlace: [ObjectIdentifier: Int] = [:]

  /// How many payloads of the largest size that shares a segment, and of the largest size, find memory in the ring rather
  /// than beside it: fewer than at first means that a segment is lost.
  private func countSegments(_ ring: Ring) throws -> Int {
    let handoff = Handoff(worker: Number.feeder, cell: try cell(Number.feeder), input: nil, outputs: [(ring, 0)], stageHash: 1)
    handoff.begin()
    var count = 0
    for length in [16 << 10, Self.messageBytes] {
      while true {
        let memory = try handoff.reserve(length)
        let address = UInt(bitPattern: memory.baseAddress)
        guard places.contains(where: { $0.contains(address) }) else { break }
        try handoff.emitReserved(length: length)
        count += 1
      }
    }
    handoff.abandon()
    try handoff.close()
    return count
  }

  /// Where a process has mapped rings and cells, or something else (proc(5), maps).
  static func mappings(_ name: String = "/memfd:", of process: String = "self") -> [Range<UInt>] {
    let text = Files.text("/proc/\(process)/maps") ?? ""
    return text.split(separator: "\n").filter { $0.contains(name) }.compactMap { line in
      let ends = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
      return ends.count == 2 ? ends[0]..<ends[1] : nil
    }
  }
}

extension Recovery.Summary {
  /// Nothing was left to put right.
  var isEmpty: Bool { !rolledForward && redelivered == 0 && voided == 0 && published == 0 && freed == 0 && deaths.isEmpty }
}

/// The bytes of all shared memory at one moment. Only pages that somebody has touched are kept (lseek(2), SEEK_DATA): a
/// ring reserves far more than it uses.
struct Snapshot {
  private static let pageBytes = 4096
  private let memories: [SharedMemory]
  private var pages: [UnsafeMutableRawPointer: [UInt8]] = [:]

  init(_ memories: [SharedMemory]) {
    self.memories = memories
    Self.eachPage(of: memories) { pages[$0] = Array(UnsafeRawBufferPointer(start: $0, count: Self.pageBytes)) }
  }

  func restore() {
    Self.eachPage(of: memories) { address in
      guard let bytes = pages[address] else {
        memset(address, 0, Self.pageBytes)
        return
      }
      bytes.withUnsafeBytes { if let base = $0.baseAddress { memcpy(address, base, Self.pageBytes) } }
    }
  }

  private static func eachPage(of memories: [SharedMemory], _ body: (UnsafeMutableRawPointer) -> Void) {
    // GNU's, so Swift does not see them: SEEK_DATA and SEEK_HOLE.
    let (seekData, seekHole): (Int32, Int32) = (3, 4)
    for memory in memories {
      var end = 0
      while true {
        let start = lseek(memory.descriptor, end, seekData)
        if start < 0 { break }
        end = lseek(memory.descriptor, start, seekHole)
        if end <= start { break }
        for offset in Swift.stride(from: start, to: end, by: pageBytes) { body(memory.base + offset) }
      }
    }
  }
}
