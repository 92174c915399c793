package import Platform

/// One queue: a line of slots and the memory behind them, shared by the processes that write to a stage and the
/// processes of that stage. This type is the mapping and its words; `Producer` and `Consumer` are what workers do with
/// them. Everything in the header but the sizes is a hint that can be rebuilt from the slots.
package final class Ring: Sendable {
  package let shape: RingShape
  let memory: SharedMemory

  package var descriptor: Int32 { memory.descriptor }

  static let magic: UInt64 = 0x3130_676e_6977_6b72
  static let version: UInt64 = 2

  /// Byte offsets of the header's words. Those that different peers write lie 128 bytes apart, since processors fetch
  /// lines in pairs.
  enum Offset {
    static let magic = 0, version = 8, capacity = 16, messageBytes = 24, producers = 32, consumers = 40, total = 48, check = 56
    /// Whose ring it is, when it lies in a file; 0 in memory.
    static let owner = 64
    static let smallCount = 72, largeCount = 80
    static let tail = 128, head = 256
    /// Written by the runner alone: 1 when no more messages will come; how often recovery has put messages back.
    static let closed = 384, epoch = 392
    /// Not 0 when readers gather batches, and may hold what writers wait for.
    static let gathered = 400
    /// The worker that has waited too often for several slots at once; the others let it go first.
    static let starving = 640
    static let lateWakes = 768
    static let consumerMasks = 1024, producerMasks = 1536
  }

  /// Makes a ring in memory of its own.
  ///
  /// - Parameter start: where its counters begin
  package static func create(_ shape: RingShape, name: String, start: RingStart = .zero) throws(SystemError) -> Ring {
    create(shape, in: try SharedMemory.create(name: name, count: shape.bytes), start: start)
  }

  /// Makes a ring in memory that is all zeros and has the size of the shape. The memory belongs to the ring from now on.
  ///
  /// - Parameter owner: tells a file of one state directory and stage from those of others
  package static func create(_ shape: RingShape, in memory: SharedMemory, owner: UInt64 = 0, start: RingStart = .zero) -> Ring {
    let ring = Ring(shape, memory)
    ring.begin(at: start)
    for (offset, value) in [
      (Offset.version, version), (Offset.capacity, UInt64(shape.capacity)), (Offset.messageBytes, UInt64(shape.messageBytes)),
      (Offset.producers, UInt64(shape.producers)), (Offset.consumers, UInt64(shape.consumers)),
      (Offset.smallCount, UInt64(shape.smallCount)), (Offset.largeCount, UInt64(shape.largeCount)),
      (Offset.total, UInt64(shape.bytes)), (Offset.check, shape.fingerprint), (Offset.owner, owner), (Offset.magic, magic),
    ] {
      ring.word(offset).release(value)
    }
    return ring
  }

  /// Maps a ring that another process made. Every size is checked against the mapping and against our own arithmetic.
  package convenience init(attaching descriptor: Int32) throws {
    try self.init(in: try SharedMemory.attach(descriptor))
  }

  /// A ring that was made in this memory, which belongs to it from now on; checked in the same way.
  package convenience init(in memory: SharedMemory) throws(RingCorruption) {
    do throws(RingCorruption) {
      self.init(try Self.shape(of: memory), memory)
    } catch {
      memory.unmap()
      throw error
    }
  }

  private static func shape(of memory: SharedMemory) throws(RingCorruption) -> RingShape {
    func read(_ offset: Int) -> UInt64 { SharedWord(memory.base + offset).acquired }
    guard memory.count >= 4096, read(Offset.magic) == magic, read(Offset.version) == version else {
      throw RingCorruption("\(memory.count) bytes that begin as no ring of this version does")
    }
    guard
      let shape = RingShape(
        capacity: Int(clamping: read(Offset.capacity)), messageBytes: Int(clamping: read(Offset.messageBytes)),
        producers: Int(clamping: read(Offset.producers)), consumers: Int(clamping: read(Offset.consumers)),
        smallCount: Int(clamping: read(Offset.smallCount)), largeCount: Int(clamping: read(Offset.largeCount))),
      shape.bytes == memory.count, Int(clamping: read(Offset.total)) == memory.count, read(Offset.check) == shape.fingerprint
    else { throw RingCorruption("the sizes in a ring's header do not fit its mapping of \(memory.count) bytes") }
    return shape
  }

  private init(_ shape: RingShape, _ memory: SharedMemory) {
    self.shape = shape
    self.memory = memory
    view = RingView(shape, memory.base)
  }

  private func begin(at start: RingStart) {
    if start == .zero { return }
    for i in 0..<shape.capacity { view.slot(i).word.set(SlotWord(start.lap, .free).raw) }
    for i in 0..<view.segmentCount { view.segment(i).set(SegmentWord(start.generation, .free).raw) }
    for lane in 0..<(shape.producers + shape.consumers) {
      SharedWord(memory.base + shape.lanesOffset + lane * RingShape.line).set(UInt64(start.ticket))
    }
    word(Offset.tail).set(start.lap &* view.capacity)
    word(Offset.head).set(start.lap &* view.capacity)
  }

  package func unmap() { memory.unmap() }

  // MARK: Words

  /// The words and bytes of the mapping.
  let view: RingView

  /// A word of the header.
  @inline(__always) func word(_ offset: Int) -> SharedWord { view.word(offset) }
  /// A slot's word; its fields follow it.
  @inline(__always) func slot(_ index: Int) -> SlotFields { view.slot(index) }

  // MARK: The runner's side

  /// No more messages will come. Readers leave when they find nothing more.
  package func close() {
    word(Offset.closed).release(1)
    wakeAll()
  }

  /// Takes `close` back, when a run goes on that had been drained.
  package func reopen() { word(Offset.closed).release(0) }

  /// As `create` was told.
  package var owner: UInt64 { word(Offset.owner).acquired }

  package func sync() throws(SystemError) { try memory.sync() }

  package var isClosed: Bool { word(Offset.closed).acquired != 0 }

  /// Slots that hold a message, or are about to.
  package var openSlots: Int { count { !$0.isIn(.free) } }
  package var readySlots: Int { count { $0.isIn(.ready) } }
  package var leasedSlots: Int { count { $0.isHeld } }
  package var isDrained: Bool { openSlots == 0 }
  var hasReady: Bool { (0..<view.count).contains { slot($0).state.isIn(.ready) } }
  /// How often a sleeper was woken by the clock although there was work: a wake-up that somebody forgot.
  package var lateWakes: Int { Int(clamping: word(Offset.lateWakes).relaxed) }

  private func count(_ matches: (SlotWord) -> Bool) -> Int {
    var n = 0
    for i in 0..<shape.capacity where matches(slot(i).state) { n += 1 }
    return n
  }
}

