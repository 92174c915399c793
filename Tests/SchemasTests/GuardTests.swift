import Schemas
import Specs
import Testing

/// Schema and document come from outside: neither may hang the check, overflow its stack or pass for lack of an answer.
@Suite struct GuardTests {
  @Test(arguments: ["{pattern: '^(a+)+$'}", "{propertyNames: {pattern: '^(a+)+$'}}", "{patternProperties: {'^(a+)+$': true}}", "{not: {pattern: '^(a+)+$'}}"])
  func aPatternCannotHang(_ text: String) throws {
    let compiled = try compile(text)
    let long = String(repeating: "a", count: 60) + "!"
    let instance = text.hasPrefix("{p") && !text.hasPrefix("{pattern:") ? Node.mapping([Node.Pair(key: long, value: .integer(1))]) : .string(long)
    #expect(!compiled.isValid(instance))
    let found = compiled.validate(instance)
    #expect(found.contains { $0.code == "pattern-limit" }, "\(found)")
  }

  @Test func patternsThatGiveUpAgainAndAgainEndTheCheck() throws {
    let compiled = try compile("{items: {pattern: '^(a+)+$'}}")
    let long = Node.string(String(repeating: "a", count: 60) + "!")
    let found = compiled.validate(Node(.sequence([Node](repeating: long, count: 2_000))))
    #expect(found.count == 8)
    #expect(found.allSatisfy { $0.code == "pattern-limit" })
  }

  /// A circle that depends on the instance is found when it is entered.
  @Test func aCircleThatOnlySomeValuesEnterIsAnError() throws {
    let compiled = try compile("{if: {type: string}, then: {$ref: '#'}}")
    #expect(compiled.isValid(.integer(1)))
    #expect(compiled.validate(.string("a")).map(\.code) == ["endless-reference"])
    #expect(!compiled.isValid(.string("a")))
  }

  @Test func aDynamicCircleIsAnError() throws {
    let compiled = try compile("{$dynamicAnchor: a, $dynamicRef: '#a'}")
    #expect(compiled.validate(.integer(1)).map(\.code) == ["endless-reference"])
  }

  @Test func theDeepestDocumentsAreChecked() throws {
    let compiled = try compile("{$ref: '#/$defs/list', $defs: {list: {type: array, items: {$ref: '#/$defs/list'}}}}")
    let depth = JSONText.mostDepth
    let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    #expect(compiled.isValid(try #require(JSONText.parse(Array(text.utf8)).node)))
    let wrong = String(repeating: "[", count: depth) + "1" + String(repeating: "]", count: depth)
    let found = compiled.validate(try #require(JSONText.parse(Array(wrong.utf8)).node))
    #expect(found.map(\.code) == ["wrong-type"])
    #expect(found.first?.span.start.column == depth + 1)
  }

  @Test func whatIsDeeperThanTheStackIsRefused() throws {
    let compiled = try compile("{items: {$ref: '#'}}")
    var instance = Node(.sequence([]))
    for _ in 0..<5_000 { instance = Node(.sequence([instance])) }
    #expect(compiled.validate(instance).map(\.code) == ["too-deep"])
  }

  @Test func aLongChainOfReferencesIsRefused() throws {
    let definitions = (0..<5_000).map { "\n  d\($0): {$ref: '#/$defs/d\($0 + 1)'}" }.joined()
    let compiled = try compile("$ref: '#/$defs/d0'\n$defs:\(definitions)\n  d5000: true\n")
    #expect(compiled.validate(.integer(1)).map(\.code) == ["too-deep"])
  }

  /// Each level doubles the work: 2 to the power of 64 schemas would have to be applied.
  @Test func workThatDoublesIsBroken() throws {
    let definitions = (0..<64).map { "d\($0): {allOf: [{$ref: '#/$defs/d\($0 + 1)'}, {$ref: '#/$defs/d\($0 + 1)'}]}" }.joined(separator: ", ")
    let compiled = try compile("{$ref: '#/$defs/d0', $defs: {\(definitions), d64: true}}")
    #expect(compiled.validate(.integer(1)).map(\.code) == ["too-much-work"])
  }

  @Test(arguments: [200, JSONText.mostDepth - 1])
  func aDeepSchemaIsCheckedOrRefused(_ depth: Int) throws {
    let text = String(repeating: #"{"not":"#, count: depth) + "true" + String(repeating: "}", count: depth)
    let (compiled, problems) = Schema.compile(try #require(JSONText.parse(Array(text.utf8)).node))
    #expect(problems.map(\.code) == (depth == 200 ? [] : ["too-deep"]))
    #expect(compiled?.isValid(.integer(1)) == (depth == 200 ? true : nil))
  }
}
