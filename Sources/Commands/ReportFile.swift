import Platform
import Plans
import Specs
import Supervision

/// Where `--report` goes. Looked at before the run, so that a run of hours does not end without its report, nor destroy with
/// it what it was made from or what it has made.
struct ReportFile {
  struct Refusal: Error {
    let code: ExitCode
    let text: String
  }

  /// As it was given.
  private let path: String
  private let destination: Destination

  init(_ path: String, for plan: Plan) throws(Refusal) {
    self.path = path
    destination = Destination(path)
    if case .file(let place) = destination, let use = Self.use(of: place, in: plan) {
      throw Refusal(code: .usage, text: "the report would replace \(path), which \(use): name another file with --report")
    }
    do throws(SystemError) { try destination.probe() } catch { throw refusal(error) }
  }

  func write(_ report: RunReport) throws(Refusal) {
    do throws(SystemError) { try destination.write(report.json.pretty + "\n") } catch { throw refusal(error) }
  }

  /// Writes the report of a pipeline file that was refused. There is no plan then to say what else a file is used for, so of files only one
  /// that is not there yet, or that holds a report, is written.
  static func write(_ report: RunReport, withoutPlanTo path: String) throws(Refusal) {
    let file = ReportFile(path: path, destination: Destination(path))
    if case .file(let place) = file.destination, Files.status(place) != nil, !holdsReport(place) {
      throw Refusal(code: .usage, text: "\(path) is left as it is: it holds no report of a run")
    }
    try file.write(report)
  }

  private init(path: String, destination: Destination) {
    self.path = path
    self.destination = destination
  }

  private static func holdsReport(_ place: String) -> Bool {
    guard let bytes = try? Files.readAll(place, limit: 64 << 20), let node = JSONText.parse(bytes).node else { return false }
    return ["pipeline", "outcome", "exit_code", "stages", "ledger"].allSatisfy { node[$0] != nil }
  }

  private func refusal(_ error: SystemError) -> Refusal {
    let remedy =
      switch error.errno {
      case 6: " (nobody reads this pipe)"  // ENXIO
      case 28, 122: " (free space on the disk: the run has ended without its report)"  // ENOSPC, EDQUOT
      default: ""
      }
    return Refusal(code: .cannotCreate, text: "the report cannot be written: \(error.call) \(path): \(error.reason)\(remedy)")
  }

  /// What else the run uses a file for. A pipe or a device may be shared, so only what would be replaced is asked about.
  private static func use(of place: String, in plan: Plan) -> String? {
    func isThis(_ other: String) -> Bool {
      if case .file(let other) = Destination(other) { Files.areSame(place, other) } else { false }
    }
    if isThis(plan.file) { return "is the pipeline file" }
    for stage in plan.stages {
      for resource in stage.resources {
        switch resource {
        case .writesFile(let path, _): if isThis(absolute(path, plan)) { return "stage \"\(stage.name)\" writes" }
        case .readsFiles(let pattern, _):
          let full = absolute(pattern, plan)
          let files = Files.status(full) != nil ? [full] : Files.glob(full)
          if files.contains(where: isThis) { return "stage \"\(stage.name)\" reads" }
        default: break
        }
      }
    }
    return nil
  }

  private static func absolute(_ path: String, _ plan: Plan) -> String { path.hasPrefix("/") ? path : plan.directory + "/" + path }
}
