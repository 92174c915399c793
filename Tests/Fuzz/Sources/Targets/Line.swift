import Plans
import Platform
import Specs

@testable import Rings
@testable import Supervision

/// A source, two transforms and a sink on one thread, over the memory that the runner makes for a plan. The input is a
/// programme: workers take turns and are killed between any two steps, words of the rings and cells are overwritten as a
/// worker that has run wild would do it, and the runner looks, recovers, closes.
///
/// In the runner nothing may trap or turn for ever, whatever the words are. A worker may refuse with `RingCorruption`.
final class Line {
  /// - Parameter workersMeetGarbage: whether workers go on after words have been overwritten; otherwise only the runner does
  static func run(_ bytes: [UInt8], workersMeetGarbage: Bool) {
    var program = Program(bytes)
    // The last, which is slow, comes seldom.
    let line = lines[Int(program.byte()) / 80]
    line.reset()
    line.workersMeetGarbage = workersMeetGarbage
    var steps = 0
    while !program.isAtEnd, steps < mostSteps {
      line.step(&program)
      steps += 1
    }
    line.end()
  }

  /// So many that every interplay fits in, so few that an input takes well below a millisecond.
  private static let mostSteps = 64

  // One thread: libFuzzer's, or that of a test that is serialized.
  nonisolated(unsafe) private static let lines = [
    Line(capacity: 1, messageBytes: 4096), Line(capacity: 3, messageBytes: 20_000), Line(capacity: 4, messageBytes: 64, start: .justBelowOverflow),
    Line(capacity: 67, messageBytes: 20_000, transforms: 65),
  ]

  // MARK: The memory

  private let plan: Plan
  private let memory: StageMemory
  let regions: [Region]
  private let transforms: Int
  /// Those that live; one that has had no turn yet is made when it gets it.
  private var workers: [Int: Handoff] = [:]
  private var dead: Set<Int> = []
  var isSound = true
  private var workersMeetGarbage = false

  /// What a worker maps: a ring's header, lanes, slots and segments, or a stage's cells.
  struct Region {
    let memory: SharedMemory
    let count: Int
    /// Where slots and segments begin; nil for cells.
    let shape: RingShape?
    let sound: [UInt8]

    init(_ descriptor: Int32, _ shape: RingShape?) throws {
      memory = try SharedMemory.attach(try Channel.duplicate(descriptor))
      // Payloads lie behind: nobody reads anything into them.
      count = shape?.arenaOffset ?? memory.count
      self.shape = shape
      sound = Array(UnsafeRawBufferPointer(start: memory.base, count: count))
    }

    func reset() { sound.withUnsafeBytes { UnsafeMutableRawBufferPointer(start: memory.base, count: count).copyMemory(from: $0) } }
  }

  private init(capacity: Int, messageBytes: Int, transforms: Int = 2, start: RingStart = .zero) {
    self.transforms = transforms
    let queue = Queue(capacity: capacity, messageBytes: messageBytes)
    plan = Plan(
      name: "fuzz", description: "", file: "f.yaml", directory: "/", stages: [
        Stage(name: "source", plugin: "a", kind: .source),
        Stage(name: "middle", plugin: "b", kind: .transform, inputs: ["source"], processes: transforms, queue: queue),
        Stage(name: "sink", plugin: "c", kind: .sink, inputs: ["middle"], queue: queue),
      ], drain: .seconds(1))
    do {
      memory = try StageMemory(plan, ringStart: start)
      regions = try memory.parts.flatMap { part in
        try [Region(part.cells.descriptor, nil)] + part.rings.map { try Region($0.descriptor, $0.shape) }
      }
    } catch { fatalError("\(error)") }
  }

  private func reset() {
    for region in regions { region.reset() }
    isSound = true
    workers = [:]
    dead = []
  }

  private var count: Int { transforms + 2 }

  private func place(_ worker: Int) -> (stage: Int, process: Int) {
    worker == 0 ? (0, 0) : worker <= transforms ? (1, worker - 1) : (2, 0)
  }

  private func cell(_ worker: Int) throws -> CommitCell {
    let (stage, process) = place(worker)
    return try memory.cell(stage: stage, process: process)
  }

  private func handoff(_ worker: Int) throws -> Handoff {
    let (stage, process) = place(worker)
    let parts = memory.parts[stage]
    return Handoff(
      worker: WorkerNumber(worker + 1), cell: try cell(worker), input: parts.input(of: process),
      outputs: parts.outputs.map { ($0.ring, $0.firstLane + process) }, stageHash: UInt64(stage))
  }

  // MARK: Steps

  private func step(_ program: inout Program) {
    let code = program.byte() & 15
    switch code {
    case 0...5: turn(&program)
    case 6: restart(Int(program.byte()) % count)
    case 7: look()
    case 8: for ring in memory.parts[1 + Int(program.byte() & 1)].rings { ring.close() }
    case 9: attach(Int(program.byte()) % count)
    default: overwrite(&program, code)
    }
  }

  private func end() {
    look()
    // Those in between are like the first of them.
    for worker in 0..<count where worker < 3 || worker >= count - 2 { recover(worker) }
    look()
  }

  private struct Abandoned: Error {}

