// PluginTesting: what every plugin must hold, as one suite that a plugin's tests call. It drives plugins as a worker does,
// but in one process and without rings: emitted messages are collected, commits and restarts are played.

@_exported public import PluginKit

/// What is wrong with a plugin, one sentence each; empty when it holds the contract.
public struct Conformance {
  public private(set) var problems: [String] = []

  public init() {}

  mutating func expect(_ holds: Bool, _ sentence: @autoclosure () -> String) {
    if !holds { problems.append(sentence()) }
  }

  /// The declaration: names, sentences, defaults that are themselves valid, an example.
  public static func check(_ spec: PluginSpec) -> [String] {
    var suite = Conformance()
    suite.expect(spec.name.utf8.allSatisfy { 97...122 ~= $0 || 48...57 ~= $0 || $0 == 46 || $0 == 95 }, "\(spec.name): a name has lower-case letters, digits, dots and _")
    suite.expect(spec.summary.hasSuffix(".") && !spec.summary.contains("\n"), "\(spec.name): the summary is one sentence with a full stop")
    suite.expect(spec.details.isEmpty || spec.details.hasSuffix("."), "\(spec.name): the details end with a full stop")
    suite.expect(Set(spec.settings.map(\.name)).count == spec.settings.count, "\(spec.name): two settings have one name")
    for setting in spec.settings {
      suite.expect(setting.summary.hasSuffix("."), "\(spec.name).\(setting.name): the summary ends with a full stop")
      suite.expect(!setting.expected.hasSuffix("."), "\(spec.name).\(setting.name): what is expected is no sentence")
      suite.expect(!setting.isRequired || setting.fallback == nil, "\(spec.name).\(setting.name): required, and has a default")
      suite.expect(!setting.isRequired || setting.example != nil, "\(spec.name).\(setting.name): required, and has no example to show")
    }
    suite.expect(spec.example.contains("plugin: \(spec.name)\n") || spec.example.hasSuffix("plugin: \(spec.name)"), "\(spec.name): the example does not use the plugin")
    suite.expect(spec.example.hasPrefix("ringway: 1\n"), "\(spec.name): the example is no complete pipeline")
    return suite.problems
  }

  /// A source: it ends, it makes the same messages each time, and from each of its positions it makes exactly the rest.
  ///
  /// - Parameter make: opens the source anew, as a worker that starts
  public static func check<S: Source>(source make: () throws -> S) throws -> [String] {
    var suite = Conformance()
    let name = S.spec.name
    func drain(_ source: inout S) throws -> [(message: [UInt8], position: Position?)] {
      let out = CollectingEmitter()
      var all: [(message: [UInt8], position: Position?)] = []
      for _ in 0..<1_000_000 {
        switch try source.next(out) {
        case .emitted(let position):
          let messages = out.take()
          suite.expect(messages.count == 1, "\(name): next() says that it emitted one message, and emitted \(messages.count)")
          all.append((messages.first ?? [], position))
          try source.committed(position)
        case .moved(let position):
          suite.expect(out.take().isEmpty, "\(name): next() says that it only moved, and emitted")
          all.append(([], position))
        case .wait: suite.expect(out.take().isEmpty, "\(name): next() says that it waits, and emitted")
        case .end:
          suite.expect(out.take().isEmpty, "\(name): next() says that it has ended, and emitted")
          return all
        }
      }
      suite.problems.append("\(name): it does not end")
      return all
    }
    var first = try make()
    let all = try drain(&first)
    try first.close()
    for (i, step) in all.enumerated() {
      guard let position = step.position else { continue }
      var again = try make()
      try again.resume(at: position)
      let rest = try drain(&again)
      try again.close()
      suite.expect(rest.map(\.message) == all[(i + 1)...].map(\.message), "\(name): after resuming behind message \(i) it makes something else than the rest")
    }
    return suite.problems
  }

