import Specs

/// The parameters of a file with the values that they have in this run.
struct Parameters {
  struct Parameter {
    /// Where its name stands.
    let place: Span
    let isSecret: Bool
    let type: ParameterType
    /// Nil when it has no default and nobody gave one.
    var value: Node?
  }

  private(set) var all: [String: Parameter] = [:]
  private(set) var secrets = Secrets()
  private(set) var diagnostics: [Diagnostic] = []

  /// The variable of the environment that gives a parameter its value.
  static func variable(_ name: String) -> String { "RINGWAY_" + name.uppercased() }

  /// - Parameter overrides: of the command line; they win over `RINGWAY_NAME`, which wins over the file's default. The
  ///   variable that has the parameter's very name comes last, as it would without a parameter.
  init(_ document: Node, overrides: [(name: String, value: String)], environment: (String) -> String?) {
    let given = Dictionary(overrides.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
    for pair in document["parameters"]?.pairs ?? [] {
      var parameter = Parameter(
        place: pair.keySpan, isSecret: pair.value["secret"]?.boolean ?? false,
        type: pair.value["type"]?.string.flatMap(ParameterType.init) ?? .string)
      if let text = given[pair.key] {
        parameter.value = check(parameter.type.value(of: text), "--set \(pair.key)", pair, parameter)
      } else if let text = environment(Self.variable(pair.key)) {
        parameter.value = check(parameter.type.value(of: text), Self.variable(pair.key), pair, parameter)
      } else if let fallback = pair.value["default"] {
        parameter.value = self.fallback(fallback, pair, parameter, environment)
      } else if let text = environment(pair.key) {
        parameter.value = check(parameter.type.value(of: text), "the variable \(pair.key)", pair, parameter)
      }
      if parameter.isSecret, let text = parameter.value?.text {
        parameter.value?.isSecret = true
        secrets.remember(text)
      }
      all[pair.key] = parameter
    }
  }

  var names: [String] { all.keys.sorted() }

  /// The default as the file gives it; variables of the environment may stand in it.
  private mutating func fallback(
    _ node: Node, _ pair: Node.Pair, _ parameter: Parameter, _ environment: (String) -> String?
  ) -> Node? {
    var node = node
    if let text = node.string, Substitution.isNeeded(text) {
      let path = "parameters.\(pair.key).default"
      switch Substitution.parts(of: text) {
      case .failure(let flaw):
        diagnostics.append(flaw.diagnostic(at: node.span, path: path))
        return nil
      case .success(let parts):
        var out = ""
        for part in parts {
          switch part {
          case .text(let text): out += text
          case .name(let name, let fallback):
            guard let found = Substitution.nonEmpty(environment(name), or: fallback) else {
              diagnostics.append(Diagnostic(
                "unset-variable", "`${\(name)}` is not set in the environment", at: node.span,
                remedy: "set it, or write ${\(name):-VALUE}; a parameter's default cannot use another parameter", path: path))
              return nil
            }
            out += found
          }
        }
        let span = node.span
        node = parameter.type.value(of: out)
        node.span = span
      }
    }
    if parameter.type.accepts(node) { return node }
    diagnostics.append(Diagnostic(
      "parameter-type",
      "the default of the parameter \"\(pair.key)\" must be \(parameter.type.expected)"
        + (parameter.isSecret ? "" : ", found \(node.described)"),
      at: node.span, remedy: parameter.type == .string && node.text != nil ? "put it into quotes" : nil,
      path: "parameters.\(pair.key).default"))
    return nil
  }

  private mutating func check(_ node: Node, _ origin: String, _ pair: Node.Pair, _ parameter: Parameter) -> Node? {
    if parameter.type.accepts(node) { return node }
    diagnostics.append(Diagnostic(
      "parameter-type",
      "\(origin): the parameter \"\(pair.key)\" must be \(parameter.type.expected)" + (parameter.isSecret ? "" : ", found \(node.described)"),
      at: .none, path: "parameters.\(pair.key)", notes: pair.keySpan.isNone ? [] : [(pair.keySpan, "it is declared here")]))
    return nil
  }
}
