package import Specs

/// A compiled JSON Schema. One thread uses it.
package final class Schema {
  private let store: SchemaStore
  private let root: SubSchema

  private init(_ store: SchemaStore, _ root: SubSchema) {
    self.store = store
    self.root = root
  }

  /// A schema of our own making.
  package static func trusted(_ json: JSON) -> Schema {
    let store = SchemaStore(registry: [:])
    return Schema(store, store.load(Node(json), "").root)
  }

  /// Compiles a schema that somebody else wrote. It is checked against the metaschema first, and its expressions and
  /// references are tried.
  ///
  /// - Parameters:
  ///   - uri: where it comes from, the base of its references
  ///   - registry: other documents that it may refer to, by URI; nothing is ever fetched
  package static func compile(_ node: Node, uri: String = "", registry: [String: Node] = [:]) -> (schema: Schema?, diagnostics: [Diagnostic]) {
    if let dialect = node["$schema"], let name = dialect.string, name.hasPrefix("http"), name != MetaSchema.uri, name != MetaSchema.uri + "#",
      registry[name] == nil {
      return (nil, [Diagnostic(
        "unknown-dialect", "the schema is written in \(JSON.string(name).compact)", at: dialect.span,
        remedy: "the dialect that is understood is \"\(MetaSchema.uri)\"")])
    }
    let store = SchemaStore(registry: registry)
    if node.pairs == nil, node.boolean == nil {
      return (nil, [Diagnostic("schema-not-object", "a schema is a mapping or a boolean, found \(node.described)", at: node.span)])
    }
    var problems: [Diagnostic] = []
    if let meta = store.resource(MetaSchema.uri), node["$schema"]?.string.map({ $0.hasPrefix(MetaSchema.uri) }) ?? true {
      problems = Schema(store, meta.root).validate(node)
    }
    let root = store.load(node, uri).root
    problems += check(root, store, node)
    return problems.isEmpty ? (Schema(store, root), []) : (nil, problems)
  }

  /// References that lead nowhere and expressions that do not compile, anywhere in the document.
  private static func check(_ root: SubSchema, _ store: SchemaStore, _ node: Node) -> [Diagnostic] {
    var problems: [Diagnostic] = []
    var queue: [(Node, SchemaResource)] = [(node, root.resource)]
    while let (node, outer) = queue.popLast() {
      var resource = outer
      if let id = node["$id"]?.string, let inner = store.resource(URIReference.resolve(id, against: outer.uri).absolute) { resource = inner }
      for pair in node.pairs ?? [] {
        if pair.key == "$ref" || pair.key == "$dynamicRef", let reference = pair.value.string {
          if store.resolve(reference, from: SubSchema(node, resource)) == nil {
            problems.append(Diagnostic(
              "unknown-reference", "the reference \(JSON.string(reference).compact) leads nowhere", at: pair.value.span,
              remedy: "only documents at hand are read, nothing is fetched; put it under `$defs`"))
          }
        } else if pair.key == "pattern", let text = pair.value.string {
          do throws(PatternError) { _ = try Pattern(text) } catch {
            problems.append(Diagnostic("bad-pattern", "the pattern does not compile: \(error.text)", at: pair.value.span))
          }
        }
        // Under these keywords stands data, not schemas.
        if !["enum", "const", "default", "examples"].contains(pair.key) { queue.append((pair.value, resource)) }
      }
      for item in node.items ?? [] { queue.append((item, resource)) }
    }
    return problems
  }

  /// What is wrong with an instance, each problem at its place.
  package func validate(_ instance: Node) -> [Diagnostic] {
    var evaluation = Evaluation(store: store)
    return evaluation.run(root, instance)
  }

  /// Whether nothing is wrong with it.
  package func isValid(_ instance: Node) -> Bool { validate(instance).isEmpty }
}
