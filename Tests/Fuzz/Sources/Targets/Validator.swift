import Documents
import Platform
import Schemas
import Specs

/// A schema and a document to validate, with a line `---` between them; without one, a document for the schema of
/// pipeline files. Both are JSON or YAML.
enum Validator {
  static func take(_ bytes: [UInt8]) {
    let parts = split(bytes)
    guard let document = node(parts.document) else { return }
    check(pipeline, document)
    guard let text = parts.schema, let node = node(text) else { return }
    let (schema, diagnostics) = Schema.compile(node, uri: "http://localhost/schema", registry: ["http://localhost/other": document])
    demand((schema == nil) != diagnostics.isEmpty, "no schema and nothing wrong with it, or both: \(diagnostics.map(\.message))")
    for diagnostic in diagnostics { demand(!diagnostic.message.isEmpty, "a diagnostic without a message: \(diagnostic.code)") }
    if let schema { check(schema, document) }
  }

  private static func check(_ schema: Schema, _ document: Node) {
    let isValid = schema.isValid(document)
    let diagnostics = schema.validate(document)
    demand(isValid == diagnostics.isEmpty, "valid: \(isValid), but found \(diagnostics.map(\.message))")
    for diagnostic in diagnostics {
      demand(!diagnostic.message.isEmpty, "a diagnostic without a message: \(diagnostic.code)")
      _ = diagnostic.rendered(file: "document", lines: [])
    }
  }

  private static func node(_ text: ArraySlice<UInt8>) -> Node? {
    JSONText.parse(Array(text)).node ?? YAMLText.compose(Array(text)).node
  }

  private static func split(_ bytes: [UInt8]) -> (schema: ArraySlice<UInt8>?, document: ArraySlice<UInt8>) {
    let line = Array("\n---\n".utf8)
    guard bytes.count >= line.count else { return (nil, bytes[...]) }
    for i in 0...(bytes.count - line.count) where bytes[i] == line[0] && bytes[i..<(i + line.count)].elementsEqual(line) {
      return (bytes[..<i], bytes[(i + line.count)...])
    }
    return (nil, bytes[...])
  }

  /// The schema that the repository ships.
  private static let pipeline: Schema = {
    var folder = #filePath[...]
    while let slash = folder.lastIndex(of: "/") {
      folder = folder[..<slash]
      guard let text = try? Files.readAll(folder + "/schemas/pipeline.schema.json", limit: 8 << 20) else { continue }
      let (schema, diagnostics) = Schema.compile(JSONText.parse(text).node ?? Node(.null))
      guard let schema else { fatalError("the pipeline schema cannot be compiled: \(diagnostics.map(\.message))") }
      return schema
    }
    fatalError("there is no schemas/pipeline.schema.json above \(#filePath)")
  }()
}
