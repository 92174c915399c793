import Specs

extension Evaluator {
  mutating func checkAll(_ all: [Int], _ node: Node, _ evaluated: inout Evaluated?) -> Bool {
    var isValid = true
    for schema in all where !check(schema, node, &evaluated) {
      isValid = false
      if !isCollecting { return false }
    }
    return isValid
  }

  /// The errors of `then` and `else` are reported as if they stood alone: the condition has chosen.
  mutating func checkConditional(_ condition: Int, _ then: Int?, _ otherwise: Int?, _ node: Node, _ evaluated: inout Evaluated?) -> Bool {
    let holds = decide(condition, node, &evaluated)
    if stop != nil { return false }
    return (holds ? then : otherwise).map { check($0, node, &evaluated) } ?? true
  }

  mutating func checkAny(_ branches: [Int], _ index: Int, _ node: Node, _ evaluated: inout Evaluated?) -> Bool {
    var isValid = false
    var lost: [[Failure]] = []
    for schema in branches {
      let before = failures.count
      if check(schema, node, &evaluated) {
        isValid = true
        // The others still count for what they have looked at.
        if evaluated == nil { break }
      } else {
        lost.append(Array(failures[before...]))
      }
      failures.removeSubrange(before...)
    }
    if !isValid, isCollecting { report(lost, branches, index, node) }
    return isValid
  }

  mutating func checkOne(_ branches: [Int], _ index: Int, _ node: Node, _ evaluated: inout Evaluated?) -> Bool {
    var fitting: [Int] = []
    var lost: [[Failure]] = []
    for (i, schema) in branches.enumerated() {
      let before = failures.count
      if check(schema, node, &evaluated) { fitting.append(i) } else { lost.append(Array(failures[before...])) }
      failures.removeSubrange(before...)
      if fitting.count > 1, !isCollecting { return false }
    }
    if fitting.count == 1 { return true }
    if fitting.count > 1 { return fail(.ambiguous(fitting), index, node) }
    if isCollecting { report(lost, branches, index, node) }
    return false
  }

  // MARK: Which branch was meant

  /// Reports the one branch that was probably meant, or what all of them expect: nobody wants to read about each.
  private mutating func report(_ lost: [[Failure]], _ branches: [Int], _ index: Int, _ node: Node) {
    if stop != nil || lost.count != branches.count { return }
    let depth = path.count
    // Every branch wants another value.
    if lost.allSatisfy({ $0.allSatisfy { $0.isAboutValue && $0.path.count == depth } }) {
      if lost.count == 1, let only = lost.first { return failures += only }
      // The branch that goes furthest names the kind of problem: one that says what is wrong within the right type.
      let codes = Set(lost.compactMap(\.first).map(\.code)).subtracting(["not-allowed"])
      let most = codes.subtracting(["wrong-type", "not-allowed-value"]).min() ?? codes.min() ?? "not-allowed"
      return _ = fail(.alternatives(branches, code: most), index, node)
    }
    // Every branch wants another key.
    let missing = lost.compactMap { failures -> String? in
      guard failures.count == 1, failures[0].path.count == depth, case .missingKey(let name, _, nil) = failures[0].problem else { return nil }
      return name
    }
    if missing.count == lost.count, missing.count > 1 { return _ = fail(.missingOneOf(missing), index, node) }
    let best = lost.enumerated().max { isWorse(rank($0.element, depth), than: rank($1.element, depth), $0.offset, $1.offset) }
    failures += best?.element ?? []
  }

  /// How well a branch fits: first whether it is about a value of this kind at all, then whether a key that tells the
  /// branches apart (`kind: circle`) says that it was meant, then how far down its first problem is, then how many it has.
  private func rank(_ lost: [Failure], _ depth: Int) -> [Int] {
    let fitsItself = !lost.contains { $0.isAboutValue && $0.path.count == depth }
    let isMeant = !lost.contains { failure in
      guard failure.path.count == depth + 1 else { return false }
      return if case .notAllowedValue = failure.problem { isConstant(failure.schema) } else { false }
    }
    let knowsKeys = lost.count { if case .unknownKey = $0.problem, $0.path.count == depth { true } else { false } }
    let firstDepth = lost.map(\.path.count).min() ?? depth
    return [fitsItself ? 1 : 0, isMeant ? 1 : 0, -knowsKeys, firstDepth, -lost.count]
  }

  /// Whether a schema allows one value only, as those that tell branches apart do.
  private func isConstant(_ schema: Int) -> Bool {
    program.schemas[schema].keywords.contains { keyword in
      switch keyword {
      case .constant: true
      case .enumeration: true
      default: false
      }
    }
  }

  /// Of two that fit equally well the first is the better one.
  private func isWorse(_ a: [Int], than b: [Int], _ i: Int, _ j: Int) -> Bool {
    a == b ? i > j : a.lexicographicallyPrecedes(b)
  }
}
