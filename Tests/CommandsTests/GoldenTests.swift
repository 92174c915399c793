import Foundation
import Harness
import Testing

/// Every folder under Golden is a case: its files, the command, and what comes of it in `stdout`, `stderr` and `status`.
/// `RECORD_SNAPSHOTS=1` writes these anew and fails, so that nobody records without reading the difference.
@Suite struct GoldenTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")
  static let cases: [String] = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
  static let isRecording = ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] == "1"
  /// What the program must not find in the environment by accident.
  static let environment = ["NO_COLOR": "1", "COLUMNS": "100"]

  @Test(arguments: cases) func answersAsRecorded(name: String) throws {
    let source = Self.folder.appendingPathComponent(name)
    let result = try run(name)
    let found = ["stdout": result.output, "stderr": result.errors, "status": "\(result.status)\n"]
    for (file, text) in found {
      let golden = source.appendingPathComponent(file)
      let expected = try? String(contentsOf: golden, encoding: .utf8)
      if Self.isRecording, expected != text { try text.write(to: golden, atomically: true, encoding: .utf8) }
      #expect(expected == text, "\(name)/\(file) differs")
    }
    if Self.isRecording { Issue.record("recorded \(name); read the difference") }
  }

  /// What `validate` refuses, `run` refuses in the same words, and starts nothing.
  @Test(arguments: cases.filter { $0.hasPrefix("broken-") }) func runSaysWhatValidateSays(name: String) throws {
    let validated = try run(name)
    let ran = try run(name) { $0 == "validate" ? "run" : $0 }
    #expect(ran.errors == validated.errors && ran.status == validated.status && ran.output == validated.output)
    #expect(validated.status == 78)
  }

  @Test func thereAreEnoughBrokenFiles() { #expect(Self.cases.count { $0.hasPrefix("broken-") } >= 60) }

  /// Runs a case in a copy of its folder. Where the copy lies does not show: its path becomes `<folder>`.
  private func run(_ name: String, change: (String) -> String = { $0 }) throws -> Ringway.Result {
    let source = Self.folder.appendingPathComponent(name)
    let copy = try TemporaryFolder()
    for file in try FileManager.default.contentsOfDirectory(atPath: source.path) where !["command", "stdout", "stderr", "status"].contains(file) {
      try FileManager.default.copyItem(at: source.appendingPathComponent(file), to: copy.url.appendingPathComponent(file))
    }
    let command = try String(contentsOf: source.appendingPathComponent("command"), encoding: .utf8)
    let words = command.split(whereSeparator: \.isWhitespace).map { change(String($0)) }
    var result = try Ringway.run(words, in: copy.url, environment: Self.environment)
    let real = copy.url.resolvingSymlinksInPath().path
    result.errors = result.errors.replacingOccurrences(of: real, with: "<folder>")
    result.output = result.output.replacingOccurrences(of: real, with: "<folder>")
    return result
  }
}
