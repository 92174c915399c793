import Specs

/// Makes diagnostics for people of what the evaluator has found.
struct Wording {
  let program: Program
  /// Dotted paths of values that are never printed.
  let secrets: Set<String>
  private let expectation: Expectation

  init(_ program: Program, secrets: Set<String>) {
    self.program = program
    self.secrets = secrets
    expectation = Expectation(program: program)
  }

  func diagnostic(_ failure: Failure) -> Diagnostic {
    let path = failure.path.dotted
    let isSecret = failure.node.isSecret || isSecret(failure.path)
    func make(_ message: String, at span: Span, remedy: String? = nil, path: String = path, notes: [(span: Span, text: String)] = []) -> Diagnostic {
      Diagnostic(failure.code, message, at: span, remedy: remedy, path: path, notes: notes)
    }
    let place = place(of: failure)
    let keyPlace = keyPlace(of: failure)
    let within = path.isEmpty ? "" : " in \(Wording.quoted(path))"
    let subject = path.isEmpty ? "the document" : Wording.quoted(path)

    switch failure.problem {
    case .wrongType, .outOfRange, .notMultiple, .length, .pattern, .notAllowedValue, .alternatives:
      return make(
        mismatch(failure, isSecret), at: place,
        remedy: isSecret ? nil : Remedy(program: program).remedy(failure))
    case .negated where failure.speaker != nil: return make(mismatch(failure, isSecret), at: place)
    case .never:
      switch failure.path.last {
      case .key(let key, let span)?: return make("the key \(Wording.quoted(key)) is not allowed\(parent(failure))", at: span.isNone ? place : span)
      case .item?: return make("this item is not allowed\(parent(failure))", at: place)
      case nil: return make("the schema allows no document at all", at: place)
      }
    case .itemCount(let counts):
      let found = failure.node.items?.count ?? 0
      return make("\(subject) needs \(Expectation.count(counts, "item")), found \(found == 0 ? "none" : String(found))", at: place)
    case .tooManyItems(let most):
      return make(most == 0 ? "no item is allowed\(parent(failure))" : "at most \(most) \(most == 1 ? "item is" : "items are") allowed\(parent(failure))", at: place)
    case .contains(let schema, let found, let counts):
      let what = expectation.text(schema).map { " (\($0))" } ?? " of a kind that the schema describes"
      return make("\(subject) needs \(Expectation.count(counts, "item"))\(what), found \(found == 0 ? "none" : String(found))", at: place)
    case .propertyCount(let counts):
      let found = failure.node.pairs?.count ?? 0
      return make("\(subject) needs \(Expectation.count(counts, "key")), found \(found == 0 ? "none" : String(found))", at: keyPlace)
    case .repeatedItem(let first, let span):
      return make(
        "this item repeats \(Wording.quoted(Array(failure.path.dropLast()).dotted + "[\(first)]"))", at: place, remedy: "remove one of the two",
        notes: span.isNone ? [] : [(span, "it stands here first")])
    case .unknownKey(let pair):
      return make(
        "unknown key \(Wording.quoted(pair.key))\(within)", at: pair.keySpan.isNone ? keyPlace : pair.keySpan,
        remedy: Remedy(program: program).remedy(unknownKey: pair.key, failure), path: Wording.joined(path, pair.key))
    case .missingKey(let name, let properties, let because):
      let reason = because.map { ", which is needed beside \(Wording.quoted($0))" } ?? ""
      return make(
        "missing key \(Wording.quoted(name))\(within)\(reason)", at: keyPlace,
        remedy: Remedy(program: program).remedy(missingKey: name, properties))
    case .missingOneOf(let names):
      return make("missing key\(within): one of \(names.map(Wording.quoted).joined(separator: ", ")) is needed", at: keyPlace)
    case .badKey(let pair, let names):
      return make(
        "the key \(Wording.quoted(pair.key)) is not allowed\(within)" + (expectation.text(names).map { ": expected \($0)" } ?? ""),
        at: pair.keySpan.isNone ? keyPlace : pair.keySpan, remedy: Remedy(program: program).remedy(badKey: pair.key, names),
        path: Wording.joined(path, pair.key))
    case .negated(let schema): return make(negation(schema, failure, within, isSecret), at: place)
    case .ambiguous(let branches):
      let numbers = branches.map { String($0 + 1) }.joined(separator: " and ")
      return make("\(subject) fits more than one of the alternatives of which exactly one must fit (\(numbers))", at: place)
    case .patternLimit(let pattern, let key):
      return make(
        "the pattern \(Wording.quoted(pattern)) takes too long on this \(key == nil ? "value" : "key")", at: key.flatMap { $0.isNone ? nil : $0 } ?? place,
        remedy: "simplify the pattern in the schema: nested repetitions such as (a+)+ take time that doubles with each character")
    case .endless: return make("the schema refers to itself without an end at this value", at: place)
    case .tooDeep: return make("schema and value are nested too deep to be checked", at: place)
    case .tooMuchWork: return make("the schema takes too long on this document", at: .none, path: "")
    }
  }

