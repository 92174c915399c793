import Schemas
import Specs
import Testing

@testable import Plans

struct SchemaTests {
  private static let json = PipelineSchema.json(catalog: Declared.plugins)

  private func problems(_ text: String) throws -> [String] {
    Schema.trusted(Self.json).validate(try yaml(text)).map { "\($0.span.start.line):\($0.span.start.column) \($0.code): \($0.message)" + ($0.remedy.map { "; \($0)" } ?? "") }
  }

  @Test func aSmallCatalogsSchema() {
    let catalog = Declared.plugins.filter { ["numbers", "add"].contains($0.name) }
    let text = PipelineSchema.json(catalog: catalog).pretty
    #expect(text == SchemaGolden.text)
  }

  // MARK: The subset that draft-07 editors know

  private static let known: Set<String> = [
    "$schema", "$defs", "$ref", "title", "description", "default", "examples", "enumDescriptions", "x-expected", "x-secret", "type",
    "properties", "required", "additionalProperties", "propertyNames", "minProperties", "items", "minItems", "enum", "const", "pattern",
    "minLength", "minimum", "maximum", "allOf", "anyOf", "if", "then", "else",
  ]

  @Test func onlyKeywordsOfDraft7AreUsed() throws {
    let root = try #require(JSONText.parse(Array(Self.json.compact.utf8)).node)
    var count = 0
    func visit(_ schema: Node, _ path: String) {
      guard let pairs = schema.pairs else { return }
      count += 1
      for pair in pairs {
        let here = path + "/" + pair.key
        #expect(Self.known.contains(pair.key), "\(here)")
        switch pair.key {
        case "$ref":
          #expect(pairs.count == 1, "\(here) has siblings, which draft 7 ignores")
          let name = pair.value.string ?? ""
          #expect(name.hasPrefix("#/$defs/") && root["$defs"]?[String(name.dropFirst(8))] != nil, "\(here)")
        case "properties", "$defs": for inner in pair.value.pairs ?? [] { visit(inner.value, here + "/" + inner.key) }
        case "allOf", "anyOf": for (i, inner) in (pair.value.items ?? []).enumerated() { visit(inner, here + "/\(i)") }
        case "additionalProperties", "propertyNames", "items", "if", "then", "else": visit(pair.value, here)
        default: break
        }
      }
    }
    visit(root, "#")
    #expect(count > 60)
    #expect(root["$schema"]?.string == "https://json-schema.org/draft/2020-12/schema")
  }

  @Test func everyKeyIsDescribedAndHasAValidExample() throws {
    let root = try #require(JSONText.parse(Array(Self.json.compact.utf8)).node)
    let definitions = try #require(Self.json["$defs"])
    var count = 0
    func visit(_ schema: Node?, _ path: String) throws {
      // The example of whole stages names plugins of the real catalog.
      for pair in schema?["properties"]?.pairs ?? [] where pair.key != "stages" {
        let here = path + "/" + pair.key
        #expect(pair.value["description"]?.string?.isEmpty == false, "\(here) is not described")
        let examples = try #require(pair.value["examples"]?.items ?? (pair.value["type"]?.string == "object" ? [] : nil), "\(here) has no example")
        let checked = Schema.trusted(.object([("$defs", definitions), ("allOf", [JSON(pair.value)])]))
        for example in examples + [pair.value["default"]].compactMap(\.self) {
          #expect(checked.validate(example).isEmpty, "\(here): \(JSON(example).compact)")
          count += 1
        }
        try visit(pair.value, here)
      }
    }
    try visit(root, "")
    for pair in root["$defs"]?.pairs ?? [] { try visit(pair.value, pair.key) }
    #expect(count > 30)
  }

  @Test func pluginsAreOfferedWithTheirSummaries() {
    let plugin = Self.json["$defs"]?["stage"]?["properties"]?["plugin"]
    #expect(plugin?["enum"] == .array(Declared.plugins.map { .string($0.name) }))
    #expect(plugin?["enumDescriptions"] == .array(Declared.plugins.map { .string($0.summary) }))
    #expect(plugin?["description"]?.compact.contains("- add (transform): Adds a text.") == true)
  }

  // MARK: What it says

