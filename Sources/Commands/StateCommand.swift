import ArgumentParser
import Platform
import Specs
import Supervision

struct StateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "state", abstract: "Shows what a state directory holds, and verifies it. Nothing is changed.",
    discussion: """
      Exit 0 when it is sound, 70 when a file of it is damaged, 78 when the folder is no state.

      Examples:
        ringway run frames.yaml --state frames.state
        ringway state frames.state
        ringway state frames.state --format json
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable { case text, json }

  @Argument(help: "The state directory.", completion: .directory) var directory: String
  @Option(name: .long, help: ArgumentHelp("text or json.", valueName: "format")) var format = Format.text
  @OptionGroup var common: CommonOptions

  func run() throws {
    let report: StateReport
    do throws(StartFailure) { report = try StateReport(reading: directory) } catch {
      Output.say("ringway: \(error.text)\n")
      throw error.code.end
    }
    Output.answer(format == .json ? report.json.pretty + "\n" : text(report))
    if report.isSound { return }
    for fault in report.faults { Output.say("ringway: \(fault)\n") }
    throw Specs.ExitCode.invariantBroken.end
  }

  private func text(_ report: StateReport) -> String {
    if report.standing == .incomplete, !report.isSound { return "\(report.directory): damaged\n" }
    if report.standing == .incomplete { return "\(report.directory): its making was interrupted; `ringway run` with it begins anew\n" }
    var lines = ["\(report.directory): the pipeline \(report.pipeline) of \(report.file), \(standing(report))"]
    if report.created > 0 { lines.append("begun \(Machine.describe(timeOfDay: report.created))\(resumes(report.resumes))") }
    if !report.stages.isEmpty { lines.append(Table.state(report).trimmed) }
    for name in report.strangers { lines.append("\(name) is no part of the state") }
    if report.isSound { lines.append(report.isRunning ? "its files are in order, as far as can be told while it runs" : "sound") }
    return lines.joined(separator: "\n") + "\n"
  }

  private func standing(_ report: StateReport) -> String {
    if !report.isSound { return "damaged" }
    switch report.standing {
    case .running(.process(let pid)): return "used by process \(pid)"
    case .running: return "used by a process outside of this PID namespace"
    case .finished: return "finished \(Machine.describe(timeOfDay: report.ended))"
    case .incomplete: return "incomplete"
    case .resumable:
      if report.phase == "running" { return "interrupted; the same command goes on with it" }
      return "\(report.phase) \(Machine.describe(timeOfDay: report.ended)) (exit \(report.code)); the same command goes on with it"
    }
  }

  private func resumes(_ count: Int) -> String {
    switch count {
    case 0: ""
    case 1: ", resumed once"
    default: ", resumed \(count) times"
    }
  }
}

extension StateReport {
  fileprivate var isRunning: Bool { if case .running = standing { true } else { false } }
}

extension String {
  /// Without the newline at its end.
  fileprivate var trimmed: String { hasSuffix("\n") ? String(dropLast()) : self }
}
