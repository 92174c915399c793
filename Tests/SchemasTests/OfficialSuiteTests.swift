import Schemas
import Specs
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// The tests that the makers of JSON Schema wrote, draft 2020-12, the required part.
@Suite struct OfficialSuiteTests {
  static let folder = Corpus.folder("json-schema-test-suite")

  private static let skipped: Comment = "RINGWAY_CORPORA names no folder that holds json-schema-test-suite: the official tests are skipped"

  private static func remotes(_ folder: String) throws -> [String: Node] {
    try Corpus.documents(under: folder + "/remotes").reduce(into: [String: Node]()) { all, file in
      all["http://localhost:1234/" + file.name] = file.node
    }
  }

  @Test(.enabled(if: folder != nil, skipped)) func everyRequiredTestPasses() throws {
    let folder = try #require(Self.folder)
    let remotes = try Self.remotes(folder)
    #expect(remotes.count == 28)
    var ran = 0
    for file in try Corpus.documents(under: folder + "/tests/draft2020-12") {
      for group in try #require(file.node.items) {
        let title = "\(file.name): \(group["description"]?.string ?? "")"
        let (schema, problems) = Schema.compile(try #require(group["schema"]), registry: remotes)
        #expect(problems.isEmpty, "\(title): \(problems)")
        for test in try #require(group["tests"]?.items) {
          ran += 1
          let instance = try #require(test["data"])
          let name = "\(title): \(test["description"]?.string ?? "")"
          guard let schema, let expected = test["valid"]?.boolean else {
            Issue.record("\(name): not run")
            continue
          }
          #expect(schema.isValid(instance) == expected, "\(name)")
          #expect(schema.validate(instance).isEmpty == expected, "\(name), with diagnostics")
        }
      }
    }
    #expect(ran == 1299)
  }

  /// Deciding stops at the first problem and collecting does not: on every schema, with values meant for all the others,
  /// they must come to the same answer, and each problem must have words.
  @Test(.enabled(if: folder != nil, skipped)) func decidingAndCollectingAgree() throws {
    let folder = try #require(Self.folder)
    let remotes = try Self.remotes(folder)
    let groups = try Corpus.documents(under: folder + "/tests/draft2020-12").flatMap { $0.node.items ?? [] }
    let instances = groups.flatMap { $0["tests"]?.items ?? [] }.compactMap { $0["data"] }
    var compared = 0
    for (i, group) in groups.enumerated() {
      guard let document = group["schema"], let schema = Schema.compile(document, registry: remotes).schema else { continue }
      for (j, instance) in instances.enumerated() where (i + j) % 8 == 0 {
        let found = schema.validate(instance)
        #expect(found.isEmpty == schema.isValid(instance), "\(JSON(document).compact) with \(JSON(instance).compact)")
        #expect(found.allSatisfy { !$0.message.isEmpty && !$0.span.isNone }, "\(JSON(document).compact) with \(JSON(instance).compact)")
        compared += 1
      }
    }
    #expect(compared > 60_000)
  }
}

/// Files of the folder that the environment variable RINGWAY_CORPORA names.
enum Corpus {
  static func folder(_ name: String) -> String? {
    guard let root = getenv("RINGWAY_CORPORA").map({ String(cString: $0) }) else { return nil }
    let folder = root + "/" + name
    return access(folder, R_OK) == 0 ? folder : nil
  }

  /// Every JSON document under a folder, by its path from there, in order of name.
  static func documents(under folder: String) throws -> [(name: String, node: Node)] {
    try files(under: folder, "").sorted().map { name in
      let (node, problems) = JSONText.parse(try bytes(of: folder + "/" + name))
      return (name, try #require(node, "\(name): \(problems)"))
    }
  }

  private static func files(under folder: String, _ prefix: String) throws -> [String] {
    let directory = try #require(opendir(folder), "\(folder) cannot be read")
    defer { closedir(directory) }
    var all: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasPrefix(".") { continue }
      if name.hasSuffix(".json") {
        all.append(prefix + name)
      } else if entry.pointee.d_type == UInt8(DT_DIR) {
        all += try files(under: folder + "/" + name, prefix + name + "/")
      }
    }
    return all
  }

  private static func bytes(of path: String) throws -> [UInt8] {
    let file = try #require(fopen(path, "r"), "\(path) cannot be read")
    defer { fclose(file) }
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = fread(&chunk, 1, chunk.count, file)
      if count == 0 { return all }
      all += chunk[..<count]
    }
  }
}
