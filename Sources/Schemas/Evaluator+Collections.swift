import Specs

extension Evaluator {
  // MARK: Sequences

  mutating func checkItems(_ index: Int, _ keyword: Keyword, _ node: Node, _ items: [Node], _ evaluated: inout Evaluated?) -> Bool {
    switch keyword {
    case .items(let prefix, let rest): return checkItems(prefix, rest, index, node, items, &evaluated)
    case .contains(let schema, let counts): return checkContains(schema, counts, index, node, items, &evaluated)
    case .itemCount(let counts): return expect(counts.contains(items.count), .itemCount(counts), index, node)
    case .uniqueItems: return checkUnique(index, node, items)
    case .unevaluatedItems(let schema):
      var isValid = true
      for (i, item) in items.enumerated() where !(evaluated?.contains(i) ?? false) {
        if !descend(.item(i, item.span), schema, item) { isValid = false }
        if !isValid, !isCollecting { return false }
      }
      evaluated?.insertAll()
      return isValid
    default: return true
    }
  }

  private mutating func checkItems(
    _ prefix: [Int], _ rest: Int?, _ index: Int, _ node: Node, _ items: [Node], _ evaluated: inout Evaluated?
  ) -> Bool {
    var isValid = true
    for (i, item) in items.enumerated() {
      if i < prefix.count {
        if !descend(.item(i, item.span), prefix[i], item) { isValid = false }
        evaluated?.insert(i)
      } else if let rest {
        // One that is too many says so for all that follow.
        if program.schemas[rest].isNever, prefix.count > 0 || i == 0 {
          if isCollecting {
            path.append(.item(i, item.span))
            _ = fail(.tooManyItems(prefix.count), index, item)
            path.removeLast()
          }
          return false
        }
        if !descend(.item(i, item.span), rest, item) { isValid = false }
      } else {
        break
      }
      if !isValid, !isCollecting { return false }
    }
    if rest != nil { evaluated?.insertAll() }
    return isValid
  }

  private mutating func checkContains(
    _ schema: Int, _ counts: Counts, _ index: Int, _ node: Node, _ items: [Node], _ evaluated: inout Evaluated?
  ) -> Bool {
    let outer = isCollecting
    isCollecting = false
    var found = 0
    for (i, item) in items.enumerated() where descend(.item(i, item.span), schema, item) {
      found += 1
      evaluated?.insert(i)
    }
    isCollecting = outer
    return expect(counts.contains(found), .contains(schema, found: found, counts), index, node)
  }

  private mutating func checkUnique(_ index: Int, _ node: Node, _ items: [Node]) -> Bool {
    var isValid = true
    var seen: [Value: Int] = [:]
    for (i, item) in items.enumerated() {
      guard let first = seen[Value(item)] else {
        seen[Value(item)] = i
        continue
      }
      isValid = false
      guard isCollecting else { return false }
      path.append(.item(i, item.span))
      _ = fail(.repeatedItem(first: first, firstSpan: items[first].span), index, item)
      path.removeLast()
    }
    return isValid
  }

  // MARK: Mappings

  mutating func checkPairs(_ index: Int, _ keyword: Keyword, _ node: Node, _ pairs: [Node.Pair], _ evaluated: inout Evaluated?) -> Bool {
    switch keyword {
    case .propertyCount(let counts): return expect(counts.contains(pairs.count), .propertyCount(counts), index, node)
    case .required(let names): return checkRequired(names, because: nil, index, node, pairs)
    case .dependentRequired(let all):
      var isValid = true
      for (key, names) in all where pairs.contains(key) && !checkRequired(names, because: key, index, node, pairs) { isValid = false }
      return isValid
    case .propertyNames(let schema): return checkNames(schema, index, node, pairs)
    case .properties(let properties): return checkProperties(properties, index, node, pairs, &evaluated)
    case .dependentSchemas(let all):
      var isValid = true
      for (key, schema) in all where pairs.contains(key) && !check(schema, node, &evaluated) { isValid = false }
      return isValid
    case .unevaluatedProperties(let schema):
      var isValid = true
      for (i, pair) in pairs.enumerated() where !(evaluated?.contains(i) ?? false) {
        if !checkRest(schema, pair, index, node) { isValid = false }
        if !isValid, !isCollecting { return false }
      }
      evaluated?.insertAll()
      return isValid
    default: return true
    }
  }

  private mutating func checkRequired(_ names: [String], because key: String?, _ index: Int, _ node: Node, _ pairs: [Node.Pair]) -> Bool {
    var isValid = true
    for name in names where !pairs.contains(name) {
      isValid = fail(.missingKey(name, properties: isCollecting ? properties(name) : [], because: key), index, node)
    }
    return isValid
  }

  /// What the schemas that are being applied to the present value say of a key, the nearest first.
  private func properties(_ name: String) -> [Int] {
    chain.reversed().flatMap { schema in
      program.schemas[schema].keywords.compactMap { keyword in
        if case .properties(let properties) = keyword { properties.named[Name(name)] } else { nil }
      }
    }
  }

  private mutating func checkNames(_ schema: Int, _ index: Int, _ node: Node, _ pairs: [Node.Pair]) -> Bool {
    let outer = isCollecting
    isCollecting = false
    let bad = pairs.filter { pair in
      !descend(.key(pair.key, pair.keySpan), schema, Node(.string(pair.key), span: pair.keySpan, text: pair.key))
    }
    isCollecting = outer
    var isValid = true
    for pair in bad { isValid = fail(.badKey(pair, names: schema), index, node) }
    return isValid
  }

  private mutating func checkProperties(
    _ properties: Properties, _ index: Int, _ node: Node, _ pairs: [Node.Pair], _ evaluated: inout Evaluated?
  ) -> Bool {
    var isValid = true
    for (i, pair) in pairs.enumerated() {
      var isKnown = false
      if let schema = properties.named[Name(pair.key)] {
        isKnown = true
        if !descend(.key(pair.key, pair.keySpan), schema, pair.value) { isValid = false }
      }
      for (pattern, schema) in properties.patterns {
        let matches = matches(pattern, pair.key, index, node, key: pair.keySpan)
        if matches == false { continue }
        isKnown = true
        if matches == true, !descend(.key(pair.key, pair.keySpan), schema, pair.value) { isValid = false }
      }
      if !isKnown, let rest = properties.rest {
        isKnown = true
        if !checkRest(rest, pair, index, node) { isValid = false }
      }
      if isKnown { evaluated?.insert(i) }
      if !isValid, !isCollecting { return false }
    }
    return isValid
  }

  /// Once something is wrong, keys that some branch names are no longer called unknown: that branch may have been meant.
  func insertKnown(_ index: Int, _ node: Node, _ evaluated: inout Evaluated?) {
    let known = Set(program.keys(of: index).map(Name.init))
    for (i, pair) in (node.pairs ?? []).enumerated() where known.contains(Name(pair.key)) { evaluated?.insert(i) }
  }

  /// A key that no other keyword knows.
  private mutating func checkRest(_ schema: Int, _ pair: Node.Pair, _ index: Int, _ node: Node) -> Bool {
    if program.schemas[schema].isNever { return fail(.unknownKey(pair), index, node) }
    return descend(.key(pair.key, pair.keySpan), schema, pair.value)
  }
}

extension [Node.Pair] {
  fileprivate func contains(_ key: String) -> Bool {
    let name = Name(key)
    return contains { Name($0.key) == name }
  }
}
