import Specs

extension Planner {
  /// Joins the stages by their inputs and reports what does not fit together.
  mutating func connect() -> StageGraph {
    let indexes = Dictionary(drafts.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    /// Stages too that could not be read: naming them is no mistake.
    let names = (document["stages"]?.pairs ?? []).map(\.key)
    let known = Set(names)
    /// Whether anybody reads what a stage hands on; dead letters do not count.
    var isRead = [Bool](repeating: false, count: drafts.count)
    /// Which of its ports are read, by name.
    var portsRead = [Set<String>](repeating: [], count: drafts.count)
    /// Stages with an input that leads nowhere: what follows from that is not reported.
    var isBroken = isRead
    for (i, draft) in drafts.enumerated() {
      for (k, input) in draft.stage.inputs.enumerated() {
        let span = draft.inputSpans[input] ?? draft.keySpan
        let path = draft.path + ".inputs[\(k)]"
        let named = StageInput(input)
        if let other = indexes[named.stage], checkPort(named, input, other, span, path, &isRead, &portsRead) {
          if other == i {
            report("cycle", "the stage \"\(input)\" reads itself: \(input) -> \(input)", span, path, "name the stage that comes before it")
          } else if named.port == nil, isSink(drafts[other]) {
            let inputs = drafts[other].stage.inputs.joined(separator: ", ")
            report(
              "sink-read", "\"\(input)\" is a sink (\(drafts[other].stage.plugin)) and hands nothing on", span, path,
              inputs.isEmpty ? nil : "read what it reads: \(inputs)")
          }
        } else {
          isBroken[i] = true
          if !known.contains(named.stage) { reportUnknown(input, span, path, draft, names, &isRead, indexes) }
        }
      }
      checkInputs(draft)
    }
    for i in drafts.indices where !isRead[i] && drafts[i].spec?.kinds.count ?? 1 > 1 && drafts[i].stage.kind == .transform {
      if drafts[i].spec?.kinds.contains(.sink) == true { drafts[i].stage.kind = .sink }
    }
    for i in drafts.indices { settleDeadLetters(i, isRead: portsRead[i].contains(PluginSpec.Ports.deadLetter)) }
    for (draft, ports) in zip(drafts, portsRead) { checkUnreadPorts(draft, ports) }
    for (draft, isRead) in zip(drafts, isRead) where !isRead && draft.spec?.ports.hasMain == true && !isSink(draft) {
      report(
        "unread", "nobody reads the messages of \"\(draft.name)\"", draft.keySpan, draft.path,
        "add a stage with `inputs: [\(draft.name)]`; the plugin `discard` throws them away")
    }
    let graph = StageGraph(writers: drafts.map { $0.stage.inputs.compactMap { indexes[StageInput($0).stage] } })
    reportCycles(graph)
    reportUnreachable(graph, isBroken)
    return graph
  }

  /// Notes that a port is read.
  ///
  /// - Returns: false when there is no such port, which is reported
  private mutating func checkPort(
    _ named: StageInput, _ input: String, _ other: Int, _ span: Span, _ path: String, _ isRead: inout [Bool], _ portsRead: inout [Set<String>]
  ) -> Bool {
    let draft = drafts[other]
    let ports = draft.stage.ports
    guard let port = named.port else {
      isRead[other] = true
      guard let spec = draft.spec, !spec.ports.hasMain else { return true }
      portsRead[other].formUnion(ports)
      report(
        "main-port", "\"\(draft.name)\" (\(spec.name)) hands on by its ports alone", span, path,
        ports.isEmpty ? nil : "name one of them: \(Self.named(draft.name, ports))")
      return false
    }
    if port == PluginSpec.Ports.deadLetter {
      portsRead[other].insert(port)
      return true
    }
    isRead[other] = true
    if ports.contains(port) {
      portsRead[other].insert(port)
      return true
    }
    // What its plugin would be, or its settings, is not known.
    guard draft.spec != nil, draft.hasSettings else { return false }
    let item = draft.node["inputs"]?.items?.first { $0.string == input }
    let near = nearest(port, ports + [PluginSpec.Ports.deadLetter])
    let isSink = isSink(draft)
    if let near { portsRead[other].insert(near) }
    report(
      "unknown-port", "the stage \"\(draft.name)\" has no port \(shown(item, port))", span, path,
      near.map { "did you mean \"\(draft.name).\($0)\"?" }
        ?? (!ports.isEmpty ? "its ports: \(Self.named(draft.name, ports))"
          : isSink ? "it is a sink and hands nothing on but `\(draft.name).dead_letter`" : "write \"\(draft.name)\" for its messages" + Self.orDeclared(port, draft.spec)))
    return false
  }

  /// How a plugin whose ports are a setting gets one.
  private static func orDeclared(_ port: String, _ spec: PluginSpec?) -> String {
    guard let setting = spec?.ports.setting, let declared = spec?.settings.first(where: { $0.name == setting }),
      declared.accepts(Node(.sequence([Node(.string(port))])))
    else { return "" }
    return ", or add `\(setting): [\(port)]` to its `with`"
  }

  private static func named(_ stage: String, _ ports: [String]) -> String {
    ports.prefix(12).map { "\(stage).\($0)" }.joined(separator: ", ") + (ports.count > 12 ? ", …" : "")
  }

  /// What is given up goes to who reads it, unless the file says otherwise.
  private mutating func settleDeadLetters(_ i: Int, isRead: Bool) {
    let draft = drafts[i]
    let port = "\(draft.name).\(PluginSpec.Ports.deadLetter)"
    let given = draft.node["on_error"]?["then"]?.string.flatMap(ErrorPolicy.Then.init(rawValue:))
    if isRead, given == nil { drafts[i].stage.onError.then = .deadLetter }
    if isRead, let given, given != .deadLetter {
      report(
        "dead-letters", "\"\(port)\" is read, but what is given up \(given == .stop ? "stops the run" : "is dropped")", draft.place("on_error", "then"),
        draft.path + ".on_error.then", "remove `then`, or the input")
    }
    if !isRead, given == .deadLetter {
      report(
        "dead-letters", "nobody reads \"\(port)\"", draft.place("on_error", "then"), draft.path + ".on_error.then",
        "add a stage with `inputs: [\(port)]`, a `file.write` say")
    }
    if drafts[i].stage.onError.maxDeadLetters != nil, drafts[i].stage.onError.then != .deadLetter {
      report(
        "dead-letters", "`max_dead_letters` counts dead letters, and \"\(draft.name)\" makes none", draft.place("on_error", "max_dead_letters"),
        draft.path + ".on_error.max_dead_letters", "add a stage with `inputs: [\(port)]`, or remove it")
    }
  }

  private mutating func checkUnreadPorts(_ draft: Draft, _ read: Set<String>) {
    guard draft.spec != nil, draft.hasSettings else { return }
    for (k, name) in draft.ignore.enumerated() where !draft.stage.ports.contains(name) {
      report(
        "unknown-port", "the stage \"\(draft.name)\" has no port \(shown(draft.node["ignore"]?.items?[k], name))", draft.node["ignore"]?.items?[k].span ?? draft.keySpan,
        draft.path + ".ignore[\(k)]", draft.stage.ports.isEmpty ? "remove `ignore`" : "its ports: \(draft.stage.ports.joined(separator: ", "))")
    }
    for port in draft.stage.ports where !read.contains(port) && !draft.ignore.contains(port) {
      let setting = draft.spec?.ports.setting ?? ""
      report(
        "unread", "nobody reads \"\(draft.name).\(port)\"", setting.isEmpty ? draft.keySpan : draft.place("with", setting), draft.path,
        "add a stage with `inputs: [\(draft.name).\(port)]`, or say `ignore: [\(port)]`")
    }
  }

  private func isSink(_ draft: Draft) -> Bool { draft.spec != nil && draft.stage.kind == .sink }

  private mutating func reportUnknown(
    _ input: String, _ span: Span, _ path: String, _ draft: Draft, _ names: [String], _ isRead: inout [Bool], _ indexes: [String: Int]
  ) {
    let item = draft.node["inputs"]?.items?.first { $0.string == input }
    let named = StageInput(input)
    let others = names.filter { $0 != draft.name }
    let near = nearest(named.stage, others)
    // A slip of the fingers is one mistake: the stage that was meant does not go unread.
    if let meant = near.flatMap({ indexes[$0] }) { isRead[meant] = true }
    report(
      "unknown-input", "there is no stage \(shown(item, named.stage))", span, path,
      near.map { "did you mean \"\($0)\(named.port.map { "." + $0 } ?? "")\"?" } ?? Self.list(others, of: "stages"))
  }

  /// What there is to choose from; nil when there is nothing.
  private static func list(_ names: [String], of what: String) -> String? {
    names.isEmpty ? nil : "\(what): \(names.prefix(12).joined(separator: ", "))" + (names.count > 12 ? ", … (\(names.count) in all)" : "")
  }

  private mutating func checkInputs(_ draft: Draft) {
    guard let spec = draft.spec else { return }
    if draft.stage.kind == .source, let inputs = draft.node.pair("inputs") {
      report(
        "source-inputs", "\"\(draft.name)\" is a source (\(spec.name)) and reads nothing", inputs.keySpan, draft.path + ".inputs",
        "remove `inputs`, or choose a plugin that is no source")
    } else if draft.stage.kind != .source, draft.node["inputs"] == nil {
      report(
        "no-inputs", "\"\(draft.name)\" is a \(draft.stage.kind.rawValue) (\(spec.name)) and needs inputs", draft.keySpan, draft.path,
        "add `inputs: [NAME]` with the stage that it reads")
    }
  }

  /// Each cycle once, at the input that closes it: that of its first stage in the file, which reads a later one.
  private mutating func reportCycles(_ graph: StageGraph) {
    for cycle in graph.cycles() {
      guard let first = cycle.first, let last = cycle.last else { continue }
      let names = (cycle + [first]).map { drafts[$0].name }
      // A path of hundreds of stages is cut in the middle; both ends say where it is.
      let shown = names.count > 16 ? names.prefix(12) + ["… \(names.count - 15) more …"] + names.suffix(3) : names[...]
      let draft = drafts[first]
      let input = drafts[last].name
      let place = draft.stage.inputs.firstIndex(of: input).map { "[\($0)]" } ?? ""
      report(
        "cycle", "the stages form a cycle: \(shown.joined(separator: " -> "))", draft.inputSpans[input] ?? draft.keySpan,
        draft.path + ".inputs" + place, "messages go one way; remove one of these inputs")
    }
  }

  /// Stages that read only from what no source leads to. Those of a cycle themselves have been reported.
  private mutating func reportUnreachable(_ graph: StageGraph, _ isBroken: [Bool]) {
    let cyclic = graph.cyclic
    if cyclic.isEmpty { return }
    let starts = drafts.indices.filter { i in
      let draft = drafts[i]
      // Where something else is wrong with the beginning, the end of the chain is not to blame.
      return draft.spec == nil || draft.stage.kind == .source || isBroken[i] || draft.stage.inputs.isEmpty || draft.stage.inputs == [draft.name]
    }
    let reached = graph.reached(from: starts)
    for (i, draft) in drafts.enumerated() where !reached.contains(i) && !cyclic.contains(i) {
      report(
        "unreachable", "no source leads to \"\(draft.name)\": it reads only from a cycle", draft.inputSpans[draft.stage.inputs.first ?? ""] ?? draft.keySpan,
        draft.path, "let it, or the stages before it, read a source")
    }
  }
}
