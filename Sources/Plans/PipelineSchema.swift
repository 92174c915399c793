package import Specs

/// The JSON Schema of pipeline files, made from the declarations. It is what `schemas/pipeline.schema.json` holds, what
/// editors complete from, and what every file is checked against before it runs.
///
/// Only keywords that draft 7 knows too are used, since many editors stop there: `$defs` are reached by `$ref` without
/// siblings, and a plugin's settings by `if` and `then`.
package enum PipelineSchema {
  package static func json(catalog: [PluginSpec]) -> JSON {
    var definitions: [(String, JSON)] = [("stage", stage(catalog)), ("parameter", parameter)]
    for spec in catalog { definitions.append((spec.name, spec.schema)) }
    guard case .object(var pairs) = PipelineKeys.top.schema(description: "A dataflow of processes joined by bounded queues.") else {
      return .null
    }
    pairs.insert(("$schema", "https://json-schema.org/draft/2020-12/schema"), at: 0)
    pairs.insert(("title", "Ringway pipeline"), at: 1)
    pairs.append(("$defs", .object(definitions)))
    return .object(pairs)
  }

  private static func stage(_ catalog: [PluginSpec]) -> JSON {
    let plugin = StageKeys.plugin(catalog.map(\.name)).declaration
    let lines = catalog.map { "- \($0.name) (\($0.kind.rawValue)): \($0.summary)" }.joined(separator: "\n")
    var group = StageKeys.group
    group.settings[0] = plugin
    guard case .object(var pairs) = group.schema(description: "A plugin, in one or many processes, behind a queue.") else { return .null }
    for (i, pair) in pairs.enumerated() where pair.0 == "properties" {
      guard case .object(var properties) = pair.1, case .object(var own) = properties[0].1 else { continue }
      own[0] = ("description", .string("What the stage does:\n" + lines))
      properties[0].1 = .object(own)
      pairs[i].1 = .object(properties)
    }
    pairs.append((
      "allOf",
      .array(catalog.map { spec -> JSON in
        var then: [(String, JSON)] = [("properties", ["with": ["$ref": .string("#/$defs/" + spec.name)]] as JSON)]
        if spec.settings.contains(where: \.isRequired) { then.append(("required", ["with"] as JSON)) }
        return [
          "if": ["properties": ["plugin": ["const": .string(spec.name)]], "required": ["plugin"]],
          "then": .object(then),
        ]
      })
    ))
    return .object(pairs)
  }

  private static var parameter: JSON {
    [
      "type": "object", "description": "A value that the file uses as ${NAME}.", "additionalProperties": false,
      "required": ["type"],
      "properties": [
        "type": [
          "description": "What the value must be.", "type": "string",
          "enum": .array(ParameterType.allCases.map { .string($0.rawValue) }), "examples": ["integer"],
        ],
        "default": ["description": "The value unless it is set; without one it must be set."],
        "description": ["description": "What it is for.", "type": "string"],
        "secret": ["description": "Whether the value is kept out of every message.", "type": "boolean", "default": false],
      ],
    ]
  }
}

/// What a parameter may be.
enum ParameterType: String, CaseIterable, Sendable {
  case string, integer, number, boolean

  var expected: String {
    switch self {
    case .string: "a string"
    case .integer: "an integer"
    case .number: "a number"
    case .boolean: "true or false"
    }
  }
}
