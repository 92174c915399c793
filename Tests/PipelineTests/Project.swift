import Harness

/// A folder with a pipeline of some stages, and `stages.py` with the Python code of those that are given as `{PY:name"}`.
struct Project {
  let folder: TemporaryFolder
  let file: String

  init(_ stages: String, python: String = "") throws {
    folder = try TemporaryFolder()
    _ = try folder.write("stages.py", python)
    let text = stages.replacing("PY:", with: "plugin: python, with: {python: /usr/bin/python3, callable: \"stages:")
    file = try folder.write("p.yaml", "ringway: 1\nstages:\n" + text.split(separator: "\n").map { "  \($0)\n" }.joined())
  }

  func run(_ arguments: [String] = [], input: String? = nil, deadline: Double = 300) throws -> Ringway.Result {
    try Ringway.run(["run", file, "--progress", "off", "--report", folder.path("report.json")] + arguments, input: input, deadline: deadline)
  }

  func validate() throws -> Ringway.Result { try Ringway.run(["validate", file]) }
  var report: Report { get throws { try folder.report } }
}
