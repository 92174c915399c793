import Specs

/// What to write instead. A changed value is offered only when the schema accepts it.
struct Remedy {
  let program: Program

  func remedy(_ failure: Failure) -> String? {
    let schema = failure.speaker ?? failure.schema
    let node = failure.node
    if let given = node.string {
      let words = words(of: failure)
      if let near = Nearest.name(to: given, among: words) { return "did you mean \(JSON.string(near).compact)?" }
      // A message that speaks in its own words has not named them.
      if words.count > 1, failure.speaker != nil || words.count > 12 { return Nearest.remedy(for: given, among: words, of: "valid values") }
    }
    if failure.code == "pattern" { return withUnit(node, schema) }
    guard failure.code == "wrong-type" || failure.code == "not-allowed-value" else { return nil }
    return corrected(node, schema) ?? withUnit(node, schema) ?? asMapping(node, schema)
  }

  private func fits(_ value: Node.Value, _ schema: Int, _ text: String? = nil) -> Bool {
    var evaluator = Evaluator(program, collecting: false)
    return evaluator.run(schema, Node(value, text: text))
  }

  /// The same number with the unit as it is spelled here: `write 5s`.
  private func withUnit(_ node: Node, _ schema: Int) -> String? {
    guard let given = node.string ?? (node.double != nil ? node.text : nil) else { return nil }
    let digits = given.prefix { "0"..."9" ~= $0 || $0 == "." }
    let unit = given.dropFirst(digits.count).drop { $0 == " " }
    if digits.isEmpty || given.utf8.count > 60 { return nil }
    if unit.isEmpty {
      let meant = [("s", "if seconds are meant"), ("B", "if bytes are meant"), ("/s", "for so many in a second")]
      return meant.first { fits(.string(digits + $0.0), schema) }.map { "write \(digits)\($0.0) \($0.1)" }
    }
    guard let spelled = Self.units[unit.lowercased()] else { return nil }
    return spelled.lazy.map { digits + $0 }.first { fits(.string($0), schema) }.map { "write \($0)" }
  }

  /// How units are written elsewhere, in lower case, and how they are written here.
  private static let units: [String: [String]] = {
    let all: [(String, String)] = [
      ("B", "b byte bytes octets"), ("KiB", "k ki kib kibibytes"), ("kB", "kb kilobytes"), ("MiB", "m mi mib mebibytes"), ("MB", "mb megabytes"),
      ("GiB", "g gi gib gibibytes"), ("GB", "gb gigabytes"), ("TiB", "t ti tib"), ("TB", "tb terabytes"), ("ns", "ns nanos nanosecond nanoseconds"),
      ("us", "us µs μs usec micros microsecond microseconds"), ("ms", "ms msec millis millisecond milliseconds"), ("s", "s sec secs second seconds"),
      ("m", "m min mins minute minutes"), ("h", "h hr hrs hour hours"), ("d", "d day days"), ("/s", "/s /sec /second ps hz"),
      ("/m", "/m /min /minute"), ("/h", "/h /hr /hour"),
    ]
    var units: [String: [String]] = [:]
    for (unit, names) in all { for name in names.split(separator: " ") { units[String(name), default: []].append(unit) } }
    return units
  }()

  /// A value alone where a mapping is expected, and only one of its keys would take it.
  private func asMapping(_ node: Node, _ schema: Int) -> String? {
    guard node.items == nil, node.pairs == nil, !node.isNull, let text = node.text ?? node.string, text.utf8.count <= 60 else { return nil }
    let keys = program.keys(of: schema).prefix(64).filter { fits(.mapping([Node.Pair(key: $0, value: node)]), schema) }
    guard let key = keys.first, keys.count == 1 else { return nil }
    let isPlain = !node.isQuoted && !text.contains { ",[]{}#:".contains($0) }
    return "write {\(key): \(isPlain ? text : JSON.string(text).compact)}"
  }

