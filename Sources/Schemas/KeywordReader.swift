import Specs

/// Reads the keywords of one schema. Each is read only when the dialect has it; one that is ill-formed is reported and
/// left out.
struct KeywordReader {
  let keywords: [String: Node.Pair]
  let place: SchemaPlace
  let resource: Int
  let dialect: Dialect
  /// References to be followed: the keyword's position, the URI reference, and where it stands.
  private(set) var references: [(position: Int, text: String, span: Span)] = []
  private(set) var hints = Subschema.Hints.none
  private(set) var tracks = false
  private var compiled: [Keyword] = []

  init(keywords: [String: Node.Pair], place: SchemaPlace, resource: Int, dialect: Dialect) {
    self.keywords = keywords
    self.place = place
    self.resource = resource
    self.dialect = dialect
  }

  mutating func compile(_ compiler: inout Compiler) -> [Keyword] {
    reference("$ref", .reference(0), &compiler)
    if dialect.isDraft7, !compiled.isEmpty { return compiled }
    if !dialect.isDraft7 { reference("$dynamicRef", .dynamicReference(0, anchor: nil), &compiler) }
    readHints()
    if dialect.validates {
      readAnyValue(&compiler)
      readNumbers(&compiler)
      readStrings(&compiler)
      readCounts(&compiler)
      readRequired(&compiler)
    }
    // What `$ref` names may stand under `$defs` only, and what has an `$id` or an anchor must be known.
    _ = schemas("$defs", &compiler)
    _ = schemas("definitions", &compiler)
    if dialect.applies {
      readItems(&compiler)
      readProperties(&compiler)
      readBranches(&compiler)
    }
    if dialect.unevaluates {
      if let schema = schema("unevaluatedItems", &compiler) { compiled.append(.unevaluatedItems(schema)) }
      if let schema = schema("unevaluatedProperties", &compiler) { compiled.append(.unevaluatedProperties(schema)) }
      tracks = keywords["unevaluatedItems"] != nil || keywords["unevaluatedProperties"] != nil
    }
    return compiled
  }

  // MARK: Keywords for people

  private mutating func readHints() {
    hints = Subschema.Hints(
      expected: keywords["x-expected"]?.value.string, isSecret: keywords["x-secret"]?.value.boolean ?? false,
      description: keywords["description"]?.value.string,
      example: keywords["examples"]?.value.items?.first ?? keywords["default"]?.value)
  }

  // MARK: Validation vocabulary

  private mutating func readAnyValue(_ compiler: inout Compiler) {
    if let pair = keywords["type"] {
      let names = pair.value.items ?? [pair.value]
      var types: Types = []
      for name in names {
        if let type = name.string.flatMap(Types.init) { types.insert(type) } else { malformed("a type or a list of types", pair, &compiler) }
      }
      compiled.append(.types(types))
    }
    if let pair = keywords["enum"] {
      if let values = pair.value.items { compiled.append(.enumeration(values)) } else { malformed("a list of values", pair, &compiler) }
    }
    if let pair = keywords["const"] { compiled.append(.constant(pair.value)) }
  }

  private mutating func readNumbers(_ compiler: inout Compiler) {
    let low = [bound("minimum", false, &compiler), bound("exclusiveMinimum", true, &compiler)].compactMap { $0 }
    let high = [bound("maximum", false, &compiler), bound("exclusiveMaximum", true, &compiler)].compactMap { $0 }
    // Of two limits the tighter one counts.
    let tightLow = low.max { $0.limit < $1.limit || $0.limit == $1.limit && !$0.isExclusive }
    let tightHigh = high.min { $0.limit < $1.limit || $0.limit == $1.limit && $0.isExclusive }
    if tightLow != nil || tightHigh != nil { compiled.append(.range(NumberRange(low: tightLow, high: tightHigh))) }
    if let pair = keywords["multipleOf"] {
      if let step = Decimal(pair.value), Decimal(0) < step {
        compiled.append(.multiple(step, text: pair.value.text ?? JSON(pair.value).compact))
      } else {
        malformed("a number above 0", pair, &compiler)
      }
    }
  }

