package import Specs

/// Makes a plan of an expanded document and finds what no schema can say: names that lead nowhere, cycles, queues that
/// are too small, files that two stages write. Everything is reported at once.
package struct Planner {
  private let document: Node
  private let file: String
  private let directory: String
  private let catalog: [String: PluginSpec]
  private let surroundings: Surroundings
  private var diagnostics: [Diagnostic] = []
  /// The stages that could be read, in the order of the file.
  private var drafts: [Draft] = []

  private struct Draft {
    var name: String
    var keySpan: Span
    var node: Node
    var spec: PluginSpec?
    var stage: Stage
    /// Where each input is named.
    var inputSpans: [String: Span] = [:]
    var count = StageKeys.Count.number(1)
    var path: String { "stages." + name }
  }

  /// - Parameters:
  ///   - directory: the folder of the pipeline file, absolute
  ///   - catalog: every plugin that there is
  package static func plan(
    _ document: Node, file: String, directory: String, catalog: [PluginSpec], surroundings: Surroundings
  ) -> (plan: Plan?, diagnostics: [Diagnostic]) {
    var planner = Planner(document, file, directory, catalog, surroundings)
    let plan = planner.plan()
    return (planner.diagnostics.contains { $0.severity == .error } ? nil : plan, planner.diagnostics)
  }

  private init(_ document: Node, _ file: String, _ directory: String, _ catalog: [PluginSpec], _ surroundings: Surroundings) {
    self.document = document
    self.file = file
    self.directory = directory
    self.catalog = Dictionary(catalog.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    self.surroundings = surroundings
  }

  private mutating func plan() -> Plan {
    let top = read(PipelineKeys.top, document, document.span, "")
    for pair in document["stages"]?.pairs ?? [] where pair.value.pairs != nil { draft(pair) }
    connect()
    checkCycles()
    checkProcesses()
    let ordered = order()
    let plan = Plan(
      name: top.has("name") ? top[PipelineKeys.name] : Self.stem(file), description: top[PipelineKeys.description], file: file,
      directory: directory, stages: ordered.map(\.stage), drain: top[PipelineKeys.drain])
    checkMemory(plan, top[PipelineKeys.memory])
    checkResources()
    checkDescriptors(plan)
    return plan
  }

  private static func stem(_ file: String) -> String {
    let name = file.split(separator: "/").last.map(String.init) ?? file
    return name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
  }

  private mutating func report(_ code: String, _ message: String, _ span: Span, _ path: String, _ remedy: String? = nil, notes: [(span: Span, text: String)] = []) {
    diagnostics.append(Diagnostic(code, message, at: span, remedy: remedy, path: path, notes: notes))
  }

  private mutating func read(_ group: SettingGroup, _ node: Node?, _ place: Span, _ path: String) -> Given {
    let (given, found) = group.decodeLeniently(node, directory: directory, place: place, path: path)
    diagnostics += found
    return given
  }

  // MARK: Stages

  private mutating func draft(_ pair: Node.Pair) {
    let node = pair.value
    let path = "stages." + pair.key
    let given = read(StageKeys.group, node, pair.keySpan, path)
    let plugin = node["plugin"]?.string ?? ""
    let spec = catalog[plugin]
    if spec == nil, let place = node["plugin"], place.string != nil {
      report(
        "unknown-plugin", "there is no plugin \"\(plugin)\"", place.span, path + ".plugin",
        Nearest.remedy(for: plugin, among: catalog.keys.sorted(), of: "plugins"))
    }
    var stage = Stage(name: pair.key, plugin: plugin, kind: spec?.kind ?? .transform)
    stage.inputs = []
    var draft = Draft(name: pair.key, keySpan: pair.keySpan, node: node, spec: spec, stage: stage)
    // One name without its brackets is the schema's to report; here it counts as meant.
    for item in node["inputs"]?.items ?? node["inputs"].map({ [$0] }) ?? [] {
      guard let name = item.string else { continue }
      if draft.inputSpans[name] != nil {
        report("input-twice", "the input \"\(name)\" is named twice", item.span, path + ".inputs", "remove one of the two")
        continue
      }
      draft.inputSpans[name] = item.span
      draft.stage.inputs.append(name)
    }
    draft.count = given[StageKeys.processes]
    if spec?.kind != .source {
      let queue = read(QueueKeys.group, given[StageKeys.queue], pair.keySpan, path + ".queue")
      draft.stage.queue = Queue(capacity: queue[QueueKeys.capacity], messageBytes: queue[QueueKeys.message])
    } else if let queue = node.pair("queue") {
      report("source-queue", "a source has no queue", queue.keySpan, path + ".queue", "put `queue` under the stage that reads \"\(pair.key)\"")
    }
    let restart = read(RestartKeys.group, given[StageKeys.restart], pair.keySpan, path + ".restart")
    draft.stage.restart = RestartLimits(max: restart[RestartKeys.max], within: restart[RestartKeys.within], backoff: restart[RestartKeys.backoff])
    let onError = read(ErrorKeys.group, given[StageKeys.onError], pair.keySpan, path + ".on_error")
    draft.stage.onError = ErrorPolicy(retries: onError[ErrorKeys.retries], deaths: onError[ErrorKeys.deaths], then: onError[ErrorKeys.then])
    draft.stage.timeout = given[StageKeys.timeout]
    draft.stage.environment = given[StageKeys.environment].sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    if let folder = given[StageKeys.directory] {
      let resolved = given.resolve(folder)
      draft.stage.directory = resolved
      if surroundings.kind(resolved) != .directory, let place = node["directory"] {
        report("missing-directory", "there is no folder \(JSON.string(folder).compact)", place.span, path + ".directory", "relative paths start from the pipeline file's folder, \(directory)")
      }
    }
    draft.stage.settings = node["with"] ?? .mapping([])
    if let spec {
      let (settings, found) = spec.decode(node["with"], directory: directory, place: node.pair("with")?.keySpan ?? pair.keySpan, path: path + ".with")
      diagnostics += found
      if let settings {
        draft.stage.resources = spec.resources(settings)
        for problem in spec.check(settings) {
          report("plugin-setting", problem.message, node["with"]?[problem.setting]?.span ?? pair.keySpan, path + ".with." + problem.setting, problem.remedy)
        }
      }
    }
    drafts.append(draft)
  }

  // MARK: The graph

  private mutating func connect() {
    let names = drafts.map(\.name)
    let indexes = Dictionary(names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    var isRead = Set<String>()
    for i in drafts.indices {
      let draft = drafts[i]
      for input in draft.stage.inputs {
        let span = draft.inputSpans[input] ?? draft.keySpan
        if let other = indexes[input] {
          isRead.insert(input)
          if input == draft.name {
            report("cycle", "the stage \"\(input)\" reads itself", span, draft.path + ".inputs", "a graph has no cycles; name the stage that comes before it")
          } else if drafts[other].spec?.kind == .sink {
            report("sink-read", "\"\(input)\" is a sink (\(drafts[other].stage.plugin)) and hands nothing on", span, draft.path + ".inputs", "read one of the stages that it reads")
          }
        } else {
          let base = input.split(separator: ".").first.map(String.init) ?? input
          if input.contains("."), indexes[base] != nil {
            report("unknown-port", "the stage \"\(base)\" has no port \"\(input.dropFirst(base.count + 1))\"", span, draft.path + ".inputs", "write \"\(base)\" for its messages")
          } else {
            report("unknown-input", "there is no stage \"\(input)\"", span, draft.path + ".inputs", Nearest.remedy(for: input, among: names.filter { $0 != draft.name }, of: "stages"))
          }
        }
      }
      guard let spec = draft.spec else { continue }
      if spec.kind == .source, let inputs = draft.node.pair("inputs") {
        report("source-inputs", "\"\(draft.name)\" is a source (\(spec.name)) and reads nothing", inputs.keySpan, draft.path + ".inputs", "remove `inputs`, or choose a plugin that is no source")
      } else if spec.kind != .source, draft.node["inputs"] == nil {
        report("no-inputs", "\"\(draft.name)\" is a \(spec.kind.rawValue) (\(spec.name)) and needs inputs", draft.keySpan, draft.path, "add `inputs: [NAME]` with the stage that it reads")
      }
    }
    for draft in drafts where draft.spec != nil && draft.spec?.kind != .sink && !isRead.contains(draft.name) {
      report("unread", "nobody reads the messages of \"\(draft.name)\"", draft.keySpan, draft.path, "add a stage with `inputs: [\(draft.name)]`; the plugin `discard` throws them away")
    }
  }

  /// One report for each group of stages that lead back to themselves, with a path through it.
  private mutating func checkCycles() {
    let indexes = Dictionary(drafts.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    var state = [Int](repeating: 0, count: drafts.count)
    for start in drafts.indices where state[start] == 0 {
      // Depth first with a stack of our own: a chain may be thousands of stages long.
      var stack: [(stage: Int, next: Int)] = [(start, 0)]
      state[start] = 1
      while let top = stack.last {
        let inputs = drafts[top.stage].stage.inputs
        guard top.next < inputs.count else {
          state[top.stage] = 2
          stack.removeLast()
          continue
        }
        stack[stack.count - 1].next += 1
        guard let input = indexes[inputs[top.next]], input != top.stage else { continue }
        if state[input] == 0 {
          state[input] = 1
          stack.append((input, 0))
        } else if state[input] == 1, let first = stack.firstIndex(where: { $0.stage == input }) {
          // The stack walks against the flow, so the path is read backwards.
          let names = stack[first...].map { drafts[$0.stage].name }.reversed()
          let path = (Array(names) + [names.first ?? ""]).joined(separator: " -> ")
          let draft = drafts[top.stage]
          report(
            "cycle", "the stages form a cycle: \(path)", draft.inputSpans[inputs[top.next]] ?? draft.keySpan, draft.path + ".inputs",
            "a graph has no cycles; remove one of these inputs")
        }
      }
    }
  }

  private mutating func checkProcesses() {
    var all = 0
    for i in drafts.indices {
      let draft = drafts[i]
      let place = draft.node["processes"]?.span ?? draft.keySpan
      let capacity = draft.stage.queue?.capacity ?? 1
      switch draft.count {
      case .auto: drafts[i].stage.processes = draft.spec?.processes == .one ? 1 : max(1, min(surroundings.usableCPUs, draft.stage.queue == nil ? .max : capacity))
      case .number(let n):
        drafts[i].stage.processes = n
        if draft.spec?.processes == .one, n > 1 {
          report("one-process", "the plugin \"\(draft.stage.plugin)\" runs in one process", place, draft.path + ".processes", "remove `processes`")
          drafts[i].stage.processes = 1
        } else if draft.stage.queue != nil, n > capacity {
          report(
            "capacity-below-processes", "the queue takes \(capacity) messages, but \(n) processes read it", draft.node["queue"]?["capacity"]?.span ?? place,
            draft.path + ".queue.capacity", "raise `capacity` to at least \(n), or lower `processes`")
        }
      }
      all += drafts[i].stage.processes
    }
    if all > 4095, let stages = document.pair("stages") {
      report("too-many-processes", "the stages have \(all) processes", stages.keySpan, "stages", "a pipeline has at most 4095")
    }
  }

  /// Topological, otherwise in the order of the file; stages on a cycle come last.
  private func order() -> [Draft] {
    let indexes = Dictionary(drafts.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    var waiting = drafts.map { draft in Set(draft.stage.inputs.compactMap { indexes[$0] }.filter { drafts[$0].name != draft.name }).count }
    var readers = [[Int]](repeating: [], count: drafts.count)
    for (i, draft) in drafts.enumerated() {
      for input in Set(draft.stage.inputs.compactMap { indexes[$0] }) where input != i { readers[input].append(i) }
    }
    var ready = drafts.indices.filter { waiting[$0] == 0 }
    var ordered: [Draft] = []
    while !ready.isEmpty {
      var next: [Int] = []
      for i in ready {
        ordered.append(drafts[i])
        for reader in readers[i] {
          waiting[reader] -= 1
          if waiting[reader] == 0 { next.append(reader) }
        }
      }
      ready = next.sorted()
    }
    return ordered
  }

  // MARK: What the plan takes

  private mutating func checkMemory(_ plan: Plan, _ given: Int?) {
    let budget = given ?? surroundings.availableMemory / 2
    var needs: [(draft: Draft, bytes: Int)] = []
    for (i, stage) in plan.stages.enumerated() {
      guard let draft = drafts.first(where: { $0.name == stage.name }) else { continue }
      needs.append((draft, plan.reservedBytes(ofStage: i, surroundings)))
    }
    let total = needs.reduce(0) { $0.addingReportingOverflow($1.bytes).overflow ? Int.max : $0 + $1.bytes }
    guard total > budget, let largest = needs.max(by: { $0.bytes < $1.bytes }) else { return }
    let place = largest.draft.node["queue"]?["message"]?.span ?? largest.draft.node["queue"]?["capacity"]?.span ?? largest.draft.keySpan
    report(
      "memory-budget",
      "the queues reserve \(Quantity.describe(bytes: total)), but only \(Quantity.describe(bytes: budget)) "
        + (given == nil ? "(half of what is available) may be used" : "are allowed by `memory`"),
      place, largest.draft.path + ".queue",
      "\"\(largest.draft.name)\" reserves the most, \(Quantity.describe(bytes: largest.bytes)): lower its `capacity` or `message`"
        + (given == nil ? ", or allow more with `memory`" : ", or raise `memory`"))
  }

  private mutating func checkResources() {
    var writers: [String: Draft] = [:]
    var reads: [(draft: Draft, setting: String, path: String)] = []
    var listeners: [String: Draft] = [:]
    var single: [String: Draft] = [:]
    for draft in drafts {
      func place(_ setting: String) -> Span { draft.node["with"]?[setting]?.span ?? draft.keySpan }
      for resource in draft.stage.resources {
        switch resource {
        case .readsFiles(let pattern, let setting):
          let path = absolute(pattern)
          let found = surroundings.kind(path) != nil ? [path] : surroundings.glob(path)
          if found.isEmpty {
            report("missing-file", "there is no file \(JSON.string(pattern).compact)", place(setting), draft.path + ".with." + setting, "relative paths start from the pipeline file's folder, \(directory)")
          } else if found.count == 1, surroundings.kind(found[0]) == .directory {
            report("is-directory", "\(JSON.string(pattern).compact) is a folder", place(setting), draft.path + ".with." + setting, "name its files with a pattern such as \(pattern.hasSuffix("/") ? pattern : pattern + "/")*")
          }
          for path in found { reads.append((draft, setting, surroundings.canonical(path))) }
        case .writesFile(let path, let setting):
          let full = absolute(path)
          let folder = full.lastIndex(of: "/").map { $0 == full.startIndex ? "/" : String(full[..<$0]) } ?? directory
          if surroundings.kind(full) == .directory {
            report("is-directory", "\(JSON.string(path).compact) is a folder", place(setting), draft.path + ".with." + setting, "name a file in it")
            continue
          }
          if surroundings.kind(folder) != .directory {
            report("missing-directory", "there is no folder \(JSON.string(folder).compact) to write into", place(setting), draft.path + ".with." + setting, "make it first")
            continue
          }
          let name = surroundings.kind(full) == nil ? surroundings.canonical(folder) + "/" + (full.split(separator: "/").last.map(String.init) ?? "") : surroundings.canonical(full)
          if surroundings.kind(full) == .other { continue }
          if let other = writers[name] {
            report(
              "written-twice", "\"\(other.name)\" writes to this file too", place(setting), draft.path + ".with." + setting, "give each stage a file of its own, or let one stage read both inputs",
              notes: [(other.node["with"]?[setting]?.span ?? other.keySpan, "it is written here first")])
          } else {
            writers[name] = draft
          }
        case .listens(let address, let setting):
          if let other = listeners[address] {
            report("listens-twice", "\"\(other.name)\" listens on \(address) too", place(setting), draft.path + ".with." + setting, "choose another port")
          } else {
            listeners[address] = draft
          }
        case .standardInput, .standardOutput:
          let what = resource == .standardInput ? "standard input" : "standard output"
          if let other = single[what] {
            report("taken-twice", "\"\(other.name)\" uses \(what) too", draft.node["plugin"]?.span ?? draft.keySpan, draft.path + ".plugin", "only one stage can")
          } else {
            single[what] = draft
          }
        }
      }
    }
    for read in reads {
      if let writer = writers[read.path] {
        report(
          "read-and-written", "\"\(writer.name)\" writes this file while \"\(read.draft.name)\" reads it", read.draft.node["with"]?[read.setting]?.span ?? read.draft.keySpan,
          read.draft.path + ".with." + read.setting, "let it write another file")
      }
    }
  }

  private func absolute(_ path: String) -> String {
    path.hasPrefix("/") ? path : directory == "/" ? "/" + path : directory + "/" + path
  }

  private mutating func checkDescriptors(_ plan: Plan) {
    // The runner holds three for a worker, two for a stage, and a few of its own; a worker gets one for each of its rings.
    let needed = plan.stages.reduce(32) { $0 + 3 * $1.processes + 2 }
    guard needed > surroundings.descriptorLimit, let stages = document.pair("stages") else { return }
    report(
      "descriptor-limit", "the run needs \(needed) file descriptors, but only \(surroundings.descriptorLimit) are allowed", stages.keySpan, "stages",
      "raise the limit with `ulimit -n \(needed)`, or use fewer processes")
  }
}
