import Specs
import Testing

struct SettingTests {
  private enum Mode: String, Choice { case replace, append, end }

  private static let count = Setting.integer("count", "How many.", in: 1...9, default: 3)
  private static let many = Setting.integer("many", "How many.", in: 0...Int.max)
  private static let name = Setting.string("name", "A name.")
  private static let note = Setting.string("note", "A note.", default: "", allowEmpty: true)
  private static let path = Setting.path("path", "A file.", example: "a.txt")
  private static let url = Setting.url("url", "Where to.")
  private static let size = Setting.size("size", "How large.", in: 1...1024, default: "1KiB")
  private static let flag = Setting.boolean("flag", "Whether.", default: false)
  private static let wait = Setting.duration("wait", "How long.", in: .milliseconds(1) ... .seconds(1), default: "10ms")
  private static let rate = Setting<Double?>.rate("rate", "How often.")
  private static let headers = Setting.strings("headers", "Added.", secret: true)
  private static let mode = Setting<Mode>.choice("mode", "How.", default: .append)

  private func yes<T: Equatable>(_ setting: Setting<T>, _ node: Node, _ expected: T) {
    let given = Given([setting.declaration.name: node], directory: "/")
    #expect(setting.declaration.accepts(node), "\(setting.declaration.name)")
    #expect(given[setting] == expected)
  }

