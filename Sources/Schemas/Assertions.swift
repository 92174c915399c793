import Specs

/// The keywords of the validation vocabulary: each looks at one value and at nothing below it.
enum Assertions {
  typealias Place = Evaluation.Place

  static func check(_ schema: SubSchema, _ place: Place, _ found: inout [Diagnostic]) {
    let node = place.node
    func problem(_ code: String, _ message: String, _ remedy: String? = nil) {
      found.append(Diagnostic(code, message, at: place.span, remedy: remedy, path: place.path))
    }

    if let type = schema["type"] {
      let names = type.string.map { [$0] } ?? type.items?.compactMap(\.string) ?? []
      if !names.contains(where: { node.isOf(type: $0) }) {
        problem("wrong-type", "expected \(names.map(described).joined(separator: " or ")), found \(schema.shown(node))", remedy(names, node))
        return
      }
    }
    if let allowed = schema["enum"]?.items {
      let value = node.canonical
      if !allowed.contains(where: { $0.canonical == value }) {
        let words = allowed.map { $0.string ?? JSON($0).compact }
        problem("not-allowed-value", "\(schema.shown(node)) is not allowed at \(place.shown)", Nearest.remedy(for: node.string ?? node.text ?? "", among: words, of: "valid values"))
      }
    }
    if let only = schema["const"], only.canonical != node.canonical {
      problem("not-allowed-value", "expected \(JSON(only).compact), found \(schema.shown(node))")
    }
    if let number = Decimal(node) {
      if let limit = schema["minimum"], let low = Decimal(limit), number < low { problem("out-of-range", "expected at least \(limit.text ?? ""), found \(schema.shown(node))") }
      if let limit = schema["maximum"], let high = Decimal(limit), high < number { problem("out-of-range", "expected at most \(limit.text ?? ""), found \(schema.shown(node))") }
      if let limit = schema["exclusiveMinimum"], let low = Decimal(limit), !(low < number) { problem("out-of-range", "expected more than \(limit.text ?? ""), found \(schema.shown(node))") }
      if let limit = schema["exclusiveMaximum"], let high = Decimal(limit), !(number < high) { problem("out-of-range", "expected less than \(limit.text ?? ""), found \(schema.shown(node))") }
      if let step = schema["multipleOf"], let unit = Decimal(step), !number.isMultiple(of: unit) { problem("not-a-multiple", "expected a multiple of \(step.text ?? ""), found \(schema.shown(node))") }
    }
    if let text = node.string {
      let length = text.unicodeScalars.count
      if let least = schema.count("minLength"), length < least { problem("too-short", least == 1 ? "expected a text that is not empty" : "expected at least \(least) characters, found \(length)") }
      if let most = schema.count("maxLength"), length > most { problem("too-long", "expected at most \(most) characters, found \(length)") }
      if let pattern = schema["pattern"]?.string {
        switch schema.match(pattern, text) {
        case .matches: break
        case .fails: problem("pattern", "\(schema.shown(node)) does not match the pattern \(JSON.string(pattern).compact)")
        case .gaveUp: problem("pattern-limit", "the pattern \(JSON.string(pattern).compact) takes too long on this text", "simplify the pattern in the schema")
        }
      }
    }
    if let items = node.items {
      if let least = schema.count("minItems"), items.count < least { problem("too-few-items", "expected at least \(least) items, found \(items.count)") }
      if let most = schema.count("maxItems"), items.count > most { problem("too-many-items", "expected at most \(most) items, found \(items.count)") }
      if schema["uniqueItems"]?.boolean == true {
        var seen = Set<String>()
        for item in items where !seen.insert(item.canonical).inserted {
          found.append(Diagnostic("repeated-item", "\(schema.shown(item)) stands in the list twice", at: item.span.isNone ? place.span : item.span, remedy: "remove one of the two", path: place.path))
          break
        }
      }
    }
    if let pairs = node.pairs { object(schema, place, pairs, &found) }
  }

