import Schemas
import Specs
import Testing

/// What people read about a schema that cannot be used.
@Suite struct SchemaMessageTests {
  @Test(arguments: schemas)
  func messageIsExact(_ one: Case) throws {
    let (compiled, problems) = Schema.compile(try node(one.schema))
    #expect(compiled == nil)
    #expect(shown(problems) == one.expected)
  }

  @Test func aProblemInAnotherDocumentIsShownAtTheReference() throws {
    let (compiled, problems) = Schema.compile(
      try node("{properties: {a: {$ref: 'http://x/other'}}}"), registry: ["http://x/other": try node("{\n\n\n  pattern: '('}")])
    #expect(compiled == nil)
    #expect(shown(problems) == #"1:25 bad-pattern: the pattern "(" cannot be used: missing closing parenthesis in http://x/other"#)
  }

  @Test func aVocabularyThatMustBeUnderstoodIsRefused() throws {
    let metaschema = try node("{$vocabulary: {'http://x/vocab/units': true}}")
    let (compiled, problems) = Schema.compile(try node("{$schema: 'http://x/meta'}"), registry: ["http://x/meta": metaschema])
    #expect(compiled == nil)
    #expect(problems.map(\.code) == ["unknown-vocabulary"])
  }

  static let schemas = [
    Case(
      "a misspelt type",
      "{properties: {a: {type: strnig}}}",
      "",
      #"1:25 not-allowed-value: expected array, boolean, integer, null, number, object or string, or a list of them, found the string "strnig" = did you mean "string"?"#),
    Case(
      "an unknown dialect",
      "{$schema: 'https://json-schema.org/draft/2019-09/schema'}",
      "",
      #"1:11 unknown-dialect: the schema is written in the dialect "https://json-schema.org/draft/2019-09/schema", which is not known here = known are https://json-schema.org/draft/2020-12/schema and http://json-schema.org/draft-07/schema#"#),
    Case(
      "a reference that leads nowhere",
      "{$ref: '#/$defs/siez', $defs: {size: true}}",
      "",
      ##"1:8 unknown-reference: the reference "#/$defs/siez" leads nowhere: there is no "siez" = did you mean "size"?"##),
    Case(
      "a reference to what would have to be fetched",
      "{$ref: 'https://example.com/size.json'}",
      "",
      #"1:8 unknown-reference: the reference "https://example.com/size.json" leads to a schema that is not at hand = nothing is fetched from a network; put the schema under `$defs`, with the URI as its `$id`"#),
    Case(
      "an anchor that does not exist",
      "{$ref: '#siez', $defs: {a: {$anchor: size}}}",
      "",
      ##"1:8 unknown-reference: the reference "#siez" names an anchor that does not exist = did you mean "size"?"##),
    Case(
      "a pattern that does not compile",
      "{pattern: '(a'}",
      "",
      #"1:11 bad-pattern: the pattern "(a" cannot be used: missing closing parenthesis"#),
    Case(
      "a pattern of another language",
      #"{pattern: '\A[a-z]+\Z'}"#,
      "",
      #"1:11 bad-pattern: the pattern "\\A[a-z]+\\Z" cannot be used: \A is no escape of ECMA-262; ^ and $ match the ends of the text"#),
    Case(
      "a reference to itself",
      "{$ref: '#'}",
      "",
      ##"1:1 endless-reference: the schema at "#" refers to itself without going into the value = a schema may refer to itself under `properties`, `items` and the like"##),
    Case(
      "a circle of references",
      "{$ref: '#/$defs/a', $defs: {a: {allOf: [{$ref: '#/$defs/b'}]}, b: {$ref: '#/$defs/a'}}}",
      "",
      ##"1:32 endless-reference: the schema at "#/$defs/a" refers to itself without going into the value = a schema may refer to itself under `properties`, `items` and the like"##),
    Case(
      "a list where a schema is expected",
      "{properties: {a: [1]}}",
      "",
      "1:18 wrong-type: expected true or false or a mapping, found a list"),
    Case(
      "no schema at all",
      "[1]",
      "",
      "1:1 bad-keyword: a schema is a mapping, true or false, found a list"),
    Case(
      "a negative length",
      "{minLength: -1}",
      "",
      "1:13 out-of-range: expected an integer of at least 0, found the integer -1"),
    Case(
      "an id twice",
      "{$defs: {a: {$id: 'http://x/y'}, b: {$id: 'http://x/y'}}}",
      "",
      #"1:43 repeated-id: another schema has the same `$id`: "http://x/y""#),
    Case(
      "several problems at once",
      "{type: objekt, $ref: '#/x', pattern: '['}",
      "",
      """
        1:8 not-allowed-value: expected array, boolean, integer, null, number, object or string, or a list of them, found the string "objekt" = did you mean "object"?
        1:22 unknown-reference: the reference "#/x" leads nowhere: there is no "x" = there are: type, $ref, pattern
        1:38 bad-pattern: the pattern "[" cannot be used: a [ is not closed
        """),
    Case(
      "a vocabulary out of nowhere",
      "{$schema: 'http://example.com/meta'}",
      "",
      #"1:11 unknown-dialect: the schema is written in the dialect "http://example.com/meta", which is not known here = known are https://json-schema.org/draft/2020-12/schema and http://json-schema.org/draft-07/schema#"#),
  ]
}
