import Specs
import Testing

/// YAML 1.2.2, section 10.3.2.
struct CoreSchemaTests {
  @Test(arguments: [
    ("", "null"), ("~", "null"), ("null", "null"), ("NULL", "null"), ("nULL", "the string \"nULL\""), ("true", "the boolean true"),
    ("FALSE", "the boolean false"), ("yes", "the string \"yes\""), ("no", "the string \"no\""), ("0", "the integer 0"), ("010", "the integer 10"),
    ("-7", "the integer -7"), ("+7", "the integer 7"), ("0x1F", "the integer 31"), ("0o17", "the integer 15"), ("0b1", "the string \"0b1\""),
    ("-0x1", "the string \"-0x1\""), ("1_000", "the string \"1_000\""), ("9223372036854775807", "the integer 9223372036854775807"),
    ("9223372036854775808", "the number 9.223372036854776e+18"), ("1.5", "the number 1.5"), ("5.", "the number 5.0"), (".5", "the number 0.5"),
    ("-.5", "the number -0.5"), ("1e3", "the number 1000.0"), ("1.e3", "the number 1000.0"), ("1E-2", "the number 0.01"), ("1e", "the string \"1e\""),
    (".", "the string \".\""), ("-", "the string \"-\""), ("+", "the string \"+\""), (".inf", "the number inf"), ("-.INF", "the number -inf"),
    (".nan", "the number nan"), ("inf", "the string \"inf\""), ("0x", "the string \"0x\""), ("1 ", "the string \"1 \""), ("１", "the string \"１\""),
  ])
  func plainScalarsAreResolved(_ text: String, _ expected: String) { #expect(Node(CoreSchema.value(ofPlain: text)).described == expected) }
}
