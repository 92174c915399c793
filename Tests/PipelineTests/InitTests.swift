import Foundation
import Harness
import Testing

/// What `ringway init` writes runs as it is.
@Suite struct InitTests {
  private func make(_ template: String, _ folder: TemporaryFolder) throws -> String {
    let made = try Ringway.run(["init", folder.path("new/project"), "--template", template])
    #expect(made.status == 0 && made.output.contains("new/project/pipeline.yaml\n"), "\(made.errors)")
    let again = try Ringway.run(["init", folder.path("new/project"), "--template", template])
    #expect(again.status == 73 && again.errors.contains("nothing is overwritten"), "\(again.errors)")
    return folder.path("new/project")
  }

  @Test func python() throws {
    let folder = try TemporaryFolder()
    let project = try make("python", folder)
    let result = try Ringway.run(["run", project + "/pipeline.yaml", "--set", "count=10", "--progress", "off"])
    #expect(result.status == 0, "\(result.errors)")
    let lines = folder.lines("new/project/results.jsonl")
    #expect(lines.sorted() == (0..<10).map { "{\"number\":\($0),\"light\":\($0 * 8)}" }.sorted())
  }

  @Test func exec() throws {
    let folder = try TemporaryFolder()
    let project = try make("exec", folder)
    let result = try Ringway.run(["run", project + "/pipeline.yaml", "--progress", "off"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("new/project/results.txt").sorted() == (1...100).map { "number \($0)" }.sorted())
  }

  @Test func nativeC() throws {
    let folder = try TemporaryFolder()
    let project = try make("native-c", folder)
    let header = try String(contentsOf: Ringway.repository.appendingPathComponent("Sources/CRingwayPlugin/ringway_plugin.h"), encoding: .utf8)
    #expect(try String(contentsOfFile: project + "/ringway_plugin.h", encoding: .utf8) == header)
    let build = try Running(["-s", "-C", project, "CC=cc -Werror"], executable: URL(fileURLWithPath: "/usr/bin/make")).finish()
    #expect(build.status == 0, "\(build.errors)")
    let result = try Ringway.run(["run", project + "/pipeline.yaml", "--progress", "off"])
    #expect(result.status == 0 && folder.lines("new/project/results.txt").contains("#inClude <stdliB.h>"), "\(result.errors)")
  }

  @Test func nativeSwift() throws {
    let folder = try TemporaryFolder()
    let project = try make("native-swift", folder)
    try NativeTests.buildSwift(project, ["-c", "release"])
    let result = try Ringway.run(["run", project + "/pipeline.yaml", "--progress", "off"])
    #expect(result.status == 0, "\(result.errors)")
    let lines = folder.lines("new/project/results.txt")
    #expect(lines.count == 200 && lines.allSatisfy { $0.hasPrefix("{\"N\":") }, "\(lines.prefix(3))")
  }

  @Test func http() throws {
    let folder = try TemporaryFolder()
    let project = try make("http", folder)
    let (inPort, outPort) = (try Receiver.freePort(), try Receiver.freePort())
    let receiver = try Running(["run", project + "/receiver.yaml", "-q", "--set", "port=\(outPort)", "--set", "limit=5"])
    let pipeline = try Running(
      ["run", project + "/pipeline.yaml", "-q", "--set", "port=\(inPort)", "--set", "limit=6", "--set", "url=http://127.0.0.1:\(outPort)/results"])
    // A bad request does not stop it.
    try folder.write("bad.txt", "no JSON\n")
    for source in ["file.read, with: {path: bad.txt}", "generate, with: {count: 5}"] {
      let sender = try folder.write("send.yaml", """
        ringway: 1
        stages:
          numbers: {plugin: \(source)}
          send: {plugin: http.post, inputs: [numbers], with: {url: "http://127.0.0.1:\(inPort)/in"}}
        """)
      let sent = try Ringway.run(["run", sender, "-q"])
      #expect(sent.status == 0, "\(sent.errors)")
    }
    let (ended, received) = (try pipeline.finish(), try receiver.finish())
    #expect(ended.status == 0 && received.status == 0, "\(ended.errors) \(received.errors)")
    let lines = received.output.split(separator: "\n")
    #expect(lines.count == 5 && lines.allSatisfy { $0.hasSuffix("\"seen\":true}") }, "\(received.output)")
    let letters = folder.lines("new/project/rejected.jsonl")
    #expect(letters.count == 1 && letters[0].contains("the message is not JSON"), "\(letters)")
  }
}
