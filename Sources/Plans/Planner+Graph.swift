import Specs

extension Planner {
  /// Joins the stages by their inputs and reports what does not fit together.
  mutating func connect() -> StageGraph {
    let indexes = Dictionary(drafts.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    /// Stages too that could not be read: naming them is no mistake.
    let names = (document["stages"]?.pairs ?? []).map(\.key)
    let known = Set(names)
    var isRead = [Bool](repeating: false, count: drafts.count)
    /// Stages with an input that leads nowhere: what follows from that is not reported.
    var isBroken = isRead
    for (i, draft) in drafts.enumerated() {
      for (k, input) in draft.stage.inputs.enumerated() {
        let span = draft.inputSpans[input] ?? draft.keySpan
        let path = draft.path + ".inputs[\(k)]"
        if let other = indexes[input] {
          isRead[other] = true
          if other == i {
            report("cycle", "the stage \"\(input)\" reads itself: \(input) -> \(input)", span, path, "name the stage that comes before it")
          } else if isSink(drafts[other]) {
            let inputs = drafts[other].stage.inputs.joined(separator: ", ")
            report(
              "sink-read", "\"\(input)\" is a sink (\(drafts[other].stage.plugin)) and hands nothing on", span, path,
              inputs.isEmpty ? nil : "read what it reads: \(inputs)")
          }
        } else {
          isBroken[i] = true
          if !known.contains(input) { reportUnknown(input, span, path, draft, names, &isRead, indexes) }
        }
      }
      checkInputs(draft)
    }
    for i in drafts.indices where !isRead[i] && drafts[i].spec?.kinds.count ?? 1 > 1 && drafts[i].stage.kind == .transform {
      if drafts[i].spec?.kinds.contains(.sink) == true { drafts[i].stage.kind = .sink }
    }
    for (draft, isRead) in zip(drafts, isRead) where !isRead && draft.spec != nil && !isSink(draft) {
      report(
        "unread", "nobody reads the messages of \"\(draft.name)\"", draft.keySpan, draft.path,
        "add a stage with `inputs: [\(draft.name)]`; the plugin `discard` throws them away")
    }
    let graph = StageGraph(writers: drafts.map { $0.stage.inputs.compactMap { indexes[$0] } })
    reportCycles(graph)
    reportUnreachable(graph, isBroken)
    return graph
  }

  private func isSink(_ draft: Draft) -> Bool { draft.spec != nil && draft.stage.kind == .sink }

  private mutating func reportUnknown(
    _ input: String, _ span: Span, _ path: String, _ draft: Draft, _ names: [String], _ isRead: inout [Bool], _ indexes: [String: Int]
  ) {
    let item = draft.node["inputs"]?.items?.first { $0.string == input }
    let base = String(input.prefix { $0 != "." })
    if base != input, let other = indexes[base] {
      isRead[other] = true
      let isSink = isSink(drafts[other])
      report(
        "unknown-port", "the stage \"\(base)\" has no port \(shown(item, String(input.dropFirst(base.count + 1))))", span, path,
        isSink ? "it is a sink and hands nothing on" : "write \"\(base)\" for its messages")
      return
    }
    let others = names.filter { $0 != draft.name }
    let near = nearest(input, others)
    // A slip of the fingers is one mistake: the stage that was meant does not go unread.
    if let meant = near.flatMap({ indexes[$0] }) { isRead[meant] = true }
    report(
      "unknown-input", "there is no stage \(shown(item, input))", span, path,
      near.map { "did you mean \"\($0)\"?" } ?? Self.list(others, of: "stages"))
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
