import CBench
import Platform
import Rings
import Stages

/// Our ring with everything that a worker does around it: cells, identities, marks and leases. The loops are those of the
/// stages, without a plugin.
final class RingContender: Contender {
  struct Options {
    var size = 64
    var producers = 1
    var consumers = 1
    /// Lanes of readers: one more than consumers when somebody stands beside them.
    var readers = 1
    /// Written where it will be read instead of copied there.
    var isInPlace = false
    /// What a hand-over keeps; less than all shows what the rest costs.
    var promises = Handoff.Promises.all
  }

  private let options: Options
  private let ring: Ring
  private let cells: CellBlock

  init(_ options: Options) throws {
    self.options = options
    ring = try Self.makeRing(size: options.size, producers: options.producers, consumers: options.readers)
    cells = try CellBlock.create(cells: options.producers + options.readers, name: "bench-cells")
  }

  /// 1,024 messages, but no more than 8 MiB of them, which is what the other contenders get: more leaves the cache.
  static func makeRing(size: Int, producers: Int, consumers: Int) throws -> Ring {
    let capacity = max(2, min(1024, (8 << 20) / max(1, size)))
    guard let shape = RingShape(capacity: capacity, messageBytes: max(size, 16), producers: producers, consumers: consumers) else {
      throw Invalid("there is no ring for messages of \(size) bytes")
    }
    return try Ring.create(shape, name: "bench-ring")
  }

  /// In a child: the parent's mapping is not inherited.
  private func attach(worker: Int) throws -> (Ring, CommitCell) {
    (try Ring(attaching: ring.descriptor), try CellBlock(attaching: cells.descriptor).cell(worker))
  }

  private func reader(_ consumer: Int) throws -> Handoff {
    let worker = options.producers + consumer
    let (ring, cell) = try attach(worker: worker)
    return Handoff(worker: WorkerNumber(worker + 1), cell: cell, input: (ring, consumer), outputs: [], stageHash: 2, promises: options.promises)
  }

  func produce(_ producer: Int, _ place: Place) throws {
    let (ring, cell) = try attach(worker: producer)
    let handoff = Handoff(
      worker: WorkerNumber(producer + 1), cell: cell, input: nil, outputs: [(ring, producer)], stageHash: 1, promises: options.promises)
    let writer = Writer(handoff, size: options.size, isInPlace: options.isInPlace, producer: UInt64(producer))
    place.ready()
    var pace = BatchPace(most: 256)
    var n: UInt64 = 0
    while !place.isStopped {
      pace.callBegins()
      try writer.put(n)
      n += 1
      if pace.callEnded() || handoff.isHeavy {
        try handoff.commit()
        pace.handedOver(isFull: true)
      }
    }
    try handoff.commit(ended: true)
    try handoff.close()
    place.note(n, sum: n == 0 ? 0 : n &* (n &- 1) / 2)
  }

  func consume(_ consumer: Int, _ place: Place) throws {
    let handoff = try reader(consumer)
    var pace = BatchPace(most: max(1, min(1024, ring.shape.capacity / (2 * options.readers))))
    let isAlone = options.producers == 1 && options.readers == 1
    var check = cbench_check()
    place.ready()
    while true {
      let lease = try handoff.claim()
      if let lease {
        pace.callBegins()
        handoff.begin(lease)
        try Self.see(lease, &check, isAlone: isAlone)
        handoff.end(.done)
        if !pace.callEnded() { continue }
      } else if handoff.pendingCalls == 0 {
        if try handoff.waitForInput() == .closed { return }
        continue
      }
      try handoff.commit()
      pace.handedOver(isFull: lease != nil)
      place.note(check.count, sum: check.sum)
    }
  }

  private static func see(_ lease: Lease, _ check: inout cbench_check, isAlone: Bool) throws {
    guard cbench_see(&check, lease.payload.baseAddress, lease.payload.count) == 0, !isAlone || check.next.0 == check.count else {
      throw Invalid("a message is not the next one")
    }
  }

  func close() { ring.close() }

