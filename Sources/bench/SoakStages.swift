import Platform
import PluginKit

/// Three stages that move small messages as fast as they can, and check each: a source of numbers, a transform that passes
/// them on, and a sink that adds them up. A sum and a sum of scrambled numbers do not depend on the order, and hardly
/// any mistake leaves both as they should be.
enum SoakStages {
  static let all: [AnyPlugin] = [.source(SoakSource.self), .transform(SoakTransform.self), .sink(SoakSink.self)]

  static let messageBytes = 16

  /// What the sink must have added up after numbers 0 to count - 1.
  struct Sum: Equatable {
    var count: UInt64 = 0
    var sum: UInt64 = 0
    var scrambled: UInt64 = 0

    mutating func add(_ n: UInt64) {
      count += 1
      sum &+= n
      scrambled &+= mix(n)
    }

    var text: String { "\(count) \(sum) \(scrambled)" }
  }

  static let example = """
    ringway: 1
    stages:
      numbers:
        plugin: soak.source
        with: {count: 100000}
      pass:
        plugin: soak.transform
        inputs: [numbers]
        processes: 2
        queue: {message: 16B}
      sum:
        plugin: soak.sink
        inputs: [pass]
        queue: {message: 16B}
        with: {result: sum.txt}
    """

  /// Which stage made a message: neither would take the other's for its own.
  fileprivate enum Mark { static let source: UInt64 = 1 << 63, transform: UInt64 = 1 << 62 }

  fileprivate static func emit(_ n: UInt64, _ mark: UInt64, _ out: any Emitter) throws {
    let bytes = try out.reserve(messageBytes)
    bytes.storeBytes(of: n, toByteOffset: 0, as: UInt64.self)
    bytes.storeBytes(of: mix(n ^ mark), toByteOffset: 8, as: UInt64.self)
    try out.emitReserved(messageBytes)
  }

  fileprivate static func read(_ message: Message, _ mark: UInt64) throws -> UInt64 {
    guard message.payload.count == messageBytes else { throw corrupt(message) }
    let n = message.payload.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
    guard message.payload.loadUnaligned(fromByteOffset: 8, as: UInt64.self) == mix(n ^ mark) else { throw corrupt(message) }
    return n
  }

  private static func corrupt(_ message: Message) -> WorkerFailure {
    WorkerFailure(.invariantBroken, "soak: message \(message.id) with \(message.payload.count) bytes is corrupt")
  }
}

private struct SoakSource: Source {
  private static let count = Setting.integer("count", "How many numbers.", in: 0...Int.max)
  static let spec = PluginSpec(
    "soak.source", .source, "Makes the numbers from 0 on.", processes: .one, settings: [count.declaration], example: SoakStages.example)

  private let count: UInt64
  private var n: UInt64 = 0

  init(_ given: Given, _ context: Context) throws { count = UInt64(given[Self.count]) }
  mutating func resume(at position: Position) throws { n = position.words.0 }

  mutating func next(_ out: any Emitter) throws -> SourceStep {
    if n >= count { return .end }
    try SoakStages.emit(n, SoakStages.Mark.source, out)
    n += 1
    return .emitted(Position(n))
  }
}

private struct SoakTransform: Transform {
  static let spec = PluginSpec("soak.transform", .transform, "Checks numbers and passes them on.", settings: [], example: SoakStages.example)

  init(_ given: Given, _ context: Context) throws {}

  mutating func process(_ message: Message, _ out: any Emitter) throws {
    try SoakStages.emit(SoakStages.read(message, SoakStages.Mark.source), SoakStages.Mark.transform, out)
  }
}

/// Adds up what it gets, and writes how far it is now and then, and at the end.
private struct SoakSink: Sink {
  private static let result = Setting.path("result", "The file that takes the sums: count, sum, sum of scrambled numbers, and `end` at the end.")
  static let spec = PluginSpec(
    "soak.sink", .sink, "Checks numbers and adds them up.", processes: .one, settings: [result.declaration], example: SoakStages.example)

  private let descriptor: Int32
  private var sum = SoakStages.Sum()
  private var due = ContinuousClock.now

  init(_ given: Given, _ context: Context) throws {
    do throws(SystemError) { descriptor = try Files.openForWriting(given.resolve(given[Self.result])) } catch {
      throw WorkerFailure(.cannotCreate, "\(error)")
    }
  }

  mutating func write(_ message: Message) throws { sum.add(try SoakStages.read(message, SoakStages.Mark.transform)) }

  mutating func flush() throws -> UInt64? {
    let now = ContinuousClock.now
    if now >= due {
      due = now + .milliseconds(20)
      try tell(sum.text + "\n")
    }
    return nil
  }

  mutating func close() throws { try tell(sum.text + " end\n") }

  /// What was written before is never longer, so it need not be cut.
  private func tell(_ text: String) throws {
    try Files.seek(descriptor, to: 0)
    try Descriptors.writeAll(descriptor, text)
  }
}
