package import Platform

/// The cells of one stage: two pages for each of its processes, in memory that the stage's workers and the runner share. A
/// cell outlives its worker, so what was committed and counted goes on in the next one. The memory behind them is the stage's as a
/// whole: its first word is that of the `RateGate`.
package final class CellBlock: Sendable {
  /// Bytes of a cell.
  package static let stride = 8192

  private let memory: SharedMemory
  package let count: Int

  package var descriptor: Int32 { memory.descriptor }

  package static func create(cells: Int, name: String) throws(SystemError) -> CellBlock {
    CellBlock(try SharedMemory.create(name: name, count: bytes(cells: cells)))
  }

  /// How much memory so many cells take.
  package static func bytes(cells: Int) -> Int { (max(1, cells) + 1) * stride }

  /// Makes cells in memory that is all zeros and has the size for them. The memory belongs to the block from now on.
  ///
  /// - Parameter owner: tells a file of one state directory and stage from those of others
  package static func create(in memory: SharedMemory, owner: UInt64) -> CellBlock {
    let block = CellBlock(memory)
    for i in 0..<block.count {
      block.word(i, ownerOffset).release(owner)
      block.word(i, magicOffset).release(magic)
    }
    return block
  }

  /// Cells that were made in this memory, which belongs to the block from now on. Every one is checked.
  package convenience init(in memory: SharedMemory, owner: UInt64) throws(RingCorruption) {
    self.init(memory)
    for i in 0..<count {
      let isOurs = word(i, Self.magicOffset).acquired == Self.magic && word(i, Self.ownerOffset).acquired == owner
      if isOurs, memory.count % Self.stride == 0 { continue }
      memory.unmap()
      throw RingCorruption(isOurs ? "a block of cells has \(memory.count) bytes" : "cell \(i) is no cell of this version, stage and state directory")
    }
  }

  private static let magic: UInt64 = 0x3130_6c6c_6563_6b72
  private static let ownerOffset = 4080, magicOffset = 4088

  private func word(_ cell: Int, _ offset: Int) -> SharedWord { SharedWord(memory.base + cell * Self.stride + offset) }

  package func sync() throws(SystemError) { try memory.sync() }

  package convenience init(attaching descriptor: Int32) throws {
    let memory = try SharedMemory.attach(descriptor)
    guard memory.count % Self.stride == 0, memory.count >= 2 * Self.stride else {
      memory.unmap()
      throw RingCorruption("a block of cells has \(memory.count) bytes")
    }
    self.init(memory)
  }

  private init(_ memory: SharedMemory) {
    self.memory = memory
    count = memory.count / Self.stride - 1
  }

  /// - Throws: `RingCorruption` for a cell that does not exist
  package func cell(_ index: Int) throws -> CommitCell {
    guard 0..<count ~= index else { throw RingCorruption("there is no cell \(index) in a block of \(count)") }
    return CommitCell(base: memory.base + index * Self.stride)
  }

  /// The word of the stage's `RateGate`.
  var due: SharedWord { SharedWord(memory.base + count * Self.stride) }

  package func unmap() { memory.unmap() }
}

