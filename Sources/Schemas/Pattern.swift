import CPCRE2

/// A regular expression of a schema: ECMA-262 in Unicode mode, as far as PCRE2 speaks it. Matching is bounded, so that no
/// expression can hang it.
final class Pattern {
  private let code: OpaquePointer
  private let matchData: OpaquePointer
  private let context: OpaquePointer?

  /// How many steps one match may take (pcre2_set_match_limit(3)).
  static let matchLimit: UInt32 = 1_000_000

  enum Verdict { case matches, fails, gaveUp }

  init(_ text: String) throws(PatternError) {
    var error: Int32 = 0
    var offset = 0
    let pattern = Array(Self.translated(text).utf8)
    let options = UInt32(PCRE2_UTF) | UInt32(PCRE2_DOLLAR_ENDONLY) | UInt32(PCRE2_ALT_BSUX) | UInt32(PCRE2_MATCH_UNSET_BACKREF)
    guard let code = pcre2_compile_8(pattern, pattern.count, options, &error, &offset, nil), let data = pcre2_match_data_create_from_pattern_8(code, nil) else {
      var message = [UInt8](repeating: 0, count: 256)
      let length = pcre2_get_error_message_8(error, &message, message.count)
      throw PatternError(text: String(decoding: message.prefix(max(0, Int(length))), as: UTF8.self))
    }
    self.code = code
    matchData = data
    context = pcre2_match_context_create_8(nil)
    if let context {
      pcre2_set_match_limit_8(context, Self.matchLimit)
      pcre2_set_depth_limit_8(context, 10_000)
    }
  }

  deinit {
    pcre2_match_data_free_8(matchData)
    pcre2_match_context_free_8(context)
    pcre2_code_free_8(code)
  }

  /// Whether it matches anywhere in the text.
  func match(_ text: String) -> Verdict {
    let subject = Array(text.utf8)
    let result = pcre2_match_8(code, subject, subject.count, 0, 0, matchData, context)
    if result >= 0 { return .matches }
    return result == PCRE2_ERROR_NOMATCH ? .fails : .gaveUp
  }

  /// ECMA-262 writes `\p{Letter}` and `\p{Script=Greek}` where PCRE2 knows `\p{L}` and `\p{Greek}`.
  private static func translated(_ text: String) -> String {
    guard text.contains("\\p{") || text.contains("\\P{") else { return text }
    let names = [
      "Letter": "L", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Titlecase_Letter": "Lt", "Modifier_Letter": "Lm", "Other_Letter": "Lo",
      "Mark": "M", "Nonspacing_Mark": "Mn", "Spacing_Mark": "Mc", "Enclosing_Mark": "Me", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd",
      "Letter_Number": "Nl", "Other_Number": "No", "Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc", "Dash_Punctuation": "Pd",
      "Open_Punctuation": "Ps", "Close_Punctuation": "Pe", "Initial_Punctuation": "Pi", "Final_Punctuation": "Pf", "Other_Punctuation": "Po",
      "Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk", "Other_Symbol": "So", "Separator": "Z",
      "Space_Separator": "Zs", "Line_Separator": "Zl", "Paragraph_Separator": "Zp", "Other": "C", "Control": "Cc", "Format": "Cf",
      "Surrogate": "Cs", "Private_Use": "Co", "Unassigned": "Cn", "Alphabetic": "L", "Lowercase": "Ll", "Uppercase": "Lu",
    ]
    var out = ""
    var rest = Substring(text)
    while let brace = rest.firstIndex(of: "{") {
      let head = rest[..<brace]
      out += head + "{"
      rest = rest[rest.index(after: brace)...]
      guard head.hasSuffix("\\p") || head.hasSuffix("\\P"), let close = rest.firstIndex(of: "}") else { continue }
      let name = rest[..<close].split(separator: "=").last.map(String.init) ?? ""
      out += names[name] ?? name
      rest = rest[close...]
    }
    return out + rest
  }
}

struct PatternError: Error {
  let text: String
}
