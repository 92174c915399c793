import Specs

extension Plan {
  /// For Graphviz (`dot -Tsvg`). Each queue stands at the head of the arrows into its stage.
  var dot: String {
    var out = "digraph \(Plan.dotQuoted(name)) {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n"
    out += "  label=\(Plan.dotQuoted(totals));\n"
    for (i, stage) in stages.enumerated() {
      let shape =
        switch stage.kind {
        case .source: "invhouse"
        case .transform: "box"
        case .sink: "house"
        }
      let lines = [stage.title, stage.plugin] + stage.restraints
      let label = "\"" + lines.map { Plan.dotQuoted($0).dropFirst().dropLast() }.joined(separator: "\\n") + "\""
      out += "  s\(i) [shape=\(shape), label=\(label)];\n"
    }
    for i in stages.indices {
      for writer in writers(to: i) { out += "  s\(writer) -> s\(i) [label=\(Plan.dotQuoted(arrowLabel(writer, i)))];\n" }
    }
    return out + "}\n"
  }

  /// A quoted string of the DOT language, in which a backslash begins an escape (escString).
  private static func dotQuoted(_ text: String) -> String {
    "\"" + oneLine(text).map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\""
  }
}

extension Stage {
  /// `detect x4`
  var title: String { processes == 1 ? name : "\(name) x\(processes)" }
}
