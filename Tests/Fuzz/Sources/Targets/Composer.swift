import Documents
import Plans
import Schemas
import Specs

/// The way of a pipeline file: text, nodes, expansion, schema, plan, as `Check` goes it.
///
/// Lines at the beginning of the form `#set PATH=VALUE` are `--set` on the command line.
enum Composer {
  static func take(_ bytes: [UInt8]) {
    let source = Source(name: "pipeline.yaml", bytes: bytes)
    let (document, diagnostics) = source.document()
    demand((document == nil) != diagnostics.isEmpty, "a document without a diagnostic, or both: \(diagnostics.map(\.code))")
    for diagnostic in diagnostics { check(diagnostic, bytes) }
    _ = source.render(diagnostics)
    guard let document else { return }
    check(document, bytes)
    checkText(document)
    let overrides = source.lines.prefix(3).filter { $0.hasPrefix("#set ") }.map { line in
      let pair = line.dropFirst(5).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (path: String(pair[0]), value: pair.count > 1 ? String(pair[1]) : "")
    }
    // Every other variable is set, so that both ways are gone.
    let expanded = Expansion.expand(document, overrides: overrides, catalog: Declared.plugins) { name in
      (name.utf8.first ?? 0) & 1 == 0 ? nil : "value of " + name
    }
    let found = expanded.attributed(schema.validate(expanded.node))
    let planning = Planner.plan(
      expanded.node, file: "pipeline.yaml", directory: "/here", catalog: Declared.plugins, surroundings: Declared.surroundings)
    demand((planning.plan == nil) == planning.diagnostics.contains { $0.severity == .error }, "no plan without an error, or both")
    let all = expanded.diagnostics + found + expanded.attributed(planning.diagnostics)
    for diagnostic in all {
      check(diagnostic, bytes)
      demand(!diagnostic.message.isEmpty, "a diagnostic without a message: \(diagnostic.code)")
      _ = diagnostic.json(file: "pipeline.yaml").compact
      _ = diagnostic.github(file: "pipeline.yaml")
    }
    _ = source.masked(expanded.secrets.masked).render(all)
    guard let plan = planning.plan else { return }
    for drawing in Drawing.allCases { _ = plan.drawn(as: drawing) }
  }

  private static let schema = Schema.trusted(PipelineSchema.json(catalog: Declared.plugins))

  // MARK: What must hold

  private static func check(_ diagnostic: Diagnostic, _ bytes: [UInt8]) {
    check(diagnostic.span, bytes, diagnostic.code)
    for note in diagnostic.notes { check(note.span, bytes, diagnostic.code + "'s note") }
  }

  private static func check(_ span: Span, _ bytes: [UInt8], _ what: String) {
    if span.isNone { return }
    for mark in [span.start, span.end] {
      demand(mark.line >= 1 && mark.column >= 1 && 0...bytes.count ~= mark.offset, "\(what) lies outside of the text: \(mark)")
    }
    demand(span.start <= span.end, "\(what) ends before it begins: \(span)")
  }

  private static func check(_ document: Node, _ bytes: [UInt8]) {
    var nodes = [document]
    while let node = nodes.popLast() {
      check(node.span, bytes, node.described)
      nodes += node.items ?? node.pairs?.map(\.value) ?? []
    }
  }

  /// What was read can be written as JSON and read again. Aliases may nest deeper than JSON text may.
  private static func checkText(_ document: Node) {
    let text = JSON(document).compact
    let (again, diagnostics) = JSONText.parse(Array(text.utf8))
    guard let again else { return demand(diagnostics.contains { $0.message.hasPrefix("nested deeper") }, "its JSON cannot be read: \(text)") }
    demand(JSON(again).compact == text, "its JSON reads differently: \(text)")
  }
}
