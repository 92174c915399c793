import Schemas
import Specs
import Testing

/// What people read about a value: its type, its range, its words.
@Suite struct ValueMessageTests {
  @Test(arguments: values + secrets)
  func messageIsExact(_ one: Case) throws { try one.check() }

  @Test(arguments: secrets)
  func aSecretIsNeverPrinted(_ one: Case) throws {
    for diagnostic in try compile(one.schema).validate(try node(one.instance)) {
      let text = diagnostic.json(file: "x").compact + (diagnostic.notes.map(\.text).joined())
      #expect(!text.contains("HUSH") && !text.contains("77123"))
    }
  }

  /// A value that came from a secret parameter is one wherever it is used.
  @Test func aSecretNodeIsNeverPrinted() throws {
    var value = Node(.string("HUSH"), text: "HUSH")
    value.isSecret = true
    let found = try compile("{properties: {a: {type: integer}, b: {enum: [HUSHY]}}}").validate(.mapping([.init(key: "a", value: value), .init(key: "b", value: value)]))
    #expect(found.map(\.message) == ["expected an integer, found a value that is kept secret", "expected \"HUSHY\", found a value that is kept secret"])
    #expect(found.allSatisfy { $0.remedy == nil })
  }

  static let values = [
    Case(
      "an integer in its range",
      "{properties: {capacity: {type: integer, minimum: 1, maximum: 4095}}}",
      "capacity: 4095",
      ""),
    Case(
      "a word for an integer",
      "{properties: {capacity: {type: integer, minimum: 1, maximum: 4095}}}",
      "capacity: four",
      #"1:11 wrong-type: expected an integer from 1 to 4095, found the string "four""#),
    Case(
      "an integer in quotes",
      "{properties: {capacity: {type: integer, minimum: 1, maximum: 4095}}}",
      #"capacity: "4""#,
      #"1:11 wrong-type: expected an integer from 1 to 4095, found the string "4" = remove the quotes"#),
    Case(
      "a size with a unit of another kind",
      #"{properties: {size: {type: string, pattern: '^[0-9]+(B|[KMGT]iB|[kKMGT]B)$', x-expected: a size}}}"#,
      #"size: 1M"#,
      #"1:7 pattern: expected a size, found the string "1M" = write 1MiB"#),
    Case(
      "a size with a unit in words",
      #"{properties: {size: {type: string, pattern: '^[0-9]+(B|[KMGT]iB|[kKMGT]B)$', x-expected: a size}}}"#,
      #"size: 16 bytes"#,
      #"1:7 pattern: expected a size, found the string "16 bytes" = write 16B"#),
    Case(
      "a size without a unit",
      #"{properties: {size: {type: string, pattern: '^[0-9]+(B|[KMGT]iB|[kKMGT]B)$', x-expected: a size}}}"#,
      #"size: 4096"#,
      #"1:7 wrong-type: expected a size, found the integer 4096 = write 4096B if bytes are meant"#),
    Case(
      "a size with a unit that is none",
      #"{properties: {size: {type: string, pattern: '^[0-9]+(B|[KMGT]iB|[kKMGT]B)$', x-expected: a size}}}"#,
      #"size: 4X"#,
      #"1:7 pattern: expected a size, found the string "4X""#),
    Case(
      "a duration with a unit in words",
      #"{properties: {timeout: {type: string, pattern: '^[0-9]+(ns|us|ms|s|m|h|d)$', x-expected: a duration}}}"#,
      #"timeout: 5sec"#,
      #"1:10 pattern: expected a duration, found the string "5sec" = write 5s"#),
    Case(
      "a duration with the unit of minutes",
      #"{properties: {timeout: {type: string, pattern: '^[0-9]+(ns|us|ms|s|m|h|d)$', x-expected: a duration}}}"#,
      #"timeout: 5 Min"#,
      #"1:10 pattern: expected a duration, found the string "5 Min" = write 5m"#),
    Case(
      "a duration without a unit",
      #"{properties: {timeout: {type: string, pattern: '^[0-9]+(ns|us|ms|s|m|h|d)$', x-expected: a duration}}}"#,
      #"timeout: 5"#,
      #"1:10 wrong-type: expected a duration, found the integer 5 = write 5s if seconds are meant"#),
    Case(
      "a fraction that the schema would not take with a unit either",
      #"{properties: {timeout: {type: string, pattern: '^[0-9]+(ns|us|ms|s|m|h|d)$', x-expected: a duration}}}"#,
      #"timeout: 1.5"#,
      #"1:10 wrong-type: expected a duration, found the number 1.5"#),
    Case(
      "a rate with a unit in words",
      #"{properties: {rate: {type: string, pattern: '^[0-9]+/(s|m|h)$', x-expected: a rate}}}"#,
      #"rate: 60/min"#,
      #"1:7 pattern: expected a rate, found the string "60/min" = write 60/m"#),
    Case(
      "a rate without a unit",
      #"{properties: {rate: {type: string, pattern: '^[0-9]+/(s|m|h)$', x-expected: a rate}}}"#,
      #"rate: 100"#,
      #"1:7 wrong-type: expected a rate, found the integer 100 = write 100/s for so many in a second"#),
    Case(
      "a value where a mapping is expected, and one key would take it",
      #"{properties: {queue: {type: object, additionalProperties: false, properties: {capacity: {type: integer}, message: {type: string, pattern: B}, bytes: {type: string, pattern: B}}}}}"#,
      #"queue: 512"#,
      #"1:8 wrong-type: expected a mapping, found the integer 512 = write {capacity: 512}"#),
    Case(
      "a value where a mapping is expected, and two keys would take it",
      #"{properties: {queue: {type: object, additionalProperties: false, properties: {capacity: {type: integer}, message: {type: string, pattern: B}, bytes: {type: string, pattern: B}}}}}"#,
      #"queue: 1MB"#,
      #"1:8 wrong-type: expected a mapping, found the string "1MB""#),
    Case(
      "a value where a mapping is expected that no key would take",
      #"{properties: {queue: {type: object, additionalProperties: false, properties: {capacity: {type: integer}, message: {type: string, pattern: B}, bytes: {type: string, pattern: B}}}}}"#,
      #"queue: many"#,
      #"1:8 wrong-type: expected a mapping, found the string "many""#),
    Case(
      "a value that stands in a mapping only with quotes",
      #"{properties: {partition: {type: object, required: [key], properties: {key: {type: string}, rows: {type: integer}}}}}"#,
      #"partition: .a, .b"#,
      #"1:12 wrong-type: expected a mapping, found the string ".a, .b" = write {key: ".a, .b"}"#),
    Case(
      "an integer below its range",
      "{properties: {capacity: {type: integer, minimum: 1, maximum: 4095}}}",
      "capacity: 0",
      "1:11 out-of-range: expected an integer from 1 to 4095, found the integer 0"),
    Case(
      "a fraction for an integer",
      "{properties: {capacity: {type: integer, minimum: 1, maximum: 4095}}}",
      "capacity: 2.5",
      "1:11 wrong-type: expected an integer from 1 to 4095, found the number 2.5"),
    Case(
      "a whole fraction is an integer",
      "{properties: {capacity: {type: integer, minimum: 1, maximum: 4095}}}",
      "capacity: 2.0",
      ""),
    Case(
      "an integer beyond 64 bits",
      "{properties: {capacity: {type: integer, minimum: 1, maximum: 4095}}}",
      "capacity: 18446744073709551617",
      "1:11 out-of-range: expected an integer from 1 to 4095, found the number 18446744073709551617"),
    Case(
      "a key without a value",
      "{properties: {capacity: {type: integer, minimum: 1, maximum: 4095}}}",
      "capacity:",
      "1:10 wrong-type: expected an integer from 1 to 4095, found nothing"),
    Case(
      "a mapping for an integer",
      "{properties: {capacity: {type: integer, minimum: 1, maximum: 4095}}}",
      "capacity: {a: 1}",
      "1:11 wrong-type: expected an integer from 1 to 4095, found a mapping"),
    Case(
      "a limit that is exclusive",
      "{properties: {a: {type: number, exclusiveMinimum: 0, maximum: 1}}}",
      "a: 0",
      "1:4 out-of-range: expected a number above 0 and of at most 1, found the integer 0"),
    Case(
      "the tighter of two limits",
      "{properties: {a: {minimum: 1, exclusiveMinimum: 1}}}",
      "a: 1",
      "1:4 out-of-range: expected a number above 1, found the integer 1"),
    Case(
      "no multiple",
      "{properties: {a: {type: number, multipleOf: 0.0001}}}",
      "a: 0.00751",
      "1:4 not-a-multiple: expected a number that is a multiple of 0.0001, found the number 0.00751"),
    Case(
      "a number for a string",
      "{properties: {a: {type: string}}}",
      "a: 8080",
      #"1:4 wrong-type: expected a string, found the integer 8080 = put it into quotes: "8080""#),
    Case(
      "a version for a string",
      "{properties: {a: {type: string}}}",
      "a: 1.10",
      #"1:4 wrong-type: expected a string, found the number 1.10 = put it into quotes: "1.10""#),
    Case(
      "yes for a boolean",
      "{properties: {a: {type: boolean}}}",
      "a: yes",
      #"1:4 wrong-type: expected true or false, found the string "yes" = write true"#),
    Case(
      "a boolean in quotes",
      "{properties: {a: {type: boolean}}}",
      "a: 'true'",
      #"1:4 wrong-type: expected true or false, found the string "true" = remove the quotes"#),
    Case(
      "a string for a list of strings",
      "{properties: {a: {type: array, items: {type: string}}}}",
      "a: camera",
      #"1:4 wrong-type: expected a list, found the string "camera" = write it as a list: [camera]"#),
    Case(
      "a number for a list of strings",
      "{properties: {a: {type: array, items: {type: string}}}}",
      "a: 3",
      "1:4 wrong-type: expected a list, found the integer 3"),
    Case(
      "an empty string",
      "{properties: {a: {type: string, minLength: 1}}}",
      "a: ''",
      "1:4 wrong-length: expected a string that is not empty, found an empty string"),
    Case(
      "a string that is too long",
      "{properties: {a: {type: string, maxLength: 2}}}",
      "a: äöü",
      #"1:4 wrong-length: expected a string of at most 2 characters, found the string "äöü""#),
    Case(
      "a pattern without words",
      "{properties: {a: {type: string, pattern: '^[a-z]+$'}}}",
      "a: A1",
      #"1:4 pattern: expected a string that matches the pattern "^[a-z]+$", found the string "A1""#),
    Case(
      "a pattern with words",
      "{properties: {a: {type: string, pattern: '^[0-9]+[KM]iB$', x-expected: a size such as 64KiB}}}",
      "a: 64kb",
      #"1:4 pattern: expected a size such as 64KiB, found the string "64kb""#),
    Case(
      "a wrong type with words",
      "{properties: {a: {type: string, pattern: '^[0-9]+[KM]iB$', x-expected: a size such as 64KiB}}}",
      "a: 64",
      "1:4 wrong-type: expected a size such as 64KiB, found the integer 64"),
    Case(
      "words beside a reference",
      "{properties: {a: {$ref: '#/$defs/size', x-expected: a size such as 64KiB}}, $defs: {size: {type: string, pattern: '^[0-9]+KiB$'}}}",
      "a: 64kb",
      #"1:4 pattern: expected a size such as 64KiB, found the string "64kb""#),
    Case(
      "an enum with a near value",
      "{properties: {a: {enum: [stop, drop]}}}",
      "a: dorp",
      #"1:4 not-allowed-value: expected "stop" or "drop", found the string "dorp" = did you mean "drop"?"#),
    Case(
      "an enum with no near value",
      "{properties: {a: {enum: [stop, drop]}}}",
      "a: continue",
      #"1:4 not-allowed-value: expected "stop" or "drop", found the string "continue""#),
    Case(
      "an enum with words",
      "{properties: {a: {enum: [stop, drop], x-expected: what happens then}}}",
      "a: continue",
      #"1:4 not-allowed-value: expected what happens then, found the string "continue" = valid values: stop, drop"#),
    Case(
      "a const",
      "{properties: {a: {const: 1}}}",
      "a: 2",
      "1:4 not-allowed-value: expected 1, found the integer 2"),
    Case(
      "something that is refused",
      "{properties: {a: {not: {type: string}}}}",
      "a: x",
      "1:4 not-allowed: expected anything but a string"),
    Case(
      "words for what is refused",
      "{properties: {a: {not: {const: ''}, x-expected: a name}}}",
      "a: ''",
      "1:4 not-allowed: expected a name, found an empty string"),
    Case(
      "two problems at two places",
      "{properties: {a: {type: integer}, b: {type: boolean}}}",
      """
        a: x
        b: 3
        """,
      """
        1:4 wrong-type: expected an integer, found the string "x"
        2:4 wrong-type: expected true or false, found the integer 3
        """),
    Case(
      "a type out of several",
      "{properties: {a: {type: [integer, 'null', boolean]}}}",
      "a: x",
      #"1:4 wrong-type: expected null, true or false or an integer, found the string "x""#),
    Case(
      "infinity is a number",
      "{properties: {a: {type: number, maximum: 5}}}",
      "a: .inf",
      "1:4 out-of-range: expected a number of at most 5, found the number .inf"),
  ]

  static let secrets = [
    Case(
      "a pattern",
      "{properties: {t: {type: string, pattern: '^[a-z]+$', x-secret: true}}}",
      "t: HUSH",
      #"1:4 pattern: expected a string that matches the pattern "^[a-z]+$", found a value that is kept secret"#),
    Case(
      "a wrong type",
      "{properties: {t: {type: string, x-secret: true}}}",
      "t: 77123",
      "1:4 wrong-type: expected a string, found a value that is kept secret"),
    Case(
      "an enum",
      "{properties: {t: {enum: [left, right], x-secret: true}}}",
      "t: HUSH",
      #"1:4 not-allowed-value: expected "left" or "right", found a value that is kept secret"#),
    Case(
      "a value within",
      "{properties: {t: {additionalProperties: {type: integer}, x-secret: true}}}",
      "t: {token: HUSH}",
      "1:12 wrong-type: expected an integer, found a value that is kept secret"),
    Case(
      "a branch that calls it a secret",
      "{properties: {t: {anyOf: [{type: integer, x-secret: true}, {type: boolean}]}}}",
      "t: HUSH",
      "1:4 wrong-type: expected an integer or true or false, found a value that is kept secret"),
    Case(
      "a repeated item",
      "{properties: {t: {uniqueItems: true, x-secret: true}}}",
      "t: [HUSH, HUSH]",
      #"1:11 repeated-item: this item repeats "t[0]" = remove one of the two"#),
    Case(
      "words beside it",
      "{properties: {t: {type: string, minLength: 9, x-expected: a token, x-secret: true}}}",
      "t: HUSH",
      "1:4 wrong-length: expected a token, found a value that is kept secret"),
    Case(
      "a reference to it",
      "{properties: {t: {$ref: '#/$defs/t'}}, $defs: {t: {x-secret: true, not: {type: string}}}}",
      "t: HUSH",
      "1:4 not-allowed: expected anything but a string"),
    Case(
      "an item",
      "{properties: {t: {items: {maxLength: 2}, x-secret: true}}}",
      "t: [HUSH]",
      "1:5 wrong-length: expected a string of at most 2 characters, found a value that is kept secret"),
  ]
}
