import CTrace
import Glibc
import Platform
import Rings

/// One shape: the worker is stepped through its hand-over, and after each instruction that is asked for it is killed.
///
/// The process that walks is not the one that dies, or every kill would walk all the way again: between two instructions
/// it is made to fork, the fork takes the next instruction and is killed, and then the shared memory is put back to what it
/// was and the walker takes that instruction itself. Some are killed the long way too, stepped from the first mark on.
final class Walk {
  struct Result {
    var instructions = 0
    var kills = 0
    var rolledForward = 0
    var recoveryKills = 0
    var failures: [String] = []
  }

  private let shape: Shape
  private let world: World
  private let memories: [SharedMemory]
  private let stride: Int
  private let offset: Int
  private var result = Result()
  /// A process that stands between two instructions, and where its mark lies.
  private struct Stepped {
    let pid: Int32
    let gate: UInt
  }

  /// Moments whose recovery is stepped too.
  private var moments: [(instruction: Int, memory: Snapshot, known: World.Knowledge)] = []

  init(_ shape: Shape, stride: Int, offset: Int) throws {
    self.shape = shape
    self.stride = stride
    self.offset = offset
    world = try World(shape)
    memories = try world.descriptors.map { try SharedMemory.attach(try Channel.duplicate($0)) }
  }

  func run(longWay: [UInt64]) throws -> Result {
    let walker = try start("worker")
    for _ in 0..<shape.warm {
      try world.feed(1)
      try goOn(walker)
      if shape.scene == .leaseHeld, world.known.held == nil { try world.hold() }
      if shape.scene != .full { try world.drain() }
    }
    try prepare()
    let start = (memory: Snapshot(memories), known: world.known)
    let first = try fork(walker)
    result.instructions = try step(walker, "instruction") { try self.world.recoverAndJudge() }
    result.kills = killed

    // From the first mark on, one instruction at a time.
    for number in shape.scene == .overtaken ? [] : longWay {
      let k = Int(number % UInt64(max(1, result.instructions))) + 1
      start.memory.restore()
      world.known = start.known
      let victim = try fork(first)
      for _ in 0..<k where trace_step(victim.pid) != 1 { throw Failure("the stepped process has ended") }
      kill(victim)
      result.kills += 1
      judge("instruction \(k), the long way") { try self.world.recoverAndJudge() }
    }
    kill(first)

    for moment in moments {
      moment.memory.restore()
      world.known = moment.known
      let runner = try self.start("runner")
      moment.memory.restore()
      killed = 0
      _ = try step(runner, "instruction \(moment.instruction), recovery's instruction") {
        try self.world.recoverAndJudge(hasBegun: true)
      }
      result.recoveryKills += killed
    }
    return result
  }

  // MARK: Stepping

  private var killed = 0

  /// Steps to the next mark, or to where the process would sleep. Ends the process.
  private func step(_ walker: Stepped, _ name: String, _ recover: @escaping () throws -> Recovery.Summary) throws -> Int {
    let known = world.known
    let clock = clockCode(walker)
    var seen: Set<UInt> = []
    var k = 0
    while true {
      let next = trace_next(walker.pid)
      if next < 0 { throw SystemError("ptrace", "the stepped process") }
      if next != TRACE_ORDINARY.rawValue { break }
      k += 1
      var isMoment = false
      var isDue = k % stride == offset % stride
      // Reading the clock begins again when the kernel has moved the time meanwhile, and so slow a reader would never
      // come out: within one reading each instruction counts once.
      let here = trace_place(walker.pid)
      if !clock.contains(here) { seen.removeAll() } else if !seen.insert(here).inserted { isDue = false }
      if isDue {
        let before = Snapshot(memories)
        let victim = try fork(walker)
        if trace_step(victim.pid) != 1 { throw Failure("the stepped process has ended") }
        let place = trace_place(victim.pid)
        var recover = recover
        if shape.scene == .overtaken {
          recover = { [self, recover] in
            defer { kill(victim) }
            try world.overtake()
            if trace_continue(victim.pid) != 0 || trace_await(victim.pid) != 1 { throw Failure("the worker has ended before its mark") }
            return try recover()
          }
        } else {
          kill(victim)
        }
        killed += 1
        let summary = judge("\(name) \(k), before \(String(place, radix: 16))", recover)
        if let summary {
          result.rolledForward += summary.rolledForward ? 1 : 0
          isMoment = shape.stepsRecovery && isWorthRecovering(summary)
        }
        before.restore()
        if isMoment {
          if trace_step(walker.pid) != 1 { throw Failure("the stepped process has ended") }
          // The deaths that recovery will have counted in the end are known from here.
          var then = known
          then.deaths = world.known.deaths
          moments.append((k, Snapshot(memories), then))
        }
        world.known = known
      }
      if !isMoment, trace_step(walker.pid) != 1 { throw Failure("the stepped process has ended") }
    }
    kill(walker)
    killed += 1
    judge("\(name) \(k), the last", recover)
    world.known = known
    return k
  }

