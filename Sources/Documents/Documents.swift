// Documents: text becomes positioned nodes. YAML goes through the system's libyaml, whose events are composed here; JSON
// text goes through Specs' own reader. What a document means is unknown here: that is Schemas' and Plans' work. No file
// is opened here either; bytes come in.

package import Specs

/// A text with its name, for reading it and for showing its lines in messages.
package struct Source: Sendable {
  /// As it was named on the command line.
  package let name: String
  package let bytes: [UInt8]
  /// Without their line ends.
  package private(set) var lines: [Substring]

  package init(name: String, bytes: [UInt8]) {
    self.name = name
    self.bytes = bytes
    var text = String(decoding: bytes, as: UTF8.self)
    if text.unicodeScalars.first == "\u{feff}" { text.unicodeScalars.removeFirst() }
    lines = text.unicodeScalars.split(omittingEmptySubsequences: false) { $0 == "\n" }.map { line in
      Substring(line.last == "\r" ? line.dropLast() : line)
    }
  }

  private init(name: String, bytes: [UInt8], lines: [Substring]) {
    self.name = name
    self.bytes = bytes
    self.lines = lines
  }

  /// The same text whose lines are shown as `mask` leaves them.
  package func masked(_ mask: (String) -> String) -> Source {
    Source(name: name, bytes: bytes, lines: lines.map { Substring(mask(String($0))) })
  }

  /// The document in it: JSON when the name ends in `.json`, YAML otherwise.
  package func document() -> (node: Node?, diagnostics: [Diagnostic]) {
    if bytes.count > YAMLText.Limits.standard.bytes {
      return (nil, [Diagnostic(
        "file-too-large", "the file has \(Quantity.describe(bytes: bytes.count))", at: .none,
        remedy: "a pipeline file has at most \(Quantity.describe(bytes: YAMLText.Limits.standard.bytes)); data belongs into files that a source reads")])
    }
    return name.hasSuffix(".json") ? JSONText.parse(bytes) : YAMLText.compose(bytes)
  }

  /// The same text with some places unreadable: what messages may show when the text holds secrets. Columns stay as they are.
  package func masking(_ spans: [Span]) -> Source {
    var masked = self
    for span in spans where !span.isNone {
      for line in span.start.line...max(span.start.line, span.end.line) where line >= 1 && line <= lines.count {
        var scalars = Array(masked.lines[line - 1].unicodeScalars)
        let first = line == span.start.line ? span.start.column - 1 : 0
        let last = line == span.end.line ? span.end.column - 1 : scalars.count
        for i in scalars.indices where i >= first && i < last && scalars[i] != " " { scalars[i] = "•" }
        masked.lines[line - 1] = Substring(String(String.UnicodeScalarView(scalars)))
      }
    }
    return masked
  }

  package func render(_ diagnostics: [Diagnostic]) -> String {
    Diagnostic.sorted(diagnostics).map { $0.rendered(file: name, lines: lines) }.joined()
  }
}
