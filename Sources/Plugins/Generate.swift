import PluginKit

/// Makes numbered messages: a load to measure with, and input for trying things out.
struct Generate: Source {
  private static let count = Setting<Int?>(
    "count", "How many messages to make; without it the source goes on until the run is drained.",
    schema: ["type": "integer", "minimum": 0], expected: "an integer of at least 0", default: .some(nil), defaultJSON: nil,
    isRequired: false, example: 1000,
    decode: { node in (node.integer ?? node.double.flatMap(Int.init(exactly:))).flatMap { $0 >= 0 ? .some($0) : nil } })
  private static let size = Setting<Int?>(
    "size", "Bytes of each message. A message begins with its number; the rest is filled with letters that depend on the seed.",
    schema: ["type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?(B|[KMGT]iB|[kKMGT]B)$"], expected: "a size of at most 1GiB, such as 64B or 1MiB",
    default: .some(nil), defaultJSON: nil, isRequired: false, example: "1KiB",
    decode: { node in node.string.flatMap(Quantity.size).flatMap { 0...(1 << 30) ~= $0 ? .some($0) : nil } })
  private static let rate = Setting<Double?>.rate("rate", "How many messages a second at most.").changeable
  private static let seed = Setting.integer("seed", "Chooses the content; the same seed makes the same messages.", in: 0...Int.max, default: 0)

  static let spec = PluginSpec(
    "generate", .source, "Makes numbered messages.",
    details: """
      Message n (from 0) is the JSON text `{"n":n,"value":V}`, where V is a number from 0 to 999,999 that follows from n and the seed. With `size`, it is instead \
      exactly so many bytes: the number, a space, and letters. A source that is started again goes on where it was.
      """,
    processes: .one, settings: [count.declaration, size.declaration, rate.declaration, seed.declaration],
    example: """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 1000, seed: 7}
        nowhere:
          plugin: discard
          inputs: [numbers]
      """)

  private let count: Int
  private let size: Int?
  private let interval: Duration?
  private let seed: UInt64
  private var next = 0
  private var due = ContinuousClock.now

  init(_ given: Given, _ context: Context) throws {
    count = given[Self.count] ?? Int.max
    size = given[Self.size]
    interval = given[Self.rate].map { .nanoseconds(Int64(max(1, min(1e9 / $0, 9e15)))) }
    seed = UInt64(clamping: given[Self.seed])
  }

  mutating func resume(at position: Position) throws { next = Int(clamping: position.words.0) }

  mutating func next(_ out: any Emitter) throws -> SourceStep {
    if next >= count { return .end }
    if let interval {
      let now = ContinuousClock.now
      if now < due { return .wait(readable: nil, until: due) }
      // A source that was held up catches up by at most a tenth of a second, not with a burst of everything it missed.
      due = max(due, now - .milliseconds(100)) + interval
    }
    let n = next
    // Before it is emitted: a message that is refused, as too large say, is passed.
    next += 1
    if let size { try emit(n, size, out) } else { try out.emit("{\"n\":\(n),\"value\":\(mix(UInt64(n)) % 1_000_000)}", as: .json) }
    return .emitted(Position(UInt64(next)))
  }

  private func emit(_ n: Int, _ size: Int, _ out: any Emitter) throws {
    let buffer = try out.reserve(size)
    var head = String(n) + " "
    var at = 0
    head.withUTF8 { text in
      at = min(size, text.count)
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(text)[..<at]))
    }
    // Eight letters from each word of the sequence.
    var state = mix(UInt64(n))
    while at < size {
      state = mix(state)
      var word: UInt64 = 0x6161_6161_6161_6161 &+ (state & 0x0f0f_0f0f_0f0f_0f0f)
      let take = min(8, size - at)
      withUnsafeBytes(of: &word) { bytes in
        UnsafeMutableRawBufferPointer(rebasing: buffer[at..<(at + take)]).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<take]))
      }
      at += take
    }
    try out.emitReserved(size, as: .text)
  }

  /// A number that follows from the seed and n.
  private func mix(_ n: UInt64) -> UInt64 { SplitMix64.number((n ^ seed &* SplitMix64.step) &+ SplitMix64.step) }
}
