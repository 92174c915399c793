import CRingwayPlugin
import PluginKit

/// An opened native plugin: calls its functions and turns what they say into what the loops know.
final class NativeStage {
  // Unsafe: set once, by the one thread that then runs the loop.
  nonisolated(unsafe) static var library: NativeLibrary?

  private let library: NativeLibrary
  /// How many ports it has beside the main one.
  private let ports: UInt32
  private let given: Given
  private let context: Context
  private var plugin: UnsafeMutableRawPointer?
  private var host = ringway_host()
  private var out: (any Emitter)?
  private var reserved: UnsafeMutableRawBufferPointer?
  private var explanation = ""

  init(_ given: Given, _ context: Context) throws {
    guard let library = Self.library else { throw WorkerFailure(.invariantBroken, "no library was loaded") }
    self.library = library
    ports = UInt32(clamping: library.ports)
    self.given = given
    self.context = context
    host.handle = Unmanaged.passUnretained(self).toOpaque()
    host.emit = { stage, data, length, format in
      NativeStage.of(stage).attempt { stage in
        let payload = try NativeStage.payload(data, length)
        try stage.emitter().emit(payload, as: NativeStage.format(format))
      }
    }
    host.emit_to = { stage, port, data, length, format in
      NativeStage.of(stage).attempt { stage in
        let payload = try NativeStage.payload(data, length)
        guard port <= stage.ports else { throw MessageFailure("the plugin has no port \(port)", isPermanent: true) }
        try stage.emitter().emit(payload, as: NativeStage.format(format), to: Int(port))
      }
    }
    host.reserve = { stage, length in
      var memory: UnsafeMutableRawPointer?
      _ = NativeStage.of(stage).attempt { stage in
        try NativeStage.check(length)
        let bytes = try stage.emitter().reserve(length)
        stage.reserved = bytes
        memory = bytes.baseAddress
      }
      return memory
    }
    host.emit_reserved = { stage, length, format in
      NativeStage.of(stage).attempt { stage in
        guard let reserved = stage.reserved, 0...reserved.count ~= length else { throw MessageFailure("more is emitted than was reserved", isPermanent: true) }
        stage.reserved = nil
        try stage.emitter().emitReserved(length, as: NativeStage.format(format))
      }
    }
    host.explain = { stage, text in if let text { NativeStage.of(stage).explanation = String(cString: text) } }
  }

  private static func of(_ pointer: UnsafeMutableRawPointer?) -> NativeStage {
    guard let pointer else { preconditionFailure("the plugin gave its host another handle") }
    return Unmanaged<NativeStage>.fromOpaque(pointer).takeUnretainedValue()
  }

  /// size_t arrives signed: what is larger than any memory, an unchecked -1 say, is negative here.
  private static func check(_ length: Int) throws {
    guard 0...1 << 30 ~= length else { throw MessageFailure("a message of \(UInt(bitPattern: length)) bytes", isPermanent: true) }
  }

  private static func payload(_ data: UnsafeRawPointer?, _ length: Int) throws -> UnsafeRawBufferPointer {
    try check(length)
    if data == nil, length > 0 { throw MessageFailure("a message of \(length) bytes at NULL", isPermanent: true) }
    return UnsafeRawBufferPointer(start: data, count: length)
  }

  private func emitter() throws -> any Emitter {
    guard let out else { throw MessageFailure("the plugin emits while it opens or closes, or is a sink: nobody would get it", isPermanent: true) }
    return out
  }

  private static func format(_ number: UInt32) -> MessageFormat { MessageFormat(rawValue: UInt8(truncatingIfNeeded: number)) ?? .bytes }

  /// What an emit threw; thrown again when the call has returned.
  private var thrown: (any Error)?

  private func attempt(_ body: (NativeStage) throws -> Void) -> Int32 {
    do {
      try body(self)
      return 0
    } catch {
      thrown = error
      return 1
    }
  }

  /// - Parameter position: how many calls of a source have been handed over
  func open(position: UInt64 = 0) throws {
    explanation = ""
    plugin = given.settingsJSON.compact.withCString { settings in
      context.stage.withCString { stage in
        given.directory.withCString { directory in
          var place = ringway_context(stage: stage, process: UInt32(clamping: context.process), directory: directory, position: position)
          return library.open(settings, &place, &host)
        }
      }
    }
    if let thrown { throw WorkerFailure(.pluginProtocol, "\(thrown)") }
    if plugin == nil { throw WorkerFailure(.invalidPipeline, explanation.isEmpty ? "the plugin does not open" : explanation) }
  }

