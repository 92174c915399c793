import ArgumentParser
import Plans
import Specs
import Supervision

/// How a plan is run and what is told of it: the options that `run` and `replay` share.
struct RunSettings: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("Writes what happened as JSON, also of a run that is refused.", valueName: "file")) var report: String?
  @Option(name: .long, help: ArgumentHelp("Live progress: auto, plain, json or off.", valueName: "kind")) var progress = ProgressKind.auto
  @Option(
    name: .long, help: ArgumentHelp("Keeps the run in this folder, so that the same command goes on after a kill of everything.", valueName: "folder"),
    completion: .directory)
  var state: String?
  @Option(
    name: .long,
    help: ArgumentHelp("What of --state reaches the disk: end (all of it and the files written, when the run ends) or none.", valueName: "when"))
  var sync: RunOptions.Sync?

  func validate() throws {
    if sync != nil, state == nil { throw ValidationError("--sync says what of a state reaches the disk: name its folder with --state") }
  }

  /// Says in the report that a pipeline file was refused, so that nobody takes that of an earlier run for this one's.
  func reportRefusal(of file: String, _ code: Specs.ExitCode, _ cause: String) {
    guard let report else { return }
    let name = file.split(separator: "/").last.map { $0.split(separator: ".").first.map(String.init) ?? String($0) } ?? file
    do throws(ReportFile.Refusal) { try ReportFile.write(.refused(name, code, cause), withoutPlanTo: report) } catch { Output.say("ringway: \(error.text)\n") }
  }

  /// Runs a plan to its end, and ends the command with the run's code.
  func run(_ plan: Plan, _ common: CommonOptions, chaos: Chaos? = nil, prestarted: PrestartedWorkers? = nil) throws {
    var reportFile: ReportFile?
    if let report {
      do throws(ReportFile.Refusal) { reportFile = try ReportFile(report, for: plan) } catch {
        Output.say("ringway: \(error.text)\n")
        throw error.code.end
      }
    }
    let screen = Screen(plan, progress, common)
    var options = RunOptions(tick: screen.tick, ringStart: Commands.ringStart, state: state, sync: sync ?? .end)
    options.chaos = chaos
    Output.boundLog()
    let result = Supervision.run(plan, options: options, prestarted: prestarted, observer: screen)
    var refusal: ReportFile.Refusal?
    if let reportFile {
      do throws(ReportFile.Refusal) { try reportFile.write(result) } catch { refusal = error }
    }
    // Last, since it waits for its reader.
    Output.letLogWait()
    screen.finish(result)
    if let refusal {
      Output.say("ringway: \(refusal.text)\n")
      if result.code == .success { throw refusal.code.end }
    }
    if result.code != .success { throw result.code.end }
  }
}

extension RunOptions.Sync: ExpressibleByArgument {}

enum ProgressKind: String, ExpressibleByArgument, CaseIterable { case auto, plain, json, off }
