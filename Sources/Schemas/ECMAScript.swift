/// Rewrites a regular expression of ECMA-262 (2024, section 22.2, Unicode mode) as one of PCRE2 that means the same.
///
/// What only PCRE2 knows is refused, since the schema would mean something else to everybody's other tools: `\A`, `\Z`,
/// `(?>…)`, `(*VERB)`, `a*+`. A lookbehind of changing length is the one thing that PCRE2 cannot do; it says so itself.
struct ECMAScript {
  private var rest: Substring.UnicodeScalarView
  private var out = ""

  static func translate(_ text: String) throws(Pattern.Unusable) -> String {
    var translation = ECMAScript(rest: Substring(text).unicodeScalars)
    try translation.expression()
    return translation.out
  }

  private init(rest: Substring.UnicodeScalarView) { self.rest = rest }

  /// White space and line ends of ECMA-262, sections 12.2 and 12.3, for use inside a class.
  private static let space = #"\t\n\x{b}\f\r\x{feff}\x{2028}\x{2029}\p{Zs}"#

  private mutating func next() -> Unicode.Scalar? { rest.popFirst() }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard rest.first == scalar else { return false }
    rest.removeFirst()
    return true
  }

  private mutating func expression() throws(Pattern.Unusable) {
    while let scalar = next() {
      switch scalar {
      case "\\": try escape(inClass: false)
      case "[": try characterClass()
      case ".": out += #"[^\n\r\x{2028}\x{2029}]"#
      case "(": try group()
      case "*", "+", "?":
        out.unicodeScalars.append(scalar)
        try endOfQuantifier()
      case "{": try repetition()
      default: out.unicodeScalars.append(scalar)
      }
    }
  }

  private mutating func endOfQuantifier() throws(Pattern.Unusable) {
    if take("?") { out += "?" }
    if rest.first == "+" || rest.first == "*" || rest.first == "?" { throw Pattern.Unusable(reason: "a quantifier follows a quantifier") }
  }

  /// `{2}`, `{2,}` and `{2,3}` repeat; any other brace stands for itself.
  private mutating func repetition() throws(Pattern.Unusable) {
    let body = rest.prefix { $0 != "}" }
    let numbers = String(body).split(separator: ",", omittingEmptySubsequences: false)
    let areNumbers = numbers.enumerated().allSatisfy { i, number in
      (!number.isEmpty || i == 1) && number.utf8.allSatisfy { 48...57 ~= $0 }
    }
    guard body.endIndex < rest.endIndex, numbers.count <= 2, areNumbers else {
      out += #"\{"#
      return
    }
    out += "{" + String(body) + "}"
    rest = rest[rest.index(after: body.endIndex)...]
    try endOfQuantifier()
  }

  private mutating func group() throws(Pattern.Unusable) {
    if rest.first == "*" { throw Pattern.Unusable(reason: "nothing stands before the *") }
    out += "("
    guard take("?") else { return }
    out += "?"
    let head = String(rest.prefix { $0 != ")" && $0 != "(" })
    let flags = head.prefix { "ims-".contains($0) }
    let isKnown =
      head.hasPrefix(":") || head.hasPrefix("=") || head.hasPrefix("!") || head.hasPrefix("<")
      || !flags.isEmpty && head.dropFirst(flags.count).hasPrefix(":")
    if !isKnown { throw Pattern.Unusable(reason: "(?\(head.prefix(1)) begins no group of ECMA-262") }
  }

  // MARK: Classes

  private mutating func characterClass() throws(Pattern.Unusable) {
    let isNegated = take("^")
    let before = out
    out = ""
    var holdsNonSpace = false
    while true {
      guard let scalar = next() else { throw Pattern.Unusable(reason: "a [ is not closed") }
      if scalar == "]" { break }
      if scalar == "[" {
        // PCRE2 would read [:alpha:] as a class of its own.
        out += #"\["#
      } else if scalar == "\\", take("S") {
        holdsNonSpace = true
      } else if scalar == "\\" {
        try escape(inClass: true)
      } else {
        out.unicodeScalars.append(scalar)
      }
    }
    // `\S` is a complement and cannot be written inside a class: it becomes an alternative to it.
    let members = out
    let space = Self.space
    switch (holdsNonSpace, isNegated) {
    case (false, false): out = before + "[\(members)]"
    case (false, true): out = before + "[^\(members)]"
    case (true, false): out = before + "(?:[^\(space)]" + (members.isEmpty ? "" : "|[\(members)]") + ")"
    case (true, true): out = before + (members.isEmpty ? "[\(space)]" : "(?:(?=[\(space)])[^\(members)])")
    }
  }

  // MARK: Escapes

  private mutating func escape(inClass: Bool) throws(Pattern.Unusable) {
    guard let scalar = next() else { throw Pattern.Unusable(reason: "it ends with a backslash") }
    switch scalar {
    case "d": out += inClass ? "0-9" : "[0-9]"
    case "D": out += inClass ? #"\D"# : "[^0-9]"
    case "s": out += inClass ? Self.space : "[\(Self.space)]"
    case "S": out += "[^\(Self.space)]"
    case "w", "W", "t", "n", "r", "f": out += "\\\(scalar)"
    case "b": out += inClass ? #"\x{8}"# : #"\b"#
    case "B" where !inClass: out += #"\B"#
    case "v": out += #"\x{b}"#
    case "0": out += #"\x{0}"#
    case "c":
      guard let letter = next(), letter.isASCII, letter.properties.isAlphabetic else { throw Pattern.Unusable(reason: "a letter must follow \\c") }
      out += "\\x{" + String(letter.value % 32, radix: 16) + "}"
    case "x": literal(try hexadecimal(2, "\\x"))
    case "u": try unicodeEscape()
    case "p", "P": try property(scalar)
    case "k" where !inClass: out += #"\k"#
    case "1"..."9" where !inClass:
      var number = String(scalar)
      while let digit = rest.first, "0"..."9" ~= digit, number.utf8.count < 3 {
        number.unicodeScalars.append(digit)
        rest.removeFirst()
      }
      out += "\\g{\(number)}"
    default:
      if scalar.properties.isAlphabetic && scalar.isASCII || "0"..."9" ~= scalar {
        throw Pattern.Unusable(reason: "\\\(scalar) is no escape of ECMA-262" + (scalar == "A" || scalar == "Z" || scalar == "z" ? "; ^ and $ match the ends of the text" : ""))
      }
      if scalar.isASCII { out += "\\" }
      out.unicodeScalars.append(scalar)
    }
  }

  private mutating func literal(_ value: UInt32) { out += "\\x{" + String(value, radix: 16) + "}" }

  private mutating func hexadecimal(_ count: Int, _ name: String) throws(Pattern.Unusable) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<count {
      guard let digit = next().flatMap({ Character($0).hexDigitValue }) else {
        throw Pattern.Unusable(reason: "\(count) hexadecimal digits must follow \(name)")
      }
      value = value << 4 | UInt32(digit)
    }
    return value
  }

  /// `\u0041`, `\u{1F600}` and surrogate pairs.
  private mutating func unicodeEscape() throws(Pattern.Unusable) {
    if take("{") {
      let digits = rest.prefix { $0 != "}" }
      guard let value = UInt32(String(digits), radix: 16), Unicode.Scalar(value) != nil, digits.endIndex < rest.endIndex else {
        throw Pattern.Unusable(reason: "\\u{\(String(digits))} is no code point")
      }
      rest = rest[rest.index(after: digits.endIndex)...]
      return literal(value)
    }
    let high = try hexadecimal(4, "\\u")
    guard 0xd800...0xdfff ~= high else { return literal(high) }
    guard high < 0xdc00, take("\\"), take("u") else { throw Pattern.Unusable(reason: "half of a surrogate pair matches no text") }
    let low = try hexadecimal(4, "\\u")
    guard 0xdc00...0xdfff ~= low else { throw Pattern.Unusable(reason: "half of a surrogate pair matches no text") }
    literal(0x10000 + (high - 0xd800) << 10 + (low - 0xdc00))
  }

  /// `\p{Letter}`, `\p{gc=Lu}`, `\p{Script=Greek}`: PCRE2 knows the short names.
  private mutating func property(_ escape: Unicode.Scalar) throws(Pattern.Unusable) {
    let body = take("{") ? rest.prefix { $0 != "}" } : rest.prefix(0)
    guard !body.isEmpty, body.endIndex < rest.endIndex else { throw Pattern.Unusable(reason: "a property in braces must follow \\\(escape)") }
    rest = rest[rest.index(after: body.endIndex)...]
    let parts = String(body).split(separator: "=", omittingEmptySubsequences: false).map(String.init)
    let name: String
    switch (parts.first, parts.count) {
    case ("Script", 2), ("sc", 2): name = "sc:" + parts[1]
    case ("Script_Extensions", 2), ("scx", 2): name = "scx:" + parts[1]
    case ("General_Category", 2), ("gc", 2): name = Self.categories[parts[1]] ?? parts[1]
    default: name = Self.categories[String(body)] ?? String(body)
    }
    out += "\\\(escape){\(name)}"
  }

  /// The long names of the general categories (Unicode, PropertyValueAliases.txt).
  private static let categories = [
    "Letter": "L", "Cased_Letter": "L&", "LC": "L&", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Titlecase_Letter": "Lt",
    "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M", "Combining_Mark": "M", "Nonspacing_Mark": "Mn", "Spacing_Mark": "Mc",
    "Enclosing_Mark": "Me", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd", "Letter_Number": "Nl", "Other_Number": "No",
    "Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc", "Dash_Punctuation": "Pd", "Open_Punctuation": "Ps",
    "Close_Punctuation": "Pe", "Initial_Punctuation": "Pi", "Final_Punctuation": "Pf", "Other_Punctuation": "Po", "Symbol": "S",
    "Math_Symbol": "Sm", "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk", "Other_Symbol": "So", "Separator": "Z",
    "Space_Separator": "Zs", "Line_Separator": "Zl", "Paragraph_Separator": "Zp", "Other": "C", "Control": "Cc", "cntrl": "Cc",
    "Format": "Cf", "Surrogate": "Cs", "Private_Use": "Co", "Unassigned": "Cn", "ASCII_Hex_Digit": "AHex",
  ]
}
