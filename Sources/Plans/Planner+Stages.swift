import Specs

extension Planner {
  /// Reads one stage from its declaration and its plugin's.
  mutating func draft(_ pair: Node.Pair) {
    let node = pair.value
    let path = "stages." + pair.key
    var group = StageKeys.group
    group.title = "the stage \"\(pair.key)\""
    let given = read(group, node, pair.keySpan, path)
    let spec = plugin(node, path)
    var draft = Draft(
      name: pair.key, keySpan: pair.keySpan, node: node, spec: spec,
      stage: Stage(name: pair.key, plugin: node["plugin"]?.string ?? "", kind: spec.map { Self.kind($0, node) } ?? .transform))
    draft.stage.library = spec?.library
    readInputs(&draft)
    readQueue(&draft, given)
    readPartition(&draft, given)
    draft.count = given[StageKeys.processes]
    let restart = read(RestartKeys.group, given[StageKeys.restart], pair.keySpan, path + ".restart")
    draft.stage.restart = RestartLimits(
      max: restart[RestartKeys.max], within: restart[RestartKeys.within], backoff: restart[RestartKeys.backoff])
    let onError = read(ErrorKeys.group, given[StageKeys.onError], pair.keySpan, path + ".on_error")
    draft.stage.onError = ErrorPolicy(
      retries: onError[ErrorKeys.retries], deaths: onError[ErrorKeys.deaths], then: onError[ErrorKeys.then] ?? .stop,
      maxDeadLetters: onError[ErrorKeys.maxDeadLetters])
    draft.ignore = given[StageKeys.ignore]
    draft.stage.timeout = given[StageKeys.timeout]
    let limits = read(LimitKeys.group, given[StageKeys.limits], pair.keySpan, path + ".limits")
    draft.stage.limits = ProcessLimits(
      memoryBytes: limits[LimitKeys.memory], files: limits[LimitKeys.files], cpuSeconds: limits[LimitKeys.cpu].map(Self.wholeSeconds))
    draft.stage.nice = given[StageKeys.nice]
    draft.stage.affinity = given[StageKeys.affinity]
    draft.stage.startupTimeout = given[StageKeys.startupTimeout]
    draft.stage.rate = given[StageKeys.rate]
    draft.stage.isOrdered = given[StageKeys.order] == .input
    readBatch(&draft, given)
    draft.stage.environment = given[StageKeys.environment].sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    draft.stage.directory = workingDirectory(draft, given)
    readSettings(&draft)
    drafts.append(draft)
  }

  /// Rounded up.
  private static func wholeSeconds(_ duration: Duration) -> Int {
    let (seconds, attoseconds) = duration.components
    return Int(clamping: seconds) + (attoseconds > 0 ? 1 : 0)
  }

  private mutating func plugin(_ node: Node, _ path: String) -> PluginSpec? {
    guard let value = node["plugin"], let name = value.string else { return nil }
    if let spec = catalog[name] { return spec }
    report(
      "unknown-plugin", "there is no plugin \(shown(value, name))", value.span, path + ".plugin",
      Nearest.remedy(for: name, among: catalog.keys.sorted(), of: "plugins"))
    return nil
  }

  /// What a stage is before it is known who reads it.
  private static func kind(_ spec: PluginSpec, _ node: Node) -> PluginSpec.Kind {
    if spec.kinds.count == 1 { return spec.kinds[0] }
    if spec.kinds.contains(.source), node["inputs"] == nil { return .source }
    return spec.kinds.first { $0 != .source } ?? .source
  }

  private mutating func readInputs(_ draft: inout Draft) {
    // One name without its brackets is the schema's to report; here it counts as meant.
    let items = draft.node["inputs"].map { $0.items ?? [$0] } ?? []
    for (i, item) in items.enumerated() {
      guard let name = item.string else { continue }
      if let first = draft.inputSpans[name] {
        report(
          "input-twice", "the input \(shown(item, name)) is named twice", item.span, draft.path + ".inputs[\(i)]",
          "remove one of the two", notes: [(first, "it is named here first")])
        continue
      }
      draft.inputSpans[name] = item.span
      draft.stage.inputs.append(name)
    }
  }

  private mutating func readQueue(_ draft: inout Draft, _ given: Given) {
    if draft.spec != nil, draft.stage.kind == .source {
      guard let queue = draft.node.pair("queue") else { return }
      report(
        "source-queue", "a source has no queue", queue.keySpan, draft.path + ".queue",
        "put `queue` under the stage that reads \"\(draft.name)\"")
    } else {
      let queue = read(QueueKeys.group, given[StageKeys.queue], draft.keySpan, draft.path + ".queue")
      draft.stage.queue = Queue(capacity: queue[QueueKeys.capacity], messageBytes: queue[QueueKeys.message], bytes: queue[QueueKeys.bytes], whenFull: queue[QueueKeys.whenFull])
    }
  }

