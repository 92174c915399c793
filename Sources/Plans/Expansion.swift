package import Specs

/// Puts values for `${NAME}` and `${NAME:-default}`, and for `--set`, into a document. It works on scalars after they
/// have been read, never on text, so a value cannot change the document's structure; and what was put in is not looked
/// at again, so nothing can grow without end. Keys are left alone.
package enum Expansion {
  package struct Result: Sendable {
    package var node: Node
    package var secrets: Secrets
    package var diagnostics: [Diagnostic]
    /// Where values stand that could not be put in, by byte offset: what is wrong with them otherwise means nothing.
    package var failures: Set<Int>
    fileprivate var paths: [String]

    /// What was found in the expanded document, as it may be shown: secrets are covered, and what is wrong with a value
    /// from `--set` is blamed on the command line and not on the line whose value it took.
    package func attributed(_ found: [Diagnostic]) -> [Diagnostic] {
      found.map { diagnostic in
        var diagnostic = secrets.masked(diagnostic)
        guard let origin = paths.first(where: { diagnostic.path.isAt(orBelow: $0) }) else { return diagnostic }
        diagnostic.message = "--set \(origin): \(diagnostic.message)"
        diagnostic.span = .none
        return diagnostic
      }
    }
  }

  /// The most that expanded texts may hold together, in bytes: many uses of one long value must not fill the memory.
  static let mostBytes = 16 << 20

  /// - Parameters:
  ///   - overrides: what `--set` says: a parameter's name or a dotted path, and the text of the value
  ///   - catalog: every plugin that there is, for the types of their settings
  ///   - environment: looks up a variable
  package static func expand(
    _ document: Node, overrides: [(path: String, value: String)] = [], catalog: [PluginSpec] = [],
    environment: @escaping (String) -> String? = { _ in nil }
  ) -> Result {
    let declarations = Declarations(catalog)
    let overridden = Overrides(overrides, document, declarations)
    let parameters = Parameters(overridden.document, overrides: overridden.parameters, environment: environment)
    var walk = Walk(document: overridden.document, parameters: parameters, declarations: declarations, environment: environment)
    let node = walk.expanded()
    return Result(
      node: node, secrets: parameters.secrets, diagnostics: overridden.diagnostics + parameters.diagnostics + walk.diagnostics,
      failures: walk.failures, paths: overridden.paths)
  }
}

private struct Walk {
  let document: Node
  let parameters: Parameters
  let declarations: Declarations
  let environment: (String) -> String?
  var diagnostics: [Diagnostic] = []
  private(set) var failures: Set<Int> = []
  /// The keys on the way to the value at hand.
  private var path: [String] = []
  private var bytes = 0

  init(document: Node, parameters: Parameters, declarations: Declarations, environment: @escaping (String) -> String?) {
    self.document = document
    self.parameters = parameters
    self.declarations = declarations
    self.environment = environment
  }

  mutating func expanded() -> Node {
    var node = document
    guard let pairs = node.pairs else { return node }
    node.value = .mapping(pairs.map { pair in
      // What a parameter declares stays as it is; its default has been expanded with the environment.
      pair.key == "parameters" ? pair : expanded(pair)
    })
    return node
  }

  private mutating func expanded(_ pair: Node.Pair) -> Node.Pair {
    var pair = pair
    path.append(pair.key)
    pair.value = expanded(pair.value)
    path.removeLast()
    return pair
  }

  private mutating func expanded(_ node: Node) -> Node {
    var node = node
    switch node.value {
    case .sequence(let items):
      node.value = .sequence(items.enumerated().map { index, item in
        path.append("[\(index)]")
        defer { path.removeLast() }
        return expanded(item)
      })
    case .mapping(let pairs): node.value = .mapping(pairs.map { expanded($0) })
    case .string(let text) where Substitution.isNeeded(text): return expanded(text, node)
    default: break
    }
    return node
  }

