import CJQ
import Platform
package import PluginKit

/// A filter in the jq language over messages, for every plugin that has one. Not copied: `free` ends it.
package struct JQFilter {
  package enum Input: String, Choice { case json, text }
  package static let input = Setting<Input>.choice(
    "input", "How the filter sees a message: json, as the value that its text means; text, as a string.", default: .json)

  /// What is wrong with a filter in a setting; nil when it compiles.
  package static func problem(with filter: String, in setting: String) -> SettingProblem? {
    let (program, errors) = JQProgram.compile(filter)
    program?.free()
    if program != nil { return nil }
    return SettingProblem(setting, "the jq filter does not compile: \(errors)", remedy: "try it with `jq -n '…'` on the command line")
  }

  private let program: JQProgram

  /// - Throws: `WorkerFailure` for one that does not compile
  package init(_ filter: String) throws {
    let (program, errors) = JQProgram.compile(filter)
    guard let program else { throw WorkerFailure(.invalidPipeline, "the jq filter does not compile: \(errors)") }
    self.program = program
  }

  package func free() { program.free() }

  /// Runs over a value, which it consumes.
  ///
  /// - Parameter each: gets each result, and frees it; returns whether to go on
  /// - Throws: `MessageFailure` for an error in the filter
  package func run(_ input: JQValue, _ each: (JQValue) throws -> Bool) throws {
    jq_start(program.state, input.value, 0)
    while true {
      let result = jq_next(program.state)
      if jv_get_kind(result) == JV_KIND_INVALID {
        // `error(null)` comes out as `empty` does: libjq 1.6 keeps no more of an error than its value, and null stands for none.
        guard jv_invalid_has_msg(jv_copy(result)) != 0 else {
          jv_free(result)
          break
        }
        let reason = Self.reason(result)
        // What `input` says where there is no next one (libjq 1.6).
        throw MessageFailure("jq: " + (reason == "break" ? "it breaks, as `input` does: there is no other input here" : reason))
      }
      if jq_halted(program.state) != 0 {
        jv_free(result)
        break
      }
      if try !each(JQValue(value: result)) { return }
    }
    if jq_halted(program.state) != 0 { throw MessageFailure("jq: the filter called halt") }
  }

  /// The words of an invalid value, which it consumes. The parser appends the text it was given, which is no business of
  /// a log.
  fileprivate static func reason(_ invalid: jv) -> String {
    var message = jv_invalid_get_msg(invalid)
    if jv_get_kind(message) != JV_KIND_STRING { message = jv_dump_string(message, 0) }
    defer { jv_free(message) }
    guard let characters = jv_string_value(message) else { return "unknown error" }
    let text = String(cString: characters)
    return text.firstRange(of: " (while parsing").map { String(text[..<$0.lowerBound]) } ?? text
  }
}

/// Messages as values of jq.
package struct JQReader {
  private let isText: Bool
  private var parser = JQParser()

  package init(_ input: JQFilter.Input) { isText = input == .text }

  /// - Returns: a value that the caller frees
  /// - Throws: `MessageFailure` for a message that is not JSON
  package mutating func value(of payload: UnsafeRawBufferPointer) throws -> JQValue {
    let text = payload.assumingMemoryBound(to: CChar.self)
    guard let length = Int32(exactly: text.count) else { throw MessageFailure("the message is too long for jq", isPermanent: true) }
    // Text that is no UTF-8 gets replacement characters (jv_string_sized).
    let value = isText ? jv_string_sized(text.baseAddress, length) : parser.parse(text.baseAddress, length)
    if jv_get_kind(value) == JV_KIND_INVALID {
      throw MessageFailure("the message is not JSON: \(JQFilter.reason(value))", isPermanent: true)
    }
    return JQValue(value: value)
  }

  package mutating func free() { parser.free() }
}

/// A parser that is kept from message to message: `jv_parse_sized` would set one up for each, with its tables and buffers.
///
/// It is told that every text goes on, so that it never believes it has seen the end; a newline behind each ends what may be open at
/// its end, a number say. Whatever is not one whole value is parsed again by `jv_parse_sized`, which finds the words for it, and the
/// parser is made anew.
private struct JQParser {
  private var state = jv_parser_new(0)