  private mutating func readBatch(_ draft: inout Draft, _ given: Given) {
    guard let node = given[StageKeys.batch] else { return }
    let path = draft.path + ".batch"
    let (batch, found) = BatchKeys.group.decode(node, directory: directory, place: draft.node.pair("batch")?.keySpan ?? draft.keySpan, path: path)
    // What is wrong is reported, and what can be read is read.
    diagnostics += found
    guard let batch else { return }
    let (seconds, attoseconds) = batch[BatchKeys.within].map(\.components) ?? (0, 0)
    let nanoseconds = UInt64(clamping: seconds).multipliedReportingOverflow(by: 1_000_000_000)
    draft.stage.batch = Batch(
      count: batch[BatchKeys.count], bytes: batch[BatchKeys.bytes],
      within: nanoseconds.overflow ? .max / 4 : nanoseconds.partialValue &+ UInt64(clamping: attoseconds / 1_000_000_000))
  }

  /// A plugin that takes several messages in one call has a setting for how many: the stage's `batch` is that, and more.
  private mutating func addBatch(to draft: inout Draft) {
    guard let batch = draft.stage.batch, Self.takesSeveral(draft) else { return }
    if let given = draft.stage.settings.pair(Self.batchSetting) {
      report(
        "batch-twice", "how large a batch is stands under the stage's `batch` too", given.keySpan, draft.path + ".with.batch", "remove one of the two",
        notes: [(draft.place("batch"), "it is said here")])
      return
    }
    draft.stage.settings = .mapping((draft.stage.settings.pairs ?? []) + [Node.Pair(key: Self.batchSetting, value: Node(.integer(batch.count)))])
  }

  private static let batchSetting = "batch"

  /// Whether the plugin takes several messages in one call.
  static func takesSeveral(_ draft: Draft) -> Bool { draft.spec?.settings.contains { $0.name == batchSetting } ?? false }

  private mutating func workingDirectory(_ draft: Draft, _ given: Given) -> String? {
    guard let folder = given[StageKeys.directory] else { return nil }
    let resolved = given.resolve(folder)
    if surroundings.kind(resolved) != .directory, let value = draft.node["directory"] {
      report(
        "missing-directory", "there is no folder \(shown(value, folder))", value.span, draft.path + ".directory", fromHere(folder))
    }
    return resolved
  }

  private mutating func readSettings(_ draft: inout Draft) {
    let with = draft.node.pair("with")
    // An empty `with:` is no settings.
    draft.stage.settings = with.flatMap { $0.value.isNull ? nil : $0.value } ?? .mapping([])
    guard let spec = draft.spec else { return }
    addBatch(to: &draft)
    let path = draft.path + ".with"
    let given = draft.stage.settings.pairs?.isEmpty == false ? draft.stage.settings : with?.value
    let (settings, found) = spec.decode(given, directory: directory, place: with?.keySpan ?? draft.keySpan, path: path)
    diagnostics += found
    guard let settings else { return }
    draft.stage.resources = spec.resources(settings)
    draft.stage.launch = spec.launch(settings).flatMap { launch in
      program(launch.program, draft).map { Launch(program: $0, arguments: launch.arguments, isInert: launch.isInert) }
    }
    draft.stage.ports = spec.ports.names(settings)
    draft.hasSettings = true
    draft.jointSetting = spec.joins(settings)
    draft.stage.lasting = spec.lasting(draft.stage.settings)
    for problem in spec.check(settings) {
      let isOfTheStage = problem.setting == Self.batchSetting && draft.stage.batch != nil
      report(
        "plugin-setting", problem.message, isOfTheStage ? draft.place("batch") : draft.place("with", problem.setting),
        (isOfTheStage ? draft.path : path) + "." + problem.setting, problem.remedy)
    }
  }

  /// A text of the file in quotes, unless it is a secret.
  func shown(_ node: Node?, _ text: String) -> String { node?.isSecret == true ? "with a secret name" : JSON.string(text).compact }

  /// Where a relative path starts from; nothing to say of an absolute one.
  func fromHere(_ path: String) -> String? {
    path.hasPrefix("/") ? nil : "relative paths start from the pipeline file's folder, \(directory)"
  }
}