  @Test(arguments: ["dead_letter: x", "when_full: drop_newest", "on_restart: replay"])
  func aKeyOfAStageThatIsNotBuiltIsRefused(_ key: String) throws {
    let found = try problems("ringway: 1\nstages:\n  a:\n    plugin: numbers\n    \(key)\n")
    #expect(found.count == 1)
    #expect(found.first?.hasPrefix("5:5 unknown-key: unknown key \"\(key.prefix { $0 != ":" })\"") == true, "\(found)")
  }

  @Test(arguments: ["limits: {}", "ignore: []", "state: x", "rate: 1/s"])
  func aKeyOfThePipelineThatIsNotBuiltIsRefused(_ key: String) throws {
    let found = try problems("ringway: 1\nstages: {a: {plugin: numbers}}\n\(key)\n")
    #expect(found.count == 1)
    #expect(found.first?.hasPrefix("3:1 unknown-key: unknown key \"\(key.prefix { $0 != ":" })\"") == true, "\(found)")
  }

  /// The place, and the words that the declaration gives; the sentence around them is the validator's.
  @Test(arguments: [
    ("ringway: 2\nstages: {a: {plugin: numbers}}", "1:10", "expected 1, the version of the language that this program reads"),
    ("stages: {a: {plugin: numbers}}", "1:1", "add `ringway: 1`"),
    ("ringway: 1\nstages: {}", "2:1", "at least 1 key"),
    ("ringway: 1\nstages: {1a: {plugin: numbers}}", "2:10", "expected a name of at most 63 letters, digits, _ and - that begins with a letter"),
    ("ringway: 1\nstages: {a.b: {plugin: numbers}}", "2:10", "expected a name of at most 63 letters, digits, _ and - that begins with a letter"),
    ("ringway: 1\nstages: {a: {plugin: numbrs}}", "2:22", "did you mean \"numbers\"?"),
    ("ringway: 1\nstages: {a: {plugin: numbers, processes: 0}}", "2:42", "expected an integer from 1 to 4095, or auto"),
    ("ringway: 1\nstages: {a: {plugin: numbers, limits: {memry: 1GiB}}}", "2:40", "did you mean \"memory\"?"),
    ("ringway: 1\nstages: {a: {plugin: numbers, nice: 20}}", "2:37", "expected an integer from -20 to 19"),
    ("ringway: 1\nstages: {a: {plugin: numbers, affinity: 0-1}}", "2:41", "expected a list of CPUs, such as [0, 2-3]"),
    ("ringway: 1\nstages: {a: {plugin: numbers, affinity: [-1]}}", "2:42", "expected a number of a CPU, or a range such as 2-3"),
    ("ringway: 1\nstages: {a: {plugin: add, with: {fast: yes}}}", "2:40", "expected true or false"),
    ("ringway: 1\nstages: {a: {plugin: numbers, with: {count: \"8\"}}}", "2:45", "expected an integer from 0 to 1000000"),
    ("ringway: 1\nstages: {a: {plugin: numbers, with: {size: 8}}}", "2:44", "expected a size from 1 B to 1 MiB with its unit, such as 64KiB or 1MB"),
    ("ringway: 1\nstages: {a: {plugin: numbers, with: {sise: 8B}}}", "2:38", "did you mean \"size\"?"),
    ("ringway: 1\nstages: {a: {plugin: write, with: {path: x, mode: apend}}}", "2:51", "did you mean \"append\"?"),
    ("ringway: 1\nstages: {a: {plugin: post, with: {token: 5}}}", "2:42", "kept secret"),
    ("ringway: 1\nstages: {a: {plugin: post, with: {headers: {a: 5}}}}", "2:48", "kept secret"),
    ("ringway: 1\nstages: {a: {plugin: write}}", "2:10", "missing key \"with\""),
    ("ringway: 1\nparameters: {a-b: {type: integer}}\nstages: {a: {plugin: numbers}}", "2:14", "expected a name of letters, digits and _"),
    ("ringway: 1\nparameters: {a: {type: int}}\nstages: {a: {plugin: numbers}}", "2:24", "expected string, integer, number, boolean, size, duration or rate"),
    ("ringway: 1\nstages: {a: {plugin: add, environment: {a=b: x}}}", "2:41", "expected the name of a variable, without ="),
  ])
  func whatIsWrongIsSaidInWords(_ text: String, _ place: String, _ words: String) throws {
    let found = try problems(text)
    #expect(found.count == 1, "\(found)")
    #expect(found.first?.hasPrefix(place + " ") == true, "\(found)")
    #expect(found.first?.contains(words) == true, "\(found)")
  }

