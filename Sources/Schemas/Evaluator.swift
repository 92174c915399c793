import Specs

/// Walks a schema and an instance together. It only decides, or also collects what is wrong; work and depth are bounded,
/// since schema and instance both come from outside.
struct Evaluator {
  let program: Program
  /// What is wrong, when it is collected.
  var failures: [Failure] = []
  /// Patterns that gave up: the value is not valid, whatever the schema makes of the branch.
  private(set) var unanswered: [Failure] = []
  /// Why the walk was broken off.
  private(set) var stop: Failure?
  /// Where values stand that are never printed, as dotted paths.
  private(set) var secrets: Set<String> = []
  var isCollecting: Bool
  var path: [Step] = []
  /// The resources that were entered on the way, outermost first (Core, section 7.1): what `$dynamicRef` looks through.
  private var scope: [Int] = []
  /// The schemas under way; those from `here` on are applied to the present value.
  private(set) var active: [Int] = []
  private var here = 0
  /// How many schemas may yet be applied to values.
  private var work = 0

  /// Schemas within schemas: as deep as a stack of 8 MiB holds them without optimization, where a step takes 5 KiB (1 KiB
  /// with it). The deepest documents that the readers let through need two for each of their 512 levels.
  static let mostDepth = 1_200
  /// Schemas applied to each value of the instance, on average, and on top for the whole of it. More than that is a schema
  /// whose alternatives multiply; the last one bounds the time to some seconds.
  private static let mostWork = (forEachValue: 1_000, added: 100_000, together: 20_000_000)
  /// Patterns that may give up before the walk does.
  private static let mostUnanswered = 8

  init(_ program: Program, collecting: Bool) {
    self.program = program
    isCollecting = collecting
  }

  /// - Returns: whether the instance is valid
  mutating func run(_ schema: Int, _ instance: Node) -> Bool {
    work = min(Self.mostWork.together, Self.mostWork.added + instance.count * Self.mostWork.forEachValue)
    var evaluated: Evaluated?
    return check(schema, instance, &evaluated) && stop == nil && unanswered.isEmpty
  }

  // MARK: One schema, one value

  /// - Parameter evaluated: takes what the schema has looked at; nil when nobody wants to know
  /// - Returns: whether the value is valid; when it is not and failures are collected, at least one has been added
  mutating func check(_ index: Int, _ node: Node, _ evaluated: inout Evaluated?) -> Bool {
    guard enter(index, node) else { return false }
    let schema = program.schemas[index]
    let entersResource = scope.last != schema.resource
    if entersResource { scope.append(schema.resource) }
    if schema.hints.isSecret { secrets.insert(path.dotted) }
    let before = failures.count
    var own: Evaluated? = evaluated != nil || schema.tracks ? Evaluated() : nil

    var isValid = true
    for keyword in schema.keywords {
      if !isValid, case .unevaluatedProperties = keyword { insertKnown(index, node, &own) }
      if evaluate(index, keyword, node, &own) { continue }
      isValid = false
      if !isCollecting { break }
      // What a value of the wrong type holds is of no interest.
      if case .types = keyword { break }
    }

    if !isValid, isCollecting, schema.hints.expected != nil { speak(index, since: before) }
    if isValid, let own { evaluated?.merge(own) }
    if entersResource { scope.removeLast() }
    active.removeLast()
    return isValid
  }

  /// Guards against circles, depth and work without end.
  private mutating func enter(_ index: Int, _ node: Node) -> Bool {
    if stop != nil { return false }
    work -= 1
    let problem: Failure.Problem? =
      if work < 0 { .tooMuchWork }
      else if active.count >= Self.mostDepth { .tooDeep }
      else if active[here...].contains(index) { .endless }
      else { nil }
    if let problem {
      stop = Failure(problem: problem, schema: index, node: node, path: path)
      return false
    }
    active.append(index)
    return true
  }

  /// Checks a value that the present one holds.
  mutating func descend(_ step: Step, _ index: Int, _ node: Node) -> Bool {
    let outer = here
    here = active.count
    path.append(step)
    var evaluated: Evaluated?
    let isValid = check(index, node, &evaluated)
    path.removeLast()
    here = outer
    return isValid
  }

  /// Decides without collecting: for what may fail without anything being wrong.
  mutating func decide(_ index: Int, _ node: Node, _ evaluated: inout Evaluated?) -> Bool {
    let outer = isCollecting
    isCollecting = false
    defer { isCollecting = outer }
    return check(index, node, &evaluated)
  }

  /// - Returns: false, for the caller to return
  mutating func fail(_ problem: Failure.Problem, _ schema: Int, _ node: Node) -> Bool {
    if isCollecting { failures.append(Failure(problem: problem, schema: schema, node: node, path: path)) }
    return false
  }

