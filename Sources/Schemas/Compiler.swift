import Specs

/// Compiles schema documents to a program. Compiling a schema and following its references are two passes: references may
/// lead anywhere, also to what is not read yet.
struct Compiler {
  var program = Program()
  private(set) var diagnostics: [Diagnostic] = []
  /// Documents that may be referred to, by URI; they are compiled when something does.
  private let registry: [String: Node]
  private(set) var documents: [Document] = []
  private var resources: [String: Int] = [:]
  private(set) var schemas: [SchemaPlace: Int] = [:]
  private var pending: [Reference] = []
  private var patterns: [Name: Pattern?] = [:]

  struct Document {
    let node: Node
    let uri: String
    /// Where the first document refers to it; nil for that one. Its own places would be places in another file.
    let referrer: Span?
  }

  struct Reference {
    let schema: Int
    /// The keyword of that schema that is to be filled in.
    let keyword: Int
    let text: String
    let span: Span
    let document: Int
  }

  init(registry: [String: Node]) { self.registry = registry }

  /// Compiles a document and all that it refers to.
  ///
  /// - Parameter uri: where it comes from, the base of its references; may be empty
  /// - Returns: its root
  mutating func compile(_ node: Node, uri: String) -> Int {
    let resource = load(node, URIReference(uri).absolute, referrer: nil, .standard)
    while let reference = pending.popLast() { follow(reference) }
    if diagnostics.isEmpty { reportCircles() }
    return program.resources[resource].root
  }

  // MARK: Documents and resources

  private mutating func load(_ node: Node, _ uri: String, referrer: Span?, _ dialect: Dialect) -> Int {
    documents.append(Document(node: node, uri: uri, referrer: referrer))
    let place = SchemaPlace(document: documents.count - 1, pointer: "")
    let resource = addResource(uri, place, dialect)
    program.resources[resource].root = schema(node, place, resource)
    return resource
  }

  private mutating func addResource(_ uri: String, _ place: SchemaPlace, _ dialect: Dialect) -> Int {
    program.resources.append(Program.Resource(uri: uri, dialect: dialect, place: place, root: 0))
    resources[uri] = program.resources.count - 1
    return program.resources.count - 1
  }

  /// The resource of a URI without a fragment: known, or in the registry, or a metaschema. A document that names no dialect
  /// is in that of the one that refers to it.
  mutating func resource(_ uri: String, for span: Span, in document: Int, _ dialect: Dialect) -> Int? {
    if let known = resources[uri] { return known }
    guard let node = registry[uri] ?? registry[uri + "#"] ?? MetaSchema.documents[uri] else { return nil }
    return load(node, uri, referrer: documents[document].referrer ?? span, dialect)
  }

  mutating func report(_ code: String, _ message: String, at span: Span, in document: Int, remedy: String? = nil) {
    let place = documents[document]
    diagnostics.append(Diagnostic(
      code, message + (place.referrer == nil ? "" : " in \(place.uri)"), at: place.referrer ?? span, remedy: remedy))
  }

  // MARK: Schemas

  /// Compiles the schema at a place, and those in it.
  mutating func schema(_ node: Node, _ place: SchemaPlace, _ outer: Int) -> Int {
    if let known = schemas[place] { return known }
    program.schemas.append(Subschema(resource: outer))
    let index = program.schemas.count - 1
    schemas[place] = index
    switch node.value {
    case .boolean(let allowed): if !allowed { program.schemas[index].keywords = [.never] }
    case .mapping(let pairs):
      let keywords = Dictionary(pairs.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
      let resource = identify(keywords, place, outer, index)
      program.schemas[index].resource = resource
      var reader = KeywordReader(keywords: keywords, place: place, resource: resource, dialect: program.resources[resource].dialect)
      let compiled = reader.compile(&self)
      program.schemas[index].keywords = compiled
      program.schemas[index].hints = reader.hints
      program.schemas[index].tracks = reader.tracks
      for (position, text, span) in reader.references {
        pending.append(Reference(schema: index, keyword: position, text: text, span: span, document: place.document))
      }
    default:
      report("bad-keyword", "a schema is a mapping, true or false, found \(Wording.found(node))", at: node.span, in: place.document)
    }
    return index
  }

  /// Reads `$schema`, `$id` and the anchors.
  ///
  /// - Returns: the resource that the schema belongs to
  private mutating func identify(_ keywords: [String: Node.Pair], _ place: SchemaPlace, _ outer: Int, _ index: Int) -> Int {
    var resource = outer
    let isRoot = place.pointer.isEmpty
    var dialect = program.resources[outer].dialect
    if isRoot || keywords["$id"] != nil, let named = keywords["$schema"]?.value, let uri = named.string {
      dialect = self.dialect(uri, at: named.span, in: place.document) ?? dialect
    }
    // In draft 7 a reference hides all that stands beside it.
    if dialect.isDraft7, keywords["$ref"] != nil, !isRoot { return resource }
    if let id = keywords["$id"]?.value, let text = id.string {
      let uri = URIReference.resolve(text, against: program.resources[outer].uri)
      if dialect.isDraft7, text.hasPrefix("#") {
        program.resources[outer].anchors[String(text.dropFirst())] = index
      } else if isRoot {
        program.resources[resource].uri = uri.absolute
        resources[uri.absolute] = resource
      } else {
        if resources[uri.absolute] != nil {
          report("repeated-id", "another schema has the same `$id`: \(JSON.string(uri.absolute).compact)", at: id.span, in: place.document)
        }
        resource = addResource(uri.absolute, place, dialect)
        program.resources[resource].root = index
      }
    }
    program.resources[resource].dialect = dialect
    if let name = keywords["$anchor"]?.value.string { program.resources[resource].anchors[name] = index }
    if let name = keywords["$dynamicAnchor"]?.value.string {
      program.resources[resource].anchors[name] = index
      program.resources[resource].dynamicAnchors[name] = index
    }
    return resource
  }

  private mutating func dialect(_ uri: String, at span: Span, in document: Int) -> Dialect? {
    let name = uri.hasSuffix("#") ? String(uri.dropLast()) : uri
    if name == MetaSchema.uri { return .standard }
    if name == MetaSchema.draft7 { return .draft7 }
    guard let metaschema = registry[uri] ?? registry[name] else {
      report(
        "unknown-dialect", "the schema is written in the dialect \(JSON.string(uri).compact), which is not known here", at: span, in: document,
        remedy: "known are \(MetaSchema.uri) and \(MetaSchema.draft7)#")
      return nil
    }
    do throws(Diagnostic) {
      return try Dialect(vocabulariesOf: metaschema, at: span)
    } catch {
      report(error.code, error.message, at: span, in: document, remedy: error.remedy)
      return nil
    }
  }

  /// A regular expression, compiled once however often it occurs.
  mutating func pattern(_ text: String, at span: Span, in document: Int) -> Pattern? {
    if let known = patterns[Name(text)] { return known }
    do throws(Pattern.Unusable) {
      let made = try Pattern(text)
      patterns[Name(text)] = made
      return made
    } catch {
      patterns[Name(text)] = .some(nil)
      report("bad-pattern", "the pattern \(JSON.string(text).compact) cannot be used: \(error.reason)", at: span, in: document)
      return nil
    }
  }
}
