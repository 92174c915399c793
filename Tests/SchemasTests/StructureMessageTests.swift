import Schemas
import Specs
import Testing

/// What people read about keys, items and alternatives.
@Suite struct StructureMessageTests {
  @Test(arguments: keys + collections + branches)
  func messageIsExact(_ one: Case) throws { try one.check() }

  static let keys = [
    Case(
      "an unknown key near a known one",
      "{properties: {stages: {additionalProperties: {properties: {queue: {properties: {capacity: true, message: true}, additionalProperties: false}}}}}}",
      """
        stages:
          resize:
            queue: {capcity: 4}
        """,
      #"3:13 unknown-key: unknown key "capcity" in "stages.resize.queue" = did you mean "capacity"?"#),
    Case(
      "an unknown key near none",
      "{properties: {stages: {additionalProperties: {properties: {queue: {properties: {capacity: true, message: true}, additionalProperties: false}}}}}}",
      """
        stages:
          resize:
            queue: {deadline: 4}
        """,
      #"3:13 unknown-key: unknown key "deadline" in "stages.resize.queue" = valid keys: capacity, message"#),
    Case(
      "a key that belongs under another one",
      "{properties: {stages: {additionalProperties: {properties: {name: true, queue: {$ref: '#/$defs/queue'}}, additionalProperties: false}}}, $defs: {queue: {properties: {capacity: true}}}}",
      """
        stages:
          resize:
            capacity: 4
        """,
      #"3:5 unknown-key: unknown key "capacity" in "stages.resize" = write it under `queue`"#),
    Case(
      "a key that is there already is not offered",
      "{properties: {stages: {additionalProperties: {properties: {queue: {properties: {capacity: true, message: true}, additionalProperties: false}}}}}}",
      """
        stages:
          resize:
            queue: {capcity: 4, capacity: 5}
        """,
      #"3:13 unknown-key: unknown key "capcity" in "stages.resize.queue" = valid keys: message"#),
    Case(
      "all keys are there",
      "{properties: {stages: {additionalProperties: {properties: {queue: {properties: {capacity: true, message: true}, additionalProperties: false}}}}}}",
      """
        stages:
          resize:
            queue: {capcity: 4, capacity: 5, message: 3}
        """,
      #"3:13 unknown-key: unknown key "capcity" in "stages.resize.queue" = all valid keys are there already"#),
    Case(
      "an unknown key at the top",
      "{properties: {name: true}, additionalProperties: false}",
      "nam: x",
      #"1:1 unknown-key: unknown key "nam" = did you mean "name"?"#),
    Case(
      "no key is allowed",
      "{additionalProperties: false}",
      "nam: x",
      #"1:1 unknown-key: unknown key "nam" = no key is allowed here"#),
    Case(
      "a missing key with an example",
      #"{properties: {s: {required: [plugin], properties: {plugin: {type: string, description: "What it does.\nMore.", examples: [jq]}}}}}"#,
      """
        s:
          inputs: []
        """,
      #"1:1 missing-key: missing key "plugin" in "s" = add `plugin: "jq"`: What it does"#),
    Case(
      "a missing key with a default",
      "{required: [size], properties: {size: {type: string, default: 1MiB}}}",
      "a: 1",
      #"1:1 missing-key: missing key "size" = add `size: "1MiB"`: a string"#),
    Case(
      "a missing key with an expectation only",
      "{required: [size], properties: {size: {type: integer, minimum: 1}}}",
      "a: 1",
      #"1:1 missing-key: missing key "size" = add `size: …`: an integer of at least 1"#),
    Case(
      "a missing mapping is shown with what it needs",
      "{required: [with], properties: {with: {$ref: '#/$defs/w'}}, $defs: {w: {description: Settings., required: [url], properties: {url: {examples: ['http://localhost/']}}}}}",
      "a: 1",
      #"1:1 missing-key: missing key "with" = add `with: {url: "http://localhost/"}`: Settings"#),
    Case(
      "a missing key of an item",
      "{items: {required: [name]}}",
      """
        - name: a
        - x: 1
        """,
      #"2:3 missing-key: missing key "name" in "[1]" = add `name: …`"#),
    Case(
      "a missing key that another needs",
      "{dependentRequired: {user: [password]}}",
      "user: x",
      #"1:1 missing-key: missing key "password", which is needed beside "user" = add `password: …`"#),
    Case(
      "keys that exclude each other",
      "{not: {required: [a, b]}}",
      """
        a: 1
        b: 2
        """,
      #"1:1 not-allowed: the keys "a" and "b" exclude each other"#),
    Case(
      "a forbidden key",
      "{properties: {a: false}}",
      "a: 1",
      #"1:1 not-allowed: the key "a" is not allowed"#),
    Case(
      "a key with a bad name",
      "{properties: {stages: {propertyNames: {pattern: '^[a-z]+$', x-expected: a name of small letters}}}}",
      """
        stages:
          9x: 1
          ab: 2
        """,
      #"2:3 bad-key: the key "9x" is not allowed in "stages": expected a name of small letters"#),
    Case(
      "a key that is no valid name but near one",
      "{propertyNames: {enum: [left, right]}}",
      "lfet: 1",
      #"1:1 bad-key: the key "lfet" is not allowed: expected "left" or "right" = did you mean "left"?"#),
    Case(
      "too few keys",
      "{properties: {stages: {minProperties: 1}}}",
      "stages: {}",
      #"1:1 key-count: "stages" needs at least 1 key, found none"#),
    Case(
      "one of several keys is needed",
      "{anyOf: [{required: [path]}, {required: [url]}]}",
      "a: 1",
      #"1:1 missing-key: missing key: one of "path", "url" is needed"#),
    Case(
      "a key that was not evaluated",
      "{allOf: [{properties: {path: true}}], properties: {name: true}, unevaluatedProperties: false}",
      "paht: 1",
      #"1:1 unknown-key: unknown key "paht" = did you mean "path"?"#),
    Case(
      "keys of a failed branch are not called unknown",
      "{anyOf: [{properties: {a: {type: integer}}, required: [a]}], unevaluatedProperties: false}",
      """
        a: x
        b: 1
        """,
      """
        1:4 wrong-type: expected an integer, found the string "x"
        2:1 unknown-key: unknown key "b" = all valid keys are there already
        """),
  ]

  static let collections = [
    Case(
      "too few items",
      "{properties: {a: {minItems: 1}}}",
      "a: []",
      #"1:4 item-count: "a" needs at least 1 item, found none"#),
    Case(
      "too many items",
      "{properties: {a: {minItems: 1, maxItems: 2}}}",
      "a: [1, 2, 3]",
      #"1:4 item-count: "a" needs 1 to 2 items, found 3"#),
    Case(
      "an impossible count",
      "{properties: {a: {minItems: 3, maxItems: 2}}}",
      "a: [1, 2, 3]",
      #"1:4 item-count: "a" needs at least 3 and at most 2 items, found 3"#),
    Case(
      "an item too many",
      "{properties: {a: {prefixItems: [true, true], items: false}}}",
      "a: [1, 2, 3, 4]",
      #"1:11 item-count: at most 2 items are allowed in "a""#),
    Case(
      "a wrong item",
      "{properties: {a: {items: {type: string}}}}",
      "a: [x, 2]",
      #"1:8 wrong-type: expected a string, found the integer 2 = put it into quotes: "2""#),
    Case(
      "a repeated item",
      "{properties: {a: {uniqueItems: true}}}",
      "a: [1, x, 1.0]",
      #"1:11 repeated-item: this item repeats "a[0]" = remove one of the two"#),
    Case(
      "no item that is needed",
      "{properties: {a: {contains: {type: integer}}}}",
      "a: [x]",
      #"1:4 item-count: "a" needs at least 1 item (an integer), found none"#),
    Case(
      "too many of a kind",
      "{properties: {a: {contains: {type: integer}, maxContains: 1}}}",
      "a: [1, 2]",
      #"1:4 item-count: "a" needs exactly 1 item (an integer), found 2"#),
    Case(
      "an item that was not evaluated",
      "{prefixItems: [true], unevaluatedItems: false}",
      "[1, 2]",
      "1:5 not-allowed: this item is not allowed"),
  ]

  static let branches = [
    Case(
      "the branch that a constant key names",
      "{oneOf: [{properties: {kind: {const: circle}, radius: {type: number}}, required: [kind, radius], additionalProperties: false}, {properties: {kind: {const: box}, width: {type: number}}, required: [kind, width], additionalProperties: false}]}",
      """
        kind: box
        width: x
        """,
      #"2:8 wrong-type: expected a number, found the string "x""#),
    Case(
      "the branch whose keys are there",
      "{oneOf: [{properties: {kind: {const: circle}, radius: {type: number}}, required: [kind, radius], additionalProperties: false}, {properties: {kind: {const: box}, width: {type: number}}, required: [kind, width], additionalProperties: false}]}",
      "radius: 2",
      #"1:1 missing-key: missing key "kind" = add `kind: "circle"`: "circle""#),
    Case(
      "no branch has the constant",
      "{oneOf: [{properties: {kind: {const: circle}, radius: {type: number}}, required: [kind, radius], additionalProperties: false}, {properties: {kind: {const: box}, width: {type: number}}, required: [kind, width], additionalProperties: false}]}",
      """
        kind: bxo
        width: 1
        """,
      #"1:7 not-allowed-value: expected "box", found the string "bxo" = did you mean "box"?"#),
    Case(
      "the branch of the value's type",
      "{properties: {a: {anyOf: [{type: string}, {type: object, properties: {b: {type: integer}}}]}}}",
      "a: {b: x}",
      #"1:8 wrong-type: expected an integer, found the string "x""#),
    Case(
      "all that is expected of a scalar",
      "{properties: {a: {anyOf: [{type: integer, minimum: 1, maximum: 4095}, {const: auto}]}}}",
      "a: four",
      #"1:4 not-allowed-value: expected an integer from 1 to 4095 or "auto", found the string "four""#),
    Case(
      "a value near the constant of a branch",
      "{properties: {a: {anyOf: [{type: integer, minimum: 1, maximum: 4095}, {const: auto}]}}}",
      "a: atuo",
      #"1:4 not-allowed-value: expected an integer from 1 to 4095 or "auto", found the string "atuo" = did you mean "auto"?"#),
    Case(
      "a number beyond that of a branch",
      "{properties: {a: {anyOf: [{type: integer, minimum: 1, maximum: 4095}, {const: auto}]}}}",
      "a: 0",
      #"1:4 out-of-range: expected an integer from 1 to 4095 or "auto", found the integer 0"#),
    Case(
      "words for all branches",
      "{properties: {a: {anyOf: [{type: integer, minimum: 1, maximum: 4095}, {const: auto}], x-expected: 'a count, or auto'}}}",
      "a: 0",
      "1:4 out-of-range: expected a count, or auto, found the integer 0"),
    Case(
      "the problem furthest down",
      "{anyOf: [{properties: {a: {properties: {b: {type: integer}}}}}, {properties: {a: {type: integer}}}]}",
      "a: {b: x}",
      #"1:8 wrong-type: expected an integer, found the string "x""#),
    Case(
      "more than one branch fits",
      "{properties: {a: {oneOf: [{type: integer}, {minimum: 0}]}}}",
      "a: 3",
      #"1:4 ambiguous: "a" fits more than one of the alternatives of which exactly one must fit (1 and 2)"#),
    Case(
      "a condition has chosen",
      "{properties: {plugin: true, with: {type: object}}, allOf: [{if: {properties: {plugin: {const: jq}}, required: [plugin]}, then: {properties: {with: {properties: {filter: {type: string}}, additionalProperties: false}}}}, {if: {properties: {plugin: {const: hash}}, required: [plugin]}, then: {properties: {with: {properties: {rounds: {type: integer}}, additionalProperties: false}}}}]}",
      """
        plugin: hash
        with: {round: 3, rounds: x}
        """,
      """
        2:8 unknown-key: unknown key "round" in "with" = all valid keys are there already
        2:26 wrong-type: expected an integer, found the string "x"
        """),
    Case(
      "else",
      "{if: {required: [a]}, then: true, else: {required: [b]}}",
      "c: 1",
      #"1:1 missing-key: missing key "b" = add `b: …`"#),
    Case(
      "a schema that allows nothing",
      "false",
      "a: 1",
      "1:1 not-allowed: the schema allows no document at all"),
  ]
}
