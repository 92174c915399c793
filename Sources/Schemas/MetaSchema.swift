import Specs

/// The schema of schemas, draft 2020-12 (json-schema.org/draft/2020-12/schema), with the vocabularies that it is made
/// of, and that of draft 7. They check a schema that a user hands in, and answer references to them without a network.
enum MetaSchema {
  static let uri = base + "schema"
  static let draft7 = "http://json-schema.org/draft-07/schema"
  private static let base = "https://json-schema.org/draft/2020-12/"

  static let documents: [String: Node] = {
    var all = [uri: document("schema", schema)]
    all[draft7] = Node(draft7Schema)
    for (name, body) in vocabularies { all[base + "meta/" + name] = document("meta/" + name, body) }
    return all
  }()

  private static func document(_ path: String, _ body: [(String, JSON)]) -> Node {
    let head: [(String, JSON)] = [
      ("$schema", .string(uri)), ("$id", .string(base + path)), ("$dynamicAnchor", "meta"), ("type", ["object", "boolean"]),
    ]
    return Node(JSON.object(head + body))
  }

  private static let names = ["core", "applicator", "unevaluated", "validation", "meta-data", "format-annotation", "content"]

  private static let schema: [(String, JSON)] = [
    ("$vocabulary", .object(names.map { (base + "vocab/" + $0, true) })),
    ("allOf", .array(names.map { ["$ref": .string("meta/" + $0)] })),
    ("properties", [
      "definitions": map, "dependencies": ["type": "object", "additionalProperties": ["anyOf": [meta, ["$ref": "meta/validation#/$defs/stringArray"]]]],
      "$recursiveAnchor": ["$ref": "meta/core#/$defs/anchorString"], "$recursiveRef": ["$ref": "meta/core#/$defs/uriReferenceString"],
    ]),
  ]

  private static let meta: JSON = ["$dynamicRef": "#meta"]
  private static let map: JSON = ["type": "object", "additionalProperties": ["$dynamicRef": "#meta"]]
  private static let list: JSON = ["type": "array", "minItems": 1, "items": ["$dynamicRef": "#meta"]]
  private static let count: JSON = ["$ref": "#/$defs/nonNegativeInteger"]
  private static let number: JSON = ["type": "number"]
  private static let string: JSON = ["type": "string"]
  private static let flag: JSON = ["type": "boolean"]

  private static let vocabularies: [(String, [(String, JSON)])] = [
    ("core", [
      ("properties", [
        "$id": ["$ref": "#/$defs/uriReferenceString", "pattern": "^[^#]*#?$"], "$schema": ["$ref": "#/$defs/uriString"],
        "$ref": ["$ref": "#/$defs/uriReferenceString"], "$anchor": ["$ref": "#/$defs/anchorString"],
        "$dynamicRef": ["$ref": "#/$defs/uriReferenceString"], "$dynamicAnchor": ["$ref": "#/$defs/anchorString"],
        "$vocabulary": ["type": "object", "propertyNames": ["$ref": "#/$defs/uriString"], "additionalProperties": flag],
        "$comment": string, "$defs": map,
      ]),
      ("$defs", [
        "anchorString": ["type": "string", "pattern": "^[A-Za-z_][-A-Za-z0-9._]*$"], "uriString": ["type": "string", "format": "uri"],
        "uriReferenceString": ["type": "string", "format": "uri-reference"],
      ]),
    ]),
    ("applicator", [
      ("properties", [
        "prefixItems": list, "items": meta, "contains": meta, "additionalProperties": meta, "properties": map,
        "patternProperties": ["type": "object", "additionalProperties": meta, "propertyNames": ["format": "regex"]],
        "dependentSchemas": map, "propertyNames": meta, "if": meta, "then": meta, "else": meta, "allOf": list, "anyOf": list,
        "oneOf": list, "not": meta,
      ]),
      ("$defs", ["schemaArray": list]),
    ]),
    ("unevaluated", [("properties", ["unevaluatedItems": meta, "unevaluatedProperties": meta])]),
    ("validation", [
      ("properties", [
        "type": [
          "anyOf": [["$ref": "#/$defs/simpleTypes"], ["type": "array", "items": ["$ref": "#/$defs/simpleTypes"], "minItems": 1, "uniqueItems": true]],
          "x-expected": "array, boolean, integer, null, number, object or string, or a list of them",
        ],
        "const": true, "enum": ["type": "array", "items": true], "multipleOf": ["type": "number", "exclusiveMinimum": 0], "maximum": number,
        "exclusiveMaximum": number, "minimum": number, "exclusiveMinimum": number, "maxLength": count, "minLength": count,
        "pattern": ["type": "string", "format": "regex"], "maxItems": count, "minItems": count, "uniqueItems": flag, "maxContains": count,
        "minContains": count, "maxProperties": count, "minProperties": count, "required": ["$ref": "#/$defs/stringArray"],
        "dependentRequired": ["type": "object", "additionalProperties": ["$ref": "#/$defs/stringArray"]],
      ]),
      ("$defs", [
        "nonNegativeInteger": ["type": "integer", "minimum": 0],
        "simpleTypes": ["enum": ["array", "boolean", "integer", "null", "number", "object", "string"]],
        "stringArray": ["type": "array", "items": string, "uniqueItems": true],
      ]),
    ]),
    ("meta-data", [
      ("properties", [
        "title": string, "description": string, "default": true, "deprecated": flag, "readOnly": flag, "writeOnly": flag,
        "examples": ["type": "array", "items": true],
      ])
    ]),
    ("format-annotation", [("properties", ["format": string])]),
    ("content", [("properties", ["contentEncoding": string, "contentMediaType": string, "contentSchema": meta])]),
  ]

