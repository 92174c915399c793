import CJQ

/// A value of jq's. Whoever holds it frees it, or hands it to somebody who does.
package struct JQValue {
  let value: jv

  package func copy() -> JQValue { JQValue(value: jv_copy(value)) }
  package func free() { jv_free(value) }

  /// Whether a condition that came to this is met.
  package var isMet: Bool {
    let kind = jv_get_kind(value)
    return kind != JV_KIND_FALSE && kind != JV_KIND_NULL
  }

  package var isString: Bool { jv_get_kind(value) == JV_KIND_STRING }

  /// Its compact JSON text, or the characters of a string as they are.
  package func withText(asIs: Bool, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
    try Self.withCharacters(of: asIs && isString ? jv_copy(value) : jv_dump_string(jv_copy(value), 0), body)
  }

  /// Compact JSON text with the keys of objects in order: equal values are equal texts.
  package var canonicalText: [UInt8] {
    var text: [UInt8] = []
    Self.withCharacters(of: jv_dump_string(jv_copy(value), Int32(JV_PRINT_SORTED.rawValue))) { text = Array($0) }
    // Both are one number.
    return text == Array("-0".utf8) ? Array("0".utf8) : text
  }

  /// Consumes a string.
  private static func withCharacters(of string: jv, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
    defer { jv_free(string) }
    let length = Int(jv_string_length_bytes(jv_copy(string)))
    guard let characters = jv_string_value(string) else { return }
    try body(UnsafeRawBufferPointer(start: characters, count: length))
  }
}
