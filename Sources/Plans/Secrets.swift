package import Specs

/// The values of secret parameters, so that no text for people shows them. A node that holds one says so itself
/// (`Node.isSecret`); this is for what is made of texts: what a plugin says of its settings, the lines of the file.
package struct Secrets: Sendable {
  private(set) var texts: [String] = []

  package var isEmpty: Bool { texts.isEmpty }

  /// A shorter text would be found inside of ordinary words, and hiding those would tell what it is.
  private static let shortest = 4

  mutating func remember(_ text: String) {
    for shape in [text, String(JSON.string(text).compact.dropFirst().dropLast())]
    where shape.unicodeScalars.count >= Self.shortest && !texts.contains(shape) {
      texts.append(shape)
    }
    // The longest first: one secret may begin with another.
    texts.sort { $0.utf8.count > $1.utf8.count }
  }

  /// The text with each secret in it covered by as many asterisks, so that columns stay where they are.
  package func masked(_ text: String) -> String {
    texts.reduce(text) { masked, secret in
      let needle = Array(secret.unicodeScalars)
      let all = Array(masked.unicodeScalars)
      guard all.count >= needle.count else { return masked }
      var out = String.UnicodeScalarView()
      var i = 0
      while i < all.count {
        if all[i] == needle[0], i + needle.count <= all.count, all[i..<i + needle.count].elementsEqual(needle) {
          for _ in needle { out.append("*") }
          i += needle.count
        } else {
          out.append(all[i])
          i += 1
        }
      }
      return String(out)
    }
  }

  package func masked(_ diagnostic: Diagnostic) -> Diagnostic {
    if isEmpty { return diagnostic }
    var diagnostic = diagnostic
    diagnostic.message = masked(diagnostic.message)
    diagnostic.remedy = diagnostic.remedy.map(masked)
    diagnostic.notes = diagnostic.notes.map { ($0.span, masked($0.text)) }
    return diagnostic
  }
}
