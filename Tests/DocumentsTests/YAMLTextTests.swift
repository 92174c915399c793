import Specs
import Testing

@testable import Documents

@Suite struct YAMLTextTests {
  private func compose(_ text: String) -> (node: Node?, diagnostics: [Diagnostic]) { YAMLText.compose(Array(text.utf8)) }

  @Test(arguments: [
    ("no", "\"no\""), ("on", "\"on\""), ("010", "10"), ("0o10", "8"), ("0x1F", "31"), ("-7", "-7"), ("+7", "7"), ("~", "null"), ("null", "null"), ("", "null"),
    ("true", "true"), ("True", "true"), ("TRUE", "true"), ("tRue", "\"tRue\""), ("1.5", "1.5"), ("1e3", "1000"), (".5", "0.5"), ("5.", "5"), ("1_000", "\"1_000\""),
    ("\"7\"", "\"7\""), ("'true'", "\"true\""), ("!!str 7", "\"7\""), ("!!int \"7\"", "7"), ("12:30", "\"12:30\""), ("0b11", "\"0b11\""), ("2026-11-24", "\"2026-11-24\""),
    ("99999999999999999999", "1e+20"), (".inf", "null"), (".nan", "null"), ("-", "[null]"),
  ]) func scalarsFollowTheCoreSchemaOfYAML12(text: String, json: String) {
    let (node, diagnostics) = compose("v: " + (text == "-" ? "\n- " : text))
    #expect(diagnostics.isEmpty)
    #expect(node?["v"].map { JSON($0).compact } == json)
  }

  @Test func marksCountScalarsFromOne() throws {
    let text = "\u{feff}ä: {ö: [1, \"ü€😀\", x]}\nlast: |\n  a\n  b\n"
    let node = try #require(compose(text).node)
    let outer = try #require(node.pair("ä"))
    #expect(outer.keySpan.start == Mark(line: 1, column: 1, offset: 3) && outer.keySpan.end.column == 2)
    let items = try #require(outer.value["ö"]?.items)
    #expect(items[1].span.start.column == 12 && items[1].span.end.column == 17)
    #expect(items[2].span.start.column == 19)
    #expect(String(decoding: Array(text.utf8)[items[2].span.start.offset..<items[2].span.end.offset], as: UTF8.self) == "x")
    #expect(node.pair("last")?.keySpan.start.line == 2)
  }

  @Test func anchorsAliasesAndMergeKeysWork() throws {
    let (node, diagnostics) = compose("""
      base: &base {a: 1, b: 2}
      more: &more {b: 3, c: 4}
      one: {<<: *base, b: 9}
      two:
        <<: [*base, *more]
        d: 5
      again: *base
      """)
    #expect(diagnostics.isEmpty)
    #expect(node?["one"].map { JSON($0).compact } == #"{"b":9,"a":1}"#)
    #expect(node?["two"].map { JSON($0).compact } == #"{"d":5,"a":1,"b":2,"c":4}"#)
    #expect(node?["again"]?.span.start == Mark(line: 7, column: 8, offset: 113))
  }

  @Test(arguments: [
    ("a: 1\na: 2\n", "duplicate-key", 2, 1), ("a: {b: 1, b: 2}", "duplicate-key", 1, 11), ("a: 1\n---\nb: 2\n", "several-documents", 2, 1),
    ("1: a", "key-not-string", 1, 1), ("? [a]\n: b", "key-not-string", 1, 3), ("true: a", "key-not-string", 1, 1), ("a: !thing b", "unknown-tag", 1, 4),
    ("a: !!int x", "tag-mismatch", 1, 4), ("a: *b", "unknown-alias", 1, 4), ("a: &a [*a]", "alias-loop", 1, 8), ("a:\n\tb: 1", "yaml-syntax", 2, 1),
    ("a: b: c", "yaml-syntax", 1, 5), ("a: 'x", "yaml-syntax", 1, 6), ("a: [1, 2", "yaml-syntax", 1, 9), ("a: @b", "yaml-syntax", 1, 4), ("a: \"\\q\"", "yaml-syntax", 1, 5),
    ("", "empty-document", 1, 1), ("# nothing\n", "empty-document", 1, 1), ("<<: 1", "merge-not-mapping", 1, 5),
  ]) func isRefusedAtItsPlace(text: String, code: String, line: Int, column: Int) {
    let (node, diagnostics) = compose(text)
    #expect(node == nil)
    #expect(diagnostics.first?.code == code, "\(diagnostics)")
    #expect(diagnostics.first?.span.start.line == line && diagnostics.first?.span.start.column == column, "\(String(describing: diagnostics.first?.span.start))")
  }

