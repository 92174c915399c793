import Testing

@testable import Specs

@Suite struct DiagnosticTests {
  private func span(_ line: Int, _ from: Int, _ to: Int) -> Span { Span(Mark(line: line, column: from, offset: 0), Mark(line: line, column: to, offset: 0)) }

  @Test func theCaretStandsUnderThePlace() {
    let lines = "a: 1\n\tb: héllo wörld".split(separator: "\n")
    let text = Diagnostic("c", "m", at: span(2, 5, 10), remedy: "r").rendered(file: "f", lines: lines)
    #expect(text == "f:2:5: error: m [c]\n    2 |  b: héllo wörld\n      |     ^~~~~\n       = r\n")
  }

  @Test func aPlaceBeyondTheTextIsNoCrash() {
    for place in [span(0, 0, 0), span(9, 1, 2), span(1, 99, 120), span(1, 3, 1), span(-1, -5, -9)] {
      _ = Diagnostic("c", "m", at: place).rendered(file: "f", lines: ["abc"])
    }
    #expect(Diagnostic("c", "m", at: .none).rendered(file: "f", lines: ["abc"]) == "f: error: m [c]\n")
  }

  @Test func aLongLineIsCutAroundTheCaret() {
    let line = String(repeating: "x", count: 500) + "HERE" + String(repeating: "y", count: 500)
    let text = Diagnostic("c", "m", at: span(1, 501, 505)).rendered(file: "f", lines: [Substring(line)])
    let rows = text.split(separator: "\n")
    #expect(rows[1].count < 120 && rows[1].contains("HERE"))
    #expect(rows[2].firstIndex(of: "^").map { rows[2].distance(from: rows[2].startIndex, to: $0) } == rows[1].firstRange(of: "HERE").map { rows[1].distance(from: rows[1].startIndex, to: $0.lowerBound) })
  }

  @Test func gitHubCommandsAreEscaped() {
    let text = Diagnostic("c", "50 % of\nit", at: span(3, 2, 4)).github(file: "a,b:c.yaml")
    #expect(text == "::error file=a%2Cb%3Ac.yaml,line=3,col=2,endColumn=4,title=c::50 %25 of%0Ait")
  }

  @Test func diagnosticsComeInOrderOfPlace() {
    func at(_ offset: Int, _ code: String) -> Diagnostic { Diagnostic(code, "", at: Span(Mark(line: 1, column: 1, offset: offset), Mark(line: 1, column: 1, offset: offset))) }
    #expect(Diagnostic.sorted([Diagnostic("z", "", at: .none), at(5, "b"), at(1, "a"), at(5, "c")]).map(\.code) == ["a", "b", "c", "z"])
  }

  @Test(arguments: [("capcity", "capacity"), ("proceses", "processes"), ("teh", "the"), ("x", nil), ("completely", nil), ("CAPACITY", "capacity")] as [(String, String?)])
  func theNearestNameIsASlipAway(wrong: String, near: String?) { #expect(Nearest.name(to: wrong, among: ["capacity", "processes", "the", "queue"]) == near) }
}

@Suite struct JSONTextTests {
  private func parse(_ text: String) -> (node: Node?, diagnostics: [Diagnostic]) { JSONText.parse(Array(text.utf8)) }

  @Test(arguments: [
    "null", "true", "-0", "1.5e-3", "\"\\u00e9\\ud83d\\ude00\\n\"", "[]", "{}", "[1,[2,{\"a\":[]}]]", " { \"a\" : 1 , \"b\" : [ ] } ", "9223372036854775807", "1e400", "18446744073709551616",
  ]) func isRead(text: String) { #expect(parse(text).node != nil, "\(parse(text).diagnostics)") }

  @Test(arguments: [
    ("", 1), ("nul", 1), ("01", 1), ("1.", 1), ("-", 1), ("[1,]", 4), ("{\"a\":1,}", 8), ("[1 2]", 4), ("{a:1}", 2), ("\"a", 1), ("\"\\x\"", 2), ("\"\\ud800\"", 2), ("\"\u{1}\"", 2), ("1 2", 3),
    ("{\"a\":1,\"a\":2}", 8), ("'a'", 1), ("[1]]", 4), ("\"\\u12g4\"", 2), ("+1", 1), (".5", 1),
  ]) func isRefusedAtItsPlace(text: String, column: Int) {
    let found = parse(text)
    #expect(found.node == nil && found.diagnostics.first?.span.start.column == column, "\(found.diagnostics)")
  }

  @Test func depthIsBounded() {
    #expect(parse(String(repeating: "[", count: 512) + String(repeating: "]", count: 512)).node != nil)
    #expect(parse(String(repeating: "[", count: 100_000)).node == nil)
    #expect(parse(String(repeating: "{\"a\":", count: 100_000)).node == nil)
  }

  @Test func whatIsWrittenIsReadBack() {
    let json: JSON = ["s": "\u{0}\"\\/\u{7f}é😀\n", "i": -7, "d": 0.1, "a": [1, .null, true], "o": [:]]
    #expect(parse(json.compact).node.map { JSON($0) } == json)
    #expect(parse(json.pretty).node.map { JSON($0) } == json)
  }
}
