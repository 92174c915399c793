import Specs

/// Which keywords a schema may use: its draft, and for draft 2020-12 the vocabularies that its metaschema names.
struct Dialect: Sendable, Equatable {
  var isDraft7 = false
  var applies = true
  var unevaluates = true
  /// Whether the validation vocabulary counts; a metaschema may leave it out.
  var validates = true

  static let standard = Dialect()
  static let draft7 = Dialect(isDraft7: true, unevaluates: false)

  private static let base = "https://json-schema.org/draft/2020-12/vocab/"
  private static let understood = [
    "core", "applicator", "unevaluated", "validation", "meta-data", "format-annotation", "content",
  ]

  /// The dialect that a metaschema describes (Core, section 8.1.2).
  ///
  /// - Throws: the diagnostic for a vocabulary that must be understood and is not
  init(vocabulariesOf metaschema: Node, at span: Span) throws(Diagnostic) {
    self = .standard
    guard let vocabularies = metaschema["$vocabulary"]?.pairs else { return }
    let names = vocabularies.map(\.key)
    for pair in vocabularies where pair.value.boolean == true && !Self.understood.contains(where: { Self.base + $0 == pair.key }) {
      throw Diagnostic(
        "unknown-vocabulary", "the schema needs the vocabulary \(JSON.string(pair.key).compact), which is not understood here", at: span,
        remedy: "the vocabularies of \(MetaSchema.uri) are understood, and formats as annotations")
    }
    applies = names.contains(Self.base + "applicator")
    unevaluates = names.contains(Self.base + "unevaluated")
    validates = names.contains(Self.base + "validation")
  }

  private init(isDraft7: Bool = false, unevaluates: Bool = true) {
    self.isDraft7 = isDraft7
    self.unevaluates = unevaluates
  }
}