/// What a worker has committed, and beside it what it counts without any promise.
///
///     0     word: sequence * 2 + busy
///     128   record, the copy of even sequences
///     256   record, the copy of odd sequences
///     512   statistics
///     1024  latencies: how many messages took how long
///     2560  what was handed over to each reader and what was dropped there, beside the copy of even sequences
///     3312  the same for odd sequences
///     4080  in a file: whose cell it is, and a mark that it is one
///     4096  last words (`CommitCell.Death`)
///
/// A commit writes the copy that is not in force and then stores the next sequence with busy set: that store is the one
/// instant at which the batch happened. Busy is cleared when its outputs are published and its inputs are free; a worker
/// that dies while it is set is rolled forward, one that dies before is rolled back.
package struct CommitCell: @unchecked Sendable {
  // Unchecked: the words are shared between processes and accessed by atomics only.
  let base: UnsafeMutableRawPointer

  var word: SharedWord { SharedWord(base) }

  /// How many commits there were. A worker that has moved it has made progress.
  package var sequence: UInt64 { word.acquired >> 1 }
  var isBusy: Bool { word.acquired & 1 != 0 }
  package var hasCommitted: Bool { sequence > 0 }

  /// The record in force.
  package var record: CellRecord { CellRecord(reading: copy(sequence)) }

  private func copy(_ sequence: UInt64) -> UnsafeMutableRawPointer { base + 128 + Int(sequence & 1) * 128 }

  /// How many readers are counted apart.
  package static let mostCounted = 47

  private func countsCopy(_ sequence: UInt64) -> UnsafeMutableRawPointer { base + 2560 + Int(sequence & 1) * Self.mostCounted * 16 }

  /// What a reader was given, what was dropped there among it, in the record in force.
  package func counts(_ reader: Int) -> (given: UInt64, dropped: UInt64) {
    guard 0..<Self.mostCounted ~= reader else { return (0, 0) }
    let from = countsCopy(sequence) + reader * 16
    return (SharedWord(from).relaxed, SharedWord(from + 8).relaxed)
  }

  /// The same for all readers, one after the other.
  var allCounts: [UInt64] { (0..<(2 * Self.mostCounted)).map { SharedWord(countsCopy(sequence) + $0 * 8).relaxed } }

  /// Writes the other copy and makes it the one in force, with busy set.
  ///
  /// - Parameter counts: what each reader was given and what was dropped there; empty where all of them get the same and nothing is dropped
  func commit(_ record: CellRecord, _ counts: [UInt64]) throws {
    let next = sequence + 1
    record.write(to: copy(next))
    if !counts.isEmpty {
      let to = countsCopy(next)
      for i in 0..<min(counts.count, 2 * Self.mostCounted) { SharedWord(to + i * 8).set(counts[i]) }
    }
    try Failpoint.recordWritten.hit()
    word.release(next << 1 | 1)
    try Failpoint.committed.hit()
  }

  /// Clears busy, and only busy.
  func clearBusy() throws {
    word.release(word.relaxed & ~1)
    try Failpoint.cleared.hit()
  }
}

/// What moves in one instant with the messages of a batch.
package struct CellRecord: Sendable, Equatable {
  /// Where a source stands.
  package var position: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  /// A source has said that it is done.
  package var ended = false
  /// A sink has committed a length.
  package var hasLength = false
  package var committedLength: UInt64 = 0
  /// Messages taken from the input ring for good, dropped ones included.
  package var received: UInt64 = 0
  /// Messages handed on, each counted once however many readers there are.
  package var emitted: UInt64 = 0
  /// Messages given up and dropped.
  package var dropped: UInt64 = 0
  /// Messages given up and handed on as dead letters.
  package var deadLettered: UInt64 = 0
  /// While a call is handed over in parts: its input's slot and how many outputs are gone.
  var partSlot: Int?
  var partCount: UInt64 = 0

  package init() {}

  init(reading base: UnsafeMutableRawPointer) {
    func word(_ i: Int) -> UInt64 { SharedWord(base + i * 8).relaxed }
    position = (word(0), word(1), word(2), word(3))
    ended = word(4) & 1 != 0
    hasLength = word(4) & 2 != 0
    committedLength = word(5)
    received = word(6)
    emitted = word(7)
    dropped = word(8)
    partSlot = word(9) == 0 ? nil : Int(clamping: word(9) - 1)
    partCount = word(10)
    deadLettered = word(11)
  }

  @inline(__always)
  func write(to base: UnsafeMutableRawPointer) {
    func set(_ i: Int, _ value: UInt64) { SharedWord(base + i * 8).set(value) }
    set(0, position.0)
    set(1, position.1)
    set(2, position.2)
    set(3, position.3)
    set(4, (ended ? 1 : 0) | (hasLength ? 2 : 0))
    set(5, committedLength)
    set(6, received)
    set(7, emitted)
    set(8, dropped)
    set(9, partSlot.map { UInt64($0) + 1 } ?? 0)
    set(10, partCount)
    set(11, deadLettered)
  }

  package static func == (a: CellRecord, b: CellRecord) -> Bool {
    a.position == b.position && a.ended == b.ended && a.hasLength == b.hasLength && a.committedLength == b.committedLength
      && a.received == b.received && a.emitted == b.emitted && a.dropped == b.dropped && a.partSlot == b.partSlot
      && a.partCount == b.partCount && a.deadLettered == b.deadLettered
  }
}
