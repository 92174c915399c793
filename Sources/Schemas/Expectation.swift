import Specs

/// What a schema expects of a value, in words: `an integer from 1 to 4095`.
struct Expectation {
  let program: Program

  /// `x-expected` when the schema has it; else made from its keywords, following references.
  ///
  /// - Returns: nil for a schema that says nothing about the value itself
  func text(_ schema: Int) -> String? { text(schema, depth: 0) }

  private func text(_ index: Int, depth: Int) -> String? {
    if depth > 8 { return nil }
    let schema = program.schemas[index]
    if let expected = schema.hints.expected { return expected }
    var parts = Parts()
    var others: [String] = []
    for keyword in schema.keywords {
      switch keyword {
      case .constant(let value): return Expectation.literal(value)
      case .enumeration(let values): return Expectation.list(values)
      case .types(let types): parts.types = types
      case .range(let range): parts.range = range
      case .multiple(_, let step): parts.step = step
      case .length(let counts): parts.length = counts
      case .pattern(let pattern): parts.pattern = pattern.text
      case .itemCount(let counts): parts.items = counts
      case .propertyCount(let counts): parts.keys = counts
      case .reference(let target), .dynamicReference(let target, _): others += [text(target, depth: depth + 1)].compactMap { $0 }
      case .allOf(let all): others += all.compactMap { text($0, depth: depth + 1) }
      case .anyOf(let any), .oneOf(let any): others += [alternatives(any, depth: depth + 1)].compactMap { $0 }
      default: break
      }
    }
    return parts.text ?? others.first
  }

  /// `a or b`, without repetitions.
  func alternatives(_ branches: [Int]) -> String? { alternatives(branches, depth: 0) }

  private func alternatives(_ branches: [Int], depth: Int) -> String? {
    var texts: [String] = []
    for branch in branches {
      if let text = text(branch, depth: depth), !texts.contains(text) { texts.append(text) }
    }
    return texts.isEmpty ? nil : texts.joined(separator: " or ")
  }

  static func literal(_ value: Node) -> String {
    let text = JSON(value).compact
    return text.count > 60 ? text.prefix(60) + "…" : text
  }

  /// Long lists are cut: the remedy names what is nearest.
  static func list(_ values: [Node]) -> String {
    let shown = values.prefix(12).map(literal)
    if values.count > 12 { return "one of \(values.count) values, such as " + shown.prefix(3).joined(separator: ", ") }
    guard let last = shown.last, shown.count > 1 else { return shown.first ?? "nothing" }
    return shown.dropLast().joined(separator: ", ") + " or " + last
  }

  /// The keywords of one schema that describe a value.
  private struct Parts {
    var types: Types?
    var range: NumberRange?
    var step: String?
    var length: Counts?
    var pattern: String?
    var items: Counts?
    var keys: Counts?

    var text: String? {
      let types = types ?? implied
      guard let types else { return nil }
      let names: [(Types, String)] = [
        (.null, "null"), (.boolean, "true or false"), (.integer, "an integer" + numeric), (.number, "a number" + numeric),
        (.string, string), (.array, "a list" + Parts.count(items, "item")), (.object, "a mapping" + Parts.count(keys, "key")),
      ]
      // Every integer is a number.
      let named = names.filter { types.contains($0.0) && !($0.0 == .integer && types.contains(.number)) }.map(\.1)
      guard let last = named.last, named.count > 1 else { return named.first }
      return named.dropLast().joined(separator: ", ") + " or " + last
    }

    /// Without `type`, what the other keywords are about.
    private var implied: Types? {
      if range != nil || step != nil { return .number }
      if length != nil || pattern != nil { return .string }
      if items != nil { return .array }
      return keys != nil ? .object : nil
    }

    private var numeric: String {
      var out = step.map { " that is a multiple of \($0)" } ?? ""
      switch (range?.low, range?.high) {
      case (let low?, let high?) where !low.isExclusive && !high.isExclusive: out += " from \(low.text) to \(high.text)"
      case (let low, let high):
        let limits = [
          low.map { $0.isExclusive ? "above \($0.text)" : "of at least \($0.text)" },
          high.map { $0.isExclusive ? "below \($0.text)" : "of at most \($0.text)" },
        ].compactMap { $0 }
        if !limits.isEmpty { out += " " + limits.joined(separator: " and ") }
      }
      return out
    }

    private var string: String {
      var out = "a string"
      if let length {
        out += length.least == 1 && length.most == Int.max ? " that is not empty" : Parts.count(length, "character")
      }
      if let pattern { out += " that matches the pattern \(JSON.string(pattern).compact)" }
      return out
    }

    private static func count(_ counts: Counts?, _ what: String) -> String {
      counts.map { " of " + Expectation.count($0, what) } ?? ""
    }
  }

  /// `at least 1 item`, `2 to 3 characters`.
  static func count(_ counts: Counts, _ what: String) -> String {
    func plural(_ count: Int) -> String { "\(count) \(what)\(count == 1 ? "" : "s")" }
    if counts.least > counts.most { return "at least \(counts.least) and at most \(plural(counts.most))" }
    if counts.least == counts.most { return "exactly " + plural(counts.least) }
    if counts.most == Int.max { return "at least " + plural(counts.least) }
    return counts.least == 0 ? "at most " + plural(counts.most) : "\(counts.least) to \(plural(counts.most))"
  }
}
