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
        ringway run frames.yaml --state frames.state

      With --state the queues are files of a folder, and after a kill -9 of everything the same
      command goes on as if nothing had happened; `ringway state` shows what is in the folder.
      """)

  @Argument(help: "The pipeline file.", completion: .file(extensions: ["yaml", "yml", "json"])) var file: String
  @OptionGroup var overrides: OverrideOptions
  @Option(name: .long, help: ArgumentHelp("Writes what happened as JSON.", valueName: "file")) var report: String?
  @Option(name: .long, help: ArgumentHelp("Live progress: auto, plain, json or off.", valueName: "kind")) var progress = ProgressKind.auto
  @Option(
    name: .long, help: ArgumentHelp("Keeps the run in this folder, so that the same command goes on after a kill of everything.", valueName: "folder"),
    completion: .directory)
  var state: String?
  @Option(
    name: .long,
    help: ArgumentHelp("What of --state reaches the disk: end (all of it and the files written, when the run ends) or none.", valueName: "when"))
  var sync: RunOptions.Sync?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if sync != nil, state == nil { throw ValidationError("--sync says what of a state reaches the disk: name its folder with --state") }
  }

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
    let result = Supervision.run(plan, options: RunOptions(tick: screen.tick, ringStart: Commands.ringStart, state: state, sync: sync ?? .end), observer: screen)
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

extension RunOptions.Sync: ExpressibleByArgument {}

enum ProgressKind: String, ExpressibleByArgument, CaseIterable { case auto, plain, json, off }