/// Where a ring's counters begin. Anything but zero is for tests, which cannot wait until they overflow.
package struct RingStart: Sendable, Equatable {
  /// The lap of every slot, counted in 64 bits; a slot's word keeps 40 of them.
  package var lap: UInt64 = 0
  /// The generation of every segment: 28 bits.
  package var generation: UInt32 = 0
  /// What every sleeping place holds; the kernel compares 32 bits.
  package var ticket: UInt32 = 0

  package static let zero = RingStart()
  /// Everything overflows within a few laps.
  package static let justBelowOverflow = RingStart(lap: (1 << 40) - 3, generation: (1 << 28) - 3, ticket: UInt32.max - 3)
}

/// Where everything in a ring's mapping lies: plain addresses and numbers, so that a worker's hot path touches no object. Valid
/// while the ring is mapped.
struct RingView: BitwiseCopyable, @unchecked Sendable {
  // Unchecked: the words are shared between processes and accessed by atomics only.
  private let base: UnsafeMutableRawPointer
  private let slots: UnsafeMutableRawPointer
  private let segments: UnsafeMutableRawPointer
  private let arena: UnsafeMutableRawPointer
  private let largeArena: UnsafeMutableRawPointer
  /// How many slots there are, as a number of positions and as a number of indices.
  let capacity: UInt64
  let count: Int
  let messageBytes: Int
  let smallCount: Int
  let largeCount: Int
  let largeBytes: Int

  init(_ shape: RingShape, _ base: UnsafeMutableRawPointer) {
    self.base = base
    slots = base + shape.slotsOffset
    segments = base + shape.segmentsOffset
    arena = base + shape.arenaOffset
    largeArena = base + shape.largeOffset
    capacity = UInt64(shape.capacity)
    count = shape.capacity
    messageBytes = shape.messageBytes
    smallCount = shape.smallCount
    largeCount = shape.largeCount
    largeBytes = shape.largeBytes
  }

  var segmentCount: Int { smallCount + largeCount }

