import Foundation
import Harness

/// A folder with a pipeline of some stages, and `stages.py` with the Python code of those that are given as `{PY:name"}`.
struct Project {
  let folder: TemporaryFolder
  let file: String

  /// - Parameter memory: more than any machine has where there are many large queues: what is reserved and not written takes none
  init(_ stages: String, python: String = "", memory: String? = nil) throws {
    folder = try TemporaryFolder()
    _ = try folder.write("stages.py", python)
    let text = stages.replacing("PY:", with: "plugin: python, with: {python: /usr/bin/python3, callable: \"stages:")
    file = try folder.write("p.yaml", "ringway: 1\n" + (memory.map { "memory: \($0)\n" } ?? "") + "stages:\n" + text.split(separator: "\n").map { "  \($0)\n" }.joined())
  }

  func run(_ arguments: [String] = [], input: String? = nil, deadline: Double = 300) throws -> Ringway.Result {
    try Ringway.run(command + arguments, input: input, deadline: deadline)
  }

  func start(_ arguments: [String] = []) throws -> Running { try Running(command + arguments) }

  private var command: [String] { ["run", file, "--progress", "off", "--report", folder.path("report.json")] }

  func validate() throws -> Ringway.Result { try Ringway.run(["validate", file]) }
  var report: Report { get throws { try folder.report } }

  /// The lines of a file, each a JSON object: dead letters, say.
  func objects(_ name: String) throws -> [[String: Any]] {
    try folder.lines(name).map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] ?? [:] }
  }
}