  /// - Returns: whether there may be more
  func process(_ message: Message?, _ out: (any Emitter)?) throws -> Bool {
    self.out = out
    defer {
      self.out = nil
      reserved = nil
    }
    explanation = ""
    thrown = nil
    let code: Int32
    if let message {
      var given = ringway_message(
        data: message.payload.baseAddress, length: message.payload.count, format: UInt32(message.format.rawValue),
        attempts: UInt32(clamping: message.attempts), id: (message.id.high, message.id.low))
      code = library.process(plugin, &given, &host)
    } else {
      code = library.process(plugin, nil, &host)
    }
    switch code {
    case RINGWAY_OK:
      if let thrown { throw thrown }
      return true
    case RINGWAY_END where message == nil: return false
    case RINGWAY_FAILED, RINGWAY_REFUSED:
      throw thrown ?? MessageFailure(explanation.isEmpty ? "the plugin failed" : explanation, isPermanent: code == RINGWAY_REFUSED)
    case RINGWAY_BROKEN: throw WorkerFailure(.pluginProtocol, explanation.isEmpty ? "the plugin cannot go on" : explanation)
    default: throw WorkerFailure(.pluginProtocol, "ringway_plugin_process returned \(code), which means nothing")
    }
  }

  func close() throws {
    explanation = ""
    thrown = nil
    let code = library.close(plugin, &host)
    plugin = nil
    if let thrown { throw WorkerFailure(.pluginProtocol, "\(thrown)") }
    if code != RINGWAY_OK { throw WorkerFailure(.pluginProtocol, explanation.isEmpty ? "the plugin did not close" : explanation) }
  }
}

struct NativeSource: Source {
  static var spec: PluginSpec { placeholder }
  static var mayBlock: Bool { true }

  private let stage: NativeStage
  private var calls: UInt64 = 0
  private var isOpen = false

  init(_ given: Given, _ context: Context) throws { stage = try NativeStage(given, context) }

  mutating func resume(at position: Position) throws { calls = position.words.0 }

  mutating func next(_ out: any Emitter) throws -> SourceStep {
    if !isOpen {
      try stage.open(position: calls)
      isOpen = true
    }
    let counted = CountingEmitter(out)
    calls += 1
    guard try stage.process(nil, counted) else { return .end }
    if counted.count > 1 { throw WorkerFailure(.pluginProtocol, "a call of the source emitted \(counted.count) messages, and it may emit one") }
    return counted.count == 1 ? .emitted(Position(calls)) : .moved(Position(calls))
  }

  mutating func close() throws { if isOpen { try stage.close() } }
}

/// Counts what a source's call emits.
private final class CountingEmitter: Emitter {
  private let out: any Emitter
  private(set) var count = 0

  init(_ out: any Emitter) { self.out = out }

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat) throws {
    try out.emit(payload, as: format)
    count += 1
  }

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int) throws {
    try out.emit(payload, as: format, to: port)
    count += 1
  }

  func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer { try out.reserve(length) }

  func emitReserved(_ length: Int, as format: MessageFormat) throws {
    try out.emitReserved(length, as: format)
    count += 1
  }
}

struct NativeTransform: Transform {
  static var spec: PluginSpec { placeholder }

  private let stage: NativeStage

  init(_ given: Given, _ context: Context) throws {
    stage = try NativeStage(given, context)
    try stage.open()
  }

  mutating func process(_ message: Message, _ out: any Emitter) throws { _ = try stage.process(message, out) }
  mutating func close() throws { try stage.close() }
}

struct NativeSink: Sink {
  static var spec: PluginSpec { placeholder }

  private let stage: NativeStage

  init(_ given: Given, _ context: Context) throws {
    stage = try NativeStage(given, context)
    try stage.open()
  }

  mutating func write(_ message: Message) throws { _ = try stage.process(message, nil) }
  mutating func flush() throws -> UInt64? { nil }
  mutating func close() throws { try stage.close() }
}

/// The spec is the library's; a worker has it from there.
private let placeholder = PluginSpec("native", .transform, "A plugin of a shared library.", settings: [], example: "")