  /// A transform: the same input gives the same output, and no input whatsoever crashes it.
  public static func check<T: Transform>(transform make: () throws -> T, inputs: [[UInt8]]) throws -> [String] {
    var suite = Conformance()
    let name = T.spec.name
    let odd: [[UInt8]] = [[], [0], [0xff, 0xfe], Array("{".utf8), Array(repeating: 0x5b, count: 100_000), Array(repeating: 0x20, count: 1 << 20)]
    var one = try make()
    var other = try make()
    for input in inputs + odd + inputs {
      let results = try [call(&one, input), call(&other, input)]
      suite.expect(results[0] == results[1], "\(name): an input of \(input.count) bytes gives two different results")
    }
    for input in inputs { suite.expect(try call(&one, input) != nil, "\(name): a valid input fails") }
    try one.close()
    try other.close()
    return suite.problems
  }

  /// - Returns: the outputs, or nil when the message failed
  private static func call<T: Transform>(_ transform: inout T, _ input: [UInt8]) throws -> [[UInt8]]? {
    let out = CollectingEmitter()
    do {
      try input.withUnsafeBytes { try transform.process(Message(payload: $0, id: MessageIdentity(high: 1, low: 2)), out) }
      return out.take()
    } catch let failure as WorkerFailure {
      throw failure
    } catch {
      return nil
    }
  }

  /// A sink that writes to one place: what is written and flushed is there once; what was written and not flushed, or flushed
  /// and not committed, is gone after a resume at the committed length.
  ///
  /// - Parameter content: reads what has arrived
  public static func check<S: Sink>(sink make: () throws -> S, content: () throws -> [String]) throws -> [String] {
    var suite = Conformance()
    let name = S.spec.name
    func write(_ text: String, _ sink: inout S) throws {
      try Array(text.utf8).withUnsafeBytes { try sink.write(Message(payload: $0, id: MessageIdentity(high: 1, low: 2))) }
    }
    var first = try make()
    try first.resume(atLength: nil)
    _ = try first.flush()
    try write("one", &first)
    try write("", &first)
    let committed = try first.flush()
    try write("lost", &first)
    guard let committed else { return suite.problems }
    _ = try first.flush()
    try write("never flushed", &first)
    // The worker dies here; the next one begins at what was committed.
    var second = try make()
    try second.resume(atLength: committed)
    try write("two", &second)
    let length = try second.flush()
    suite.expect((length ?? 0) > committed, "\(name): the length does not grow")
    try second.close()
    let arrived = try content()
    suite.expect(arrived == ["one", "", "two"], "\(name): after a death and a resume it holds \(arrived)")
    return suite.problems
  }
}

/// Collects what a plugin emits.
public final class CollectingEmitter: Emitter {
  private var messages: [(bytes: [UInt8], format: MessageFormat, port: Int)] = []
  private var reserved: UnsafeMutableRawBufferPointer?
  /// The largest message that is taken.
  public var limit: Int

  public init(limit: Int = 1 << 30) { self.limit = limit }

  deinit { reserved?.deallocate() }

  /// What has been emitted since the last call.
  public func take() -> [[UInt8]] { takeWithFormats().map(\.bytes) }

  /// The same, and what was said of each.
  public func takeWithFormats() -> [(bytes: [UInt8], format: MessageFormat)] { takeWithPorts().map { ($0.bytes, $0.format) } }

  /// The same, and by which port each was handed on.
  public func takeWithPorts() -> [(bytes: [UInt8], format: MessageFormat, port: Int)] {
    defer { messages = [] }
    return messages
  }

  public func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat) throws { try emit(payload, as: format, to: 0) }

  public func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int) throws {
    if payload.count > limit { throw MessageFailure("the message has \(payload.count) bytes", isPermanent: true) }
    messages.append((Array(payload), format, port))
  }

  public func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer {
    if length > limit { throw MessageFailure("the message has \(length) bytes", isPermanent: true) }
    reserved?.deallocate()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, length), alignment: 16)
    reserved = memory
    return UnsafeMutableRawBufferPointer(rebasing: memory[..<length])
  }

  public func emitReserved(_ length: Int, as format: MessageFormat) throws {
    guard let memory = reserved else { throw MessageFailure("nothing was reserved", isPermanent: true) }
    messages.append((Array(memory[..<min(length, memory.count)]), format, 0))
  }
}