  /// A worker does something and may be killed on the way. One that would sleep is killed as well, since nobody could wake it.
  private func turn(_ program: inout Program) {
    let worker = Int(program.byte()) % count
    let budget = Int(program.byte())
    let how = program.byte()
    guard isSound || workersMeetGarbage, !dead.contains(worker), let handoff = workers[worker] ?? (try? handoff(worker)) else { return }
    workers[worker] = handoff
    // Waiting spins before it sleeps, so most turns are left out that would wait.
    let mayWait = how & 0xe0 == 0xe0
    guard mayWait || memory.parts[place(worker).stage].outputs.allSatisfy({ $0.ring.hasRoom(1) }) else { return }
    var steps = 0
    Failpoint.handler = { point in
      steps += 1
      if steps > budget || point == .waiterMarked { throw Abandoned() }
    }
    defer { Failpoint.handler = nil }
    do {
      try act(handoff, place(worker).stage, how, program.byte())
    } catch is RingError {
      handoff.abandon()
    } catch where error is Abandoned || error is RingCorruption {
      workers[worker] = nil
      dead.insert(worker)
    } catch { fatalError("a worker fails in a way that nobody foresaw: \(error)") }
  }

  private func act(_ handoff: Handoff, _ stage: Int, _ how: UInt8, _ more: UInt8) throws {
    let messages = Int(how & 3) + 1
    if stage == 0 {
      for i in 0..<messages {
        handoff.begin()
        try emit(handoff, how, more)
        handoff.end(.source(position: (UInt64(more), UInt64(i), 0, 0)))
      }
      return try handoff.commit(ended: how & 64 != 0)
    }
    var leases: [Lease] = []
    if how & 0xe0 == 0xe0 { _ = try handoff.waitForInput() }
    _ = try handoff.claim(atMost: messages, into: &leases)
    for var lease in leases {
      handoff.begin(lease)
      if how & 32 != 0 { _ = handoff.recordError(&lease) }
      if stage == 1 { try emit(handoff, how, more) }
      if how & 64 != 0, stage == 1 {
        handoff.abandon()
        handoff.begin(lease)
      }
      handoff.end(how & 16 != 0 ? .dropped : .done)
    }
    try handoff.commit(committedLength: stage == 2 ? UInt64(more) : nil)
    if how == 0xff { try handoff.close() }
  }

  private func emit(_ handoff: Handoff, _ how: UInt8, _ more: UInt8) throws {
    let length = [1, 60, 4000, 18_000][Int(more & 3)]
    for _ in 0..<(Int(more >> 2 & 3) + 1) {
      if how & 8 != 0 {
        let room = try handoff.reserve(length)
        room.first.map { _ in room[0] = more }
        try handoff.emitReserved(length: length / 2)
      } else {
        try Self.payload.withUnsafeBytes { try handoff.emit(UnsafeRawBufferPointer(rebasing: $0[..<length])) }
      }
    }
  }

  private static let payload = [UInt8](repeating: 7, count: 18_000)

  /// A worker is started anew: it maps what it is given and checks it.
  private func attach(_ worker: Int) {
    let (stage, _) = place(worker)
    for ring in memory.parts[stage].outputs.map(\.ring) + memory.parts[stage].rings {
      do {
        let attached = try Ring(attaching: try Channel.duplicate(ring.descriptor))
        demand(attached.shape == ring.shape, "a ring of another shape was attached")
        attached.unmap()
      } catch is RingCorruption {
        demand(!isSound, "a sound ring was refused")
      } catch { fatalError("\(error)") }
    }
    do {
      let block = try CellBlock(attaching: try Channel.duplicate(memory.parts[stage].cells.descriptor))
      demand(block.count == plan.stages[stage].processes, "a block of another size was attached")
      block.unmap()
    } catch { fatalError("\(error)") }
  }

  // MARK: The runner

  private func recover(_ worker: Int) {
    do {
      let (stage, process) = place(worker)
      let summary = try Recovery.recover(
        worker: WorkerNumber(worker + 1), cell: try cell(worker), rings: memory.attachments(stage: stage, process: process))
      for death in summary.deaths { demand(death.id.hex.utf8.count == 32, "an id of another length") }
    } catch is RingCorruption {
      demand(!isSound, "sound memory was called damaged")
    } catch { fatalError("\(error)") }
  }

  private func restart(_ worker: Int) {
    recover(worker)
    workers[worker] = nil
    dead.remove(worker)
  }

  /// Everything that the runner reads for its report, its decisions and its watch.
  private func look() {
    var watch = StallWatch(timeout: .milliseconds(1))
    watch.beginSample(at: .now)
    var entered: UInt64 = 0
    for worker in 0..<count {
      guard let cell = try? cell(worker) else { fatalError("a cell is missing") }
      let record = cell.record
      entered &+= record.emitted &+ record.received &+ record.dropped &+ record.committedLength &+ cell.sequence
      entered &+= cell.errors &+ cell.retries &+ cell.longestLatency &+ cell.readySince
      let now = Clock.now
      entered &+= cell.waited(.input, at: now) &+ cell.waited(.room, at: now)
      entered &+= cell.latencies.reduce(0, &+)
      _ = watch.isStalled(worker, calls: cell.calls, isWaiting: cell.isWaiting, at: .now)
      demand(!isSound || record.received >= record.dropped, "more dropped than received")
    }
    for ring in memory.parts.flatMap(\.rings) {
      let capacity = ring.shape.capacity
      demand(0...capacity ~= ring.openSlots && 0...capacity ~= ring.readySlots && 0...capacity ~= ring.leasedSlots, "more slots than there are")
      demand(ring.isDrained == (ring.openSlots == 0) && ring.lateWakes >= 0, "a count that cannot be")
      _ = ring.isClosed
    }
  }
}
