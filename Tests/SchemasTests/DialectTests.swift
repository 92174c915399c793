import Schemas
import Specs
import Testing

/// Draft 7 where a schema asks for it, and metaschemas that leave something out.
@Suite struct DialectTests {
  @Test(arguments: [
    ("items: [{type: string}], additionalItems: false", "[a]", true), ("items: [{type: string}], additionalItems: false", "[a, b]", false),
    ("items: [{type: string}]", "[1]", false), ("items: {type: string}", "[a, 1]", false), ("prefixItems: [{type: string}]", "[1]", true),
    ("dependencies: {a: [b], c: {required: [d]}}", "{a: 1}", false), ("dependencies: {a: [b], c: {required: [d]}}", "{a: 1, b: 1}", true),
    ("dependencies: {a: [b], c: {required: [d]}}", "{c: 1}", false), ("definitions: {s: {type: string}}, properties: {a: {$ref: '#/definitions/s', maxLength: 1}}", "{a: abc}", true),
    ("definitions: {s: {$id: '#s', type: string}}, properties: {a: {$ref: '#s'}}", "{a: 1}", false), ("definitions: {s: {type: string}}, properties: {a: {$ref: '#/definitions/s', $id: 'http://x/elsewhere'}}", "{a: 1}", false), ("unevaluatedProperties: false", "{a: 1}", true),
    ("contains: {type: string}, minContains: 2", "[a]", true), ("dependentRequired: {a: [b]}", "{a: 1}", true), ("if: {type: string}, then: {minLength: 2}", "a", false),
    ("properties: {s: {$ref: 'http://json-schema.org/draft-07/schema#'}}", "{s: {type: 3}}", false),
  ])
  func draft7IsUnderstood(_ keywords: String, _ instance: String, _ isValid: Bool) throws {
    let compiled = try compile("{$schema: 'http://json-schema.org/draft-07/schema#', \(keywords)}")
    #expect(compiled.isValid(try node(instance)) == isValid)
  }

  @Test func aDocumentWithoutADialectIsInThatOfTheOneThatRefersToIt() throws {
    let registry = ["http://x/items": try node("{items: [{type: string}]}")]
    let compiled = try compile("{$schema: 'http://json-schema.org/draft-07/schema#', $ref: 'http://x/items'}", registry: registry)
    #expect(!compiled.isValid(try node("[1]")))
    #expect(compiled.isValid(try node("[a, 1]")))
  }

  @Test func draft7SchemasAreChecked() throws {
    let (compiled, problems) = Schema.compile(try node("{$schema: 'http://json-schema.org/draft-07/schema#', type: strnig, minLength: -1}"))
    #expect(compiled == nil)
    #expect(problems.map(\.code) == ["not-allowed-value", "out-of-range"])
  }

  @Test(arguments: [
    ("{type: object, properties: {a: {minLength: 1}}}", true), ("{type: [string, 'null']}", true), ("{type: thing}", false), ("{properties: 3}", false),
    ("{$defs: {a: {allOf: []}}}", false), ("{additionalProperties: {items: {required: [a, a]}}}", false), ("{minimum: '3'}", false), ("true", true),
    ("{pattern: 3}", false), ("{enum: 3}", false), ("{const: {type: 3}}", true), ("{examples: [{type: 3}]}", true), ("{$id: 'http://x/#frag'}", false),
    ("{$anchor: '1a'}", false), ("{unevaluatedItems: 3}", false), ("{title: 3}", false), ("{format: 3}", false), ("{contentSchema: 3}", false),
  ])
  func theMetaschemaCanBeReferredTo(_ document: String, _ isValid: Bool) throws {
    let compiled = try compile("{$ref: 'https://json-schema.org/draft/2020-12/schema'}")
    #expect(compiled.isValid(try node(document)) == isValid)
  }

  @Test func aReferenceFindsWhatTheRegistryHolds() throws {
    let registry = ["http://x/sizes.json": try node("{$defs: {size: {$anchor: size, pattern: '^[0-9]+$'}}}")]
    let compiled = try compile("{$id: 'http://x/main.json', properties: {a: {$ref: 'sizes.json#size'}, b: {$ref: 'sizes.json#/$defs/size'}}}", registry: registry)
    #expect(shown(compiled.validate(try node("a: x\nb: '1'"))) == #"1:4 pattern: expected a string that matches the pattern "^[0-9]+$", found the string "x""#)
  }
}
