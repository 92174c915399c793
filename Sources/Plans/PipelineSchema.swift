package import Specs

/// The JSON Schema of pipeline files, made from the declarations. It is what `schemas/pipeline.schema.json` holds, what
/// editors complete from, and what every file is checked against before it runs.
///
/// Only keywords that draft 7 knows too are used, since many editors stop there: `$defs` are reached by `$ref` without
/// siblings, and a plugin's settings by `if` and `then`. Editors look at a file before `${NAME}` is expanded, the program
/// after it; `expandable` makes one schema fit both.
package enum PipelineSchema {
  package static func json(catalog: [PluginSpec]) -> JSON {
    var definitions: [(String, JSON)] = [
      ("stage", stage(catalog)), ("parameter", ParameterKeys.group.schema(description: "A value that the file uses as ${NAME}.")),
      (
        "expansion",
        [
          "description": "A text with ${NAME} or ${NAME:-default}; what it becomes is checked once it has been expanded.",
          "type": "string", "pattern": .string(expansion),
        ]
      ),
    ]
    for spec in catalog { definitions.append((spec.name, expandable(object: spec.schema))) }
    guard case .object(var pairs) = PipelineKeys.group.schema(description: "A dataflow of processes joined by bounded queues.")
    else { return .null }
    pairs = expandable(object: .object(pairs), except: [PipelineKeys.version.declaration.name]).pairs
    pairs.insert(("$schema", "https://json-schema.org/draft/2020-12/schema"), at: 0)
    pairs.insert(("title", "Ringway pipeline"), at: 1)
    pairs.append(("$defs", .object(definitions)))
    return .object(pairs)
  }

  private static func stage(_ catalog: [PluginSpec]) -> JSON {
    let plugin = StageKeys.plugin(catalog.map(\.name)).declaration
    var group = StageKeys.group
    group.settings = group.settings.map { $0.name == plugin.name ? plugin : $0 }
    let schema = group.schema(description: "A plugin, in one or many processes, behind a queue.").changing("properties") {
      $0.changing(plugin.name) { named($0, catalog) }
    }
    var pairs = expandable(object: schema, except: [plugin.name]).pairs
    pairs.append((
      "allOf",
      .array(catalog.map { spec -> JSON in
        var then: [(String, JSON)] = [("properties", ["with": ["$ref": .string("#/$defs/" + spec.name)]])]
        if spec.settings.contains(where: \.isRequired) { then.append(("required", ["with"])) }
        return ["if": ["properties": ["plugin": ["const": .string(spec.name)]], "required": ["plugin"]], "then": .object(then)]
      })
    ))
    return .object(pairs)
  }

  /// The key `plugin` with what each plugin is: in the description for those who read it, and beside the names
  /// (`enumDescriptions`) for the editors that show it there.
  private static func named(_ property: JSON, _ catalog: [PluginSpec]) -> JSON {
    let lines = catalog.map { "- \($0.name) (\($0.kinds.map(\.rawValue).joined(separator: ", "))): \($0.summary)" }.joined(separator: "\n")
    return .object(property.changing("description") { _ in .string("What the stage does:\n" + lines) }.pairs.flatMap { pair in
      pair.0 == "enum" ? [pair, ("enumDescriptions", .array(catalog.map { .string($0.summary) }))] : [pair]
    })
  }

  // MARK: Before the expansion

  private static let expansion = "\\$\\{"

  /// An object whose values may each be a text with `${NAME}` as well.
  private static func expandable(object: JSON, except names: Set<String> = []) -> JSON {
    object.changing("properties") { properties in
      .object(properties.pairs.map { names.contains($0.0) ? $0 : ($0.0, expandable($0.1)) })
    }
  }

  private static func expandable(_ property: JSON) -> JSON {
    if property["properties"] != nil { return expandable(object: property) }
    let type = property["type"]
    if type == "object" || type == "array" || property["$ref"] != nil { return property }
    if type == "string", property["enum"] == nil {
      return property.changing("pattern") { .string(($0.text ?? "") + "|" + expansion) }
    }
    // What is said of the value moves behind a condition, so that an editor still completes it and a message still says
    // which of its rules was broken.
    let outside: Set<String> = ["description", "default", "examples"]
    var pairs = property.pairs.filter { outside.contains($0.0) }
    pairs.insert(("if", ["$ref": "#/$defs/expansion"]), at: min(1, pairs.count))
    pairs.insert(("else", .object(property.pairs.filter { !outside.contains($0.0) })), at: min(2, pairs.count))
    return .object(pairs)
  }
}

extension JSON {
  fileprivate var pairs: [(String, JSON)] { if case .object(let pairs) = self { pairs } else { [] } }
  fileprivate var text: String? { if case .string(let text) = self { text } else { nil } }

  /// An object with one of its values changed; the same when it has no such key.
  fileprivate func changing(_ key: String, _ change: (JSON) -> JSON) -> JSON {
    .object(pairs.map { $0.0 == key ? ($0.0, change($0.1)) : $0 })
  }
}
