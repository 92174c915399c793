import Specs

extension Plan {
  /// For Markdown that draws Mermaid. Each queue stands on the arrows into its stage.
  var mermaid: String {
    var out = "flowchart LR\n"
    for (i, stage) in stages.enumerated() {
      let lines = [stage.title, stage.plugin] + stage.restraints
      let label = "\"\(lines.map(Plan.mermaidEscaped).joined(separator: "<br>"))\""
      switch stage.kind {
      case .source: out += "  s\(i)[/\(label)/]\n"
      case .transform: out += "  s\(i)[\(label)]\n"
      case .sink: out += "  s\(i)[\\\(label)\\]\n"
      }
    }
    for i in stages.indices {
      for writer in writers(to: i) { out += "  s\(writer) -->|\"\(Plan.mermaidEscaped(arrowLabel(writer, i)))\"| s\(i)\n" }
    }
    return out + "  %% \(Plan.oneLine(name)): \(totals)\n"
  }

  /// Mermaid's entity codes: a number sign, a name or number, a semicolon.
  private static func mermaidEscaped(_ text: String) -> String {
    oneLine(text).map { c in
      switch c {
      case "\"": "#quot;"
      case "#": "#35;"
      case "<": "#lt;"
      case ">": "#gt;"
      default: String(c)
      }
    }.joined()
  }
}
