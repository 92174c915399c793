import Plans
import Specs

/// Plugins that are declarations only, one for each kind of setting and of resource, and a machine in values. PlansTests have a link to
/// this file.
enum Declared {
  private enum Mode: String, Choice { case replace, append }

  private static let count = Setting.integer("count", "How many.", in: 0...1_000_000, default: 10)
  private static let size = Setting.size("size", "Of each.", in: 1...(1 << 20), default: "1KiB")
  private static let batch = Setting.integer("batch", "How many at once.", in: 1...1000, default: 1)
  private static let text = Setting.string("text", "What to add.", default: "x")
  private static let fast = Setting.boolean("fast", "Whether to hurry.", default: false)
  private static let path = Setting.path("path", "The file.", example: "a.txt")
  private static let mode = Setting<Mode>.choice("mode", "How to begin.", default: .replace)
  private static let address = Setting.string("address", "Where.", example: "127.0.0.1:80")
  private static let token = Setting.string("token", "For the receiver.", default: "none", secret: true)
  private static let headers = Setting.strings("headers", "Added to each request.", secret: true)

  static let plugins: [PluginSpec] = [
    PluginSpec("numbers", .source, "Makes numbers.", processes: .one, settings: [count.declaration, size.declaration], example: ""),
    PluginSpec(
      "read", .source, "Reads a file.", processes: .one, settings: [path.declaration], example: "",
      resources: { [.readsFiles(pattern: $0[path], setting: "path")] }),
    PluginSpec("keyboard", .source, "Reads standard input.", processes: .one, settings: [], example: "", resources: { _ in [.standardInput] }),
    PluginSpec(
      "listen", .source, "Listens.", processes: .one, settings: [address.declaration], example: "",
      resources: { [.listens(address: $0[address], setting: "address")] }),
    PluginSpec(
      "add", .transform, "Adds a text.", settings: [text.declaration, fast.declaration], example: "",
      check: { $0[text] == "wrong" ? [SettingProblem("text", "the text is wrong", remedy: "write another")] : [] }, joins: { $0[fast] ? "fast" : nil }),
    PluginSpec("several", .transform, "Takes several.", settings: [batch.declaration], example: ""),
    PluginSpec(
      "write", .sink, "Writes a file.", processes: .one, settings: [path.declaration, mode.declaration], example: "",
      resources: { [.writesFile(path: $0[path], setting: "path")] }),
    PluginSpec("post", .sink, "Posts.", settings: [token.declaration, headers.declaration], example: ""),
    PluginSpec("show", .sink, "Shows.", processes: .one, settings: [], example: "", resources: { _ in [.standardOutput] }),
    PluginSpec("drop", .sink, "Forgets.", settings: [], example: ""),
  ]

  static var surroundings: Surroundings {
    var all = Surroundings()
    all.usableCPUs = 4
    all.availableMemory = 64 << 30
    all.kind = { $0.hasSuffix("/") || $0 == "/here" || $0 == "/tmp" ? .directory : $0.hasSuffix(".txt") ? .file : nil }
    all.glob = { $0.hasSuffix("*.txt") ? ["/here/a.txt", "/here/b.txt"] : [] }
    all.ringBytes = { queue, producers, _ in
      let all = (queue.capacity + max(1, producers)) * queue.messageBytes, least = (max(1, producers) + 1) * queue.messageBytes
      return (queue.bytes.map { min(all, max(least, $0)) } ?? all, least)
    }
    return all
  }
}
