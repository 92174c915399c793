package import Specs

/// A compiled JSON Schema. Draft 2020-12 is complete, with formats as annotations; draft 7 is understood where a schema
/// says that it is written in it.
///
/// Two keywords of our own are read for messages: `x-expected`, what is said to be expected (`a size such as 64KiB`), and
/// `x-secret`, which keeps the value out of every message.
package struct Schema: Sendable {
  private let program: Program
  private let root: Int

  /// A schema of our own making, which need not be checked. A mistake in it stops the process.
  package static func trusted(_ json: JSON) -> Schema {
    let (schema, diagnostics) = compiled(Node(json), uri: "", registry: [:])
    guard let schema else { preconditionFailure("a schema of this program cannot be compiled: \(diagnostics.first?.message ?? "")") }
    return schema
  }

  /// Compiles a schema that somebody else wrote. It is checked against its metaschema, its references are followed and
  /// its patterns are tried.
  ///
  /// - Parameters:
  ///   - uri: where it comes from, the base of its references; may be empty
  ///   - registry: other documents that it may refer to, by URI without a fragment; nothing is ever fetched
  /// - Returns: the schema, or nil and all that is wrong with it, in order of place
  package static func compile(_ node: Node, uri: String = "", registry: [String: Node] = [:]) -> (schema: Schema?, diagnostics: [Diagnostic]) {
    guard node.pairs != nil || node.boolean != nil else {
      return (nil, [Diagnostic("bad-keyword", "a schema is a mapping, true or false, found \(Wording.found(node))", at: node.span)])
    }
    let found = metaschema(of: node, registry).validate(node)
    let (schema, more) = compiled(node, uri: uri, registry: registry)
    // The metaschema has said already what is wrong with a keyword.
    let all = found + more.filter { found.isEmpty || $0.code != "bad-keyword" }
    return all.isEmpty ? (schema, []) : (nil, Diagnostic.sorted(all))
  }

  /// What is wrong with an instance, each problem at its place, in order of place.
  package func validate(_ instance: Node) -> [Diagnostic] {
    if isValid(instance) { return [] }
    var evaluator = Evaluator(program, collecting: true)
    _ = evaluator.run(root, instance)
    let wording = Wording(program, secrets: evaluator.secrets)
    let failures = evaluator.failures + evaluator.unanswered + [evaluator.stop].compactMap { $0 }
    var said: Set<String> = []
    let diagnostics = failures.map(wording.diagnostic).filter { said.insert("\($0.span.start.offset) \($0.path) \($0.message)").inserted }
    return Diagnostic.sorted(diagnostics)
  }

  /// Whether nothing is wrong with it; stops at the first problem.
  package func isValid(_ instance: Node) -> Bool {
    var evaluator = Evaluator(program, collecting: false)
    return evaluator.run(root, instance)
  }

  private static func compiled(_ node: Node, uri: String, registry: [String: Node]) -> (Schema?, [Diagnostic]) {
    var compiler = Compiler(registry: registry)
    let root = compiler.compile(node, uri: uri)
    return (compiler.diagnostics.isEmpty ? Schema(program: compiler.program, root: root) : nil, compiler.diagnostics)
  }

  // MARK: Metaschemas

  private static let standard = embedded(MetaSchema.uri)
  private static let draft7 = embedded(MetaSchema.draft7)
  private static let anything = trusted(true)

  private static func embedded(_ uri: String) -> Schema {
    MetaSchema.documents[uri].flatMap { compiled($0, uri: uri, registry: [:]).0 } ?? anything
  }

  /// The schema that a schema must meet. One that is not known is the compiler's to refuse.
  private static func metaschema(of node: Node, _ registry: [String: Node]) -> Schema {
    guard let named = node["$schema"]?.string else { return standard }
    let uri = URIReference(named).absolute
    if uri == MetaSchema.uri { return standard }
    if uri == MetaSchema.draft7 { return draft7 }
    return registry[named].flatMap { compiled($0, uri: named, registry: registry).0 } ?? anything
  }
}
