import CPCRE2

/// A regular expression of a schema: ECMA-262 in Unicode mode, matched by PCRE2. Every match is bounded, so that no
/// expression and no text can hang it.
///
/// `@unchecked Sendable`: "compiled code is read-only when matching and can be shared between threads" (pcre2api(3),
/// MULTITHREADING); each match brings its own match data, and the match context is never changed once it is made.
final class Pattern: @unchecked Sendable {
  /// As it stands in the schema.
  let text: String
  private let code: OpaquePointer
  private let context: OpaquePointer

  /// How many steps one match may take (pcre2_set_match_limit(3)): some milliseconds.
  private static let mostSteps: UInt32 = 1_000_000
  /// How much memory backtracking may take, in KiB (pcre2_set_heap_limit(3)).
  private static let mostMemory: UInt32 = 64 << 10

  enum Verdict {
    case matches, fails
    /// The limit was reached before there was an answer.
    case gaveUp
  }

  /// Why an expression cannot be used, as the end of a sentence.
  struct Unusable: Error {
    let reason: String
  }

  init(_ text: String) throws(Unusable) {
    let translated = Array(try ECMAScript.translate(text).utf8)
    var error: Int32 = 0
    var offset = 0
    // `$` does not match before a final newline, an unset group matches nothing, `[]` is an empty class: ECMA-262's rules.
    let options =
      UInt32(PCRE2_UTF) | UInt32(PCRE2_DOLLAR_ENDONLY) | UInt32(PCRE2_MATCH_UNSET_BACKREF) | UInt32(PCRE2_ALLOW_EMPTY_CLASS)
      | UInt32(PCRE2_NEVER_BACKSLASH_C)
    guard let code = pcre2_compile_8(translated, translated.count, options, &error, &offset, nil) else {
      throw Unusable(reason: Pattern.message(error))
    }
    guard let context = pcre2_match_context_create_8(nil) else {
      pcre2_code_free_8(code)
      throw Unusable(reason: "no memory is left")
    }
    pcre2_set_match_limit_8(context, Self.mostSteps)
    pcre2_set_heap_limit_8(context, Self.mostMemory)
    self.text = text
    self.code = code
    self.context = context
  }

  deinit {
    pcre2_match_context_free_8(context)
    pcre2_code_free_8(code)
  }

  /// Whether it matches anywhere in the text.
  func match(_ text: String) -> Verdict {
    guard let data = pcre2_match_data_create_8(1, nil) else { return .gaveUp }
    defer { pcre2_match_data_free_8(data) }
    var text = text
    // Swift's strings are valid UTF-8, which need not be checked again.
    let result = text.withUTF8 { bytes -> Int32 in
      guard let start = bytes.baseAddress else { return pcre2_match_8(code, [0], 0, 0, UInt32(PCRE2_NO_UTF_CHECK), data, context) }
      return pcre2_match_8(code, start, bytes.count, 0, UInt32(PCRE2_NO_UTF_CHECK), data, context)
    }
    // 0 means that there was no room for all groups: a match all the same.
    if result >= 0 { return .matches }
    return result == PCRE2_ERROR_NOMATCH ? .fails : .gaveUp
  }

  private static func message(_ error: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    let length = pcre2_get_error_message_8(error, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, Int(length))), as: UTF8.self)
  }
}
