import Documents
import Plans
import Schemas
import Specs
import Testing

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
  /// As many as `cpus` from 0 on, unless given.
  var cpuNumbers: [Int]?
  var memory = 64 << 30
  var descriptors = 1024

  var surroundings: Surroundings {
    var all = Surroundings()
    let world = self
    all.usableCPUs = cpus
    all.cpuNumbers = cpuNumbers ?? Array(0..<cpus)
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
    all.filterProblem = { $0.hasPrefix("wrong") ? "the filter is wrong" : nil }
    all.ringBytes = { queue, producers, _ in
      let all = (queue.capacity + max(1, producers)) * queue.messageBytes, least = (max(1, producers) + 1) * queue.messageBytes
      return (queue.bytes.map { min(all, max(least, $0)) } ?? all, least)
    }
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
      try yaml(text), overrides: set, catalog: Declared.plugins, environment: { environment[$0] })
    let invalid = Schema.trusted(PipelineSchema.json(catalog: Declared.plugins)).validate(expanded.node)
    let planning = Planner.plan(
      expanded.node, file: "test.yaml", directory: "/here", catalog: Declared.plugins, surroundings: world.surroundings)
    diagnostics = Diagnostic.sorted(expanded.diagnostics + expanded.attributed(invalid.isEmpty ? planning.diagnostics : invalid))
    self.plan = diagnostics.isEmpty ? planning.plan : nil
    secrets = expanded.secrets
  }

  /// `4:7 cycle: the stages form a cycle: a -> b -> a; remove one`
  var lines: [String] {
    diagnostics.map { d in
      (d.span.isNone ? "" : "\(d.span.start.line):\(d.span.start.column) ") + "\(d.code): \(d.message)" + (d.remedy.map { "; \($0)" } ?? "")
    }
  }
}