  private func no<T>(_ setting: Setting<T>, _ nodes: Node...) {
    for node in nodes { #expect(!setting.declaration.accepts(node), "\(setting.declaration.name) takes \(node.described)") }
  }

  @Test func eachKindDecodesWhatItIs() {
    yes(Self.count, .integer(1), 1)
    yes(Self.count, Node(.number(9.0)), 9)
    no(Self.count, .integer(0), .integer(10), Node(.number(1.5)), Node(.number(.nan)), Node(.number(1e300)), .string("1"), Node(.null))
    yes(Self.many, .integer(Int.max), Int.max)
    no(Self.many, .integer(-1), Node(.number(1e19)))
    yes(Self.name, .string("x"), "x")
    no(Self.name, .string(""), .integer(1), Node(.null), Node(.sequence([])))
    yes(Self.note, .string(""), "")
    yes(Self.path, .string("a/b c"), "a/b c")
    no(Self.path, .string(""), .string("a\0b"))
    yes(Self.url, .string("http://h"), "http://h")
    yes(Self.url, .string("https://[::1]:80/x?y#z"), "https://[::1]:80/x?y#z")
    no(Self.url, .string("http://"), .string("http:///x"), .string("http:// x"), .string("ftp://x"), .string("HTTP://x"), .string("x"), .string("http://?"))
    yes(Self.size, .string("1B"), 1)
    no(Self.size, .string("1025B"), .string("0B"), .string("5"), .integer(5))
    yes(Self.flag, Node(.boolean(true)), true)
    no(Self.flag, .string("true"), .integer(1))
    yes(Self.wait, .string("1s"), .seconds(1))
    no(Self.wait, .string("2s"), .string("0s"), .integer(1))
    yes(Self.rate, .string("5/s"), 5)
    no(Self.rate, .string("5"), .integer(5), Node(.null))
    yes(Self.headers, .mapping([Node.Pair(key: "a", value: .string("b"))]), ["a": "b"])
    no(Self.headers, .mapping([Node.Pair(key: "a", value: .integer(1))]), .string("a"))
    yes(Self.mode, .string("end"), .end)
    no(Self.mode, .string("End"), .string(""), .integer(0))
  }

  @Test func whatIsNotGivenHasItsDefault() {
    let given = Given([:], directory: "/here")
    #expect(given[Self.count] == 3)
    #expect(given[Self.size] == 1024)
    #expect(given[Self.wait] == .milliseconds(10))
    #expect(given[Self.rate] == nil)
    #expect(given[Self.headers] == [:])
    #expect(given[Self.mode] == .append)
    #expect(!given.has("count"))
    #expect(given.resolve("a") == "/here/a")
    #expect(given.resolve("/a") == "/a")
    #expect(Given([:], directory: "/").resolve("a") == "/a")
  }

  @Test func theDeclarationIsItsSchema() {
    #expect(
      Self.count.declaration.property == [
        "description": "How many.", "type": "integer", "minimum": 1, "maximum": 9, "x-expected": "an integer from 1 to 9", "default": 3, "examples": [3],
      ])
    #expect(Self.many.declaration.property == ["description": "How many.", "type": "integer", "minimum": 0, "x-expected": "an integer of at least 0"])
    #expect(
      Self.headers.declaration.property == [
        "description": "Added.", "type": "object", "additionalProperties": ["type": "string", "x-secret": true],
        "x-expected": "a mapping of names to strings", "x-secret": true,
      ])
    #expect(Self.mode.declaration.property["enum"] == ["replace", "append", "end"])
    #expect(Self.mode.declaration.expected == "replace, append or end")
    #expect(Self.path.declaration.property["examples"] == ["a.txt"])
    #expect(Self.name.declaration.isRequired)
    #expect(!Self.rate.declaration.isRequired)
  }

  // MARK: Groups

  private static let spec = PluginSpec(
    "thing", .sink, "Does it.", settings: [path.declaration, count.declaration, headers.declaration], example: "")

  private func mapping(_ pairs: (String, Node)...) -> Node {
    .mapping(pairs.enumerated().map { i, pair in
      let mark = Mark(line: i + 1, column: 1, offset: i)
      return Node.Pair(key: pair.0, keySpan: Span(mark, mark), value: pair.1)
    })
  }

  @Test func aPluginsSettingsAreDecoded() throws {
    let (given, diagnostics) = Self.spec.decode(
      mapping(("path", .string("a")), ("count", .integer(4))), directory: "/d", place: .none, path: "stages.x.with")
    #expect(diagnostics.isEmpty)
    let settings = try #require(given)
    #expect(settings[Self.path] == "a")
    #expect(settings[Self.count] == 4)
    #expect(settings.has("count"))
    #expect(settings.node("count")?.integer == 4)
    #expect(settings.directory == "/d")
  }

  @Test func everythingThatIsWrongIsReported() {
    let (given, diagnostics) = Self.spec.decode(
      mapping(("cuont", .integer(4)), ("count", .integer(40)), ("headers", .string("hunter2"))), directory: "/d", place: .none, path: "with")
    #expect(given == nil)
    #expect(
      diagnostics.map { "\($0.span.start.line) \($0.path) \($0.code): \($0.message)" + ($0.remedy.map { "; \($0)" } ?? "") } == [
        "1 with.cuont unknown-key: unknown key \"cuont\" in the plugin \"thing\"; did you mean \"count\"?",
        "2 with.count wrong-value: expected an integer from 1 to 9, found the integer 40",
        "3 with.headers wrong-value: expected a mapping of names to strings",
        "0 with missing-key: the plugin \"thing\" needs \"path\"; add `path: \"a.txt\"`: A file.",
      ])
    let (_, missing) = Self.spec.decode(nil, directory: "/d", place: .none, path: "stages.x.with")
    #expect(missing.map(\.remedy) == ["add `with: {path: \"a.txt\"}`: A file."])
  }

  @Test func aGroupIsAnObjectThatRefusesOtherKeys() {
    let schema = Self.spec.schema
    #expect(schema["type"] == "object")
    #expect(schema["description"] == "Does it.")
    #expect(schema["additionalProperties"] == false)
    #expect(schema["required"] == ["path"])
  }

  // MARK: Names

  @Test(arguments: [
    ("capcity", ["capacity", "message"], "capacity"), ("mesage", ["capacity", "message"], "message"), ("retires", ["retries"], "retries"),
    ("PATH", ["path"], "path"), ("x", ["a", "b"], nil), ("ab", ["a"], "a"), ("", ["a"], nil), ("elsewhere", ["a", "capacity"], nil), ("same", ["same"], nil),
  ] as [(String, [String], String?)])
  func theNearestNameIsTheOneThatWasMeant(_ wrong: String, _ names: [String], _ near: String?) { #expect(Nearest.name(to: wrong, among: names) == near) }

  @Test func aSecretIsDescribedAsOne() {
    var node = Node.string("hunter2")
    #expect(node.described == "the string \"hunter2\"")
    node.isSecret = true
    #expect(node.described == "a secret value")
  }
}