  private func bound(_ name: String, _ isExclusive: Bool, _ compiler: inout Compiler) -> NumberRange.Bound? {
    guard let pair = keywords[name] else { return nil }
    guard let limit = Decimal(pair.value) else {
      malformed("a number", pair, &compiler)
      return nil
    }
    return NumberRange.Bound(
      limit: limit, whole: pair.value.integer, isExclusive: isExclusive, text: pair.value.text ?? JSON(pair.value).compact)
  }

  private mutating func readStrings(_ compiler: inout Compiler) {
    if let range = counts("minLength", "maxLength", &compiler) { compiled.append(.length(range)) }
    if let pair = keywords["pattern"] {
      if let text = pair.value.string {
        if let pattern = compiler.pattern(text, at: pair.value.span, in: place.document) { compiled.append(.pattern(pattern)) }
      } else {
        malformed("a regular expression", pair, &compiler)
      }
    }
  }

  private mutating func readCounts(_ compiler: inout Compiler) {
    if let range = counts("minItems", "maxItems", &compiler) { compiled.append(.itemCount(range)) }
    if let range = counts("minProperties", "maxProperties", &compiler) { compiled.append(.propertyCount(range)) }
    if let pair = keywords["uniqueItems"] {
      if let unique = pair.value.boolean { if unique { compiled.append(.uniqueItems) } } else { malformed("true or false", pair, &compiler) }
    }
  }

  private mutating func readRequired(_ compiler: inout Compiler) {
    if let pair = keywords["required"], let names = names(pair, &compiler) { compiled.append(.required(names)) }
    if !dialect.isDraft7, let pair = keywords["dependentRequired"] {
      let all = (pair.value.pairs ?? []).compactMap { key in names(key, &compiler).map { (key: key.key, names: $0) } }
      if pair.value.pairs == nil { malformed("a mapping", pair, &compiler) } else { compiled.append(.dependentRequired(all)) }
    }
    // Draft 7 has one keyword for both kinds of dependencies.
    guard dialect.isDraft7, let pairs = keywords["dependencies"]?.value.pairs else { return }
    compiled.append(.dependentRequired(pairs.filter { $0.value.items != nil }.compactMap { key in
      names(key, &compiler).map { (key: key.key, names: $0) }
    }))
    compiled.append(.dependentSchemas(pairs.filter { $0.value.items == nil }.map { key in
      (key: key.key, schema: compiler.schema(key.value, place + "dependencies" + key.key, resource))
    }))
  }

  // MARK: Applicator vocabulary

  private mutating func readItems(_ compiler: inout Compiler) {
    var prefix: [Int] = []
    var rest: Int?
    if dialect.isDraft7, keywords["items"]?.value.items != nil {
      prefix = list("items", &compiler)
      rest = schema("additionalItems", &compiler)
    } else {
      if !dialect.isDraft7 { prefix = list("prefixItems", &compiler) }
      rest = schema("items", &compiler)
    }
    if !prefix.isEmpty || rest != nil { compiled.append(.items(prefix: prefix, rest: rest)) }
    if let schema = schema("contains", &compiler) {
      let counts = dialect.validates && !dialect.isDraft7 ? counts("minContains", "maxContains", &compiler, least: 1) : nil
      compiled.append(.contains(schema, counts ?? Counts(least: 1)))
    }
  }

