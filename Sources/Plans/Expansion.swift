package import Specs

/// Puts values for `${NAME}` and `${NAME:-default}`, and for `--set`, into a document. It works on scalars after they
/// have been read, never on text, so a value cannot change the document's structure. Keys are left alone.
package enum Expansion {
  package struct Result: Sendable {
    package var node: Node
    package var diagnostics: [Diagnostic]
  }

  /// - Parameters:
  ///   - overrides: what `--set` says: a parameter's name or a dotted path, and the text of the value
  ///   - environment: looks up a variable
  package static func expand(
    _ document: Node, overrides: [(path: String, value: String)] = [], environment: @escaping (String) -> String? = { _ in nil }
  ) -> Result {
    var diagnostics: [Diagnostic] = []
    var values = parameters(document, environment, &diagnostics)
    var node = document
    for (path, text) in overrides {
      if path.contains(".") || document["parameters"]?[path] == nil, document[path.prefix { $0 != "." }.description] != nil || path.contains(".") {
        if let changed = set(path.split(separator: ".", omittingEmptySubsequences: false).map(String.init), in: node, to: value(of: text)) {
          node = changed
        } else {
          diagnostics.append(Diagnostic("set-path", "--set \(path): a part of this path is no mapping", at: .none, remedy: "a path is such as stages.NAME.processes"))
        }
      } else if let declared = document["parameters"]?.pair(path) {
        values[path] = check(text, declared.value, path, "--set \(path)", &diagnostics)
      } else {
        let names = (document["parameters"]?.pairs ?? []).map(\.key)
        diagnostics.append(Diagnostic(
          "set-unknown", "--set \(path): there is no such parameter", at: .none,
          remedy: Nearest.remedy(for: path, among: names, of: "parameters") ?? "declare it under `parameters`, or name a path such as stages.NAME.processes"))
      }
    }
    var walk = Walk(values: values, environment: environment, diagnostics: diagnostics)
    if let pairs = node.pairs {
      node.value = .mapping(pairs.map { pair in
        // A parameter's default may use the environment; what it declares stays as it is.
        var pair = pair
        if pair.key != "parameters" { pair.value = walk.expanded(pair.value) }
        return pair
      })
    }
    return Result(node: node, diagnostics: walk.diagnostics)
  }

  /// A value on the command line is read as a YAML scalar is.
  private static func value(of text: String) -> Node {
    var node = Node(.string(text), text: text)
    if let integer = Int(text) {
      node.value = .integer(integer)
    } else if text == "true" || text == "false" {
      node.value = .boolean(text == "true")
    } else if text.first == "[" || text.first == "{", let json = JSONText.parse(Array(text.utf8)).node {
      node = json.withoutPlaces
    } else if let double = Double(text), text.first.map({ $0.isNumber || $0 == "-" || $0 == "." }) ?? false {
      node.value = .number(double)
    }
    return node
  }

  private static func set(_ path: [String], in node: Node, to value: Node) -> Node? {
    guard let first = path.first else {
      var value = value
      value.span = node.span
      return value
    }
    guard var pairs = node.pairs ?? (node.isNull ? [] : nil) else { return nil }
    let rest = Array(path.dropFirst())
    if let i = pairs.firstIndex(where: { $0.key == first }) {
      guard let changed = set(rest, in: pairs[i].value, to: value) else { return nil }
      pairs[i].value = changed
    } else {
      guard let made = set(rest, in: rest.isEmpty ? value : Node(.mapping([]), span: node.span), to: value) else { return nil }
      pairs.append(Node.Pair(key: first, keySpan: node.span, value: made))
    }
    var changed = node
    changed.value = .mapping(pairs)
    return changed
  }

  // MARK: Parameters

  private static func parameters(_ document: Node, _ environment: (String) -> String?, _ diagnostics: inout [Diagnostic]) -> [String: Value] {
    var values: [String: Value] = [:]
    for pair in document["parameters"]?.pairs ?? [] {
      let isSecret = pair.value["secret"]?.boolean ?? false
      values[pair.key] = .unset(isSecret: isSecret)
      if let text = environment("RINGWAY_" + pair.key.uppercased()) {
        values[pair.key] = check(text, pair.value, pair.key, "the variable RINGWAY_\(pair.key.uppercased())", &diagnostics)
      } else if let fallback = pair.value["default"] {
        if let type = pair.value["type"]?.string.flatMap(ParameterType.init), !type.accepts(fallback) {
          diagnostics.append(Diagnostic(
            "parameter-type", "the default of the parameter \"\(pair.key)\" must be \(type.expected)" + (isSecret ? "" : ", found \(fallback.described)"),
            at: fallback.span, remedy: type == .string ? "put it into quotes" : nil, path: "parameters.\(pair.key).default"))
        }
        values[pair.key] = .value(fallback, isSecret: isSecret)
      }
    }
    return values
  }

  /// A text for a parameter, in the parameter's type.
  private static func check(_ text: String, _ declared: Node, _ name: String, _ origin: String, _ diagnostics: inout [Diagnostic]) -> Value {
    let isSecret = declared["secret"]?.boolean ?? false
    let type = declared["type"]?.string.flatMap(ParameterType.init) ?? .string
    let node = type == .string ? Node.string(text) : value(of: text)
    if !type.accepts(node) {
      diagnostics.append(Diagnostic(
        "parameter-type", "\(origin): the parameter \"\(name)\" must be \(type.expected)" + (isSecret ? "" : ", found \(JSON.string(text).compact)"), at: .none))
    }
    return .value(node, isSecret: isSecret)
  }

  enum Value {
    case value(Node, isSecret: Bool)
    case unset(isSecret: Bool)
  }

  // MARK: Scalars

  private struct Walk {
    let values: [String: Value]
    let environment: (String) -> String?
    var diagnostics: [Diagnostic]

    mutating func expanded(_ node: Node) -> Node {
      var node = node
      switch node.value {
      case .sequence(let items): node.value = .sequence(items.map { expanded($0) })
      case .mapping(let pairs):
        node.value = .mapping(pairs.map { pair in
          var pair = pair
          pair.value = expanded(pair.value)
          return pair
        })
      case .string(let text):
        if !text.utf8.contains(UInt8(ascii: "$")) { return node }
        return expanded(text, node)
      default: break
      }
      return node
    }

    private mutating func expanded(_ text: String, _ node: Node) -> Node {
      var out = ""
      var rest = Substring(text)
      var isWhole: Node?
      while let dollar = rest.firstIndex(of: "$") {
        out += rest[..<dollar]
        rest = rest[dollar...]
        if rest.hasPrefix("$${") {
          out += "${"
          rest = rest.dropFirst(3)
          continue
        }
        guard rest.hasPrefix("${") else {
          out += "$"
          rest = rest.dropFirst()
          continue
        }
        guard let close = rest.firstIndex(of: "}") else {
          diagnostics.append(Diagnostic(
            "expansion-open", "`${` is not closed by `}`", at: node.span,
            remedy: "write `$${` for the two characters themselves; inside of { } braces a value with ${…} needs quotes"))
          return node
        }
        let inner = rest[rest.index(rest.startIndex, offsetBy: 2)..<close]
        let isAlone = out.isEmpty && dollar == text.startIndex && rest.index(after: close) == text.endIndex
        rest = rest[rest.index(after: close)...]
        var name = String(inner)
        var fallback: String?
        if let split = inner.firstRange(of: ":-") {
          name = String(inner[..<split.lowerBound])
          fallback = String(inner[split.upperBound...])
        }
        guard let found = lookUp(name, fallback, node) else { return node }
        if isAlone { isWhole = found }
        out += found.text ?? found.string ?? ""
      }
      if var whole = isWhole {
        whole.span = node.span
        return whole
      }
      return Node(.string(out + rest), span: node.span, text: out + rest, isQuoted: true)
    }

    private mutating func lookUp(_ name: String, _ fallback: String?, _ node: Node) -> Node? {
      guard !name.isEmpty, name.utf8.allSatisfy({ $0 == UInt8(ascii: "_") || Character(Unicode.Scalar($0)).isLetter || Character(Unicode.Scalar($0)).isNumber }) else {
        diagnostics.append(Diagnostic(
          "expansion-name", "`${\(name)}` holds no name", at: node.span, remedy: "a name has letters, digits and _; write `$${` for the two characters themselves"))
        return nil
      }
      if case .value(let value, _)? = values[name] { return value }
      if let text = environment(name) { return Node(.string(text), text: text, isQuoted: true) }
      if let fallback { return Expansion.value(of: fallback) }
      if values[name] != nil {
        diagnostics.append(Diagnostic(
          "unset-parameter", "the parameter \"\(name)\" has no default and is not set", at: node.span,
          remedy: "give it with --set \(name)=VALUE or RINGWAY_\(name.uppercased())=VALUE, or give it a default"))
      } else {
        let near = Nearest.name(to: name, among: values.keys.sorted())
        diagnostics.append(Diagnostic(
          "unset-variable", "`${\(name)}` is neither a parameter nor set in the environment", at: node.span,
          remedy: near.map { "did you mean \"${\($0)}\"?" } ?? "declare it under `parameters`, or write ${\(name):-VALUE} to give a default"))
      }
      return nil
    }
  }
}

extension ParameterType {
  func accepts(_ node: Node) -> Bool {
    switch self {
    case .string: node.string != nil
    case .integer: node.integer != nil
    case .number: node.double != nil
    case .boolean: node.boolean != nil
    }
  }
}

extension Node {
  /// The same value standing nowhere.
  fileprivate var withoutPlaces: Node {
    var node = self
    node.span = .none
    switch node.value {
    case .sequence(let items): node.value = .sequence(items.map(\.withoutPlaces))
    case .mapping(let pairs): node.value = .mapping(pairs.map { Pair(key: $0.key, value: $0.value.withoutPlaces) })
    default: break
    }
    return node
  }
}
