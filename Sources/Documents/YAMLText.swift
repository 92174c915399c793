package import Specs

/// Reads a YAML text of one document into nodes.
///
/// Scalars are resolved by the core schema of YAML 1.2 (section 10.3). Refused, with a place: duplicate keys, keys that
/// are not strings, several documents, tags other than the core ones, texts that are not UTF-8, control characters, and
/// whatever exceeds the limits. Anchors, aliases and merge keys (`<<`) work.
package enum YAMLText {
  package struct Limits: Sendable {
    /// Of the text.
    package var bytes = 8 << 20
    /// Nested collections.
    package var depth = 64
    /// Nodes once every alias is written out.
    package var nodes = 100_000

    package static let standard = Limits()
    package init() {}
  }

  package static func compose(_ bytes: [UInt8], limits: Limits = .standard) -> (node: Node?, diagnostics: [Diagnostic]) {
    if bytes.count > limits.bytes {
      return (nil, [Diagnostic("file-too-large", "the text has \(Quantity.describe(bytes: bytes.count)), more than \(Quantity.describe(bytes: limits.bytes))", at: .none)])
    }
    if let refusal = Encoding.refusal(bytes) { return (nil, [refusal]) }
    var composer = YAMLComposer(bytes, limits)
    return composer.document()
  }
}

/// What is looked at before libyaml sees the text.
enum Encoding {
  /// The first thing that no YAML text may hold: bytes that are not UTF-8, or control characters (YAML 1.2.2, section 5.1).
  static func refusal(_ bytes: [UInt8]) -> Diagnostic? {
    if bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]) {
      return Diagnostic("not-utf-8", "the file is UTF-16", at: Span(.start, .start), remedy: "save it as UTF-8")
    }
    var mark = Mark.start
    var decoder = Unicode.UTF8.ForwardParser()
    var iterator = bytes.makeIterator()
    while true {
      switch decoder.parseScalar(from: &iterator) {
      case .emptyInput: return nil
      case .error:
        return Diagnostic(
          "not-utf-8", "the byte 0x\(String(bytes[min(mark.offset, bytes.count - 1)], radix: 16)) is not UTF-8", at: Span(mark, mark),
          remedy: "save the file as UTF-8")
      case .valid(let encoded):
        let scalar = Unicode.UTF8.decode(encoded)
        let value = scalar.value
        if value < 0x20 && value != 0x09 && value != 0x0a && value != 0x0d || value == 0x7f || 0x80...0x9f ~= value && value != 0x85 {
          let hex = String(value, radix: 16)
          return Diagnostic(
            "control-character", "a control character (U+\(String(repeating: "0", count: 4 - hex.count))\(hex.uppercased())) stands in the text", at: Span(mark, mark),
            remedy: value == 0 ? "remove it; the file may be binary, or saved as UTF-16" : "remove it, or write \"\\x\(hex.count < 2 ? "0" : "")\(hex)\" in double quotes")
        }
        mark.offset += encoded.count
        if scalar == "\n" {
          mark.line += 1
          mark.column = 1
        } else {
          mark.column += 1
        }
      }
    }
  }
}
