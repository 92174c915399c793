/// Reads JSON text (RFC 8259) into nodes with their places. Strict: no comments, no trailing commas, no duplicate keys.
package enum JSONText {
  /// Deepest nesting of arrays and objects.
  package static let mostDepth = 512

  /// - Parameter bytes: UTF-8; a byte order mark at the start is passed over
  /// - Returns: the value, or nil and what is wrong with the text
  package static func parse(_ bytes: [UInt8], allowDuplicateKeys: Bool = false) -> (node: Node?, diagnostics: [Diagnostic]) {
    bytes.withUnsafeBufferPointer { buffer in
      var reader = JSONReader(buffer, allowDuplicateKeys: allowDuplicateKeys)
      do throws(Diagnostic) {
        return (try reader.document(), [])
      } catch {
        return (nil, [error])
      }
    }
  }
}

private struct JSONReader {
  private let bytes: UnsafeBufferPointer<UInt8>
  private let allowDuplicateKeys: Bool
  private var at = 0
  private var line = 1
  /// The column of the next byte, in Unicode scalars.
  private var column = 1
  private var depth = 0

  init(_ bytes: UnsafeBufferPointer<UInt8>, allowDuplicateKeys: Bool) {
    self.bytes = bytes
    self.allowDuplicateKeys = allowDuplicateKeys
  }

  private var mark: Mark { Mark(line: line, column: column, offset: at) }
  private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

  private func failure(_ message: String, from start: Mark? = nil, remedy: String? = nil) -> Diagnostic {
    let place = start ?? mark
    return Diagnostic("json-syntax", message, at: Span(place, start == nil ? place : mark), remedy: remedy)
  }

  /// Goes past one byte. Continuation bytes of UTF-8 take no column.
  private mutating func step() {
    let byte = bytes[at]
    at += 1
    if byte == UInt8(ascii: "\n") {
      line += 1
      column = 1
    } else if byte & 0xc0 != 0x80 {
      column += 1
    }
  }

  private mutating func space() {
    while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { step() }
  }

  mutating func document() throws(Diagnostic) -> Node {
    if bytes.count >= 3, bytes[0] == 0xef, bytes[1] == 0xbb, bytes[2] == 0xbf { at = 3 }
    space()
    let node = try value()
    space()
    if next != nil { throw failure("text follows the JSON value", remedy: "a JSON document is one value; put several into an array") }
    return node
  }

