import PluginExport

/// Writes text large, and repeats its last letter.
struct Shout: Transform {
  private static let times = Setting.integer("times", "How often the last letter stands.", in: 1...20, default: 3)

  static let spec = PluginSpec("shout", .transform, "Writes text large.", settings: [times.declaration], example: "")

  private let times: Int

  init(_ given: Given, _ context: Context) throws { times = given[Self.times] }

  mutating func process(_ message: Message, _ out: any Emitter) throws {
    let text = message.text.uppercased()
    guard let last = text.last else { throw MessageFailure("there is nothing to shout", isPermanent: true) }
    try out.emit(text + String(repeating: last, count: times - 1))
  }
}

@c(ringway_plugin_abi) public func abi() -> UInt32 { Export.abi }

@c(ringway_plugin_spec) public func spec() -> UnsafePointer<CChar>? { Export.spec(Shout.self) }

@c(ringway_plugin_open) public func open(
  _ settings: UnsafePointer<CChar>?, _ context: UnsafePointer<ringway_context>?, _ host: UnsafePointer<ringway_host>?
) -> UnsafeMutableRawPointer? { Export.open(Shout.self, settings, context, host) }

@c(ringway_plugin_process) public func process(
  _ plugin: UnsafeMutableRawPointer?, _ message: UnsafePointer<ringway_message>?, _ host: UnsafePointer<ringway_host>?
) -> Int32 { Export.process(plugin, message, host) }

@c(ringway_plugin_close) public func close(_ plugin: UnsafeMutableRawPointer?, _ host: UnsafePointer<ringway_host>?) -> Int32 {
  Export.close(plugin, host)
}