  /// A reader that stands beside the others until the measurement ends, with a message in hand all the while or without.
  func bystander(holds: Bool) -> @Sendable (Place) throws -> Void {
    { [self] place in
      let handoff = try reader(options.consumers)
      var held: Lease?
      place.ready()
      while holds, held == nil, !place.isStopped { held = try handoff.claim() }
      if let held { handoff.begin(held) }
      while !place.isStopped { cbench_pause_us(1000) }
      guard let lease = held else { return }
      var check = cbench_check()
      try Self.see(lease, &check, isAlone: false)
      handoff.end(.done)
      try handoff.commit()
      place.note(check.count, sum: check.sum)
    }
  }
}

extension RingContender: @unchecked Sendable {
  // Unchecked: each process has its own copy, and each has one thread.
}

/// Puts numbered messages into a hand-off, copied or in place.
final class Writer {
  private let handoff: Handoff
  private let message: UnsafeMutableRawBufferPointer
  private let isInPlace: Bool
  private let producer: UInt64

  init(_ handoff: Handoff, size: Int, isInPlace: Bool, producer: UInt64) {
    self.handoff = handoff
    self.isInPlace = isInPlace
    self.producer = producer
    message = .allocate(byteCount: size, alignment: 64)
    cbench_fill(message.baseAddress, size, 1, producer)
  }

  /// One call of a source that makes one message.
  func put(_ number: UInt64) throws {
    handoff.begin()
    try emit(number)
    handoff.end(.source(position: (number + 1, 0, 0, 0)))
  }

  func emit(_ number: UInt64) throws {
    if isInPlace {
      cbench_fill(try handoff.reserve(message.count).baseAddress, message.count, number, producer)
      try handoff.emitReserved(length: message.count)
    } else {
      cbench_stamp(message.baseAddress, number, producer)
      try handoff.emit(UnsafeRawBufferPointer(message))
    }
  }
}

/// There and back through two rings: a source and a sink here, a transform in the other process.
final class RingEcho: Echo {
  private let size: Int
  private let there: Ring
  private let back: Ring
  private let cells: CellBlock
  private var writer: Writer?
  private var sending: Handoff?
  private var receiving: Handoff?
  private var check = cbench_check()

  init(size: Int) throws {
    self.size = size
    there = try RingContender.makeRing(size: size, producers: 1, consumers: 1)
    back = try RingContender.makeRing(size: size, producers: 1, consumers: 1)
    cells = try CellBlock.create(cells: 3, name: "bench-cells")
  }

  func begin() throws {
    let sending = Handoff(worker: 1, cell: try cells.cell(0), input: nil, outputs: [(there, 0)], stageHash: 1)
    receiving = Handoff(worker: 2, cell: try cells.cell(1), input: (back, 0), outputs: [], stageHash: 2)
    writer = Writer(sending, size: size, isInPlace: false, producer: 0)
    self.sending = sending
  }

  func ping(_ number: UInt64) throws {
    guard let writer, let sending, let receiving else { return }
    try writer.put(number)
    try sending.commit()
    while true {
      guard let lease = try receiving.claim() else {
        _ = try receiving.waitForInput()
        continue
      }
      receiving.begin(lease)
      guard cbench_see(&check, lease.payload.baseAddress, lease.payload.count) == 0, check.next.0 == number + 1 else {
        throw Invalid("another message came back")
      }
      receiving.end(.done)
      return try receiving.commit()
    }
  }

  func echo() throws {
    let (there, back) = (try Ring(attaching: there.descriptor), try Ring(attaching: back.descriptor))
    let handoff = Handoff(
      worker: 3, cell: try CellBlock(attaching: cells.descriptor).cell(2), input: (there, 0), outputs: [(back, 0)], stageHash: 3)
    let writer = Writer(handoff, size: size, isInPlace: false, producer: 0)
    while true {
      guard let lease = try handoff.claim() else {
        if try handoff.waitForInput() == .closed { return try handoff.close() }
        continue
      }
      handoff.begin(lease)
      cbench_touch(lease.payload.baseAddress, lease.payload.count)
      try writer.emit(lease.payload.loadUnaligned(as: UInt64.self))
      handoff.end(.done)
      try handoff.commit()
    }
  }

  func close() { there.close() }
}