  /// How many slots one walk along the line passes, its end or no end: whoever walks may have something else to do.
  @inline(__always)
  var longestWalk: Int { 8 * count + 4096 }
  /// So many walks in a row that come to no end mean that the line has none: each goes on where the one before has ended.
  static let mostLostWalks = 64

  @inline(__always)
  func word(_ offset: Int) -> SharedWord { SharedWord(base + offset) }

  @inline(__always)
  func slot(_ index: Int) -> SlotFields { SlotFields(base: slots + index &* RingShape.slotBytes) }

  @inline(__always)
  func segment(_ index: Int) -> SharedWord { SharedWord(segments + index &* RingShape.line) }

  /// Where a segment's bytes begin, and how many there are; nil for an index that no rule allows.
  @inline(__always)
  func bytes(ofSegment index: Int) -> (base: UnsafeMutableRawPointer, count: Int)? {
    if index < 0 { return nil }
    if index < smallCount { return (arena + index &* RingShape.smallBytes, RingShape.smallBytes) }
    let large = index - smallCount
    if large >= largeCount { return nil }
    return (largeArena + large &* largeBytes, largeBytes)
  }

  /// The lap and the slot of a position.
  @inline(__always)
  func place(_ position: UInt64) -> (lap: UInt64, index: Int) { (position / capacity, Int(position % capacity)) }

  @inline(__always)
  func step(_ lap: inout UInt64, _ index: inout Int) {
    index &+= 1
    if index == count { (lap, index) = (lap &+ 1, 0) }
  }
}

/// The 64 bytes of a slot. The owner named in the word may write the fields; others read them after an acquire of the
/// word that says ready, leased or settling.
///
///     0 word | 8 sequence | 16 segment, offset | 24 generation, length | 32 id | 48 aux | 56 published
struct SlotFields: BitwiseCopyable {
  let base: UnsafeMutableRawPointer

  @inline(__always) var word: SharedWord { SharedWord(base) }
  @inline(__always) var state: SlotWord { SlotWord(raw: word.acquired) }
  /// The position at which the message was published first; a lease that is moved along keeps it.
  @inline(__always) var sequence: SharedWord { SharedWord(base + 8) }
  /// The segment's index in the upper half, the payload's offset in it in the lower.
  @inline(__always) var place: SharedWord { SharedWord(base + 16) }
  /// The segment's generation in the upper half, the payload's length in the lower.
  @inline(__always) var extent: SharedWord { SharedWord(base + 24) }
  @inline(__always) var idHigh: SharedWord { SharedWord(base + 32) }
  @inline(__always) var idLow: SharedWord { SharedWord(base + 40) }
  /// `SlotAux`.
  @inline(__always) var aux: SharedWord { SharedWord(base + 48) }
  /// `Clock.now` when it was handed over.
  @inline(__always) var published: SharedWord { SharedWord(base + 56) }
}

/// errors(8) | mark(8) | format(4) | keyed(1) | skip(43): how often the plugin has failed on the message, whether it is in hand, what its
/// writer says of its bytes, whether its key lies behind them, and how many of its outputs have gone on in parts.
///
/// The mark is deaths + 1 while the plugin works on the message. Recovery counts a death only when the mark says so, and
/// counting it makes the mark stale, so an interrupted recovery cannot count twice and nobody has to clear it.
struct SlotAux: BitwiseCopyable {
  var errors: UInt64
  var mark: UInt64
  var format: UInt64 = 0
  /// Whether a key lies behind the payload (`TravellingKey`).
  var isKeyed = false
  var skip: UInt64

  static let markShift: UInt64 = 48
  static let markBits: UInt64 = 0xff << markShift
  /// Beside the format of a record: the message has its key with it.
  static let keyed: UInt8 = 0x10

  init(raw: UInt64) {
    errors = raw >> 56
    mark = raw >> 48 & 0xff
    format = raw >> 44 & 0xf
    isKeyed = raw >> 43 & 1 != 0
    skip = raw & Self.skipBits
  }

  /// A message that nobody has touched.
  init(format: UInt8) {
    errors = 0
    mark = 0
    self.format = UInt64(format & 0xf)
    isKeyed = format & Self.keyed != 0
    skip = 0
  }

  private static let skipBits: UInt64 = 0x7ff_ffff_ffff

  var raw: UInt64 { min(errors, 255) << 56 | (mark & 0xff) << 48 | (format & 0xf) << 44 | (isKeyed ? 1 << 43 : 0) | skip & Self.skipBits }
}
