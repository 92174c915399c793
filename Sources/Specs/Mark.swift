/// A place in a text: line and column count from 1, the column in Unicode scalars; `offset` is in UTF-8 bytes from 0.
public struct Mark: Hashable, Comparable, Sendable {
  public var line: Int
  public var column: Int
  public var offset: Int

  public init(line: Int, column: Int, offset: Int) {
    self.line = line
    self.column = column
    self.offset = offset
  }

  public static let start = Mark(line: 1, column: 1, offset: 0)

  public static func < (a: Mark, b: Mark) -> Bool { a.offset < b.offset }
}

/// A stretch of a text, from its first character to just after its last.
public struct Span: Hashable, Sendable {
  public var start: Mark
  public var end: Mark

  public init(_ start: Mark, _ end: Mark) {
    self.start = start
    self.end = end
  }

  /// The place of what has none: a value that came from `--set`, from a default or from the program.
  public static let none = Span(Mark(line: 0, column: 0, offset: 0), Mark(line: 0, column: 0, offset: 0))

  public var isNone: Bool { start.line == 0 }
}