  private mutating func value() throws(Diagnostic) -> Node {
    guard let byte = next else { throw failure("the JSON text ends where a value is expected") }
    switch byte {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""):
      let start = mark
      let text = try string()
      return Node(.string(text), span: Span(start, mark), text: text, isQuoted: true)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: return try word()
    }
  }

  private mutating func word() throws(Diagnostic) -> Node {
    let start = mark
    var text = ""
    while let byte = next, byte > 0x20, !Array(",:]}[{\"".utf8).contains(byte), text.utf8.count < 40 {
      text.unicodeScalars.append(Unicode.Scalar(byte))
      step()
    }
    let span = Span(start, mark)
    switch text {
    case "true": return Node(.boolean(true), span: span, text: text)
    case "false": return Node(.boolean(false), span: span, text: text)
    case "null": return Node(.null, span: span, text: text)
    case "": throw failure("expected a JSON value", remedy: "a value is an object, an array, a string in double quotes, a number, true, false or null")
    default: throw failure("expected a JSON value", from: start, remedy: "put text into double quotes")
    }
  }

  private mutating func number() throws(Diagnostic) -> Node {
    let start = mark
    func isDigit(_ byte: UInt8?) -> Bool { byte.map { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 } ?? false }
    var isWhole = true
    if next == UInt8(ascii: "-") { step() }
    if next == UInt8(ascii: "0") {
      step()
      if isDigit(next) { throw failure("a JSON number does not begin with 0", from: start) }
    } else {
      guard isDigit(next) else { throw failure("expected a digit", from: start) }
      while isDigit(next) { step() }
    }
    if next == UInt8(ascii: ".") {
      isWhole = false
      step()
      guard isDigit(next) else { throw failure("expected a digit after the point", from: start) }
      while isDigit(next) { step() }
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      isWhole = false
      step()
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { step() }
      guard isDigit(next) else { throw failure("expected a digit in the exponent", from: start) }
      while isDigit(next) { step() }
    }
    let text = String(decoding: bytes[start.offset..<at], as: UTF8.self)
    if isWhole, let whole = Int(text) { return Node(.integer(whole), span: Span(start, mark), text: text) }
    return Node(.number(Double(text) ?? .nan), span: Span(start, mark), text: text)
  }

  private mutating func string() throws(Diagnostic) -> String {
    let start = mark
    step()
    var out: [UInt8] = []
    while true {
      guard let byte = next else { throw failure("the string is not closed", from: start, remedy: "end it with a double quote") }
      switch byte {
      case UInt8(ascii: "\""):
        step()
        guard let text = String(validating: out, as: UTF8.self) else { throw failure("the string is not valid UTF-8", from: start) }
        return text
      case UInt8(ascii: "\\"): try escape(into: &out)
      case 0..<0x20:
        throw failure("a control character stands in a string", remedy: "write \\n, \\t or \\u00XX instead")
      default:
        out.append(byte)
        step()
      }
    }
  }

  private mutating func escape(into out: inout [UInt8]) throws(Diagnostic) {
    let start = mark
    step()
    guard let byte = next else { throw failure("the string is not closed", from: start) }
    step()
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(byte)
    case UInt8(ascii: "b"): out.append(8)
    case UInt8(ascii: "f"): out.append(12)
    case UInt8(ascii: "n"): out.append(10)
    case UInt8(ascii: "r"): out.append(13)
    case UInt8(ascii: "t"): out.append(9)
    case UInt8(ascii: "u"):
      var code = try hex(start)
      if 0xd800...0xdbff ~= code {
        guard next == UInt8(ascii: "\\") else { throw failure("half of a surrogate pair", from: start) }
        step()
        guard next == UInt8(ascii: "u") else { throw failure("half of a surrogate pair", from: start) }
        step()
        let low = try hex(start)
        guard 0xdc00...0xdfff ~= low else { throw failure("half of a surrogate pair", from: start) }
        code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw failure("half of a surrogate pair", from: start) }
      out += Array(String(Character(scalar)).utf8)
    default: throw failure("unknown escape", from: start, remedy: "the escapes are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX")
    }
  }

  private mutating func hex(_ start: Mark) throws(Diagnostic) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw failure("expected four hexadecimal digits after \\u", from: start)
      }
      value = value << 4 | UInt32(digit)
      step()
    }
    return value
  }

  private mutating func enter() throws(Diagnostic) {
    depth += 1
    if depth > JSONText.mostDepth { throw failure("nested deeper than \(JSONText.mostDepth) levels") }
    step()
    space()
  }

  private mutating func array() throws(Diagnostic) -> Node {
    let start = mark
    try enter()
    defer { depth -= 1 }
    var items: [Node] = []
    if next == UInt8(ascii: "]") {
      step()
      return Node(.sequence([]), span: Span(start, mark))
    }
    while true {
      items.append(try value())
      space()
      if next == UInt8(ascii: "]") {
        step()
        return Node(.sequence(items), span: Span(start, mark))
      }
      guard next == UInt8(ascii: ",") else { throw failure("expected a comma or ] in an array") }
      step()
      space()
      if next == UInt8(ascii: "]") { throw failure("a comma stands before the end of an array", remedy: "remove it") }
    }
  }

  private mutating func object() throws(Diagnostic) -> Node {
    let start = mark
    try enter()
    defer { depth -= 1 }
    var pairs: [Node.Pair] = []
    var seen: [String: Span] = [:]
    if next == UInt8(ascii: "}") {
      step()
      return Node(.mapping([]), span: Span(start, mark))
    }
    while true {
      guard next == UInt8(ascii: "\"") else { throw failure("expected a key in double quotes") }
      let keyStart = mark
      let key = try string()
      let keySpan = Span(keyStart, mark)
      space()
      guard next == UInt8(ascii: ":") else { throw failure("expected a colon after the key") }
      step()
      space()
      let value = try value()
      if let first = seen.updateValue(keySpan, forKey: key) {
        if !allowDuplicateKeys {
          throw Diagnostic(
            "duplicate-key", "the key \(JSON.string(key).compact) stands here a second time", at: keySpan,
            remedy: "remove one of the two", notes: [(first, "it stands here first")])
        }
        pairs.removeAll { $0.key == key }
      }
      pairs.append(Node.Pair(key: key, keySpan: keySpan, value: value))
      space()
      if next == UInt8(ascii: "}") {
        step()
        return Node(.mapping(pairs), span: Span(start, mark))
      }
      guard next == UInt8(ascii: ",") else { throw failure("expected a comma or } in an object") }
      step()
      space()
      if next == UInt8(ascii: "}") { throw failure("a comma stands before the end of an object", remedy: "remove it") }
    }
  }
}