  /// The same text with quotes, without them, or as a list of one.
  private func corrected(_ node: Node, _ schema: Int) -> String? {
    func fits(_ value: Node.Value, _ text: String? = nil) -> Bool { self.fits(value, schema, text) }
    if let given = node.string {
      if node.isQuoted, let number = Decimal(given) {
        if let whole = Int(given), fits(.integer(whole)) { return "remove the quotes" }
        if let double = Double(given), !number.isZero, fits(.number(double), given) { return "remove the quotes" }
      }
      if let boolean = ["true": true, "yes": true, "on": true, "false": false, "no": false, "off": false][given.lowercased()], fits(.boolean(boolean)) {
        return node.isQuoted && given == String(boolean) ? "remove the quotes" : "write \(boolean)"
      }
    } else if node.items == nil, node.pairs == nil, !node.isNull, let text = node.text, fits(.string(text)) {
      return "put it into quotes: \(JSON.string(text).compact)"
    }
    if node.items == nil, !node.isNull, fits(.sequence([node])) {
      return node.text.map { $0.utf8.count <= 60 ? "write it as a list: [\(node.isQuoted ? JSON.string($0).compact : $0)]" : nil } ?? "write it as a list of one"
    }
    return nil
  }

  /// The strings that the schema would take here.
  private func words(of failure: Failure) -> [String] {
    var words: [String] = []
    var seen: Set<Int> = []
    var queue = [failure.schema]
    if let speaker = failure.speaker { queue.append(speaker) }
    if case .alternatives(let branches, _) = failure.problem { queue += branches }
    while let next = queue.popLast() {
      guard seen.insert(next).inserted else { continue }
      for keyword in program.schemas[next].keywords {
        switch keyword {
        case .enumeration(let values): words += values.compactMap(\.string)
        case .constant(let value): words += [value.string].compactMap { $0 }
        default: queue += keyword.inPlace
        }
      }
    }
    return words
  }

  func remedy(unknownKey key: String, _ failure: Failure) -> String {
    let known = program.keys(of: failure.schema)
    let present = Set((failure.node.pairs ?? []).map { Name($0.key) })
    // A key that is there already was not meant a second time.
    let free = known.filter { !present.contains(Name($0)) }
    // Where few keys are known, one is meant more surely.
    let places = known.map { (name: $0, keys: program.keys(of: $0, in: failure.schema)) }.filter { $0.keys.contains(key) }
    if let place = places.min(by: { $0.keys.count < $1.keys.count }) { return "write it under `\(place.name)`" }
    return Nearest.remedy(for: key, among: free, of: "valid keys") ?? (known.isEmpty ? "no key is allowed here" : "all valid keys are there already")
  }

  /// What to add, with the example or default that the schema gives, and what it is for.
  func remedy(missingKey name: String, _ properties: [Int]) -> String {
    let all = properties.flatMap(references)
    var out = "add `\(name): \(example(of: all, depth: 0) ?? "…")`"
    if let line = all.lazy.compactMap({ program.schemas[$0].hints.description }).first?.split(separator: "\n").first {
      var line = String(line)
      while let last = line.last, ".: ".contains(last) { line.removeLast() }
      out += ": \(line)"
    } else if let expected = all.lazy.compactMap({ Expectation(program: program).text($0) }).first {
      out += ": \(expected)"
    }
    return out
  }

  /// A schema and those that it refers to.
  private func references(_ schema: Int) -> [Int] {
    var all = [schema]
    while let last = all.last, all.count < 8 {
      let targets = program.schemas[last].keywords.compactMap { if case .reference(let target) = $0 { target } else { nil } }
      guard let target = targets.first else { break }
      all.append(target)
    }
    return all
  }

  /// What may be written for a value: the schema's own example, or a mapping of what it must hold.
  private func example(of schemas: [Int], depth: Int) -> String? {
    if let example = schemas.lazy.compactMap({ program.schemas[$0].hints.example }).first {
      let text = JSON(example).compact
      return text.utf8.count > 60 ? nil : text
    }
    for keyword in schemas.flatMap({ program.schemas[$0].keywords }) {
      if case .constant(let value) = keyword { return Expectation.literal(value) }
      guard depth < 3, case .required(let names) = keyword, !names.isEmpty else { continue }
      let pairs = names.map { name in
        let inner = schemas.flatMap { schema in
          program.schemas[schema].keywords.compactMap { keyword -> Int? in
            if case .properties(let properties) = keyword { properties.named[Name(name)] } else { nil }
          }
        }
        return "\(name): " + (example(of: inner.flatMap(references), depth: depth + 1) ?? "…")
      }
      let text = "{" + pairs.joined(separator: ", ") + "}"
      return text.utf8.count > 100 ? nil : text
    }
    return nil
  }

  func remedy(badKey key: String, _ names: Int) -> String? {
    for case .enumeration(let values) in program.schemas[names].keywords {
      return Nearest.name(to: key, among: values.compactMap(\.string)).map { "did you mean \(JSON.string($0).compact)?" }
    }
    return nil
  }
}
