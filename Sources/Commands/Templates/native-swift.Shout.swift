import PluginExport

/// Writes text large, some times over.
struct Shout: Transform {
  private static let times = Setting.integer("times", "How often.", in: 1...9, default: 1)

  static let spec = PluginSpec("shout", .transform, "Writes text large.", settings: [times.declaration], example: "")

  private let times: Int

  init(_ given: Given, _ context: Context) throws { times = given[Self.times] }

  mutating func process(_ message: Message, _ out: any Emitter) throws {
    for _ in 0..<times { try out.emit(message.text.uppercased()) }
  }
}
