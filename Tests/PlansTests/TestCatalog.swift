import Documents
import Plans
import Schemas
import Specs
import Testing

/// Plugins that exist only as declarations: Plans needs no more of them.
enum TestCatalog {
  enum Mode: String, Choice { case replace, append }

  static let count = Setting.integer("count", "How many.", in: 0...1_000_000, default: 10)
  static let size = Setting.size("size", "Of each.", in: 1...(1 << 20), default: "1KiB")
  static let text = Setting.string("text", "What to add.", default: "x")
  static let fast = Setting.boolean("fast", "Whether to hurry.", default: false)
  static let path = Setting.path("path", "The file.", example: "a.txt")
  static let mode = Setting<Mode>.choice("mode", "How to begin.", default: .replace)
  static let address = Setting.string("address", "Where.", example: "127.0.0.1:80")
  static let token = Setting.string("token", "For the receiver.", default: "none", secret: true)
  static let headers = Setting.strings("headers", "Added to each request.", secret: true)

  static let all: [PluginSpec] = [
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
      check: { $0[text] == "wrong" ? [SettingProblem("text", "the text is wrong", remedy: "write another")] : [] }),
    PluginSpec(
      "write", .sink, "Writes a file.", processes: .one, settings: [path.declaration, mode.declaration], example: "",
      resources: { [.writesFile(path: $0[path], setting: "path")] }),
    PluginSpec("post", .sink, "Posts.", settings: [token.declaration, headers.declaration], example: ""),
    PluginSpec("show", .sink, "Shows.", processes: .one, settings: [], example: "", resources: { _ in [.standardOutput] }),
    PluginSpec("drop", .sink, "Forgets.", settings: [], example: ""),
  ]
}

/// A file system and a machine in values.
struct World {
  var files: Set<String> = []
  var folders: Set<String> = ["/", "/here", "/tmp", "/dev"]
  var devices: Set<String> = ["/dev/null"]
  /// Symbolic links.
  var links: [String: String] = [:]
  /// Names of one file.
  var hardLinks: [Set<String>] = []
  var cpus = 4
  var memory = 64 << 30
  var descriptors = 1024

  var surroundings: Surroundings {
    var all = Surroundings()
    let world = self
    all.usableCPUs = cpus
    all.availableMemory = memory
    all.descriptorLimit = descriptors
    all.kind = { world.kind($0) }
    all.glob = { pattern in
      guard let star = pattern.firstIndex(of: "*") else { return [] }
      let (head, tail) = (pattern[..<star], pattern[pattern.index(after: star)...])
      return world.files.union(world.folders).filter { $0.hasPrefix(head) && $0.hasSuffix(tail) && $0.count > head.count + tail.count }.sorted()
    }
    all.canonical = { world.resolve($0) }
    all.linkTarget = { world.links[$0] }
    all.identity = { path in
      let real = world.resolve(path)
      guard world.files.contains(real) else { return nil }
      let group = world.hardLinks.firstIndex { $0.contains(real) }
      return Surroundings.Identity(device: 1, inode: group.map { UInt64($0) } ?? UInt64(bitPattern: Int64(real.hashValue)))
    }
    all.ringBytes = { capacity, message, producers, consumers in (capacity + max(1, producers)) * message }
    return all
  }

  private func kind(_ path: String) -> Surroundings.Kind? {
    let real = resolve(path)
    return folders.contains(real) ? .directory : files.contains(real) ? .file : devices.contains(real) ? .other : nil
  }

  /// Follows links and dots, part by part.
  private func resolve(_ path: String) -> String {
    var real = ""
    for part in path.split(separator: "/") where part != "." {
      if part == ".." { real = String(real[..<(real.lastIndex(of: "/") ?? real.startIndex)]) } else { real += "/" + part }
      if let target = links[real] { real = target.hasPrefix("/") ? target : real[...(real.lastIndex(of: "/") ?? real.startIndex)] + target }
    }
    return real.isEmpty ? "/" : real
  }
}

func yaml(_ text: String, _ location: SourceLocation = #_sourceLocation) throws -> Node {
  let (node, diagnostics) = YAMLText.compose(Array(text.utf8))
  return try #require(node, "\(diagnostics)", sourceLocation: location)
}

/// All that is checked of a file, as the program does it.
struct Checked {
  var plan: Plan?
  var diagnostics: [Diagnostic]
  var secrets: Secrets

  init(
    _ text: String, _ world: World = World(), set: [(path: String, value: String)] = [], environment: [String: String] = [:]
  ) throws {
    let expanded = Expansion.expand(
      try yaml(text), overrides: set, catalog: TestCatalog.all, environment: { environment[$0] })
    let invalid = Schema.trusted(PipelineSchema.json(catalog: TestCatalog.all)).validate(expanded.node)
    let (plan, planned) = Planner.plan(
      expanded.node, file: "test.yaml", directory: "/here", catalog: TestCatalog.all, surroundings: world.surroundings)
    diagnostics = Diagnostic.sorted(expanded.diagnostics + expanded.attributed(invalid.isEmpty ? planned : invalid))
    self.plan = diagnostics.isEmpty ? plan : nil
    secrets = expanded.secrets
  }

  /// `4:7 cycle: the stages form a cycle: a -> b -> a; remove one`
  var lines: [String] {
    diagnostics.map { d in
      (d.span.isNone ? "" : "\(d.span.start.line):\(d.span.start.column) ") + "\(d.code): \(d.message)" + (d.remedy.map { "; \($0)" } ?? "")
    }
  }
}

/// A generator with a seed that a failing test prints (SplitMix64).
struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
