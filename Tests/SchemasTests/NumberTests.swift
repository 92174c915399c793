import Harness
import Schemas
import Specs
import Testing

/// Numbers are compared by their digits, not as doubles.
@Suite struct NumberTests {
  @Test(arguments: [
    ("multipleOf: 0.0001", "0.0075", true), ("multipleOf: 0.0001", "0.00751", false), ("multipleOf: 0.01", "19.99", true),
    ("multipleOf: 0.1", "0.3", true), ("multipleOf: 1e-8", "12391239123", true), ("multipleOf: 1e-8", "1.5e-9", false),
    ("multipleOf: 0.123456789", "1e308", false), ("multipleOf: 3", "1e400", false), ("multipleOf: 2", "1e400", true),
    ("multipleOf: 7", "-49", true), ("multipleOf: 5", "0", true), ("multipleOf: 100", "1e2", true), ("multipleOf: 1000", "1e2", false),
    ("multipleOf: 3", "111111111111111111111111111111", true), ("multipleOf: 3", "111111111111111111111111111112", false),
    ("multipleOf: 123456789012345678901234567", "370370367037037036703703701", true),
    ("multipleOf: 123456789012345678901234567", "370370367037037036703703702", false),
    ("multipleOf: 1024", "1e10", true), ("multipleOf: 1024", "1e9", false), ("multipleOf: 1e-999999999", "1e999999999", true),
    ("maximum: 18446744073709551616", "18446744073709551616", true), ("maximum: 18446744073709551616", "18446744073709551617", false),
    ("minimum: -9223372036854775809", "-9223372036854775809", true), ("minimum: -9223372036854775808", "-9223372036854775809", false),
    ("exclusiveMaximum: 0.3", "0.29999999999999999999", true), ("exclusiveMaximum: 0.3", "0.30", false),
    ("maximum: 1e400", "1e399", true), ("maximum: 1e399", "1e400", false), ("minimum: 0", "-0.0", true), ("minimum: -1", "-1.5", false),
    ("maximum: 5", ".inf", false), ("minimum: 5", ".inf", true), ("minimum: 5", "-.inf", false), ("maximum: 5", ".nan", false),
    ("type: integer", "1.0", true), ("type: integer", "1e2", true), ("type: integer", "1.5e0", false), ("type: integer", "15e-1", false),
    ("type: integer", "1e400", true), ("type: integer", ".inf", false), ("type: integer", "0x1F", true),
    ("const: 1", "1.0", true), ("const: 100", "1e2", true), ("const: 18446744073709551616", "18446744073709551617", false),
    ("enum: [0.1]", "0.10", true), ("const: 0", "-0", true), ("const: 0", "false", false), ("const: 1", "true", false), ("const: '1'", "1", false),
  ])
  func digitsDecide(_ keyword: String, _ number: String, _ isValid: Bool) throws {
    #expect(try compile("{\(keyword)}").isValid(try node(number)) == isValid)
  }

  /// The rule of products, with numbers of any length.
  @Test func productsAreMultiples() throws {
    let seed = testSeed()
    var random = Seeded(seed)
    for _ in 0..<500 {
      let divisor = Int.random(in: 1...999_999_999, using: &random)
      let factor = Int.random(in: 1...999_999_999, using: &random)
      let shift = Int.random(in: 0...12, using: &random)
      let compiled = try compile("{multipleOf: \(divisor)e-\(shift)}")
      #expect(compiled.isValid(try node("\(divisor * factor)e-\(shift)")), "seed \(seed)")
      if divisor > 1 { #expect(!compiled.isValid(try node("\(divisor * factor + 1)e-\(shift)")), "seed \(seed)") }
    }
  }

  @Test(arguments: [
    ("[1, 1.0]", false), ("[1, true]", true), ("[{a: 1, b: 2}, {b: 2, a: 1.0}]", false), ("[[1, 2], [2, 1]]", true), ("['1', 1]", true),
    ("[\"\\u00e9\", \"e\\u0301\"]", true), ("[null, null]", false), ("[{a: 1}, {a: 1, b: 1}]", true), ("[.inf, .inf]", false),
  ])
  func itemsAreUniqueAsValues(_ items: String, _ isValid: Bool) throws {
    #expect(try compile("{uniqueItems: true}").isValid(try node(items)) == isValid)
  }

  @Test func manyItemsAreComparedQuickly() throws {
    let items = (0..<50_000).map { Node.mapping([Node.Pair(key: "a", value: .integer($0))]) }
    #expect(try compile("{uniqueItems: true}").isValid(Node(.sequence(items))))
  }
}
