import Specs

/// One validation: a walk of schema and instance together.
struct Evaluation {
  let store: SchemaStore
  /// The resources that were entered on the way, outermost first: what `$dynamicRef` looks through.
  private var scope: [SchemaResource] = []
  /// References followed since the walk last went down in the instance.
  private var references = 0

  init(store: SchemaStore) { self.store = store }

  /// Where the walk stands in the instance.
  struct Place {
    var node: Node
    /// The key under which it stands, for what has no better place.
    var keySpan: Span
    var path: String

    func child(_ pair: Node.Pair) -> Place {
      Place(node: pair.value, keySpan: pair.keySpan, path: path.isEmpty ? pair.key : path + "." + pair.key)
    }

    func child(_ index: Int, _ item: Node) -> Place { Place(node: item, keySpan: item.span.isNone ? keySpan : item.span, path: path + "[\(index)]") }

    /// Where the caret goes for the value.
    var span: Span { node.span.isNone ? keySpan : node.span }
    var shown: String { path.isEmpty ? "the document" : JSON.string(path).compact }
  }

  /// What a schema has found: problems, and what it has looked at, for the `unevaluated` keywords.
  struct Outcome {
    var problems: [Diagnostic] = []
    var properties: Set<String> = []
    var items: Set<Int> = []
    var isValid: Bool { problems.isEmpty }

    mutating func merge(_ other: Outcome) {
      problems += other.problems
      properties.formUnion(other.properties)
      items.formUnion(other.items)
    }
  }

  mutating func run(_ schema: SubSchema, _ instance: Node) -> [Diagnostic] {
    evaluate(schema, Place(node: instance, keySpan: instance.span, path: "")).problems
  }

  // MARK: One schema, one value

  mutating func evaluate(_ schema: SubSchema, _ place: Place) -> Outcome {
    if case .boolean(let allowed) = schema.node.value {
      return allowed ? Outcome() : Outcome(problems: [Diagnostic("not-allowed", "nothing is allowed at \(place.shown)", at: place.span, path: place.path)])
    }
    guard schema.node.pairs != nil else { return Outcome() }
    let entersResource = scope.last !== schema.resource
    if entersResource { scope.append(schema.resource) }
    defer { if entersResource { scope.removeLast() } }

    var outcome = Outcome()
    follow(schema, place, &outcome)
    combine(schema, place, &outcome)
    var own: [Diagnostic] = []
    if schema.resource.validates { Assertions.check(schema, place, &own) }
    outcome.problems += schema.expected(own, place)
    if place.node.pairs != nil { object(schema, place, &outcome) }
    if place.node.items != nil { array(schema, place, &outcome) }
    if !outcome.isValid {
      outcome.properties = []
      outcome.items = []
    }
    return outcome
  }

  private mutating func descend(_ schema: SubSchema, _ place: Place) -> Outcome {
    let before = references
    references = 0
    defer { references = before }
    return evaluate(schema, place)
  }

  // MARK: References

  private mutating func follow(_ schema: SubSchema, _ place: Place, _ outcome: inout Outcome) {
    for (keyword, isDynamic) in [("$ref", false), ("$dynamicRef", true)] {
      guard let reference = schema[keyword]?.string else { continue }
      guard var target = store.resolve(reference, from: schema) else {
        outcome.problems.append(Diagnostic(
          "unknown-reference", "the schema's reference \(JSON.string(reference).compact) leads nowhere", at: place.span, path: place.path))
        continue
      }
      if isDynamic, let name = URIReference(reference).fragment, target.resource.dynamicAnchors.contains(name), target["$dynamicAnchor"]?.string == name,
        let outermost = scope.first(where: { $0.dynamicAnchors.contains(name) }), let dynamic = outermost.anchor(name) {
        target = dynamic
      }
      references += 1
      defer { references -= 1 }
      if references > 200 {
        outcome.problems.append(Diagnostic("reference-loop", "the schema refers to itself without end", at: place.span, path: place.path))
        continue
      }
      outcome.merge(evaluate(target, place))
    }
  }

  // MARK: Combinations

  private mutating func combine(_ schema: SubSchema, _ place: Place, _ outcome: inout Outcome) {
    for i in 0..<(schema["allOf"]?.items?.count ?? 0) {
      if let part = schema.child("allOf", String(i)) { outcome.merge(evaluate(part, place)) }
    }
    for keyword in ["anyOf", "oneOf"] {
      guard let count = schema[keyword]?.items?.count else { continue }
      let all = (0..<count).map { i in schema.child(keyword, String(i)).map { evaluate($0, place) } ?? Outcome() }
      let valid = all.filter(\.isValid)
      if valid.isEmpty {
        outcome.problems += schema.expected(BestBranch.problems(all.map(\.problems), place), place, isOwn: true)
      } else if keyword == "oneOf", valid.count > 1 {
        outcome.problems += schema.expected(
          [Diagnostic("several-match", "\(place.shown) fits \(valid.count) of the alternatives, but must fit exactly one", at: place.span, path: place.path)], place, isOwn: true)
      } else {
        for one in valid { outcome.merge(one) }
      }
    }
    if let not = schema.child("not"), evaluate(not, place).isValid {
      outcome.problems += schema.expected(
        [Diagnostic("not-allowed", "\(schema.shown(place.node)) is not allowed at \(place.shown)", at: place.span, path: place.path)], place, isOwn: true)
    }
    if let condition = schema.child("if") {
      let result = evaluate(condition, place)
      if result.isValid {
        outcome.merge(result)
        if let then = schema.child("then") { outcome.merge(evaluate(then, place)) }
      } else if let otherwise = schema.child("else") {
        outcome.merge(evaluate(otherwise, place))
      }
    }
    if let pairs = place.node.pairs {
      for dependent in schema["dependentSchemas"]?.pairs ?? [] where pairs.contains(where: { $0.key == dependent.key }) {
        if let part = schema.child("dependentSchemas", dependent.key) { outcome.merge(evaluate(part, place)) }
      }
    }
  }

