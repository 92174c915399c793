import Specs
import Supervision

/// Numbers in columns.
enum Table {
  /// The table at the end of a run.
  static func final(_ report: RunReport) -> String {
    // Columns for what seldom happens are there when it has.
    let hasLetters = report.stages.contains { $0.deadLettered > 0 }
    let hasDrops = report.stages.contains { $0.queueDropped > 0 }
    let hasKeys = report.stages.contains { !$0.shares.isEmpty }
    let hasOrder = report.stages.contains { $0.waitingTurn != nil }
    let head =
      ["stage", "plugin", "processes", "in", "out", "errors"] + (hasLetters ? ["dead letters"] : []) + (hasDrops ? ["dropped when full"] : [])
      + (hasKeys ? ["skew"] : []) + ["restarts", "busy", "waiting for input", "waiting for room"] + (hasOrder ? ["waiting for turn"] : [])
    let rows = report.stages.map { stage -> [String] in
      let isSource = stage.kind == .source
      var row = [stage.name, stage.plugin, String(stage.processes), isSource ? "-" : String(stage.received), String(stage.emitted), String(stage.errors)]
      if hasLetters { row.append(String(stage.deadLettered)) }
      if hasDrops { row.append(isSource ? "-" : String(stage.queueDropped)) }
      if hasKeys { row.append(stage.skew.map { Quantity.fixed($0, 2) } ?? "-") }
      row += [String(stage.restarts), percent(stage.busy), percent(stage.waitingInput), stage.kind == .sink ? "-" : percent(stage.waitingRoom)]
      if hasOrder { row.append(stage.waitingTurn.map(percent) ?? "-") }
      return row
    }
    return layout([head] + rows, columns: 0)
  }

  /// The block that is redrawn while a run is under way; no line is wider than the terminal.
  static func live(_ report: RunReport, since last: RunReport?, over seconds: Double, columns: Int) -> String {
    let head = ["stage", "in", "out", "a second", "queue", "busy"]
    let rows = report.stages.enumerated().map { i, stage in
      let before = last.flatMap { i < $0.stages.count ? $0.stages[i].emitted : nil } ?? 0
      let rate = seconds > 0 ? Quantity.fixed((Double(stage.emitted) - Double(before)) / seconds, 0) : "-"
      let queue = stage.queued.flatMap { queued in stage.capacity.map { "\(queued)/\($0)" } } ?? "-"
      return [
        stage.name + (stage.processes > 1 ? " x\(stage.processes)" : ""), stage.kind == .source ? "-" : String(stage.received),
        String(stage.emitted), rate, queue, percent(stage.busy),
      ]
    }
    return layout([head] + rows, columns: columns)
  }

  /// What a state directory holds, a row for each stage.
  static func state(_ report: StateReport) -> String {
    let hasDrops = report.stages.contains { $0.queueDropped > 0 }
    let head = ["stage", "plugin", "processes", "in", "out", "dropped"] + (hasDrops ? ["dropped when full"] : []) + ["queue", "taken", "position"]
    let rows = report.stages.map { stage in
      let isSink = stage.kind == PluginSpec.Kind.sink.rawValue, isSource = stage.kind == PluginSpec.Kind.source.rawValue
      let out = isSink ? stage.delivered : stage.emitted
      var position = stage.committedLength.map { "\($0) bytes" } ?? "-"
      // The words of a position are the plugin's own; the first ones say most.
      if isSource { position = stage.positions.map { $0.prefix(2).map(String.init).joined(separator: ":") }.joined(separator: " ") + (stage.ended == true ? " (end)" : "") }
      var row = [stage.name, stage.plugin, String(stage.processes), isSource ? "-" : String(stage.received), String(out), String(stage.dropped)]
      if hasDrops { row.append(isSource ? "-" : String(stage.queueDropped)) }
      row += [stage.queued.flatMap { queued in stage.capacity.map { "\(queued)/\($0)" } } ?? "-", stage.leased.map(String.init) ?? "-", position]
      return row
    }
    return layout([head] + rows, columns: 0)
  }

  private static func percent(_ value: Double) -> String { Quantity.fixed(value * 100, 0) + " %" }

  /// The first column to the left, the others to the right; two spaces in between.
  private static func layout(_ rows: [[String]], columns: Int) -> String {
    guard let count = rows.first?.count else { return "" }
    let widths = (0..<count).map { column in rows.map { $0[column].count }.max() ?? 0 }
    let isText = (0..<count).map { column in rows.dropFirst().allSatisfy { !($0[column].first?.isNumber ?? false) && $0[column] != "-" } }
    var out = ""
    for row in rows {
      var line = ""
      for (column, cell) in row.enumerated() {
        let space = String(repeating: " ", count: widths[column] - cell.count)
        line += (column == 0 ? "" : "  ") + (isText[column] ? cell + space : space + cell)
      }
      while line.last == " " { line.removeLast() }
      out += (columns > 0 ? String(line.prefix(max(1, columns - 1))) : line) + "\n"
    }
    return out
  }
}
