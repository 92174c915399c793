/// A URI reference in its parts (RFC 3986), as far as schemas need it: resolved against a base and compared.
struct URIReference {
  var scheme: String?
  var authority: String?
  var path: String
  var query: String?
  var fragment: String?

  init(_ text: String) {
    var rest = Substring(text)
    if let hash = rest.firstIndex(of: "#") {
      fragment = String(rest[rest.index(after: hash)...])
      rest = rest[..<hash]
    }
    if let mark = rest.firstIndex(of: "?") {
      query = String(rest[rest.index(after: mark)...])
      rest = rest[..<mark]
    }
    if let colon = rest.firstIndex(of: ":"), let first = rest.first, first.isLetter,
      rest[..<colon].allSatisfy({ $0.isLetter || $0.isNumber || "+-.".contains($0) }) {
      scheme = rest[..<colon].lowercased()
      rest = rest[rest.index(after: colon)...]
    }
    if rest.hasPrefix("//") {
      let after = rest.dropFirst(2)
      let end = after.firstIndex(of: "/") ?? after.endIndex
      authority = String(after[..<end])
      rest = after[end...]
    }
    path = String(rest)
  }

  /// Without its fragment.
  var absolute: String {
    (scheme.map { $0 + ":" } ?? "") + (authority.map { "//" + $0 } ?? "") + path + (query.map { "?" + $0 } ?? "")
  }

  /// Section 5.2.2.
  static func resolve(_ text: String, against base: String) -> URIReference {
    var reference = URIReference(text)
    if reference.scheme != nil {
      reference.path = withoutDots(reference.path)
      return reference
    }
    let base = URIReference(base)
    if reference.authority == nil {
      if reference.path.isEmpty {
        reference.path = base.path
        reference.query = reference.query ?? base.query
      } else if !reference.path.hasPrefix("/") {
        let folder = base.path.lastIndex(of: "/").map { String(base.path[...$0]) } ?? (base.authority == nil ? "" : "/")
        reference.path = withoutDots(folder + reference.path)
      } else {
        reference.path = withoutDots(reference.path)
      }
      reference.authority = base.authority
    }
    reference.scheme = base.scheme
    return reference
  }

  /// Section 5.2.4.
  private static func withoutDots(_ path: String) -> String {
    guard path.contains("/.") || path.hasPrefix(".") else { return path }
    var out: [Substring] = []
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    for (i, part) in parts.enumerated() {
      let isLast = i == parts.count - 1
      if part == "." {
        if isLast { out.append("") }
      } else if part == ".." {
        if out.count > 1 { out.removeLast() }
        if isLast { out.append("") }
      } else {
        out.append(part)
      }
    }
    return out.joined(separator: "/")
  }

  /// `%41` is `A`; nil when the result is no UTF-8.
  static func decodingPercent(_ text: String) -> String? {
    var bytes: [UInt8] = []
    let source = Array(text.utf8)
    var i = 0
    while i < source.count {
      if source[i] == UInt8(ascii: "%"), i + 2 < source.count, let value = UInt8(String(decoding: source[(i + 1)...(i + 2)], as: UTF8.self), radix: 16) {
        bytes.append(value)
        i += 3
      } else {
        bytes.append(source[i])
        i += 1
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
