extension PluginSpec {
  /// A spec that a library brings as JSON (`ringway_plugin.h`).
  ///
  /// - Throws: `Unusable`, with what is wrong
  package init(describedBy node: Node) throws(Unusable) {
    func text(_ key: String) throws(Unusable) -> String {
      guard let text = node[key]?.string, !text.isEmpty else { throw Unusable("its spec has no text \"\(key)\"") }
      return text
    }
    let name = try text("name")
    guard name.utf8.allSatisfy({ 97...122 ~= $0 || 48...57 ~= $0 || $0 == 46 || $0 == 95 }) else {
      throw Unusable("the name \(JSON.string(name).compact) has other characters than lower-case letters, digits, dots and _")
    }
    guard let kind = Kind(rawValue: try text("kind")) else { throw Unusable("its kind is none of source, transform and sink") }
    let schema = node["settings"]
    if let schema, schema.pairs == nil { throw Unusable("\"settings\" of its spec is no mapping") }
    let ports = (node["ports"]?.items ?? []).map(\.string)
    guard ports.allSatisfy({ $0.map(Self.isPortName) == true }), Set(ports).count == ports.count, ports.count <= Ports.most else {
      throw Unusable("its ports are not up to \(Ports.most) different names of lower-case letters, digits and _")
    }
    let required = Set(schema?["required"]?.items?.compactMap(\.string) ?? [])
    let settings = (schema?["properties"]?.pairs ?? []).map { SettingDeclaration(name: $0.key, property: $0.value, isRequired: required.contains($0.key)) }
    self.init(
      name, kind, try text("summary"), details: node["details"]?.string ?? "", processes: kind == .source ? .one : .many, settings: settings,
      example: node["example"]?.string ?? "", ports: Ports { _ in ports.compactMap { $0 } })
  }

  /// Whether a port may be called so: lower-case letters, digits and _, a letter first, and not as the port of dead letters.
  package static func isPortName(_ name: String) -> Bool {
    guard let first = name.utf8.first, 97...122 ~= first, name != Ports.deadLetter else { return false }
    return name.utf8.count <= 64 && name.utf8.allSatisfy { 97...122 ~= $0 || 48...57 ~= $0 || $0 == 95 }
  }

  package struct Unusable: Error {
    package let reason: String

    package init(_ reason: String) { self.reason = reason }
  }
}

extension SettingDeclaration {
  /// A property of a JSON Schema as a declaration; its values are checked by the schema alone.
  fileprivate init(name: String, property: Node, isRequired: Bool) {
    let own = JSON(property)
    let aside: Set<String> = ["description", "default", "examples", "x-expected", "x-secret"]
    var schema = own
    if case .object(let pairs) = own { schema = .object(pairs.filter { !aside.contains($0.0) }) }
    self.init(
      name: name, summary: property["description"]?.string ?? "", schema: schema,
      expected: property["x-expected"]?.string ?? Self.words(property), fallback: own["default"], isRequired: isRequired,
      isSecret: property["x-secret"]?.boolean ?? false, example: (property["examples"]?.items?.first).map(JSON.init), accepts: { _ in true })
  }

  private static func words(_ property: Node) -> String {
    if let words = property["enum"]?.items?.map({ JSON($0).compact }) {
      return words.count > 1 ? words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "") : words.joined()
    }
    let least = property["minimum"].map { JSON($0).compact }
    let most = property["maximum"].map { JSON($0).compact }
    let range = least.map { most != nil ? " from \($0)" : " of at least \($0)" } ?? ""
    let limit = most.map { least != nil ? " to \($0)" : " of at most \($0)" } ?? ""
    return switch property["type"]?.string {
    case "string": "a string"
    case "integer": "an integer" + range + limit
    case "number": "a number" + range + limit
    case "boolean": "true or false"
    case "array": "a list"
    case "object": "a mapping"
    default: "a value"
    }
  }
}
