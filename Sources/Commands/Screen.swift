import Platform
import Plans
import Specs
import Supervision

/// What a run shows: log lines as they come, the progress while it runs, the table when it has ended.
final class Screen: RunObserver {
  private let kind: ProgressKind
  private let common: CommonOptions
  private let isLive: Bool
  private let usesColor: Bool
  private var shownLines = 0
  private var last: (seconds: Double, report: RunReport)?
  private var standstill: Standstill

  init(_ plan: Plan, _ kind: ProgressKind, _ common: CommonOptions) {
    let isTerminal = Machine.isTerminal(2)
    self.kind = kind == .auto ? (common.quiet ? .off : .plain) : kind
    self.common = common
    standstill = Standstill(plan)
    isLive = kind == .auto && isTerminal && !common.quiet
    usesColor = Output.usesColor(2)
  }

  /// How often progress is shown; nil for never.
  var tick: Duration? {
    if isLive { return .milliseconds(250) }
    return kind == .off ? nil : .seconds(3)
  }

  // MARK: Lines

  func heard(_ line: RunLine) {
    if common.quiet, line.origin == .plugin { return }
    erase()
    if common.logFormat == .json {
      let json: JSON = [
        "origin": .string(line.origin.rawValue), "stage": line.stage.map(JSON.string) ?? .null,
        "process": line.process.map(JSON.integer) ?? .null, "text": .string(line.text),
      ]
      Output.say(json.compact + "\n")
    } else {
      let process = line.process.map { "[\($0)]" } ?? ""
      let name = line.stage.map { "\($0)\(process)" } ?? "ringway"
      let mark = line.origin == .runner ? "*" : "|"
      Output.say(color("36", name) + " \(mark) \(line.text)\n")
    }
  }

  func progressed(_ report: RunReport) {
    let told = standstill.look(report)
    if isLive {
      erase()
      // A line that the terminal breaks could not be taken off again.
      let width = max(1, Machine.columns(2) - 1)
      let text = told.reduce(into: Table.live(report, since: last?.report, over: report.seconds - (last?.seconds ?? 0), columns: Machine.columns(2))) { $0 += $1.prefix(width) + "\n" }
      shownLines = text.utf8.count { $0 == UInt8(ascii: "\n") }
      Output.say(text)
    } else if kind == .json {
      Output.say(report.json.compact + "\n")
    } else if kind == .plain {
      let parts = report.stages.map { stage in
        "\(stage.name) \(stage.kind == .sink ? stage.received : stage.emitted)" + (stage.queued.map { $0 > 0 ? " (\($0) queued)" : "" } ?? "")
      }
      Output.say("\(Quantity.fixed(report.seconds, 1)) s: " + parts.joined(separator: ", ") + told.map { "; " + $0 }.joined() + "\n")
    }
    last = (report.seconds, report)
  }

  func finish(_ report: RunReport) {
    erase()
    if common.logFormat == .json {
      Output.say(report.json.compact + "\n")
      return
    }
    if !common.quiet, !report.stages.isEmpty {
      Output.say(Table.final(report))
      if let seed = report.chaosSeed {
        let done = report.chaos
        Output.say("chaos: \(done.kills) kills, \(done.stops) stops, \(done.delays) delays (seed \(seed))\n")
      }
      if let bottleneck = report.bottleneck { Output.say(bottleneck.sentence + "\n") }
      for line in report.ledger where common.verbose || !line.balances { Output.say("ledger: \(line.text)\n") }
      if !common.verbose, !report.ledger.isEmpty, report.ledger.allSatisfy(\.balances) {
        let left = total(report.ledger.map(\.left))
        let dropped = total(report.ledger.map(\.dropped) + report.stages.filter { $0.kind == .source }.map(\.dropped))
        let letters = total(report.stages.map(\.deadLettered))
        Output.say("ledger: every queue balances, \(dropped) dropped, \(letters > 0 ? "\(letters) dead letters, " : "")\(left) left\n")
      }
    }
    let seconds = Quantity.fixed(report.seconds, 2) + " s"
    switch report.outcome {
    case "finished", "drained": if !common.quiet { Output.say(color("32", report.outcome) + " in \(seconds)\n") }
    default: Output.say(color("31", report.outcome) + " after \(seconds) (exit \(report.code.rawValue)): \(report.cause)\n")
    }
  }

  /// Counts that a worker which ran wild has written may be anything.
  private func total(_ counts: [Int]) -> Int {
    counts.reduce(0) { sum, count in
      let (next, overflow) = sum.addingReportingOverflow(count)
      return overflow ? Int.max : next
    }
  }

  private func color(_ code: String, _ text: String) -> String { usesColor ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text }

  /// Takes the live block off the terminal, so that something else can be written in its place.
  private func erase() {
    if shownLines > 0 { Output.say("\u{1b}[\(shownLines)A\u{1b}[J") }
    shownLines = 0
  }
}