  mutating func parse(_ text: UnsafePointer<CChar>?, _ length: Int32) -> jv {
    guard let state, let text, length > 0 else { return jv_parse_sized("", 0) }
    jv_parser_set_buf(state, text, length, 1)
    var value = jv_parser_next(state)
    if jv_get_kind(value) == JV_KIND_INVALID, !hasMessage(value), jv_parser_remaining(state) == 0 {
      jv_free(value)
      jv_parser_set_buf(state, "\n", 1, 1)
      value = jv_parser_next(state)
    }
    // Behind the value only white space may follow; it is read here, so that nothing is left for the next message.
    if jv_get_kind(value) != JV_KIND_INVALID, isBlank(text, length, last: jv_parser_remaining(state)) {
      if jv_parser_remaining(state) > 0 { jv_free(jv_parser_next(state)) }
      if jv_parser_remaining(state) == 0 { return value }
    }
    jv_free(value)
    free()
    self.state = jv_parser_new(0)
    return jv_parse_sized(text, length)
  }

  private func isBlank(_ text: UnsafePointer<CChar>, _ length: Int32, last count: Int32) -> Bool {
    if count > length { return false }
    let blanks: [CChar] = [0x20, 0x0a, 0x0d, 0x09]
    for i in Int(length - count)..<Int(length) where !blanks.contains(text[i]) { return false }
    return true
  }

  private func hasMessage(_ value: jv) -> Bool { jv_invalid_has_msg(jv_copy(value)) != 0 }

  mutating func free() {
    if let state { jv_parser_free(state) }
    state = nil
  }
}

/// A compiled filter.
private struct JQProgram {
  let state: OpaquePointer

  func free() {
    var state: OpaquePointer? = state
    jq_teardown(&state)
  }

  static func compile(_ filter: String) -> (JQProgram?, errors: String) {
    guard let state = jq_init() else { return (nil, "out of memory") }
    // Without these, a filter that imports a module ends the process by an assertion of libjq's.
    jq_set_attr(state, jv_string("JQ_LIBRARY_PATH"), jv_array())
    for origin in ["JQ_ORIGIN", "PROGRAM_ORIGIN"] { jq_set_attr(state, jv_string(origin), jv_string("/nonexistent")) }
    // Nor may `input` and `debug` go without somebody to ask and to tell: there is no next input, and what a filter
    // debugs goes to the log.
    jq_set_input_cb(state, { _, _ in jv_invalid() }, nil)
    jq_set_debug_cb(state, { _, message in
      let text = jv_dump_string(message, 0)
      defer { jv_free(text) }
      if let characters = jv_string_value(text) { try? Descriptors.writeAll(2, String(cString: characters) + "\n") }
    }, nil)
    let errors = Errors()
    jq_set_error_cb(state, { data, message in
      defer { jv_free(message) }
      guard let data, jv_get_kind(message) == JV_KIND_STRING, let text = jv_string_value(message) else { return }
      Unmanaged<Errors>.fromOpaque(data).takeUnretainedValue().lines.append(String(cString: text))
    }, Unmanaged.passUnretained(errors).toOpaque())
    let done = jq_compile(state, filter) != 0
    jq_set_error_cb(state, { _, message in jv_free(message) }, nil)
    let program = JQProgram(state: state)
    if done { return (program, "") }
    program.free()
    // Its first line says what is wrong; the last one only counts.
    let text = errors.lines.filter { !$0.hasSuffix("compile error") && !$0.hasSuffix("compile errors") }.first ?? "unknown error"
    let line = text.split(separator: "\n").first.map(String.init) ?? text
    return (nil, cleaned(line))
  }

  /// jq speaks to somebody at a shell: `jq: error: syntax error, unexpected $end (Unix shell quoting issues?) at <top-level>, line 1:`
  private static func cleaned(_ line: String) -> String {
    var text = line.hasPrefix("jq: error: ") ? String(line.dropFirst(11)) : line
    for noise in [" (Unix shell quoting issues?)", " at <top-level>"] {
      if let range = text.firstRange(of: noise) { text.removeSubrange(range) }
    }
    while text.last == ":" || text.last == " " { text.removeLast() }
    return text
  }

  private final class Errors { var lines: [String] = [] }
}