  // MARK: Objects

  private mutating func object(_ schema: SubSchema, _ place: Place, _ outcome: inout Outcome) {
    let pairs = place.node.pairs ?? []
    let properties = schema["properties"]
    let patterns = (schema["patternProperties"]?.pairs ?? []).map(\.key)
    let names = schema.child("propertyNames")
    let rest = schema.child("additionalProperties")
    var others: [Node.Pair] = []
    for pair in pairs {
      if let names {
        let key = Place(node: Node(.string(pair.key), span: pair.keySpan, text: pair.key), keySpan: pair.keySpan, path: place.child(pair).path)
        for problem in descend(names, key).problems {
          var problem = problem
          problem.code = "bad-key"
          problem.message = "the key \(JSON.string(pair.key).compact) is not allowed in \(place.shown): " + problem.message
          outcome.problems.append(problem)
        }
      }
      var isKnown = false
      if properties?[pair.key] != nil, let part = schema.child("properties", pair.key) {
        isKnown = true
        outcome.problems += descend(part, place.child(pair)).problems
      }
      for pattern in patterns {
        switch schema.match(pattern, pair.key) {
        case .matches:
          isKnown = true
          if let part = schema.child("patternProperties", pattern) { outcome.problems += descend(part, place.child(pair)).problems }
        case .fails: break
        case .gaveUp: outcome.problems.append(gaveUp(pattern, pair.keySpan, place.child(pair).path))
        }
      }
      if isKnown { outcome.properties.insert(pair.key) } else { others.append(pair) }
    }
    if let rest {
      for pair in others {
        outcome.properties.insert(pair.key)
        if rest.node.boolean == false {
          outcome.problems.append(unknownKey(pair, place, (properties?.pairs ?? []).map(\.key), pairs))
        } else {
          outcome.problems += descend(rest, place.child(pair)).problems
        }
      }
    }
    if let unevaluated = schema.child("unevaluatedProperties") {
      for pair in pairs where !outcome.properties.contains(pair.key) {
        outcome.properties.insert(pair.key)
        if unevaluated.node.boolean == false {
          outcome.problems.append(unknownKey(pair, place, (properties?.pairs ?? []).map(\.key), pairs))
        } else {
          outcome.problems += descend(unevaluated, place.child(pair)).problems
        }
      }
    }
  }

  private func unknownKey(_ pair: Node.Pair, _ place: Place, _ known: [String], _ present: [Node.Pair]) -> Diagnostic {
    // A key that is there already was not meant a second time.
    let free = known.filter { name in !present.contains { $0.key == name } }
    return Diagnostic(
      "unknown-key", "unknown key \(JSON.string(pair.key).compact) in \(place.shown)", at: pair.keySpan,
      remedy: Nearest.remedy(for: pair.key, among: free, of: "valid keys") ?? (known.isEmpty ? "no keys are allowed here" : nil),
      path: place.child(pair).path)
  }

  private func gaveUp(_ pattern: String, _ span: Span, _ path: String) -> Diagnostic {
    Diagnostic("pattern-limit", "the pattern \(JSON.string(pattern).compact) takes too long on this text", at: span, remedy: "simplify the pattern in the schema", path: path)
  }

  // MARK: Arrays

  private mutating func array(_ schema: SubSchema, _ place: Place, _ outcome: inout Outcome) {
    let items = place.node.items ?? []
    let prefix = schema["prefixItems"]?.items?.count ?? 0
    for (i, item) in items.enumerated().prefix(prefix) {
      if let part = schema.child("prefixItems", String(i)) { outcome.problems += descend(part, place.child(i, item)).problems }
      outcome.items.insert(i)
    }
    if let part = schema.child("items") {
      for (i, item) in items.enumerated().dropFirst(prefix) {
        outcome.problems += descend(part, place.child(i, item)).problems
        outcome.items.insert(i)
      }
    }
    if let part = schema.child("contains") {
      var count = 0
      for (i, item) in items.enumerated() where descend(part, place.child(i, item)).isValid {
        count += 1
        outcome.items.insert(i)
      }
      let least = schema.resource.validates ? schema.count("minContains") ?? 1 : 1
      let most = schema.resource.validates ? schema.count("maxContains") ?? Int.max : Int.max
      if count < least {
        outcome.problems.append(Diagnostic("too-few-matches", "\(place.shown) holds \(count) of the items that it must hold at least \(least) of", at: place.span, path: place.path))
      }
      if count > most {
        outcome.problems.append(Diagnostic("too-many-matches", "\(place.shown) holds \(count) of the items that it may hold at most \(most) of", at: place.span, path: place.path))
      }
    }
    if let part = schema.child("unevaluatedItems") {
      for (i, item) in items.enumerated() where !outcome.items.contains(i) {
        outcome.problems += descend(part, place.child(i, item)).problems
        outcome.items.insert(i)
      }
    }
  }
}
