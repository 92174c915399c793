import Schemas
import Specs
import Testing

/// Regular expressions mean what ECMA-262 says, though PCRE2 matches them.
@Suite struct PatternTests {
  @Test(arguments: [
    ("^a*$", "aaa", true), ("^a*$", "aaa\n", false), ("a+", "xxaayy", true), ("^$", "", true), ("^.$", "\r", false), ("^.$", "\u{2028}", false),
    ("^.$", "😀", true), (#"^\d$"#, "٣", false), (#"^\d$"#, "3", true), (#"^\D$"#, "٣", true), (#"^\w$"#, "é", false), (#"^\W$"#, "é", true),
    (#"^\s$"#, "\u{a0}", true), (#"^\s$"#, "\u{feff}", true), (#"^\s$"#, "\u{2029}", true), (#"^\S$"#, "\u{a0}", false), (#"^\S$"#, "x", true),
    (#"^[\s,]$"#, "\u{3000}", true), (#"^[\s\S]$"#, "\u{a0}", true), (#"^[\s\S]$"#, "x", true), (#"^[a\S]$"#, "\u{a0}", false),
    (#"^[^\S]$"#, "\u{a0}", true), (#"^[^\S]$"#, "x", false), (#"^[^\S\n]$"#, "\n", false), (#"^[^\S\n]$"#, " ", true), (#"^[\d-]$"#, "-", true),
    (#"^\p{Letter}+$"#, "π", true), (#"^\p{L}+$"#, "123", false), (#"^\P{Letter}+$"#, "123", true), (#"^\p{Lu}$"#, "É", true),
    (#"^\p{Script=Greek}$"#, "π", true), (#"^\p{sc=Greek}$"#, "p", false), (#"^\p{gc=Decimal_Number}$"#, "٣", true), (#"^[\p{Lowercase_Letter}_]$"#, "é", true),
    (#"^\u0041$"#, "A", true), (#"^\u{1F600}$"#, "😀", true), (#"^\ud83d\ude00$"#, "😀", true), (#"^\x41$"#, "A", true), (#"^\cJ$"#, "\n", true),
    (#"^\t\v\f$"#, "\t\u{b}\u{c}", true), (#"^[\b]$"#, "\u{8}", true), (#"\bfoo\b"#, "a foo b", true), (#"^\/\-\.$"#, "/-.", true), (#"^\0$"#, "\0", true),
    (#"^(a)|b\1$"#, "b", true), (#"^(?<x>a)\k<x>$"#, "aa", true), (#"^(a)\1$"#, "aa", true), ("^[]$", "", false), ("^[^]$", "\n", true),
    ("^[[:alpha:]]$", ":]", true), ("^[[:alpha:]]$", "x", false), ("^{foo}$", "{foo}", true), ("^a{2}$", "aa", true), ("^a{,2}$", "a{,2}", true),
    ("^a{2,}?$", "aaa", true), ("(?=a)a", "a", true), ("(?<!a)b", "ab", false), ("(?<!a)b", "cb", true), ("^(?:ab)+$", "abab", true), ("^(?i:A)b$", "ab", true),
    ("^é$", "e\u{301}", false), ("^..$", "e\u{301}", true),
  ])
  func meansTheSame(_ pattern: String, _ text: String, _ matches: Bool) throws {
    let (compiled, problems) = Schema.compile(.mapping([Node.Pair(key: "pattern", value: .string(pattern))]))
    #expect(try #require(compiled, "\(problems.map(\.message))").isValid(.string(text)) == matches)
  }

  @Test(arguments: [
    #"\A"#, #"\Z"#, #"\z"#, #"\Qa\E"#, #"\h"#, #"\K"#, #"\R"#, #"\X"#, #"\a"#, #"\C"#, "(?>a)", "(?P<x>a)", "(?R)", "(?#c)", "(*ACCEPT)", "(*UTF8)a", "a*+", "a{2}+",
    "a**", "(?'x'a)", "(?|a|b)", "(?C1)", #"\x{41}"#, #"\ud83d"#, #"\u{110000}"#, #"\p{Nothing}"#, #"\pL"#, "(a", "a)", "[a", "[b-a]", "*a", #"a\"#, #"\u12"#,
    #"(?<=a+)b"#, #"\2(a)"#,
  ])
  func whatIsNotECMAScriptIsRefused(_ pattern: String) {
    let (compiled, problems) = Schema.compile(.mapping([Node.Pair(key: "pattern", value: .string(pattern))]))
    #expect(compiled == nil)
    #expect(problems.map(\.code) == ["bad-pattern"])
  }
}
