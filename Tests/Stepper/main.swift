// Kills a worker after every instruction of one hand-over, and demands each time that recovery and a successor bring every
// message to its reader exactly once. `make steps` runs all of it; a test runs a sample.
import CTrace
import Glibc
import Platform
import Rings

/// The process that is stepped: attaches what the tracer made and goes from mark to mark.
func stepped(_ role: String, _ shape: Shape) throws {
  // Its forks need the memory that forks otherwise do not inherit.
  let world = try World(shape, attaching: 3)
  for place in World.mappings() { madvise(UnsafeMutableRawPointer(bitPattern: place.lowerBound), place.count, MADV_DOFORK) }
  if trace_me() != 0 { throw SystemError("ptrace", "") }
  switch role {
  case "worker":
    let work = try world.makeWork(World.Number.worker)
    for n in 1...shape.warm {
      trace_mark()
      var leases: [Lease] = []
      if shape.hasInput, try work.handoff.claim(atMost: 1, into: &leases) == 0 { return }
      try work.call(leases.first, n)
      try work.commit(n)
    }
    trace_mark()
    try work.region()
    trace_mark()
  case "runner":
    // Once on a world of its own, for what happens once.
    let rehearsal = try World(shape)
    _ = try rehearsal.recover(World.Number.worker)
    trace_mark()
    _ = try world.recover(World.Number.worker)
    trace_mark()
  case "reader":
    trace_mark()
    let number = World.Number.sleepingConsumer
    _ = try Handoff(worker: number, cell: world.cell(number), input: (world.outputs[0], 1), outputs: [], stageHash: 3).waitForInput()
  case "writer":
    trace_mark()
    guard let input = world.input else { return }
    let number = World.Number.sleepingProducer
    let handoff = Handoff(worker: number, cell: try world.cell(number), input: nil, outputs: [(input, 1)], stageHash: 1)
    handoff.begin()
    try world.payloads.input(1).withUnsafeBytes { try handoff.emit($0) }
    handoff.end(.source(position: (1, 0, 0, 0)))
    try handoff.commit()
  default: break
  }
}

func value(_ option: String) -> String? {
  guard let i = CommandLine.arguments.firstIndex(of: option), i + 1 < CommandLine.arguments.count else { return nil }
  return CommandLine.arguments[i + 1]
}

func columns(_ texts: [String]) -> String {
  zip(texts, [48, 14, 10, 16, 18, 0]).map { text, width in text + String(repeating: " ", count: max(0, width - text.count)) }.joined()
}

func main() throws -> Int32 {
  let arguments = CommandLine.arguments
  if arguments.count == 4, arguments[1] == "__stepped" {
    if let shape = Shape.all.first(where: { $0.name == arguments[3] }) { try stepped(arguments[2], shape) }
    return 1
  }
  let stride = value("--stride").flatMap { Int($0) } ?? 1
  let seed = value("--seed").flatMap { UInt64($0) } ?? Clock.now % 1_000_000
  guard stride >= 1 else {
    print("stepper [--stride N] [--shapes N] [--seed N] [--shape NAME]: kills after every N-th instruction, of N shapes; the seed chooses which")
    return 64
  }
  var random = seed
  func next() -> UInt64 {
    random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return random >> 33
  }
  print("seed \(seed), every \(stride == 1 ? "" : "\(stride)-th ")instruction")
  print(columns(["hand-over", "instructions", "kills", "rolled forward", "kills of recovery", ""]))
  var total = Walk.Result()
  var isBroken = false
  var shapes = Shape.all.filter { shape in value("--shape").map { $0 == shape.name } ?? true }
  while let most = value("--shapes").flatMap({ Int($0) }), shapes.count > max(1, most) { shapes.remove(at: Int(next() % UInt64(shapes.count))) }
  for shape in shapes {
    let walk = try Walk(shape, stride: stride, offset: Int(next() % UInt64(stride)))
    let result = try walk.run(longWay: [next(), next()])
    let isOvertaken = shape.scene == .overtaken
    var note = result.failures.isEmpty ? "" : "\(result.failures.count) FAILED"
    if isOvertaken { note = "overtaken \(result.kills) times \(note)" }
    print(
      columns([
        shape.name, "\(result.instructions)", isOvertaken ? "" : "\(result.kills)", isOvertaken ? "" : "\(result.rolledForward)",
        result.recoveryKills == 0 ? "" : "\(result.recoveryKills)", note,
      ]))
    for failure in result.failures.prefix(5) { print("  " + failure) }
    fflush(nil)
    total.instructions += result.instructions
    total.kills += isOvertaken ? 0 : result.kills
    total.rolledForward += result.rolledForward
    total.recoveryKills += result.recoveryKills
    isBroken = isBroken || !result.failures.isEmpty
  }
  print(columns(["all", "\(total.instructions)", "\(total.kills)", "\(total.rolledForward)", "\(total.recoveryKills)", isBroken ? "FAILED" : "nothing lost, nothing doubled"]))
  return isBroken ? 1 : 0
}

do { exit(try main()) } catch {
  print("stepper: \(error)")
  exit(2)
}
