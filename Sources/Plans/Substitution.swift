import Specs

/// The grammar of a text with `${NAME}`, `${NAME:-default}` and `$${` for a literal `${`.
enum Substitution {
  enum Part: Equatable {
    case text(String)
    case name(String, fallback: String?)
  }

  enum Flaw: Error, Equatable {
    case open
    case name(String)
    case nested(String)

    func diagnostic(at span: Span, path: String) -> Diagnostic {
      switch self {
      case .open:
        Diagnostic(
          "expansion-open", "`${` is not closed by `}`", at: span,
          remedy: "close it, or write `$${` for the two characters themselves", path: path)
      case .name(let text):
        Diagnostic(
          "expansion-name", "`${\(text)}` holds no name", at: span,
          remedy: "write ${NAME} or ${NAME:-default}, where a name has letters, digits and _; write `$${` for the two characters themselves",
          path: path)
      case .nested(let text):
        Diagnostic(
          "expansion-nested", "the default in `${\(text)` holds a brace", at: span,
          remedy: "a default is plain text; give a parameter a default under `parameters` instead", path: path)
      }
    }
  }

  /// Whether there is anything to do in a text. Nearly every scalar is done with here.
  static func isNeeded(_ text: String) -> Bool { text.utf8.contains(UInt8(ascii: "$")) }

  static func parts(of text: String) -> Result<[Part], Flaw> {
    var parts: [Part] = []
    var plain: [UInt8] = []
    var rest = Array(text.utf8)[...]
    func string(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
    while let dollar = rest.firstIndex(of: UInt8(ascii: "$")) {
      plain += rest[..<dollar]
      rest = rest[dollar...]
      if rest.starts(with: "$${".utf8) {
        plain += "${".utf8
        rest = rest.dropFirst(3)
        continue
      }
      guard rest.starts(with: "${".utf8) else {
        plain.append(UInt8(ascii: "$"))
        rest = rest.dropFirst()
        continue
      }
      guard let close = rest.firstIndex(of: UInt8(ascii: "}")) else { return .failure(.open) }
      let inner = rest[..<close].dropFirst(2)
      rest = rest[close...].dropFirst()
      let name = inner.prefix { $0 != UInt8(ascii: ":") }
      let marked = inner.dropFirst(name.count)
      guard isName(name), marked.isEmpty || marked.starts(with: ":-".utf8) else { return .failure(.name(string(inner))) }
      let fallback = marked.dropFirst(2)
      if fallback.contains(UInt8(ascii: "{")) { return .failure(.nested(string(inner))) }
      if !plain.isEmpty { parts.append(.text(string(plain))) }
      plain = []
      parts.append(.name(string(name), fallback: marked.isEmpty ? nil : string(fallback)))
    }
    plain += rest
    if !plain.isEmpty { parts.append(.text(string(plain))) }
    return .success(parts)
  }

  /// As in a shell: `:-` gives the value also when the variable is empty.
  static func nonEmpty(_ value: String?, or fallback: String?) -> String? {
    guard let fallback else { return value }
    return value.flatMap { $0.isEmpty ? nil : $0 } ?? fallback
  }

  /// The names of a shell: letters, digits and `_`, no digit first.
  private static func isName(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard let first = bytes.first, !(UInt8(ascii: "0")...UInt8(ascii: "9") ~= first) else { return false }
    return bytes.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "_"): true
      default: false
      }
    }
  }
}
