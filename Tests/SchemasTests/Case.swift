import Documents
import Schemas
import Specs
import Testing

/// YAML or JSON text as a node.
func node(_ text: String) throws -> Node {
  let (node, problems) = YAMLText.compose(Array(text.utf8))
  return try #require(node, "\(problems)")
}

/// A compiled schema; the test fails when the schema is not valid itself.
func compile(_ text: String, registry: [String: Node] = [:]) throws -> Schema {
  let (schema, problems) = Schema.compile(try node(text), registry: registry)
  return try #require(schema, "\(problems.map(\.message))")
}

/// `line:column code: message = remedy`, one line each.
func shown(_ diagnostics: [Diagnostic]) -> String {
  diagnostics.map { diagnostic in
    "\(diagnostic.span.start.line):\(diagnostic.span.start.column) \(diagnostic.code): \(diagnostic.message)" + (diagnostic.remedy.map { " = \($0)" } ?? "")
  }.joined(separator: "\n")
}

/// A schema, a document, and what is said about it: `line:column code: message = remedy`, one line each.
struct Case: Sendable, CustomTestStringConvertible {
  let name: String
  let schema: String
  let instance: String
  let expected: String

  init(_ name: String, _ schema: String, _ instance: String, _ expected: String) {
    self.name = name
    self.schema = schema
    self.instance = instance
    self.expected = expected
  }

  var testDescription: String { name }
}

extension Case {
  func check() throws {
    let compiled = try compile(schema)
    let document = try node(instance)
    #expect(shown(compiled.validate(document)) == expected)
    #expect(compiled.isValid(document) == expected.isEmpty)
  }
}
