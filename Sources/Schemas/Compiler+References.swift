import Specs

/// Following references, once every schema that stands in the documents is known.
extension Compiler {
  mutating func follow(_ reference: Reference) {
    let resource = program.schemas[reference.schema].resource
    guard let target = target(of: reference, from: resource) else { return }
    let index = target.schema
    switch program.schemas[reference.schema].keywords[reference.keyword] {
    case .dynamicReference:
      // Only an anchor that is dynamic where it was found first is looked for in the dynamic scope (Core, section 8.2.3.2).
      let anchors = program.resources[program.schemas[index].resource].dynamicAnchors
      let anchor = target.anchor.flatMap { anchors[$0] == index ? $0 : nil }
      program.schemas[reference.schema].keywords[reference.keyword] = .dynamicReference(index, anchor: anchor)
    default: program.schemas[reference.schema].keywords[reference.keyword] = .reference(index)
    }
  }

  private mutating func target(of reference: Reference, from base: Int) -> (schema: Int, anchor: String?)? {
    let uri = URIReference.resolve(reference.text, against: program.resources[base].uri)
    let shown = JSON.string(reference.text).compact
    guard let found = resource(uri.absolute, for: reference.span, in: reference.document, program.resources[base].dialect) else {
      report(
        "unknown-reference", "the reference \(shown) leads to a schema that is not at hand", at: reference.span, in: reference.document,
        remedy: "nothing is fetched from a network; put the schema under `$defs`, with the URI as its `$id`")
      return nil
    }
    guard let fragment = URIReference.decodingPercent(uri.fragment ?? "") else {
      report("unknown-reference", "the reference \(shown) is no UTF-8", at: reference.span, in: reference.document)
      return nil
    }
    if fragment.isEmpty { return (program.resources[found].root, nil) }
    if fragment.hasPrefix("/") { return schema(at: fragment, in: found, reference).map { ($0, nil) } }
    if let anchor = program.resources[found].anchors[fragment] { return (anchor, fragment) }
    report(
      "unknown-reference", "the reference \(shown) names an anchor that does not exist", at: reference.span, in: reference.document,
      remedy: Nearest.remedy(for: fragment, among: program.resources[found].anchors.keys.sorted(), of: "anchors"))
    return nil
  }

  /// The schema at a JSON pointer into a resource; one that stands where no schema is expected is compiled now.
  private mutating func schema(at pointer: String, in resource: Int, _ reference: Reference) -> Int? {
    let root = program.resources[resource].place
    let place = SchemaPlace(document: root.document, pointer: root.pointer + pointer)
    if let known = schemas[place] { return known }
    var node = documents[root.document].node
    var here = SchemaPlace(document: root.document, pointer: "")
    var owner = resource
    for part in place.pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
      let token = Self.unescaped(part)
      if let schema = schemas[here] { owner = program.schemas[schema].resource }
      let inner: Node? =
        if let items = node.items { Int(token).flatMap { items.indices.contains($0) ? items[$0] : nil } } else { node[token] }
      guard let inner else {
        report(
          "unknown-reference", "the reference \(JSON.string(reference.text).compact) leads nowhere: there is no \(JSON.string(token).compact)",
          at: reference.span, in: reference.document,
          remedy: Nearest.remedy(for: token, among: (node.pairs ?? []).map(\.key), of: "there are"))
        return nil
      }
      node = inner
      here = here + token
    }
    return schema(node, place, owner)
  }

  private static func unescaped(_ token: Substring) -> String {
    token.split(separator: "~1", omittingEmptySubsequences: false).joined(separator: "/")
      .split(separator: "~0", omittingEmptySubsequences: false).joined(separator: "~")
  }

  /// Finds schemas that always lead back to themselves at the same value: no value can ever be checked against them.
  mutating func reportCircles() {
    enum State { case new, open, done }
    var states = [State](repeating: .new, count: program.schemas.count)
    for start in program.schemas.indices where states[start] == .new {
      // Not recursive: a chain of references may be as long as the document.
      var path: [(schema: Int, edges: [Int])] = [(start, program.schemas[start].alwaysApplied)]
      states[start] = .open
      while let last = path.indices.last {
        guard let next = path[last].edges.popLast() else {
          states[path[last].schema] = .done
          path.removeLast()
          continue
        }
        switch states[next] {
        case .done: break
        case .new:
          states[next] = .open
          path.append((next, program.schemas[next].alwaysApplied))
        case .open:
          guard let place = schemas.first(where: { $0.value == next })?.key else { break }
          let span = node(at: place)?.span ?? .none
          report(
            "endless-reference", "the schema at \"#\(place.pointer)\" refers to itself without going into the value", at: Span(span.start, span.start),
            in: place.document, remedy: "a schema may refer to itself under `properties`, `items` and the like")
        }
      }
    }
  }

  private func node(at place: SchemaPlace) -> Node? {
    var node: Node? = documents[place.document].node
    for part in place.pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
      let token = Self.unescaped(part)
      node = node?.items.flatMap { items in Int(token).flatMap { items.indices.contains($0) ? items[$0] : nil } } ?? node?[token]
    }
    return node
  }
}

extension Subschema {
  /// The schemas that are applied to the same value whenever this one is.
  fileprivate var alwaysApplied: [Int] {
    keywords.flatMap { keyword -> [Int] in
      switch keyword {
      case .reference(let schema), .not(let schema): [schema]
      case .allOf(let all), .anyOf(let all), .oneOf(let all): all
      case .conditional(let condition, _, _): [condition]
      default: []
      }
    }
  }
}
