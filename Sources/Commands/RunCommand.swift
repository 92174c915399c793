import ArgumentParser
import Plans
import Specs
import Supervision

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Checks a pipeline file and runs it to its end.",
    discussion: """
      Ctrl-C or SIGTERM stops the sources and finishes what is under way (exit 0); a second one
      stops at once (exit 75). At the end one table says what happened, and one sentence which
      stage set the pace.

      Examples:
        ringway run frames.yaml
        ringway run frames.yaml --set count=50 --set stages.detect.processes=4
        ringway run frames.yaml --report report.json --progress off
      """)

  @Argument(help: "The pipeline file.", completion: .file(extensions: ["yaml", "yml", "json"])) var file: String
  @OptionGroup var overrides: OverrideOptions
  @Option(name: .long, help: ArgumentHelp("Writes what happened as JSON.", valueName: "file")) var report: String?
  @Option(name: .long, help: ArgumentHelp("Live progress: auto, plain, json or off.", valueName: "kind")) var progress = ProgressKind.auto
  @OptionGroup var common: CommonOptions

  func run() throws {
    let plan = try Check.plan(file, overrides)
    var reportFile: ReportFile?
    if let report {
      do throws(ReportFile.Refusal) { reportFile = try ReportFile(report, for: plan) } catch {
        Output.say("ringway: \(error.text)\n")
        throw error.code.end
      }
    }
    let screen = Screen(plan, progress, common)
    let result = Supervision.run(plan, options: RunOptions(tick: screen.tick, ringStart: Commands.ringStart), observer: screen)
    screen.finish(result)
    if let reportFile {
      do throws(ReportFile.Refusal) { try reportFile.write(result) } catch {
        Output.say("ringway: \(error.text)\n")
        if result.code == .success { throw error.code.end }
      }
    }
    if result.code != .success { throw result.code.end }
  }
}

enum ProgressKind: String, ExpressibleByArgument, CaseIterable { case auto, plain, json, off }