  private static func object(_ schema: SubSchema, _ place: Place, _ pairs: [Node.Pair], _ found: inout [Diagnostic]) {
    let keys = Set(pairs.map(\.key))
    func missing(_ name: String, _ why: String) {
      let declared = schema["properties"]?[name]
      let example = declared?["examples"]?.items?.first ?? declared?["default"]
      let value = example.map { JSON($0).compact } ?? "…"
      let remedy = "add `\(name): \(value)`" + (declared?["description"]?.string.map { ": " + ($0.split(separator: "\n").first.map(String.init) ?? "") } ?? "")
      found.append(Diagnostic("missing-key", why, at: place.keySpan, remedy: remedy, path: place.path))
    }
    for name in schema["required"]?.items?.compactMap(\.string) ?? [] where !keys.contains(name) {
      missing(name, "the key \(JSON.string(name).compact) is missing in \(place.shown)")
    }
    for pair in schema["dependentRequired"]?.pairs ?? [] where keys.contains(pair.key) {
      for name in pair.value.items?.compactMap(\.string) ?? [] where !keys.contains(name) {
        missing(name, "the key \(JSON.string(name).compact) is missing in \(place.shown), since \(JSON.string(pair.key).compact) is there")
      }
    }
    if let least = schema.count("minProperties"), pairs.count < least {
      found.append(Diagnostic("too-few-keys", "\(place.shown) needs at least \(least) \(least == 1 ? "key" : "keys"), found \(pairs.count)", at: place.keySpan, path: place.path))
    }
    if let most = schema.count("maxProperties"), pairs.count > most {
      found.append(Diagnostic("too-many-keys", "\(place.shown) may have at most \(most) keys, found \(pairs.count)", at: place.keySpan, path: place.path))
    }
  }

  private static func described(_ type: String) -> String {
    switch type {
    case "null": "null"
    case "object": "a mapping"
    case "array": "a list"
    case "integer": "an integer"
    case "boolean": "true or false"
    default: "a \(type)"
    }
  }

  /// What a person probably forgot.
  private static func remedy(_ types: [String], _ node: Node) -> String? {
    if types == ["array"], let text = node.string { return "write [\(text)]" }
    if types == ["string"], let text = node.text, node.pairs == nil, node.items == nil { return "put it into quotes: \"\(text)\"" }
    if types == ["boolean"], let text = node.string?.lowercased(), ["yes", "no", "on", "off"].contains(text) {
      return "write \(text == "yes" || text == "on" ? "true" : "false")"
    }
    if (types == ["integer"] || types == ["number"]), node.isQuoted, let text = node.string, Int(text) != nil { return "write it without quotes" }
    return nil
  }
}

extension Node {
  /// The types of JSON; 1.0 is an integer.
  func isOf(type: String) -> Bool {
    switch value {
    case .null: type == "null"
    case .boolean: type == "boolean"
    case .integer: type == "integer" || type == "number"
    case .number: type == "number" || type == "integer" && (Decimal(self)?.isWhole ?? false)
    case .string: type == "string"
    case .sequence: type == "array"
    case .mapping: type == "object"
    }
  }
}

extension SubSchema {
  /// A keyword's whole number.
  func count(_ keyword: String) -> Int? { self[keyword].flatMap { $0.integer ?? $0.double.flatMap(Int.init(exactly:)) } }

  /// A value as it may be shown: not at all when the schema calls it a secret.
  func shown(_ node: Node) -> String { self["x-secret"]?.boolean == true ? "a value that is kept secret" : node.described }

  func match(_ pattern: String, _ text: String) -> Pattern.Verdict {
    let compiled = patterns[pattern] ?? Result { () throws(PatternError) in try Pattern(pattern) }
    patterns[pattern] = compiled
    switch compiled {
    case .success(let pattern): return pattern.match(text)
    case .failure: return .fails
    }
  }

  /// Where the schema says in words what it expects, they replace the problems of its own keywords.
  ///
  /// - Parameter isOwn: whether the problems are about the value itself and not about something below it
  func expected(_ problems: [Diagnostic], _ place: Evaluation.Place, isOwn: Bool = false) -> [Diagnostic] {
    guard let words = self["x-expected"]?.string, let first = problems.first else { return problems }
    let kept: Set<String> = ["missing-key", "too-few-keys", "too-many-keys", "repeated-item", "pattern-limit"]
    let own = problems.filter { !kept.contains($0.code) && $0.path == place.path }
    guard !own.isEmpty else { return problems }
    let code = own.contains { $0.code == "wrong-type" } ? "wrong-type" : own[0].code
    // With a pattern, the words say more than a hint about quotes.
    let remedy = first.code == "not-allowed-value" || code == "wrong-type" && self["pattern"] == nil ? first.remedy : nil
    let one = Diagnostic(code, "expected \(words), found \(shown(place.node))", at: place.span, remedy: remedy, path: place.path)
    return [one] + problems.filter { kept.contains($0.code) || $0.path != place.path }
  }
}
