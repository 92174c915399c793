import Harness

/// Runs of pipelines in a folder of their own; what they report lies in it.
extension TemporaryFolder {
  /// Runs a pipeline to its end.
  func run(_ pipeline: String, environment: [String: String] = [:]) throws -> Ringway.Result {
    try run(file: try write("p.yaml", pipeline), environment: environment)
  }

  func run(file: String, environment: [String: String] = [:]) throws -> Ringway.Result {
    try Ringway.run(arguments(file), environment: environment)
  }

  func start(_ pipeline: String, _ more: String...) throws -> Running { try Running(arguments(try write("p.yaml", pipeline)) + more) }
  func start(file: String, _ more: String...) throws -> Running { try Running(arguments(file) + more) }

  private func arguments(_ file: String) -> [String] { ["run", file, "--progress", "off", "--report", path("report.json")] }

  var report: Report { get throws { try Report(path("report.json")) } }
}
