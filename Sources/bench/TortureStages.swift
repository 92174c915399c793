import Platform
import PluginKit

/// The stages that the torture runs: a source, and a transform that checks what it gets and makes none, one or many of it,
/// dawdles until its stage's `timeout` kills it, or fails, each by the message's own key. The sink is `file.write`.
enum TortureStages {
  static let all: [AnyPlugin] = [.source(TortureSource.self), .transform(TortureTransform.self)]

  fileprivate static let seed = Setting.integer("seed", "What every message is drawn from.", in: 0...Int.max)
  fileprivate static let limit = Setting.size("limit", "The longest message.", in: TortureMessage.headLength...(1 << 27))

  fileprivate static let example = """
    ringway: 1
    stages:
      numbers:
        plugin: torture.source
        with: {seed: 1, limit: 1KiB, count: 1000}
      work:
        plugin: torture.transform
        inputs: [numbers]
        with: {seed: 1, limit: 1KiB, burst: 22}
      results:
        plugin: file.write
        inputs: [work]
        with: {path: results.txt}
    """
}

/// Emits in one of three ways, by the key: a copy, exactly reserved, or reserved with room to spare.
private struct TortureWriter {
  let seed: UInt64
  let limit: Int
  private var copy: [UInt8] = []

  init(seed: Int, limit: Int) {
    self.seed = UInt64(seed)
    self.limit = limit
  }

  mutating func emit(_ message: TortureMessage, _ out: any Emitter) throws {
    let key = message.key(seed: seed)
    let length = TortureMessage.length(key, limit: limit)
    let way = mix(key ^ 8) % 3
    if way == 0 {
      if copy.count < length { copy = [UInt8](repeating: 0, count: limit) }
      try copy.withUnsafeMutableBytes { buffer in
        let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<length])
        message.write(to: bytes, key: key)
        try out.emit(UnsafeRawBufferPointer(bytes))
      }
    } else {
      let bytes = try out.reserve(way == 1 ? length : limit)
      message.write(to: UnsafeMutableRawBufferPointer(rebasing: bytes[..<length]), key: key)
      try out.emitReserved(length)
    }
  }
}

/// Message n of source s, from 0 to count - 1; one in 16 is left out. Process p of the stage is source `source` + p.
private struct TortureSource: Source {
  private static let count = Setting.integer("count", "How many numbers each process goes through.", in: 0...Int.max)
  private static let source = Setting.integer("source", "The number of the first process as a source.", in: 0...255, default: 0)

  static let spec = PluginSpec(
    "torture.source", .source, "Makes messages whose every byte follows from a seed.",
    settings: [TortureStages.seed.declaration, TortureStages.limit.declaration, count.declaration, source.declaration],
    example: TortureStages.example)

  private var writer: TortureWriter
  private let source: UInt64
  private let count: UInt64
  private var n: UInt64 = 0
  private var hasWaited = false

  init(_ given: Given, _ context: Context) throws {
    writer = TortureWriter(seed: given[TortureStages.seed], limit: given[TortureStages.limit])
    count = UInt64(given[Self.count])
    source = UInt64(given[Self.source] + context.process)
  }

  mutating func resume(at position: Position) throws { n = position.words.0 }

  mutating func next(_ out: any Emitter) throws -> SourceStep {
    if n >= count { return .end }
    let message = TortureMessage(source: source, n: n)
    let key = message.key(seed: writer.seed)
    // Now and then a source has nothing for a moment, and what it made before is handed over.
    if mix(key ^ 7) % 64 == 0, !hasWaited {
      hasWaited = true
      return .wait(readable: nil, until: .now + .milliseconds(1))
    }
    hasWaited = false
    n += 1
    if mix(key ^ 6) % 16 == 0 { return .moved(Position(n)) }
    try writer.emit(message, out)
    return .emitted(Position(n))
  }
}

private struct TortureTransform: Transform {
  private static let level = Setting.integer("level", "Which of the two ordinals it gives.", in: 1...2, default: 1)
  private static let burst = Setting.integer(
    "burst", "How many messages it makes of one in `burst_every`: more than a ring holds go on in parts.", in: 0...65_000, default: 0)
  private static let burstEvery = Setting.integer("burst_every", "One in so many is a burst.", in: 1...Int.max, default: 32)
  private static let slowEvery = Setting.integer(
    "slow_every", "One in so many does not end at the first try; the stage needs a `timeout`. 0 is none.", in: 0...Int.max, default: 0)
  private static let failEvery = Setting.integer("fail_every", "One in so many fails at the first try. 0 is none.", in: 0...Int.max, default: 0)

  private static let giveUpEvery = Setting.integer("give_up_every", "One in so many fails for good. 0 is none.", in: 0...Int.max, default: 0)

  static let spec = PluginSpec(
    "torture.transform", .transform, "Checks a message's hash and length, and makes none, one or many of it.",
    settings: [
      TortureStages.seed.declaration, TortureStages.limit.declaration, level.declaration, burst.declaration, burstEvery.declaration,
      slowEvery.declaration, failEvery.declaration, giveUpEvery.declaration,
    ],
    example: TortureStages.example)

  private var writer: TortureWriter
  private let level: Int
  private let burst: UInt64
  private let burstEvery: UInt64
  private let slowEvery: UInt64
  private let failEvery: UInt64
  private let giveUpEvery: UInt64

  init(_ given: Given, _ context: Context) throws {
    writer = TortureWriter(seed: given[TortureStages.seed], limit: given[TortureStages.limit])
    level = given[Self.level]
    burst = UInt64(given[Self.burst])
    burstEvery = UInt64(given[Self.burstEvery])
    slowEvery = UInt64(given[Self.slowEvery])
    failEvery = UInt64(given[Self.failEvery])
    giveUpEvery = UInt64(given[Self.giveUpEvery])
  }

  mutating func process(_ message: Message, _ out: any Emitter) throws {
    let read = TortureMessage.read(message.payload, seed: writer.seed, limit: writer.limit)
    guard let found = read.message else { throw WorkerFailure(.invariantBroken, "torture: a message is corrupt: \(read.fault)") }
    let key = found.key(seed: writer.seed)
    // Before anything is made, so that nothing of it has gone on.
    if giveUpEvery > 0, mix(key ^ 9) % giveUpEvery == 0 { throw MessageFailure("torture: this one fails for good", isPermanent: true) }
    let count = outputs(key)
    let isFirstTry = message.attempts == 0
    for ordinal in 0..<count {
      // In the middle, so that some outputs have been made, or have even gone on in parts.
      if ordinal == count / 2 { try misbehave(key, isFirstTry) }
      try writer.emit(found.child(level: level, ordinal: ordinal), out)
    }
    if count == 0 { try misbehave(key, isFirstTry) }
  }

  /// None of one in eight, two to four of another, else one; and now and then a burst.
  private func outputs(_ key: UInt64) -> UInt64 {
    if burst > 0, mix(key ^ 3) % burstEvery == 0 { return burst }
    let r = mix(key ^ 2) % 64
    return r < 8 ? 0 : r < 56 ? 1 : 2 + r % 3
  }

  private mutating func misbehave(_ key: UInt64, _ isFirstTry: Bool) throws {
    guard isFirstTry else { return }
    if slowEvery > 0, mix(key ^ 4) % slowEvery == 0 { _ = Descriptors.wait([], until: nil) }
    if failEvery > 0, mix(key ^ 5) % failEvery == 0 {
      throw MessageFailure("torture: the first try fails")
    }
  }
}
