/// One thing that is wrong with a file: what, where, what was expected, and the nearest valid name.
public struct Diagnostic: Error, Sendable {
  public enum Severity: String, Sendable { case error, warning }

  /// Stable across releases, in kebab-case: `unknown-key`, `cycle`. Tests and editors match on it, not on the text.
  public var code: String
  public var severity: Severity
  /// Where the caret goes; `.none` when the problem has no place in the file.
  public var span: Span
  /// One sentence without a full stop, lower case: `unknown key "capcity" in stage "resize"`.
  public var message: String
  /// What to write instead, as a sentence without a full stop: `did you mean "capacity"?`, `expected an integer from 1 to 4095`.
  public var remedy: String?
  /// Other places that matter, each with a short text: `first defined here`.
  public var notes: [(span: Span, text: String)]
  /// The path of the value in the document: `stages.detect.queue.capacity`. Empty at the root.
  public var path: String

  public init(
    _ code: String, _ message: String, at span: Span, remedy: String? = nil, path: String = "",
    severity: Severity = .error, notes: [(span: Span, text: String)] = []
  ) {
    self.code = code
    self.severity = severity
    self.span = span
    self.message = message
    self.remedy = remedy
    self.path = path
    self.notes = notes
  }
}

extension Diagnostic {
  /// In order of place; those without a place last, in the order in which they were found.
  package static func sorted(_ all: [Diagnostic]) -> [Diagnostic] {
    let keyed = all.enumerated().map { ($0.element.span.isNone ? Int.max : $0.element.span.start.offset, $0.offset, $0.element) }
    return keyed.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.2)
  }

  /// The text for a person:
  ///
  ///     frames.yaml:14:7: error: unknown key "capcity" in stage "resize" [unknown-key]
  ///        14 |       capcity: 64
  ///           |       ^~~~~~~
  ///           = did you mean "capacity"?
  ///
  /// - Parameters:
  ///   - file: the name to print before the line and column
  ///   - lines: the file's lines without their line ends; an empty array prints no excerpt
  package func rendered(file: String, lines: [Substring]) -> String {
    var out = "\(file):"
    if !span.isNone { out += "\(span.start.line):\(span.start.column):" }
    out += " \(severity.rawValue): \(message) [\(code)]\n"
    out += Diagnostic.excerpt(span, lines)
    if let remedy { out += "       = \(remedy)\n" }
    for note in notes {
      out += "\(file):\(note.span.start.line):\(note.span.start.column): note: \(note.text)\n"
      out += Diagnostic.excerpt(note.span, lines)
    }
    return out
  }

  /// The line at a span with a caret under its first character and tildes under the rest of it on that line.
  /// A long line is cut around the caret; characters that would disturb a terminal are shown as `·`.
  private static func excerpt(_ span: Span, _ lines: [Substring]) -> String {
    guard !span.isNone, span.start.line >= 1, span.start.line <= lines.count else { return "" }
    let all = Array(lines[span.start.line - 1].unicodeScalars)
    let column = min(max(span.start.column - 1, 0), all.count)
    let width = 100
    let first = column > width - 20 ? column - 40 : 0
    let shown = all.dropFirst(first).prefix(width)
    var line = String(String.UnicodeScalarView(shown.map { $0.value < 0x20 || $0.value == 0x7f ? ($0 == "\t" ? " " : "·") : $0 }))
    while line.last == " " { line.removeLast() }
    let endColumn = span.end.line == span.start.line ? min(span.end.column - 1, all.count) : all.count
    let marked = max(1, min(endColumn - column, first + width - column))
    let number = String(span.start.line)
    let gutter = String(repeating: " ", count: max(0, 5 - number.count)) + number
    return "\(gutter) | \(line)\n      | " + String(repeating: " ", count: column - first) + "^"
      + String(repeating: "~", count: marked - 1) + "\n"
  }

  /// One line of `--format json`: file, line, column, endLine, endColumn, severity, code, message, remedy, path.
  package func json(file: String) -> JSON {
    .object([
      ("file", .string(file)),
      ("line", .integer(span.start.line)), ("column", .integer(span.start.column)),
      ("endLine", .integer(span.end.line)), ("endColumn", .integer(span.end.column)),
      ("severity", .string(severity.rawValue)), ("code", .string(code)), ("message", .string(message)),
      ("remedy", remedy.map(JSON.string) ?? .null), ("path", .string(path)),
    ])
  }

  /// A workflow command of GitHub Actions, which shows it beside the line (`::error file=…,line=…,col=…::text`).
  package func github(file: String) -> String {
    func escape(_ s: String, property: Bool) -> String {
      var out = ""
      for c in s.unicodeScalars {
        switch c {
        case "%": out += "%25"
        case "\r": out += "%0D"
        case "\n": out += "%0A"
        case ":" where property: out += "%3A"
        case "," where property: out += "%2C"
        default: out.unicodeScalars.append(c)
        }
      }
      return out
    }
    var place = "file=" + escape(file, property: true)
    if !span.isNone {
      place += ",line=\(span.start.line),col=\(span.start.column)"
      if span.end.line == span.start.line { place += ",endColumn=\(span.end.column)" }
    }
    let text = message + (remedy.map { "; \($0)" } ?? "")
    return "::\(severity.rawValue) \(place),title=\(escape(code, property: true))::" + escape(text, property: false)
  }
}
