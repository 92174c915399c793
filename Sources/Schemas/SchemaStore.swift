import Specs

/// One schema: an object or a boolean somewhere in a document, with what its references lead to.
final class SubSchema {
  let node: Node
  /// The resource that it belongs to: the nearest schema above with an `$id`.
  unowned let resource: SchemaResource
  let keywords: [String: Node.Pair]
  private var children: [String: SubSchema] = [:]
  var patterns: [String: Result<Pattern, PatternError>] = [:]

  init(_ node: Node, _ resource: SchemaResource) {
    self.node = node
    self.resource = resource
    keywords = Dictionary((node.pairs ?? []).map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
  }

  subscript(keyword: String) -> Node? { keywords[keyword]?.value }

  /// The schema under these tokens, such as `properties`, `name`.
  func child(_ tokens: String...) -> SubSchema? { child(tokens) }

  private func child(_ tokens: [String]) -> SubSchema? {
    let key = tokens.joined(separator: "\u{0}")
    if let known = children[key] { return known }
    var target = node
    for token in tokens {
      guard let next = target.child(token) else { return nil }
      target = next
    }
    // One with an `$id` of its own is a resource, which the store has found already.
    let made: SubSchema
    if let id = target["$id"]?.string, let other = resource.store?.resource(URIReference.resolve(id, against: resource.uri).absolute) {
      made = other.root
    } else {
      made = SubSchema(target, resource)
    }
    children[key] = made
    return made
  }
}

extension Node {
  /// The value under a token of a JSON pointer (RFC 6901).
  func child(_ token: String) -> Node? {
    if let items { return Int(token).flatMap { items.indices.contains($0) ? items[$0] : nil } }
    return self[token]
  }
}

/// A schema with a URI, and the anchors in it.
final class SchemaResource {
  let uri: String
  let node: Node
  weak var store: SchemaStore?
  private(set) lazy var root = SubSchema(node, self)
  /// Anchors, dynamic ones included, by name; the schema they stand on.
  fileprivate(set) var anchors: [String: Node] = [:]
  fileprivate(set) var dynamicAnchors: Set<String> = []
  private var byPointer: [String: SubSchema] = [:]
  /// Whether keywords of the validation vocabulary count: a metaschema may leave them out (`$vocabulary`).
  fileprivate(set) var validates = true

  init(_ uri: String, _ node: Node, _ store: SchemaStore) {
    self.uri = uri
    self.node = node
    self.store = store
  }

  func anchor(_ name: String) -> SubSchema? {
    if let known = byPointer["#" + name] { return known }
    guard let node = anchors[name] else { return nil }
    let made = node["$id"] != nil ? root : SubSchema(node, self)
    byPointer["#" + name] = made
    return made
  }

  /// The schema at a JSON pointer. On the way there it may enter a resource within this one.
  func schema(at pointer: String) -> SubSchema? {
    if pointer.isEmpty { return root }
    if let known = byPointer[pointer] { return known }
    var target = node
    var owner = self
    for token in pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
      let name = token.split(separator: "~1", omittingEmptySubsequences: false).joined(separator: "/")
        .split(separator: "~0", omittingEmptySubsequences: false).joined(separator: "~")
      guard let next = target.child(name) else { return nil }
      target = next
      if let id = target["$id"]?.string, let inner = store?.resource(URIReference.resolve(id, against: owner.uri).absolute) { owner = inner }
    }
    guard target.pairs != nil || target.boolean != nil else { return nil }
    let made = owner !== self && target["$id"] != nil ? owner.root : SubSchema(target, owner)
    byPointer[pointer] = made
    return made
  }
}

/// All the schemas that can be referred to.
final class SchemaStore {
  private var resources: [String: SchemaResource] = [:]
  /// Documents that are read when something refers to them.
  private var registry: [String: Node]
  private(set) var problems: [Diagnostic] = []

  init(registry: [String: Node]) { self.registry = registry }

  /// - Parameter uri: without a fragment
  func resource(_ uri: String) -> SchemaResource? {
    if let known = resources[uri] { return known }
    if let known = resources[uri + "#"] { return known }
    if let document = registry.removeValue(forKey: uri) ?? MetaSchema.documents[uri] { return load(document, uri) }
    return nil
  }

  /// Finds every resource and anchor of a document.
  @discardableResult
  func load(_ node: Node, _ uri: String) -> SchemaResource {
    var base = uri
    if let id = node["$id"]?.string { base = URIReference.resolve(id, against: uri).absolute }
    let resource = SchemaResource(base, node, self)
    resources[base] = resource
    if base != uri { resources[uri] = resource }
    resource.validates = validates(node, inherited: true)
    scan(node, resource)
    return resource
  }

  private func validates(_ node: Node, inherited: Bool) -> Bool {
    guard let dialect = node["$schema"]?.string, dialect != MetaSchema.uri else { return inherited }
    guard let vocabularies = resource(URIReference(dialect).absolute)?.node["$vocabulary"]?.pairs else { return inherited }
    return vocabularies.contains { $0.key == "https://json-schema.org/draft/2020-12/vocab/validation" }
  }

  private static let inObjects: Set<String> = ["$defs", "definitions", "properties", "patternProperties", "dependentSchemas"]
  private static let inLists: Set<String> = ["allOf", "anyOf", "oneOf", "prefixItems"]
  private static let single: Set<String> = [
    "additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else", "unevaluatedItems",
    "unevaluatedProperties", "contentSchema",
  ]

  /// Schemas stand only under keywords that hold schemas; an `$id` elsewhere is data.
  private func scan(_ node: Node, _ resource: SchemaResource) {
    if let name = node["$anchor"]?.string { resource.anchors[name] = node }
    if let name = node["$dynamicAnchor"]?.string {
      resource.anchors[name] = node
      resource.dynamicAnchors.insert(name)
    }
    for pair in node.pairs ?? [] {
      if Self.inObjects.contains(pair.key) {
        for inner in pair.value.pairs ?? [] { enter(inner.value, resource) }
      } else if Self.inLists.contains(pair.key) {
        for inner in pair.value.items ?? [] { enter(inner, resource) }
      } else if Self.single.contains(pair.key) {
        enter(pair.value, resource)
      }
    }
  }

  private func enter(_ node: Node, _ resource: SchemaResource) {
    guard let id = node["$id"]?.string else { return scan(node, resource) }
    let inner = SchemaResource(URIReference.resolve(id, against: resource.uri).absolute, node, self)
    inner.validates = validates(node, inherited: resource.validates)
    resources[inner.uri] = inner
    scan(node, inner)
  }

  /// What a `$ref` leads to.
  func resolve(_ reference: String, from schema: SubSchema) -> SubSchema? {
    let target = URIReference.resolve(reference, against: schema.resource.uri)
    guard let resource = resource(target.absolute) else { return nil }
    guard let fragment = target.fragment.flatMap(URIReference.decodingPercent), !fragment.isEmpty else { return resource.root }
    return fragment.hasPrefix("/") ? resource.schema(at: fragment) : resource.anchor(fragment)
  }
}
