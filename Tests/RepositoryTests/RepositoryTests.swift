import Commands
import Foundation
import Harness
import Testing

/// What the repository shows is true: files that are generated are fresh, examples are valid, and the README's commands run.
@Suite struct RepositoryTests {
  private func text(_ path: String) throws -> String {
    try String(contentsOf: Ringway.repository.appendingPathComponent(path), encoding: .utf8)
  }

  /// The fenced blocks of a language in a Markdown text.
  private func blocks(_ language: String, in text: String) -> [String] {
    var all: [String] = []
    var open: (language: String, lines: [String])?
    for line in text.components(separatedBy: "\n") {
      if line.hasPrefix("```") {
        if let block = open {
          if block.language == language { all.append(block.lines.joined(separator: "\n") + "\n") }
          open = nil
        } else {
          open = (String(line.dropFirst(3)), [])
        }
      } else {
        open?.lines.append(line)
      }
    }
    return all
  }

  @Test func theSchemaIsFresh() throws {
    #expect(try text("schemas/pipeline.schema.json") == Commands.schemaText, "schemas/pipeline.schema.json is stale: run `make schema`")
  }

  @Test func everyPipelineIsValid() throws {
    let folder = Ringway.repository.appendingPathComponent("pipelines")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".yaml") }
    #expect(files.count >= 3)
    for file in files {
      let result = try Ringway.run(["validate", folder.appendingPathComponent(file).path])
      #expect(result.status == 0, "\(result.errors)")
      #expect(try text("pipelines/\(file)").hasPrefix("# yaml-language-server: $schema=../schemas/pipeline.schema.json\n"))
    }
    for name in ["blog", "images"] {
      #expect(try text("pipelines/\(name)/pipeline.yaml").hasPrefix("# yaml-language-server: $schema=../../schemas/pipeline.schema.json\n"))
    }
  }

  @Test func everyExampleOfAPluginIsValid() throws {
    let list = try Ringway.run(["plugins"]).output
    let names = list.split(separator: "\n").filter { $0.hasPrefix("  ") }.compactMap { $0.split(separator: " ").first.map(String.init) }
    #expect(names.count == 13)
    for name in names {
      let page = try Ringway.run(["plugins", name, "--markdown"]).output
      let example = try #require(blocks("yaml", in: page).first)
      let folder = try TemporaryFolder()
      let result = try Ringway.run(["validate", try folder.write("example.yaml", example)])
      #expect(result.status == 0, "\(name): \(result.errors)")
    }
  }

  @Test func everyYAMLInTheDocumentsIsValid() throws {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
      for block in blocks("yaml", in: try text(document)) {
        let folder = try TemporaryFolder()
        try writeModules(of: document, folder)
        let result = try Ringway.run(["validate", try folder.write("block.yaml", block)])
        #expect(result.status == 0, "\(document): \(result.errors)")
      }
    }
  }

  /// Python blocks begin with the name of their file.
  private func writeModules(of document: String, _ folder: TemporaryFolder) throws {
    for block in blocks("python", in: try text(document)) {
      let name = try #require(block.split(separator: "\n").first).dropFirst(2)
      try folder.write(String(name), block)
    }
  }

  /// The README's Python functions, run.
  @Test func theReadmesFunctionsRun() throws {
    let folder = try TemporaryFolder()
    try writeModules(of: "README.md", folder)
    let pipeline = try #require(blocks("yaml", in: text("README.md")).first { $0.contains("plugin: python") })
    let result = try Ringway.run(["run", try folder.write("p.yaml", pipeline), "--progress", "off"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("bright.jsonl").count == (0..<1000).count { $0 * 7919 % 256 > 200 })
  }

  /// The README's session: its file, its three commands, its table, its mistake.
  @Test func theReadmeTellsWhatHappens() throws {
    let readme = try text("README.md")
    let folder = try TemporaryFolder()
    let pipeline = try #require(blocks("yaml", in: readme).first)
    try folder.write("digest.yaml", pipeline)
    let commands = readme.split(separator: "\n").filter { $0.hasPrefix("    .build/release/ringway ") }.map { $0.split(separator: " ").dropFirst().map(String.init) }
    #expect(commands.map(\.first) == ["validate", "graph", "run"])
    for command in commands {
      let result = try Ringway.run(command + (command.first == "run" ? ["--progress", "off"] : []), in: folder.url)
      #expect(result.status == 0, "\(result.errors)")
      if command.first == "run" {
        #expect(folder.lines("results.txt").count == 20_000)
        // The same rows and columns; the figures of time differ.
        let shown = try #require(blocks("", in: readme).first { $0.contains("waiting for room") }).split(separator: "\n")
        let found = result.errors.split(separator: "\n")
        #expect(found.count == shown.count)
        for (a, b) in zip(shown, found).prefix(4) {
          #expect(a.split(separator: " ").prefix(5).filter { $0 != "-" } == b.split(separator: " ").prefix(5).filter { $0 != "-" })
        }
      }
    }
    try folder.write("digest.yaml", pipeline.replacingOccurrences(of: "[numbers]", with: "numbers"))
    let broken = try Ringway.run(["validate", "digest.yaml"], in: folder.url)
    #expect(blocks("", in: readme).contains(broken.errors), "the README shows another message than:\n\(broken.errors)")
  }

  /// The README's dead letters, sent again, and its chaos.
  @Test func theReadmesReplayMendsAndItsChaosLosesNothing() throws {
    let readme = try text("README.md")
    let folder = try TemporaryFolder()
    try folder.write("digest.yaml", try #require(blocks("yaml", in: readme).first))
    try folder.write("numbers.yaml", try #require(blocks("yaml", in: readme).first { $0.contains("dead_letter") }))
    for line in try #require(blocks("sh", in: readme).first { $0.contains("replay") }).split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      if words[0] == "mv" {
        try FileManager.default.moveItem(atPath: folder.path(words[1]), toPath: folder.path(words[2]))
        continue
      }
      let result = try Ringway.run(Array(words.dropFirst()) + ["--progress", "off"], in: folder.url)
      #expect(result.status == 0, "\(line): \(result.errors)")
    }
    #expect(folder.lines("numbers.txt") == (0..<100).map(String.init))
    #expect(folder.lines("results.txt").count == 20_000)
  }

  /// The README's commands with a state directory, on the README's file.
  @Test func theReadmesStateGoesOn() throws {
    let readme = try text("README.md")
    let folder = try TemporaryFolder()
    try folder.write("digest.yaml", try #require(blocks("yaml", in: readme).first))
    let block = try #require(blocks("sh", in: readme).first { $0.contains("--state") })
    let results = try block.split(separator: "\n").map { line in
      try Ringway.run(line.split(separator: " ").dropFirst().map(String.init), in: folder.url)
    }
    #expect(results.count == 3 && results.allSatisfy { $0.status == 0 }, "\(results.map(\.errors))")
    #expect(results[1].output.contains("finished") && results[1].output.contains("sound"), "\(results[1].output)")
    #expect(results[2].errors.contains("nothing is left to do"), "\(results[2].errors)")
    #expect(folder.lines("results.txt").count == 20_000)
  }

  /// Tests/faults.md names a test for every fault, or says why there is none; the tests that it names exist.
  @Test func everyFaultHasItsTestOrItsReason() throws {
    let document = try text("Tests/faults.md")
    let tests = Ringway.repository.appendingPathComponent("Tests")
    let walk = try #require(FileManager.default.enumerator(at: tests, includingPropertiesForKeys: nil))
    let sources = try walk.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }.map { try String(contentsOf: $0, encoding: .utf8) }
    let rows = document.matches(of: /(?m)^\| (\d+) \| (.+) \| (.+) \| (.+) \|$/)
    #expect(rows.compactMap { Int($0.1) } == Array(1...66) + Array(84...87))
    for row in rows {
      let named = row.4.matches(of: /`(\w+)\/(\w+)`/)
      #expect(!named.isEmpty || row.4.hasPrefix("No test: "), "row \(row.1) has neither a test nor a reason")
      for test in named {
        let isThere = sources.contains { $0.contains("struct \(test.1) {") && $0.contains("func \(test.2)(") }
        #expect(isThere, "row \(row.1): there is no test \(test.0)")
      }
    }
  }

  @Test func makeListsItsTasks() throws {
    let make = try Running(["-s", "help"], in: Ringway.repository, executable: URL(fileURLWithPath: "/usr/bin/make"))
    let tasks = try make.finish().output
    for task in ["setup", "build", "run", "test", "check", "install"] { #expect(tasks.contains(task)) }
  }

  /// What `make install` lays down works away from this folder: the program, its Python side, the header and the Swift package.
  @Test func whatIsInstalledRuns() throws {
    let folder = try TemporaryFolder()
    let built = Ringway.binary.deletingLastPathComponent().path
    let make = try Running(
      ["-s", "-o", "build", "install", "PREFIX=\(folder.path("usr"))", "BUILT=\(built)"], in: Ringway.repository, executable: URL(fileURLWithPath: "/usr/bin/make"))
    let installed = try make.finish()
    try #require(installed.status == 0, "\(installed.output)\(installed.errors)")
    let program = URL(fileURLWithPath: folder.path("usr/bin/ringway"))
    func run(_ arguments: String...) throws -> Ringway.Result { try Running(arguments, in: folder.url, executable: program).finish() }
    for template in ["python", "native-c", "native-swift"] {
      let made = try run("init", template, "--template", template)
      #expect(made.status == 0, "\(made.errors)")
    }
    let result = try run("run", "python/pipeline.yaml", "--progress", "off")
    #expect(result.status == 0 && folder.lines("python/results.jsonl").count == 100, "\(result.errors)")
    let header = try String(contentsOfFile: folder.path("usr/include/ringway_plugin.h"), encoding: .utf8)
    #expect(try header == String(contentsOfFile: folder.path("native-c/ringway_plugin.h"), encoding: .utf8))
    let package = try String(contentsOfFile: folder.path("native-swift/Package.swift"), encoding: .utf8)
    #expect(package.contains("\"\(folder.path("usr/lib/ringway/swift"))\""), "\(package)")
    let described = try Running(
      ["swift", "package", "describe", "--package-path", folder.path("usr/lib/ringway/swift"), "--scratch-path", folder.path("scratch")],
      executable: URL(fileURLWithPath: "/usr/bin/env")).finish()
    #expect(described.status == 0 && described.output.contains("PluginExport"), "\(described.errors)")
  }

  /// An import that a room does not declare, Foundation in Sources, a C library in a second room.
  @Test func roomsImportWhatTheyMay() throws {
    let sources = Ringway.repository.appendingPathComponent("Sources")
    var importers: [String: Set<String>] = [:]
    let walk = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
    for case let file as URL in walk where file.pathExtension == "swift" {
      let room = String(file.path.dropFirst(sources.path.count + 1).prefix { $0 != "/" })
      for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
        let words = line.split(separator: " ").map(String.init).filter { !["public", "package", "internal", "@_exported", "@testable"].contains($0) }
        guard words.first == "import", words.count == 2, !line.hasPrefix(" ") else { continue }
        importers[words[1], default: []].insert(room)
      }
    }
    #expect(importers["Foundation"] == nil)
    #expect(importers["Glibc"] == ["Platform"])
    let libraries = ["CLinux": "Platform", "CYAML": "Documents", "CPCRE2": "Schemas", "CCurl": "Curl", "CJQ": "Filters", "CCrypto": "Plugins"]
    for (library, room) in libraries { #expect(importers[library] == [room], "\(library)") }
    #expect(importers["ArgumentParser"] == ["Commands"])
    #expect(importers["Supervision"] == ["Commands"] && importers["Stages"] == ["Commands", "WorkerABI", "bench"])
  }
}