  /// Fails unless so.
  mutating func expect(_ isMet: Bool, _ problem: @autoclosure () -> Failure.Problem, _ schema: Int, _ node: Node) -> Bool {
    isMet || fail(problem(), schema, node)
  }

  /// Whether a pattern matches; nil when it gives up, and then the instance is not valid.
  mutating func matches(_ pattern: Pattern, _ text: String, _ schema: Int, _ node: Node, key: Span? = nil) -> Bool? {
    switch pattern.match(text) {
    case .matches: return true
    case .fails: return false
    case .gaveUp:
      let failure = Failure(problem: .patternLimit(pattern.text, key: key), schema: schema, node: node, path: path)
      unanswered.append(failure)
      if unanswered.count >= Self.mostUnanswered { stop = failure }
      return nil
    }
  }

  /// The schemas that are being applied to the present value, outermost first.
  var chain: ArraySlice<Int> { active[here...] }

  /// Where a schema says what it expects, it speaks for all that is wrong with the value itself.
  private mutating func speak(_ index: Int, since before: Int) {
    let isOwn = failures[before...].map { ($0.isAboutValue || $0.isNegation) && $0.path.count == path.count }
    guard let first = isOwn.firstIndex(of: true) else { return }
    failures[before + first].speaker = index
    let kept = failures[before...].enumerated().filter { $0.offset == first || !isOwn[$0.offset] }.map(\.element)
    failures.replaceSubrange(before..., with: kept)
  }

  // MARK: Keywords

  private mutating func evaluate(_ index: Int, _ keyword: Keyword, _ node: Node, _ evaluated: inout Evaluated?) -> Bool {
    switch keyword {
    case .never: return fail(.never, index, node)
    case .reference(let target): return check(target, node, &evaluated)
    case .dynamicReference(let target, let anchor): return check(anchor.flatMap(dynamic) ?? target, node, &evaluated)
    case .types, .enumeration, .constant, .range, .multiple, .length, .pattern: return checkValue(index, keyword, node)
    case .items, .contains, .itemCount, .uniqueItems, .unevaluatedItems:
      guard case .sequence(let items) = node.value else { return true }
      return checkItems(index, keyword, node, items, &evaluated)
    case .propertyCount, .required, .dependentRequired, .propertyNames, .properties, .dependentSchemas, .unevaluatedProperties:
      guard case .mapping(let pairs) = node.value else { return true }
      return checkPairs(index, keyword, node, pairs, &evaluated)
    case .allOf(let all): return checkAll(all, node, &evaluated)
    case .anyOf(let any): return checkAny(any, index, node, &evaluated)
    case .oneOf(let one): return checkOne(one, index, node, &evaluated)
    case .not(let schema):
      var nobody: Evaluated?
      return expect(!decide(schema, node, &nobody) || stop != nil, .negated(schema), index, node)
    case .conditional(let condition, let then, let otherwise):
      return checkConditional(condition, then, otherwise, node, &evaluated)
    }
  }

  /// The outermost resource in scope that has the dynamic anchor (Core, section 8.2.3.2).
  private func dynamic(_ anchor: String) -> Int? {
    for resource in scope { if let schema = program.resources[resource].dynamicAnchors[anchor] { return schema } }
    return nil
  }

  /// Keywords that look at the value alone. The first that fails speaks for all of them, since its message says the rest.
  private mutating func checkValue(_ index: Int, _ keyword: Keyword, _ node: Node) -> Bool {
    switch keyword {
    case .types(let types): return expect(types.contains(node), .wrongType, index, node)
    case .enumeration(let values): return expect(values.contains { Value($0) == Value(node) }, .notAllowedValue, index, node)
    case .constant(let value): return expect(Value(value) == Value(node), .notAllowedValue, index, node)
    case .range(let range): return expect(node.double == nil || range.contains(node), .outOfRange, index, node)
    case .multiple(let step, _):
      guard node.double != nil else { return true }
      return expect(Decimal(node)?.isMultiple(of: step) ?? false, .notMultiple, index, node)
    case .length(let counts):
      guard case .string(let text) = node.value else { return true }
      return expect(counts.contains(text.unicodeScalars.count), .length, index, node)
    case .pattern(let pattern):
      guard case .string(let text) = node.value else { return true }
      return expect(matches(pattern, text, index, node) ?? true, .pattern, index, node)
    default: return true
    }
  }
}

extension Node {
  /// How many values it holds, itself among them.
  fileprivate var count: Int {
    var count = 0
    var queue = [self]
    while let node = queue.popLast() {
      count += 1
      switch node.value {
      case .sequence(let items): queue += items
      case .mapping(let pairs): queue += pairs.map(\.value)
      default: break
      }
    }
    return count
  }
}
