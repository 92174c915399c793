/// Settings that stand together in one mapping: those of a plugin, of a stage, of its queue.
package struct SettingGroup: Sendable {
  /// What messages call it: `the plugin "jq"`, `a stage`.
  package var title: String
  package var settings: [SettingDeclaration]

  package init(title: String, settings: [SettingDeclaration]) {
    self.title = title
    self.settings = settings
  }

  /// Reads a mapping. Everything that is wrong is reported; what can be read is given all the same.
  ///
  /// - Returns: nil for `given` when anything was wrong
  package func decode(_ node: Node?, directory: String, place: Span, path: String) -> (given: Given?, diagnostics: [Diagnostic]) {
    let (given, diagnostics) = decodeLeniently(node, directory: directory, place: place, path: path)
    return (diagnostics.isEmpty ? given : nil, diagnostics)
  }

  /// As `decode`, but what is wrong or missing counts as not given, so that a reader can go on and find more. Settings
  /// without a default may only be read from it after `has` has said that they are there.
  package func decodeLeniently(_ node: Node?, directory: String, place: Span, path: String) -> (given: Given, diagnostics: [Diagnostic]) {
    var diagnostics: [Diagnostic] = []
    var nodes: [String: Node] = [:]
    func inside(_ key: String) -> String { path.isEmpty ? key : path + "." + key }
    for pair in node?.pairs ?? [] {
      guard let setting = settings.first(where: { $0.name == pair.key }) else {
        diagnostics.append(Diagnostic(
          "unknown-key", "unknown key \(JSON.string(pair.key).compact) in \(title)", at: pair.keySpan,
          remedy: Nearest.remedy(for: pair.key, among: settings.map(\.name), of: "valid keys"), path: inside(pair.key)))
        continue
      }
      if setting.accepts(pair.value) {
        nodes[pair.key] = pair.value
      } else {
        diagnostics.append(Diagnostic(
          "wrong-value", "expected \(setting.expected)" + (setting.isSecret ? "" : ", found \(pair.value.described)"),
          at: pair.value.span.isNone ? pair.keySpan : pair.value.span, path: inside(pair.key)))
      }
    }
    for setting in settings where setting.isRequired && node?[setting.name] == nil {
      let entry = "\(setting.name): \((setting.example ?? setting.fallback)?.compact ?? "…")"
      // Where the mapping itself is missing, it is what must be added.
      let name = path.split(separator: ".").last ?? ""
      diagnostics.append(Diagnostic(
        "missing-key", "\(title) needs \"\(setting.name)\"", at: place,
        remedy: "add `\(node == nil && !name.isEmpty ? "\(name): {\(entry)}" : entry)`: \(setting.summary)", path: path))
    }
    let fallbacks = settings.compactMap { setting in setting.fallback.map { (setting.name, $0) } }
    return (Given(nodes, directory: directory, fallbacks: fallbacks), diagnostics)
  }

  /// JSON Schema of the mapping.
  package func schema(description: String) -> JSON {
    var pairs: [(String, JSON)] = [
      ("type", "object"), ("description", .string(description)), ("additionalProperties", false),
      ("properties", .object(settings.map { ($0.name, $0.property) })),
    ]
    let required = settings.filter(\.isRequired).map { JSON.string($0.name) }
    if !required.isEmpty { pairs.append(("required", .array(required))) }
    return .object(pairs)
  }
}