  // MARK: Draft 7

  private static let draft7Schema: JSON = {
    let schema: JSON = ["$ref": "#"]
    let map: JSON = ["type": "object", "additionalProperties": schema]
    let list: JSON = ["$ref": "#/definitions/schemaArray"]
    let count: JSON = ["$ref": "#/definitions/nonNegativeInteger"]
    let strings: JSON = ["$ref": "#/definitions/stringArray"]
    var properties: [(String, JSON)] = [
      ("const", true), ("default", true), ("readOnly", flag), ("writeOnly", flag), ("uniqueItems", flag), ("required", strings),
      ("examples", ["type": "array", "items": true]), ("enum", ["type": "array", "items": true]),
      ("multipleOf", ["type": "number", "exclusiveMinimum": 0]),
      ("items", ["anyOf": [schema, list]]), ("dependencies", ["type": "object", "additionalProperties": ["anyOf": [schema, strings]]]),
      ("type", [
        "anyOf": [
          ["$ref": "#/definitions/simpleTypes"],
          ["type": "array", "items": ["$ref": "#/definitions/simpleTypes"], "minItems": 1, "uniqueItems": true],
        ],
        "x-expected": "array, boolean, integer, null, number, object or string, or a list of them",
      ]),
    ]
    for name in ["$id", "$schema", "$ref", "$comment", "title", "description", "pattern", "format", "contentMediaType", "contentEncoding"] {
      properties.append((name, string))
    }
    for name in ["maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"] { properties.append((name, number)) }
    for name in ["maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"] { properties.append((name, count)) }
    for name in ["additionalItems", "contains", "additionalProperties", "propertyNames", "if", "then", "else", "not"] {
      properties.append((name, schema))
    }
    for name in ["definitions", "properties", "patternProperties"] { properties.append((name, map)) }
    for name in ["allOf", "anyOf", "oneOf"] { properties.append((name, list)) }
    return .object([
      ("$schema", .string(draft7 + "#")), ("$id", .string(draft7 + "#")), ("type", ["object", "boolean"]),
      ("properties", .object(properties)),
      ("definitions", [
        "schemaArray": ["type": "array", "minItems": 1, "items": schema], "nonNegativeInteger": ["type": "integer", "minimum": 0],
        "nonNegativeIntegerDefault0": ["type": "integer", "minimum": 0],
        "simpleTypes": ["enum": ["array", "boolean", "integer", "null", "number", "object", "string"]],
        "stringArray": ["type": "array", "items": string, "uniqueItems": true],
      ]),
    ])
  }()
}

extension Node {
  /// A value that stands nowhere.
  init(_ json: JSON) {
    switch json {
    case .null: self.init(Node.Value.null)
    case .boolean(let b): self.init(Node.Value.boolean(b))
    case .integer(let i): self.init(Node.Value.integer(i), text: String(i))
    case .number(let d): self.init(Node.Value.number(d), text: "\(d)")
    case .string(let s): self.init(Node.Value.string(s), text: s, isQuoted: true)
    case .array(let items): self.init(Node.Value.sequence(items.map { Node($0) }))
    case .object(let pairs): self.init(Node.Value.mapping(pairs.map { Node.Pair(key: $0.0, value: Node($0.1)) }))
    }
  }
}