  /// The code that the kernel lends to every process for reading the clock (vdso(7)).
  private func clockCode(_ walker: Stepped) -> Range<UInt> {
    World.mappings("[vdso]", of: "\(walker.pid)").first ?? 0..<0
  }

  private var hasRolledBack = false
  private var hasRolledForward = false

  /// The first death that leaves taken slots, and the first that leaves half of a commit.
  private func isWorthRecovering(_ summary: Recovery.Summary) -> Bool {
    if !hasRolledBack, summary.voided > 0 {
      hasRolledBack = true
      return true
    }
    if !hasRolledForward, summary.published > 0, summary.published < shape.readers * shape.emits * shape.calls {
      hasRolledForward = true
      return true
    }
    return false
  }

  @discardableResult
  private func judge(_ place: String, _ recover: () throws -> Recovery.Summary) -> Recovery.Summary? {
    Alarm.set("\(shape.name), \(place): stuck")
    defer { Alarm.clear() }
    do {
      let summary = try recover()
      try world.finishAndJudge()
      return summary
    } catch {
      result.failures.append("\(place): \(error)")
      return nil
    }
  }

  // MARK: Processes

  /// Starts this program again as the one that is stepped, up to its first mark.
  private func start(_ role: String) throws -> Stepped {
    let null = try Channel.openNull()
    defer { Descriptors.close(null) }
    // All symbols bound beforehand, and no instruction that repeats itself for every byte of a payload.
    let order = ChildProcess.Order(
      arguments: ["stepper", "__stepped", role, shape.name],
      environment: ["LD_BIND_NOW=1", "GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=1073741824"], directory: nil,
      descriptors: [null, null, 2] + world.descriptors)
    let child = try ChildProcess.spawn(order)
    Descriptors.close(child.pidfd)
    if trace_await(child.pid) != 1 || trace_begin(child.pid) != 0 { throw Failure("a process cannot be traced here") }
    return Stepped(pid: child.pid, gate: trace_place(child.pid))
  }

  /// To the next mark.
  private func goOn(_ stepped: Stepped) throws {
    Alarm.set("\(shape.name): the stepped process does not come to its mark")
    defer { Alarm.clear() }
    if trace_continue(stepped.pid) != 0 || trace_await(stepped.pid) != 1 { throw Failure("the stepped process has ended") }
  }

  private func fork(_ stepped: Stepped) throws -> Stepped {
    let child = trace_fork(stepped.pid, stepped.gate)
    if child < 0 { throw SystemError("ptrace", "fork") }
    return Stepped(pid: child, gate: stepped.gate)
  }

  private func kill(_ stepped: Stepped) { _ = trace_kill(stepped.pid) }

  /// Makes what the hand-over will find.
  private func prepare() throws {
    if shape.scene == .asleep {
      // A reader of the empty output first, then a writer of the full input.
      try fallAsleep("reader")
      try world.feed(shape.capacity)
      return try fallAsleep("writer")
    }
    try world.feed(shape.calls)
    if shape.scene == .redelivered || shape.scene == .lastPart {
      try world.loseAnother()
      try world.drain()
    }
  }

  /// A process that sleeps in its lane and dies there: its bit stays behind, and the hand-over finds somebody to wake.
  private func fallAsleep(_ role: String) throws {
    let sleeper = try start(role)
    if trace_continue(sleeper.pid) != 0 { throw SystemError("ptrace", role) }
    Alarm.set("\(shape.name): the \(role) does not fall asleep")
    defer { Alarm.clear() }
    // The number of futex(2) on this processor, which is the only one that can be stepped here.
    while !(Files.text("/proc/\(sleeper.pid)/syscall") ?? "").hasPrefix("202 ") { Processor.yield() }
    kill(sleeper)
  }
}

/// What broken rules lead to is often a wait without end: then the program says where and leaves.
enum Alarm {
  nonisolated(unsafe) private static var text: [UInt8] = []

  static func set(_ text: String) {
    self.text = Array((text + "\n").utf8)
    signal(SIGALRM) { _ in
      Alarm.text.withUnsafeBytes { _ = write(2, $0.baseAddress, $0.count) }
      _exit(1)
    }
    alarm(20)
  }

  static func clear() { alarm(0) }
}
