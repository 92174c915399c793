import Foundation
import Harness
import Testing

/// `--report` destroys nothing: neither what is no regular file, nor what the run reads, writes or is made from.
@Suite struct ReportFileTests {
  private static let text = """
    ringway: 1
    stages:
      lines: {plugin: file.read, with: {path: "in*.txt"}}
      results: {plugin: file.write, inputs: [lines], with: {path: out.txt}}
    """

  private func folder() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try folder.write("p.yaml", Self.text)
    try folder.write("in1.txt", "one\n")
    return folder
  }

  private func type(_ path: String) -> FileAttributeType? {
    (try? FileManager.default.attributesOfItem(atPath: path))?[.type] as? FileAttributeType
  }

  @Test func aPipeIsWrittenInto() throws {
    let folder = try folder()
    #expect(mkfifo(folder.path("pipe"), 0o600) == 0)
    let reader = try FileHandle(forUpdating: URL(fileURLWithPath: folder.path("pipe")))
    let result = try Ringway.run(["run", folder.path("p.yaml"), "--progress", "off", "--report", folder.path("pipe")])
    #expect(result.status == 0, "\(result.errors)")
    // lstat(2) says what it is: a report in its place would be a regular file.
    try #require(type(folder.path("pipe")) == .typeUnknown)
    #expect(String(decoding: reader.availableData, as: UTF8.self).contains("\"outcome\": \"finished\""))
  }

  @Test func aPipeThatNobodyReadsIsAnError() throws {
    let folder = try folder()
    #expect(mkfifo(folder.path("pipe"), 0o600) == 0)
    let result = try Ringway.run(["run", folder.path("p.yaml"), "--progress", "off", "--report", folder.path("pipe")])
    #expect(result.status == 73 && result.errors.contains("(nobody reads this pipe)"), "\(result.errors)")
    #expect(type(folder.path("pipe")) == .typeUnknown)
  }

  @Test func aLinkStaysALinkAndItsFileIsReplaced() throws {
    let folder = try folder()
    try FileManager.default.createDirectory(atPath: folder.path("there"), withIntermediateDirectories: false)
    for name in ["new.json", "old.json"] {
      if name == "old.json" { try folder.write("there/old.json", "old") }
      try FileManager.default.createSymbolicLink(atPath: folder.path("link-" + name), withDestinationPath: "there/" + name)
      let result = try Ringway.run(["run", folder.path("p.yaml"), "--progress", "off", "--report", "link-" + name], in: folder.url)
      #expect(result.status == 0, "\(result.errors)")
      #expect(type(folder.path("link-" + name)) == .typeSymbolicLink)
      #expect(try Report(folder.path("there/" + name)).outcome == "finished")
    }
  }

  /// What a shell has opened already is written on with, not begun anew.
  @Test func aDescriptorOfTheRunnersIsUsed() throws {
    let folder = try folder()
    let text = Self.text.replacingOccurrences(of: "file.write, inputs: [lines], with: {path: out.txt}", with: "stdout, inputs: [lines]")
    try folder.write("p.yaml", text)
    let result = try Ringway.run(["run", folder.path("p.yaml"), "--progress", "off", "--report", "/dev/fd/1"])
    #expect(result.status == 0 && result.output.hasPrefix("one\n{\n"), "\(result.output) \(result.errors)")
  }

  @Test(arguments: [
    ("p.yaml", "is the pipeline file"), ("./hard.yaml", "is the pipeline file"), ("out.txt", "stage \"results\" writes"), ("to-out", "stage \"results\" writes"),
    ("in1.txt", "stage \"lines\" reads"), ("../in-link", "stage \"lines\" reads"),
  ]) func whatTheRunUsesIsRefused(name: String, use: String) throws {
    let folder = try folder()
    try FileManager.default.createDirectory(atPath: folder.path("sub"), withIntermediateDirectories: false)
    try FileManager.default.linkItem(atPath: folder.path("p.yaml"), toPath: folder.path("hard.yaml"))
    try FileManager.default.createSymbolicLink(atPath: folder.path("to-out"), withDestinationPath: "sub/../out.txt")
    try FileManager.default.createSymbolicLink(atPath: folder.path("in-link"), withDestinationPath: "in1.txt")
    let directory = name.hasPrefix("../") ? folder.url.appendingPathComponent("sub") : folder.url
    let result = try Ringway.run(["run", folder.path("p.yaml"), "--progress", "off", "--report", name], in: directory)
    #expect(result.status == 64 && result.errors == "ringway: the report would replace \(name), which \(use): name another file with --report\n", "\(result.errors)")
    #expect(try String(contentsOfFile: folder.path("p.yaml"), encoding: .utf8) == Self.text && folder.lines("in1.txt") == ["one"])
    #expect(!FileManager.default.fileExists(atPath: folder.path("out.txt")), "the run did not begin")
  }

  /// A refused run has a report too, so that nobody takes that of the last one for it.
  @Test func aRunThatIsRefusedReplacesTheReportOfTheLastOne() throws {
    let folder = try folder()
    func run(_ file: String, _ report: String) throws -> Ringway.Result {
      try Ringway.run(["run", folder.path(file), "--progress", "off", "--report", folder.path(report)])
    }
    #expect(try run("p.yaml", "report.json").status == 0)
    try folder.write("p.yaml", Self.text.replacingOccurrences(of: "in*.txt", with: "none.txt"))
    for name in ["report.json", "new.json"] {
      let result = try run("p.yaml", name)
      #expect(result.status == 78, "\(result.errors)")
      let report = try Report(folder.path(name))
      #expect(report.outcome == "failed" && report.json["exit_code"] as? Int == 78)
      #expect((report.json["cause"] as? String)?.hasPrefix("1 error in ") ?? false, "\(report.json)")
    }
    #expect(try run("none.yaml", "report.json").status == 66)
    #expect(try Report(folder.path("report.json")).json["exit_code"] as? Int == 66)
    // What is no report is somebody's.
    for name in ["in1.txt", "p.yaml"] {
      let result = try run("p.yaml", name)
      #expect(result.status == 78 && result.errors.contains("\(name) is left as it is: it holds no report of a run"), "\(result.errors)")
    }
    #expect(folder.lines("in1.txt") == ["one"] && folder.lines("p.yaml").first == "ringway: 1")
  }

  /// Nor is it left when the run is refused later, where its memory is made.
  @Test func aRunThatCannotBeginHasAReport() throws {
    let folder = try folder()
    try folder.write("report.json", "{}")
    let file = try folder.write("p.yaml", Self.text)
    let running = try Running(
      ["-c", "ulimit -f 100; exec env --default-signal=XFSZ '\(Ringway.binary.path)' run '\(file)' --progress off --report '\(folder.path("report.json"))'"],
      executable: URL(fileURLWithPath: "/bin/bash"))
    #expect(try running.finish().status == 71, "\(running.errors)")
    #expect(try Report(folder.path("report.json")).json["exit_code"] as? Int == 71)
  }
}