  private var shownPath: String {
    path.reduce("") { $0.isEmpty ? $1 : $1.hasPrefix("[") ? $0 + $1 : $0 + "." + $1 }
  }

  private mutating func expanded(_ text: String, _ node: Node) -> Node {
    switch Substitution.parts(of: text) {
    case .failure(let flaw):
      failures.insert(node.span.start.offset)
      diagnostics.append(flaw.diagnostic(at: node.span, path: shownPath))
      return node
    case .success(let parts):
      if parts.count == 1, case .name(let name, let fallback) = parts[0] { return whole(name, fallback, node) }
      var out = ""
      var isSecret = false
      for part in parts {
        switch part {
        case .text(let text): out += text
        case .name(let name, let fallback):
          guard let found = lookUp(name, fallback, node) else {
            failures.insert(node.span.start.offset)
            return node
          }
          out += found.text
          isSecret = isSecret || found.isSecret
        }
        if bytes + out.utf8.count > Expansion.mostBytes { return tooMuch(node) }
      }
      bytes += out.utf8.count
      var result = Node(.string(out), span: node.span, text: out, isQuoted: true)
      result.isSecret = isSecret
      return result
    }
  }

  /// A scalar that is nothing but one `${NAME}` takes the parameter's type; a variable's is what its place asks for.
  private mutating func whole(_ name: String, _ fallback: String?, _ node: Node) -> Node {
    guard let found = lookUp(name, fallback, node) else {
      failures.insert(node.span.start.offset)
      return node
    }
    var result = found.typed ?? declarations.value(of: found.text, at: path, in: document, prefersText: true)
    result.span = node.span
    return result
  }

  private mutating func tooMuch(_ node: Node) -> Node {
    // Said once, however many follow.
    if bytes <= Expansion.mostBytes {
      diagnostics.append(Diagnostic(
        "expansion-too-large", "the expanded texts grow beyond \(Quantity.describe(bytes: Expansion.mostBytes))", at: node.span,
        remedy: "long data belongs into a file that a stage reads", path: shownPath))
    }
    bytes = Expansion.mostBytes + 1
    return node
  }

  private mutating func lookUp(_ name: String, _ fallback: String?, _ node: Node) -> (text: String, typed: Node?, isSecret: Bool)? {
    let parameter = parameters.all[name]
    if let value = parameter?.value, fallback == nil || value.text?.isEmpty == false {
      return (value.text ?? "", value, value.isSecret)
    }
    if parameter == nil, let text = Substitution.nonEmpty(environment(name), or: fallback) { return (text, nil, false) }
    if let fallback { return (fallback, nil, false) }
    if let parameter {
      // One that was given and refused has been reported.
      let wasGiven = parameters.diagnostics.contains { $0.path == "parameters.\(name)" || $0.path == "parameters.\(name).default" }
      if !wasGiven {
        diagnostics.append(Diagnostic(
          "unset-parameter", "the parameter \"\(name)\" has no default and is not set", at: node.span,
          remedy: "give it with --set \(name)=VALUE or \(Parameters.variable(name))=VALUE, or give it a default", path: shownPath,
          notes: parameter.place.isNone ? [] : [(parameter.place, "it is declared here")]))
      }
    } else {
      diagnostics.append(Diagnostic(
        "unset-variable", "`${\(name)}` is neither a parameter nor set in the environment", at: node.span,
        remedy: Nearest.name(to: name, among: parameters.names).map { "did you mean \"${\($0)}\"?" }
          ?? "declare it under `parameters`, or write ${\(name):-VALUE} to give a default", path: shownPath))
    }
    return nil
  }
}

extension String {
  /// Whether a dotted path is another one or leads below it.
  fileprivate func isAt(orBelow path: String) -> Bool {
    guard hasPrefix(path) else { return false }
    let next = utf8.dropFirst(path.utf8.count).first
    return next == nil || next == UInt8(ascii: ".") || next == UInt8(ascii: "[")
  }
}
