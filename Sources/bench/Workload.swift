import CBench
import Platform
import PluginKit

/// The workloads W1 to W4, as the peers have them: a source of numbered messages, work, and a sink that checks count and
/// sum. (W5 needs no stages of its own.)
///
///     W1  64 bytes, handed on as they are         W3  32 bytes, 6,500 rounds of SHA-256, 40 bytes
///     W2  frames of 1 MiB, the sum of the first   W4  32 bytes, 650 rounds, JSON; the sink posts it
///         4 KiB, 8 bytes
enum Workload: String, Choice {
  case w1 = "W1", w2 = "W2", w3 = "W3", w4 = "W4"

  static let plugins: [AnyPlugin] = [.source(WorkloadSource.self), .transform(WorkloadWork.self), .sink(WorkloadSink.self)]
  static let roundsOfW3 = 6500
  static let roundsOfW4 = 650
  static let frameBytes = 1 << 20

  static let setting = Setting<Workload>.choice("workload", "Which workload.", default: .w1)
  static let directory = Setting.path("directory", "Where times and results go.", example: "/tmp")

  /// A message of W1 (64 bytes), W3 or W4 (32): the number, then the letter x.
  static func withMessage<T>(_ number: UInt64, bytes: Int, _ body: (UnsafeRawBufferPointer) throws -> T) rethrows -> T {
    let x: UInt64 = 0x7878_7878_7878_7878
    let message = (number, x, x, x, x, x, x, x)
    return try withUnsafeBytes(of: message) { all in try body(UnsafeRawBufferPointer(rebasing: all.prefix(bytes))) }
  }

  /// A worker stopped in the middle is a broken measurement, whatever the policy says.
  static func io(_ error: SystemError) -> WorkerFailure { WorkerFailure(.io, "\(error)") }
}

/// Makes the messages, and notes when it made the first.
struct WorkloadSource: Source {
  private static let count = Setting.integer("count", "How many messages.", in: 0...Int.max, example: 1000)

  static let spec = PluginSpec(
    "bench.source", .source, "Makes the messages of a workload.", processes: .one,
    settings: [Workload.setting.declaration, Workload.directory.declaration, count.declaration], example: example)

  private let workload: Workload
  private let directory: String
  private let count: UInt64
  private var next: UInt64 = 0
  private let frame: [UInt8]

  init(_ given: Given, _ context: Context) throws {
    workload = given[Workload.setting]
    directory = given.resolve(given[Workload.directory])
    count = UInt64(clamping: given[Self.count])
    frame = workload == .w2 ? (0..<Workload.frameBytes).map { UInt8(truncatingIfNeeded: $0) } : []
  }

  mutating func resume(at position: Position) throws { next = position.words.0 }

  mutating func next(_ out: any Emitter) throws -> SourceStep {
    if next >= count { return .end }
    if next == 0 { try mark() }
    switch workload {
    case .w1: try Workload.withMessage(next, bytes: 64) { bytes in try out.emit(bytes) }
    case .w3, .w4: try Workload.withMessage(next, bytes: 32) { bytes in try out.emit(bytes) }
    case .w2:
      let target = try out.reserve(Workload.frameBytes)
      frame.withUnsafeBytes { target.copyMemory(from: $0) }
      target.storeBytes(of: next, as: UInt64.self)
      try out.emitReserved(Workload.frameBytes)
    }
    next += 1
    return .emitted(Position(next))
  }

  /// Only a source that starts afresh: one that was started again goes on with the time of the first.
  private func mark() throws {
    do throws(SystemError) {
      if Files.status(directory + "/t0") == nil { try Files.replace(directory + "/t0", with: String(Clock.now)) }
    } catch { throw Workload.io(error) }
  }
}

/// Does the work.
struct WorkloadWork: Transform {
  static let spec = PluginSpec(
    "bench.work", .transform, "Does the work of a workload.", settings: [Workload.setting.declaration, rounds.declaration], example: example)

  private static let rounds = Setting.integer("rounds", "How often W3 hashes.", in: 1...1_000_000, default: Workload.roundsOfW3)

  private let workload: Workload
  private let rounds: Int
  private let digester: Digester
  private var digest: Digester.Digest = (0, 0, 0, 0)

  init(_ given: Given, _ context: Context) throws {
    workload = given[Workload.setting]
    rounds = given[Self.rounds]
    guard let digester = Digester() else { throw WorkerFailure(.system, "libcrypto has no SHA-256") }
    self.digester = digester
  }