  @Test func severalProblemsAreReportedTogether() { #expect(compose("a: 1\na: 2\n3: x\nb: !x y\n").diagnostics.map(\.code) == ["duplicate-key", "key-not-string", "unknown-tag"]) }

  @Test(arguments: [
    ([0x61, 0x3a, 0x20, 0xff], "not-utf-8", 4), ([0x61, 0x3a, 0x20, 0xc3], "not-utf-8", 4), ([0xff, 0xfe, 0x61, 0], "not-utf-8", 1), ([0x61, 0], "control-character", 2),
    ([0x61, 0x3a, 0x20, 7], "control-character", 4), ([0x61, 0x3a, 0x20, 0xed, 0xa0, 0x80], "not-utf-8", 4),
  ] as [([UInt8], String, Int)]) func bytesThatAreNoText(bytes: [UInt8], code: String, column: Int) {
    let found = YAMLText.compose(bytes).diagnostics.first
    #expect(found?.code == code && found?.span.start.column == column)
  }

  @Test(arguments: ["[", "{a: ", "- ", "? ", "[[{a: "]) func deepNestingIsRefusedAtOnce(opening: String) {
    for count in [70, 1_000, 100_000] {
      let began = ContinuousClock.now
      let diagnostics = compose(String(repeating: opening, count: count)).diagnostics
      #expect(!diagnostics.isEmpty)
      // A bound that only a hang exceeds.
      #expect(ContinuousClock.now - began < .seconds(10))
    }
    let block = (0..<100).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
    #expect(compose(block).diagnostics.first?.code == "too-deep")
  }

  @Test func aliasBombsAreRefusedAlsoAsKeys() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for n in 1...12 { text += "a\(n): &a\(n) [" + (0..<9).map { _ in "*a\(n - 1)" }.joined(separator: ", ") + "]\n" }
    #expect(compose(text).diagnostics.first?.code == "too-many-nodes")
    #expect(compose(text.replacing("a12: &a12", with: "? &a12")).diagnostics.contains { $0.code == "too-many-nodes" })
    let list = "x: &x [1]\ny: [" + String(repeating: "*x,", count: 100_001) + "]"
    #expect(compose(list).diagnostics.first?.code == "too-many-nodes")
  }

  /// Long and escaped tags, and quoted keys over several lines, wrote beyond libyaml's buffers or stopped the program in its time (CVE-2013-6393,
  /// CVE-2014-2525, CVE-2014-9130).
  @Test func theShapesOfOldOverflowsAreRefused() {
    func times(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }
    let texts = [
      "%TAG !a! tag:" + times("%41", 70_000) + "\n---\na: !a!b c\n", "a: !<tag:" + times("x", 70_000) + "> b\n", "a: !" + times("%21", 70_000) + " b\n",
      "a: !" + times("%f0%9f%98%80", 20_000) + " b\n", "a: !%ff b\n", "a: !%4 b\n", "'a\n b': c\n", "- \"a\n\n\n b\": c\n", "\"a\n b\": {c: 'd\n e': f}\n",
      "a: [\n'b\nc': d\n", "? 'a\n b\n: c\n",
    ]
    for text in texts {
      let (node, diagnostics) = compose(text)
      #expect(node == nil && !diagnostics.isEmpty, "\(text.prefix(50))")
      let lines = text.count { $0 == "\n" } + 1
      #expect(diagnostics.allSatisfy { 1...lines ~= $0.span.start.line }, "\(text.prefix(50))")
    }
  }

  @Test func filesAreAtMostEightMebibytes() {
    #expect(YAMLText.compose([UInt8](repeating: 0x20, count: (8 << 20) + 1)).diagnostics.first?.code == "file-too-large")
    let comment = "a: 1\n#" + String(repeating: "x", count: 1 << 20)
    #expect(compose(comment).node != nil)
  }

  /// Texts that are nearly YAML: nothing crashes, and what is refused has a place inside the text.
  @Test func mutationsNeverCrash() {
    let seed = UInt64.random(in: 1...999_999)
    print("mutations: seed \(seed)")
    var state = seed
    func random(_ n: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % max(1, n)
    }
    let base = Array("ringway: 1\nstages: &s\n  a: {plugin: jq, with: {filter: '.x | [1, 2]'}}\n  b:\n    <<: *s\n    inputs: [a, \"b\"]\n    text: |\n      one\n      two\n  c: !!str 7 # é€😀\n".utf8)
    let alphabet = Array("{}[]:,-?&*!|>'\"%@`#\n\t ~<=\\0aé\u{0}\u{85}".utf8)
    for _ in 0..<4_000 {
      var bytes = base
      for _ in 0...random(6) {
        let at = random(bytes.count)
        switch random(4) {
        case 0: bytes.remove(at: at)
        case 1: bytes.insert(alphabet[random(alphabet.count)], at: at)
        case 2: bytes[at] = alphabet[random(alphabet.count)]
        default: bytes += bytes[at..<min(bytes.count, at + random(40))]
        }
      }
      let (node, diagnostics) = YAMLText.compose(bytes)
      #expect((node == nil) == !diagnostics.isEmpty)
      for diagnostic in diagnostics { #expect(diagnostic.span.start.offset <= bytes.count && diagnostic.span.start.line >= 1) }
      _ = Source(name: "x", bytes: bytes).render(diagnostics)
    }
  }
}
