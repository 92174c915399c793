import Specs

extension Plan {
  /// For a terminal: from each source down, a line for each stage. A stage with several inputs is drawn under the first
  /// of them and named under the others.
  ///
  ///     frames: Frames from a camera
  ///
  ///     stage           plugin     processes  queue         reserves
  ///     camera          generate           1
  ///     └── detect      hash               4  64 x 1 MiB    68.3 MiB
  ///         └── send    http.post          1  1024 x 1 MiB  1.1 GiB
  ///
  ///     3 stages, 6 processes, 1 component, 1.1 GiB reserved
  var tree: String {
    var text = Plan.oneLine(name) + (description.isEmpty ? "" : ": " + Plan.oneLine(description)) + "\n\n"
    for line in Plan.aligned(treeRows(), right: 2) { text += line + "\n" }
    return text + "\n" + totals + "\n"
  }

  /// Deeper stages begin again at the left, so that a long chain stays readable.
  private static let mostDepth = 16

  private struct Visit {
    var stage: Int
    var prefix = ""
    var branch = ""
    var depth = 0
    var isContinued = false
  }

  private func treeRows() -> [[String]] {
    var rows = [["stage", "plugin", "processes", "queue", "reserves", ""]]
    var drawn = Set<Int>()
    for component in components {
      if rows.count > 1, components.count > 1 { rows.append([]) }
      var later = component.filter { writers(to: $0).isEmpty }.map { Visit(stage: $0) }[...]
      while let root = later.popFirst() {
        var stack = [root]
        while let visit = stack.popLast() {
          let name = visit.prefix + visit.branch + stages[visit.stage].name
          if visit.isContinued {
            rows.append([name, "continued"])
          } else if !drawn.insert(visit.stage).inserted {
            rows.append([name, "(above)"])
            continue
          } else {
            rows.append(row(visit.stage, name))
          }
          let readers = readers(of: visit.stage)
          if visit.depth == Plan.mostDepth, !readers.isEmpty {
            rows[rows.count - 1][5] += (rows[rows.count - 1][5].isEmpty ? "" : "; ") + "continued below"
            later.append(Visit(stage: visit.stage, isContinued: true))
            continue
          }
          let below = visit.prefix + (visit.branch.isEmpty ? "" : visit.branch == "└── " ? "    " : "│   ")
          for (k, reader) in readers.enumerated().reversed() {
            stack.append(Visit(stage: reader, prefix: below, branch: k == readers.count - 1 ? "└── " : "├── ", depth: visit.depth + 1))
          }
        }
      }
    }
    return rows
  }

  private func row(_ i: Int, _ name: String) -> [String] {
    let stage = stages[i]
    var remarks: [String] = []
    let writers = writers(to: i)
    let names = writers.flatMap { writer in ports(from: writer, to: i).map { stages[writer].portName($0) } }
    if names.count > 1 { remarks.append("merges " + names.joined(separator: ", ")) } else if names != writers.map({ stages[$0].name }) { remarks.append("reads " + names.joined()) }
    let readers = readers(of: i, port: 0)
    if readers.count > 1 { remarks.append("each message to " + readers.map { stages[$0].name }.joined(separator: ", ")) }
    remarks += stage.restraints
    return [
      name, Plan.oneLine(stage.plugin), String(stage.processes), stage.queueDescribed ?? "",
      stage.queue.map { Quantity.describe(bytes: $0.reservedBytes) } ?? "", remarks.joined(separator: "; "),
    ]
  }

  /// Rows as lines with their columns below one another; one column is aligned on its right.
  private static func aligned(_ rows: [[String]], right: Int) -> [String] {
    var widths: [Int] = []
    for row in rows {
      for (i, cell) in row.enumerated() {
        if i == widths.count { widths.append(0) }
        widths[i] = max(widths[i], cell.unicodeScalars.count)
      }
    }
    return rows.map { row in
      var line = ""
      for (i, cell) in row.enumerated() {
        let pad = String(repeating: " ", count: widths[i] - cell.unicodeScalars.count)
        line += (i == 0 ? "" : "  ") + (i == right ? pad + cell : cell + pad)
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }
}
