// PluginExport: a plugin written with PluginKit as a shared library that any Ringway loads, by the C functions of `ringway_plugin.h`. The
// library exports the five functions itself; each is one line that calls `Export`.

@_exported public import CRingwayPlugin
@_exported public import PluginKit

/// What the five functions of a library call. One library holds one plugin.
public enum Export {
  /// For `ringway_plugin_abi`.
  public static var abi: UInt32 { UInt32(RINGWAY_PLUGIN_ABI) }

  /// A library's ports are always the same; those that a setting names are not for it.
  private static func ports(of spec: PluginSpec) -> [String] { spec.ports.setting.isEmpty ? spec.ports.names(Given([:], directory: "/")) : [] }

  /// For `ringway_plugin_spec`: the plugin's declaration as JSON, which stays for good.
  public static func spec(_ plugin: any Plugin.Type) -> UnsafePointer<CChar>? {
    let spec = plugin.spec
    let json: JSON = [
      "name": .string(spec.name), "kind": .string((spec.kinds.first ?? .transform).rawValue), "summary": .string(spec.summary),
      "details": .string(spec.details), "settings": spec.schema, "ports": .array(ports(of: spec).map(JSON.string)), "example": .string(spec.example),
    ]
    let text = Array(json.compact.utf8CString)
    let kept = UnsafeMutablePointer<CChar>.allocate(capacity: text.count)
    kept.initialize(from: text, count: text.count)
    return UnsafePointer(kept)
  }

  /// For `ringway_plugin_open`.
  public static func open(
    _ plugin: any Plugin.Type, _ settings: UnsafePointer<CChar>?, _ context: UnsafePointer<ringway_context>?, _ host: UnsafePointer<ringway_host>?
  ) -> UnsafeMutableRawPointer? {
    guard let settings, let context = context?.pointee, let host else { return nil }
    do {
      let opened = try Opened(plugin, String(cString: settings), context, host)
      return Unmanaged.passRetained(opened).toOpaque()
    } catch {
      explain("\(error)", host)
      return nil
    }
  }

  /// For `ringway_plugin_process`.
  public static func process(
    _ plugin: UnsafeMutableRawPointer?, _ message: UnsafePointer<ringway_message>?, _ host: UnsafePointer<ringway_host>?
  ) -> Int32 {
    guard let plugin, let host else { return RINGWAY_BROKEN }
    do {
      return try Unmanaged<Opened>.fromOpaque(plugin).takeUnretainedValue().process(message?.pointee, host) ? RINGWAY_OK : RINGWAY_END
    } catch {
      return code(of: error, host)
    }
  }

  /// For `ringway_plugin_close`.
  public static func close(_ plugin: UnsafeMutableRawPointer?, _ host: UnsafePointer<ringway_host>?) -> Int32 {
    guard let plugin, let host else { return RINGWAY_BROKEN }
    let opened = Unmanaged<Opened>.fromOpaque(plugin)
    defer { opened.release() }
    do {
      try opened.takeUnretainedValue().close()
      return RINGWAY_OK
    } catch {
      return code(of: error, host)
    }
  }

  private static func code(of error: any Error, _ host: UnsafePointer<ringway_host>) -> Int32 {
    explain("\(error)", host)
    if error is WorkerFailure { return RINGWAY_BROKEN }
    return (error as? MessageFailure)?.isPermanent == true ? RINGWAY_REFUSED : RINGWAY_FAILED
  }

  private static func explain(_ text: String, _ host: UnsafePointer<ringway_host>) { text.withCString { host.pointee.explain(host.pointee.handle, $0) } }
}

/// An opened plugin of any kind.
private final class Opened {
  private var source: (any Source)?
  private var transform: (any Transform)?
  private var sink: (any Sink)?

  init(_ plugin: any Plugin.Type, _ settings: String, _ place: ringway_context, _ host: UnsafePointer<ringway_host>) throws {
    let decoded = plugin.spec.decode(
      JSONText.parse(Array(settings.utf8)).node, directory: place.directory.map { String(cString: $0) } ?? "/", place: .none, path: "with")
    guard let given = decoded.given else {
      throw WorkerFailure(.invalidPipeline, decoded.diagnostics.map(\.message).joined(separator: "; "))
    }
    let context = Context(stage: place.stage.map { String(cString: $0) } ?? "", kind: plugin.spec.kinds.first ?? .transform, process: Int(place.process))
    switch plugin {
    case let type as any Source.Type:
      source = try type.init(given, context)
      // Its own position is its host's to keep: what was handed over is made once more and passed over.
      let skipped = SkippingEmitter()
      for _ in 0..<place.position { _ = try source?.next(skipped) }
    case let type as any Transform.Type: transform = try type.init(given, context)
    case let type as any Sink.Type:
      sink = try type.init(given, context)
      try sink?.resume(atLength: nil)
    default: throw WorkerFailure(.pluginProtocol, "a plugin of this kind cannot be in a library")
    }
  }

  /// - Returns: whether there may be more
  func process(_ given: ringway_message?, _ host: UnsafePointer<ringway_host>) throws -> Bool {
    let out = HostEmitter(host)
    guard let given else {
      guard let step = try source?.next(out) else { throw WorkerFailure(.pluginProtocol, "the plugin is no source") }
      switch step {
      case .emitted, .moved: return true
      case .end: return false
      case .wait: throw WorkerFailure(.pluginProtocol, "a source in a library cannot wait: let its call return when there is something")
      }
    }
    let message = Message(
      payload: UnsafeRawBufferPointer(start: given.data, count: given.length), id: MessageIdentity(high: given.id.0, low: given.id.1),
      attempts: Int(given.attempts), format: MessageFormat(rawValue: UInt8(truncatingIfNeeded: given.format)) ?? .bytes)
    try transform?.process(message, out)
    if sink != nil {
      try sink?.write(message)
      _ = try sink?.flush()
    }
    return true
  }

  func close() throws {
    try source?.close()
    try transform?.close()
    try sink?.close()
  }
}

private final class HostEmitter: Emitter {
  private let host: UnsafePointer<ringway_host>

  init(_ host: UnsafePointer<ringway_host>) { self.host = host }

  /// The host keeps its own reason.
  private var refusal: MessageFailure { MessageFailure("the host takes no such message", isPermanent: true) }

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat) throws {
    if host.pointee.emit(host.pointee.handle, payload.baseAddress, payload.count, UInt32(format.rawValue)) != 0 { throw refusal }
  }

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int) throws {
    guard let number = UInt32(exactly: port) else { throw refusal }
    if host.pointee.emit_to(host.pointee.handle, number, payload.baseAddress, payload.count, UInt32(format.rawValue)) != 0 { throw refusal }
  }

  func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer {
    guard length >= 0, let memory = host.pointee.reserve(host.pointee.handle, length) else { throw refusal }
    return UnsafeMutableRawBufferPointer(start: memory, count: length)
  }

  func emitReserved(_ length: Int, as format: MessageFormat) throws {
    if host.pointee.emit_reserved(host.pointee.handle, length, UInt32(format.rawValue)) != 0 { throw refusal }
  }
}

private final class SkippingEmitter: Emitter {
  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat) throws {}
  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int) throws {}

  func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer {
    // Kept until the next one; nobody reads it.
    held?.deallocate()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, length), alignment: 16)
    held = memory
    return UnsafeMutableRawBufferPointer(rebasing: memory[..<length])
  }

  func emitReserved(_ length: Int, as format: MessageFormat) throws {}

  private var held: UnsafeMutableRawBufferPointer?
  deinit { held?.deallocate() }
}