  mutating func process(_ message: Message, _ out: any Emitter) throws {
    let payload = message.payload
    guard payload.count >= 32 else { throw MessageFailure("a message of \(payload.count) bytes is none of the workload's", isPermanent: true) }
    switch workload {
    case .w1: try out.emit(payload)
    case .w2:
      let sum = payload.prefix(4096).reduce(UInt32(0)) { $0 &+ UInt32($1) }
      let target = try out.reserve(8)
      target.storeBytes(of: UInt32(truncatingIfNeeded: payload.loadUnaligned(as: UInt64.self)), as: UInt32.self)
      target.storeBytes(of: sum, toByteOffset: 4, as: UInt32.self)
      try out.emitReserved(8)
    case .w3:
      try hash(payload, rounds)
      let target = try out.reserve(40)
      target.storeBytes(of: payload.loadUnaligned(as: UInt64.self), as: UInt64.self)
      withUnsafeBytes(of: &digest) { UnsafeMutableRawBufferPointer(rebasing: target[8...]).copyMemory(from: $0) }
      try out.emitReserved(40)
    case .w4:
      try hash(payload, Workload.roundsOfW4)
      var text = "{\"seq\": \(payload.loadUnaligned(as: UInt64.self)), \"digest\": \""
      withUnsafeBytes(of: &digest) { bytes in
        for byte in bytes { text += (byte < 16 ? "0" : "") + String(byte, radix: 16) }
      }
      try out.emit(text + "\"}")
    }
  }

  private mutating func hash(_ payload: UnsafeRawBufferPointer, _ rounds: Int) throws {
    guard digester.digest(payload, rounds: rounds, into: &digest) else { throw WorkerFailure(.system, "libcrypto could not hash a message") }
  }
}

/// Counts, and writes what came: `result.json` at the end, and all the while the running count in `count`.
struct WorkloadSink: Sink {
  static let spec = PluginSpec(
    "bench.sink", .sink, "Checks the messages of a workload.", processes: .one,
    settings: [Workload.setting.declaration, Workload.directory.declaration], example: example)

  private let workload: Workload
  private let directory: String
  private let count: UnsafeMutablePointer<UInt64>
  private var received: UInt64 = 0
  private var flushed: UInt64 = 0
  private var sum: UInt64 = 0
  private var wrong: UInt64 = 0
  private var first: UInt64 = 0
  private var last: UInt64 = 0
  /// What every frame's sum must be: 0 to 255, sixteen times, but for the number in the first eight bytes.
  private static let frameSum: UInt32 = (0..<4096).reduce(UInt32(0)) { $0 + UInt32($1 & 255) } - (0..<8).reduce(UInt32(0)) { $0 + UInt32($1) }

  init(_ given: Given, _ context: Context) throws {
    workload = given[Workload.setting]
    directory = given.resolve(given[Workload.directory])
    guard let count = cbench_map_count(directory + "/count") else { throw WorkerFailure(.io, "\(directory)/count cannot be mapped") }
    self.count = count
  }

  mutating func write(_ message: Message) throws {
    let payload = message.payload
    guard payload.count >= 8 else { throw MessageFailure("a result of \(payload.count) bytes is none of the workload's", isPermanent: true) }
    if received == 0 { first = Clock.now }
    received += 1
    cbench_store(count, received)
    if workload == .w2 {
      let number = payload.loadUnaligned(as: UInt32.self)
      sum &+= UInt64(number)
      let digits = withUnsafeBytes(of: UInt64(number)) { $0.reduce(UInt32(0)) { $0 + UInt32($1) } }
      if payload.loadUnaligned(fromByteOffset: 4, as: UInt32.self) != Self.frameSum + digits { wrong += 1 }
    } else {
      sum &+= payload.loadUnaligned(as: UInt64.self)
    }
  }

  mutating func flush() throws -> UInt64? {
    if flushed != received {
      flushed = received
      last = Clock.now
    }
    return nil
  }

  mutating func close() throws {
    let result = JSON.object([
      ("first", .integer(Int(clamping: first))), ("last", .integer(Int(clamping: last))), ("received", .integer(Int(clamping: received))),
      ("seq_sum", .integer(Int(clamping: sum))), ("wrong", .integer(Int(clamping: wrong))),
    ])
    do throws(SystemError) { try Files.replace(directory + "/result.json", with: result.compact) } catch { throw Workload.io(error) }
  }
}

private let example = """
  ringway: 1
  stages:
    source:
      plugin: bench.source
      with: {workload: W1, count: 1000, directory: /tmp}
    work:
      plugin: bench.work
      inputs: [source]
      processes: 2
      with: {workload: W1}
    sink:
      plugin: bench.sink
      inputs: [work]
      with: {workload: W1, directory: /tmp}
  """
