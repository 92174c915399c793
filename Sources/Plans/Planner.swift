package import Specs

/// Makes a plan of an expanded document and finds what no schema can say: names that lead nowhere, cycles, queues that
/// are too small, files that two stages write. Everything is reported at once, each thing where it is written, and the
/// consequences of a mistake are not reported beside it.
///
/// The document may be invalid in any way: what the schema refuses is passed over here.
package struct Planner {
  let document: Node
  let file: String
  let directory: String
  let catalog: [String: PluginSpec]
  let surroundings: Surroundings
  var diagnostics: [Diagnostic] = []
  /// What is to be asked of other programs.
  var inspections = Inspections()
  /// The stages that could be read, in the order of the file.
  var drafts: [Draft] = []
  /// How many more names may be compared in search of the one that was meant: a file of thousands of wrong names must
  /// not take minutes.
  private var comparisons = 100_000

  /// A stage on its way into the plan, with the places where its parts are written.
  struct Draft {
    var name: String
    var keySpan: Span
    var node: Node
    var spec: PluginSpec?
    var stage: Stage
    /// Where each input is named.
    var inputSpans: [String: Span] = [:]
    /// Ports that nobody needs to read.
    var ignore: [String] = []
    /// Whether its plugin's settings could be read, so that its ports are known.
    var hasSettings = false
    /// The setting by which its plugin answers several messages at once.
    var jointSetting: String?
    var count = StageKeys.Count.number(1)
    var path: String { "stages." + name }

    /// Where a key of the stage, or of a mapping in it, has its value; the stage's name when it has not.
    func place(_ keys: String...) -> Span {
      keys.reduce(Optional(node)) { $0?[$1] }?.span ?? keySpan
    }
  }

  /// - Parameters:
  ///   - document: expanded; its places are those of the file
  ///   - directory: the folder of the pipeline file, absolute
  ///   - catalog: every plugin that there is
  package static func plan(_ document: Node, file: String, directory: String, catalog: [PluginSpec], surroundings: Surroundings) -> Planning {
    var planner = Planner(document, file, directory, catalog, surroundings)
    let plan = planner.plan()
    return Planning(planner.diagnostics.contains { $0.severity == .error } ? nil : plan, planner.diagnostics, planner.inspections)
  }

  private init(_ document: Node, _ file: String, _ directory: String, _ catalog: [PluginSpec], _ surroundings: Surroundings) {
    self.document = document
    self.file = file
    self.directory = directory
    self.catalog = Dictionary(catalog.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    self.surroundings = surroundings
  }

  private mutating func plan() -> Plan {
    let top = read(PipelineKeys.group, document, document.span, "")
    checkShown(document.pair("name"), document.pair("description"))
    for pair in document["stages"]?.pairs ?? [] {
      if pair.value.pairs != nil {
        draft(pair)
      } else {
        report("wrong-value", "expected a mapping with `plugin`, found \(pair.value.described)", pair.value.span, "stages." + pair.key)
      }
    }
    let graph = connect()
    countProcesses()
    checkOrder()
    checkBatches()
    var plan = Plan(
      name: top.has("name") ? top[PipelineKeys.name] : Plan.oneLine(Self.stem(file)), description: top[PipelineKeys.description], file: file,
      directory: directory, stages: graph.order.map { drafts[$0].stage }, drain: top[PipelineKeys.drain])
    makeRoomForDeadLetters(&plan)
    plan.reserve(surroundings)
    checkQueueBytes(plan)
    checkDroppingQueues(plan)
    checkMemory(plan, top[PipelineKeys.memory])
    checkResources()
    checkDescriptors(plan)
    return plan
  }

  /// The file's name without folder and extension.
  private static func stem(_ file: String) -> String {
    let name = file.split(separator: "/").last.map(String.init) ?? file
    return name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
  }

  /// Names and descriptions are printed everywhere, so no secret may stand in them.
  private mutating func checkShown(_ pairs: Node.Pair?...) {
    for case let pair? in pairs where pair.value.isSecret {
      report(
        "secret-shown", "`\(pair.key)` is shown in reports and graphs, but holds a secret parameter", pair.value.span, pair.key,
        "leave the parameter out of it")
    }
  }

  mutating func report(
    _ code: String, _ message: String, _ span: Span, _ path: String, _ remedy: String? = nil,
    notes: [(span: Span, text: String)] = []
  ) {
    diagnostics.append(Diagnostic(code, message, at: span, remedy: remedy, path: path, notes: notes.filter { !$0.span.isNone }))
  }

  /// The nearest of the candidates; nil also when too much has been compared already.
  mutating func nearest(_ name: String, _ candidates: [String]) -> String? {
    comparisons -= candidates.count
    return comparisons < 0 ? nil : Nearest.name(to: name, among: candidates)
  }

  mutating func read(_ group: SettingGroup, _ node: Node?, _ place: Span, _ path: String) -> Given {
    let (given, found) = group.decodeLeniently(node, directory: directory, place: place, path: path)
    diagnostics += found
    return given
  }
}