  private mutating func readProperties(_ compiler: inout Compiler) {
    if let schema = schema("propertyNames", &compiler) { compiled.append(.propertyNames(schema)) }
    var properties = Properties()
    for (pair, schema) in schemas("properties", &compiler) {
      properties.named[Name(pair.key)] = schema
      properties.order.append(pair.key)
    }
    for (pair, schema) in schemas("patternProperties", &compiler) {
      if let pattern = compiler.pattern(pair.key, at: pair.keySpan, in: place.document) { properties.patterns.append((pattern, schema)) }
    }
    properties.rest = schema("additionalProperties", &compiler)
    if !properties.order.isEmpty || !properties.patterns.isEmpty || properties.rest != nil { compiled.append(.properties(properties)) }
    if !dialect.isDraft7 {
      let dependent = schemas("dependentSchemas", &compiler).map { (key: $0.key, schema: $1) }
      if !dependent.isEmpty { compiled.append(.dependentSchemas(dependent)) }
    }
  }

  private mutating func readBranches(_ compiler: inout Compiler) {
    let all = list("allOf", &compiler)
    if !all.isEmpty { compiled.append(.allOf(all)) }
    let any = list("anyOf", &compiler)
    if !any.isEmpty { compiled.append(.anyOf(any)) }
    let one = list("oneOf", &compiler)
    if !one.isEmpty { compiled.append(.oneOf(one)) }
    if let schema = schema("not", &compiler) { compiled.append(.not(schema)) }
    let then = schema("then", &compiler)
    let otherwise = schema("else", &compiler)
    if let condition = schema("if", &compiler) { compiled.append(.conditional(if: condition, then: then, else: otherwise)) }
  }

  // MARK: Kinds of values

  private func malformed(_ expected: String, _ pair: Node.Pair, _ compiler: inout Compiler) {
    compiler.report(
      "bad-keyword", "the keyword \"\(pair.key)\" expects \(expected), found \(Wording.found(pair.value))", at: pair.value.span, in: place.document)
  }

  private mutating func reference(_ name: String, _ keyword: Keyword, _ compiler: inout Compiler) {
    guard let pair = keywords[name] else { return }
    guard let text = pair.value.string else { return malformed("a URI reference", pair, &compiler) }
    references.append((compiled.count, text, pair.value.span))
    compiled.append(keyword)
  }

  private func schema(_ name: String, _ compiler: inout Compiler) -> Int? {
    keywords[name].map { compiler.schema($0.value, place + name, resource) }
  }

  private func list(_ name: String, _ compiler: inout Compiler) -> [Int] {
    guard let pair = keywords[name] else { return [] }
    guard let items = pair.value.items else {
      malformed("a list of schemas", pair, &compiler)
      return []
    }
    return items.enumerated().map { compiler.schema($1, place + name + String($0), resource) }
  }

  private func schemas(_ name: String, _ compiler: inout Compiler) -> [(Node.Pair, Int)] {
    guard let pair = keywords[name] else { return [] }
    guard let pairs = pair.value.pairs else {
      malformed("a mapping of schemas", pair, &compiler)
      return []
    }
    return pairs.map { ($0, compiler.schema($0.value, place + name + $0.key, resource)) }
  }

  private func names(_ pair: Node.Pair, _ compiler: inout Compiler) -> [String]? {
    guard let items = pair.value.items, items.allSatisfy({ $0.string != nil }) else {
      malformed("a list of keys", pair, &compiler)
      return nil
    }
    return items.compactMap(\.string)
  }

  private func counts(_ low: String, _ high: String, _ compiler: inout Compiler, least: Int = 0) -> Counts? {
    let from = count(low, &compiler)
    let to = count(high, &compiler)
    if from == nil, to == nil { return nil }
    return Counts(least: from ?? least, most: to ?? Int.max)
  }

  private func count(_ name: String, _ compiler: inout Compiler) -> Int? {
    guard let pair = keywords[name] else { return nil }
    if let value = Decimal(pair.value), value.isWhole, !(value < Decimal(0)) {
      return pair.value.integer ?? pair.value.double.flatMap(Int.init(exactly:)) ?? Int.max
    }
    malformed("a whole number of at least 0", pair, &compiler)
    return nil
  }
}