  // MARK: Sentences

  private func mismatch(_ failure: Failure, _ isSecret: Bool) -> String {
    let expected: String?
    if let speaker = failure.speaker {
      expected = program.schemas[speaker].hints.expected
    } else if case .alternatives(let branches, _) = failure.problem {
      expected = expectation.alternatives(branches)
    } else {
      expected = expectation.text(failure.schema)
    }
    let found = isSecret ? Wording.secret : Wording.found(failure.node)
    return expected.map { "expected \($0), found \(found)" } ?? "\(found) is not allowed here"
  }

  private func negation(_ schema: Int, _ failure: Failure, _ within: String, _ isSecret: Bool) -> String {
    if program.schemas[schema].keywords.count == 1, case .required(let names) = program.schemas[schema].keywords[0] {
      return names.count == 1
        ? "the key \(Wording.quoted(names[0])) is not allowed\(within)"
        : "the keys \(names.map(Wording.quoted).joined(separator: " and ")) exclude each other\(within)"
    }
    if let refused = expectation.text(schema) { return "expected anything but \(refused)" }
    return "\(isSecret ? Wording.secret : Wording.found(failure.node)) is not allowed here"
  }

  private static let secret = "a value that is kept secret"

  static func found(_ node: Node) -> String {
    if node.isSecret { return secret }
    return switch node.value {
    case .null: node.text?.isEmpty == false ? "null" : "nothing"
    case .string(""): "an empty string"
    default: node.described
    }
  }

  /// A key or a path in quotes, cut when it is long.
  static func quoted(_ text: String) -> String { JSON.string(text.count > 100 ? text.prefix(100) + "…" : text).compact }

  static func joined(_ path: String, _ key: String) -> String { path.isEmpty ? key : path + "." + key }

  private func parent(_ failure: Failure) -> String {
    let path = Array(failure.path.dropLast()).dotted
    return path.isEmpty ? "" : " in \(Wording.quoted(path))"
  }

  // MARK: Places

  private func isSecret(_ path: [Step]) -> Bool {
    if secrets.isEmpty { return false }
    return (0...path.count).contains { secrets.contains(Array(path[..<$0]).dotted) }
  }

  /// The value, or what is nearest to it: a value that came from elsewhere stands nowhere.
  private func place(of failure: Failure) -> Span {
    if !failure.node.span.isNone { return failure.node.span }
    return failure.path.reversed().first { !$0.span.isNone }?.span ?? .none
  }

  /// The key that the value stands under; for what has none, where it begins.
  private func keyPlace(of failure: Failure) -> Span {
    if case .key(_, let span)? = failure.path.last, !span.isNone { return span }
    let place = place(of: failure)
    return Span(place.start, place.start)
  }
}
