import CYAML
import Specs

/// libyaml's complaints, in words that say what to write instead.
enum SyntaxError {
  static func diagnostic(_ parser: yaml_parser_t, _ bytes: [UInt8], _ marks: inout MarkTable) -> Diagnostic {
    let problem = parser.problem.map { String(cString: $0) } ?? "the text is no YAML"
    let context = parser.context.map { String(cString: $0) } ?? ""
    if parser.error == YAML_MEMORY_ERROR { return Diagnostic("yaml-syntax", "out of memory", at: .none) }
    let mark = marks.mark(parser.problem_mark)
    let start = marks.mark(parser.context_mark)
    let lines = Source(name: "", bytes: bytes).lines
    let line = mark.line <= lines.count ? lines[mark.line - 1] : ""
    let (message, remedy) = explain(problem, context, line, mark.column)
    var notes: [(span: Span, text: String)] = []
    if !context.isEmpty, start.offset < mark.offset, start.line != mark.line {
      notes.append((Span(start, start), note(context)))
    }
    return Diagnostic("yaml-syntax", message, at: Span(mark, mark), remedy: remedy, notes: notes)
  }

  private static func note(_ context: String) -> String {
    if context.contains("quoted scalar") { return "the quoted text begins here" }
    if context.contains("flow sequence") { return "the list begins here" }
    if context.contains("flow mapping") { return "the mapping in braces begins here" }
    if context.contains("block mapping") { return "the mapping begins here" }
    if context.contains("block collection") { return "the list begins here" }
    if context.contains("simple key") { return "the key would begin here" }
    return context + " here"
  }

  private static func explain(_ problem: String, _ context: String, _ line: Substring, _ column: Int) -> (String, String?) {
    let rest = line.unicodeScalars.dropFirst(max(0, column - 1))
    let first = rest.first
    if problem.contains("cannot start any token") {
      switch first {
      case "\t": return ("a tab stands where YAML expects spaces", "indent with spaces only")
      case "@", "`": return ("a value cannot begin with \(first.map(String.init) ?? "")", "put it into quotes")
      case "%": return ("a value cannot begin with %", "put it into quotes")
      default: return ("this character cannot begin a value", "put the value into quotes")
      }
    }
    if line.unicodeScalars.prefix(max(0, column)).contains("\t") || line.unicodeScalars.prefix(while: { $0 == " " || $0 == "\t" }).contains("\t") {
      return ("a tab is used for indentation", "indent with spaces only")
    }
    if problem.contains("mapping values are not allowed") {
      return ("a colon followed by a space is not allowed here", "put a text that contains `: ` into quotes, or check the indentation of this line")
    }
    if problem.contains("could not find expected ':'") {
      return ("expected a colon after the key", "a line of a mapping is `key: value`, with a space after the colon")
    }
    if problem.contains("did not find expected key") {
      return ("expected a key at the indentation of the mapping", "keys of one mapping begin in the same column; a text that begins with a quote must end with it")
    }
    if problem.contains("did not find expected '-' indicator") {
      return ("expected the next item of the list", "items of one list begin with `- ` in the same column")
    }
    if problem.contains("',' or ']'") { return ("expected a comma or ] in the list", "close it with ], or quote an item that contains brackets, braces or commas") }
    if problem.contains("',' or '}'") { return ("expected a comma or } in the mapping", "close it with }, or quote a value that contains braces or commas, such as \"${NAME}\"") }
    if problem.contains("unexpected end of stream") { return ("the file ends inside of a quoted text", "close the quote") }
    if problem.contains("unexpected document indicator") { return ("--- or ... stands inside of a quoted text", "close the quote before it") }
    if problem.contains("unknown escape character") { return ("unknown escape in a text in double quotes", "write \\\\ for a backslash, or use single quotes") }
    if problem.contains("did not find expected <document start>") { return ("text follows the end of the document", "everything belongs to one mapping; check the indentation of this line") }
    if problem.contains("block sequence entries are not allowed") { return ("a list cannot begin here", "begin it on a line of its own: `- item`") }
    if problem.contains("undefined tag handle") { return ("an unknown tag", "remove it; a text that begins with ! needs quotes") }
    if problem.contains("did not find expected node content") { return ("expected a value", "give a value, or quote what stands here") }
    if problem.contains("block scalar") || context.contains("block scalar") { return ("wrong header of a block text: \(problem)", "a block text begins with | or > at the end of the line") }
    return (problem, nil)
  }
}