  /// An editor sees the file before the program has expanded it.
  @Test func aFileFitsBeforeAndAfterItsExpansion() throws {
    let text = """
      ringway: 1
      name: "${n}"
      memory: "${b:-1GiB}"
      drain: "${d:-5s}"
      parameters: {n: {type: string, default: "x"}, m: {type: size, default: 1MiB}, i: {type: integer, default: 3}}
      stages:
        a: {plugin: numbers, with: {count: "${i}", size: "${s:-1KiB}"}}
        b:
          plugin: add
          inputs: [a]
          processes: "${i}"
          queue: {capacity: "${i}", message: "${m}"}
          timeout: "${d:-1s}"
          on_error: {retries: "${i}", then: "${t:-drop}"}
          with: {fast: "${f:-true}"}
          environment: {X: "${i}"}
        c: {plugin: write, inputs: [b], with: {path: "${n}", mode: "${o:-append}"}}
      """
    #expect(try problems(text) == [])
    let good = try Checked(text.replacingFirst("X: \"${i}\"", with: "X: \"n${i}\"")).lines
    #expect(good == [])
    // What it becomes is checked all the same, also a text that only looks like an expansion.
    let bad = try Checked(text.replacingFirst("X: \"${i}\"", with: "X: x").replacingFirst("processes: \"${i}\"", with: "processes: \"$${i}\"")).lines
    #expect(bad == ["11:16 wrong-value: expected an integer from 1 to 4095, or auto, found the string \"${i}\""])
  }

  // MARK: Declarations

  private static let groups = [PipelineKeys.group, ParameterKeys.group, StageKeys.group, QueueKeys.group, PartitionKeys.group, RestartKeys.group, ErrorKeys.group]

  /// What the schema refuses the decoding refuses too, and beyond it only quantities that are out of range or whole
  /// numbers too large, names that the catalog lacks, and what the system cannot hold.
  @Test func schemaAndDecodingAgree() throws {
    let probes = try [
      "null", "true", "0", "1", "2", "-1", "1.0", "1.5", "4095", "4096", "1048577", "1e30", "\"\"", "a", "auto", "1KiB", "1 MiB", "1.5KiB", "5s",
      "0.5ms", "10/s", "drop", "stop", "append", "integer", "\"5\"", "[]", "[a]", "[1]", "{}", "{a: b}", "{a: 1}", "http://x", "\"a\\0b\"", "\"\\n\"",
    ].map { try yaml($0) }
    var count = 0
    for declared in Self.groups.flatMap(\.settings) + Declared.plugins.flatMap(\.settings) {
      if declared.schema.compact.contains("$ref") { continue }
      let schema = Schema.trusted(declared.schema)
      for probe in probes {
        let isValid = schema.isValid(probe)
        let isAccepted = declared.accepts(probe)
        // What stands in a mapping is decoded by its own declarations; a parameter's default by its type.
        let isOuter = declared.schema["properties"] != nil || declared.name == "default"
        if isAccepted, !isOuter { #expect(isValid, "\(declared.name) decodes \(probe.described)") }
        if isValid, !isAccepted {
          let isQuantity = probe.string.map { Quantity.size($0) != nil || Quantity.duration($0) != nil } ?? false
          let isRaw = probe.string?.utf8.contains(0) ?? false
          #expect(isQuantity || isRaw, "\(declared.name) refuses \(probe.described)")
        }
        count += 1
      }
    }
    #expect(count > 500)
  }

  @Test func everyDefaultIsItsOwnDecoding() throws {
    for declared in Self.groups.flatMap(\.settings) + Declared.plugins.flatMap(\.settings) {
      for shown in [declared.fallback, declared.example].compactMap(\.self) {
        let node = try #require(JSONText.parse(Array(shown.compact.utf8)).node)
        #expect(declared.accepts(node), "\(declared.name): \(shown.compact)")
      }
    }
  }
}

extension String {
  fileprivate func replacingFirst(_ old: String, with new: String) -> String {
    guard let range = firstRange(of: old) else { return self }
    return self[..<range.lowerBound] + new + self[range.upperBound...]
  }
}
