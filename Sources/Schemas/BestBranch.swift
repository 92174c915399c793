import Specs

/// Of several alternatives that all fail, the one that was probably meant: nobody wants to read about all of them.
enum BestBranch {
  /// The branch that does not fail on the value's very type, and of those the one with the fewest problems at the deepest
  /// places.
  static func problems(_ branches: [[Diagnostic]], _ place: Evaluation.Place) -> [Diagnostic] {
    let ranked = branches.enumerated().map { index, problems in
      let failsAtOnce = problems.contains { ["wrong-type", "not-allowed-value"].contains($0.code) && $0.path == place.path }
      let depth = problems.map { $0.path.utf8.count }.max() ?? 0
      return (failsAtOnce ? 1 : 0, -depth, problems.count, index)
    }
    guard let best = ranked.min(by: { $0 < $1 }) else { return [Diagnostic("no-match", "no alternative is given for \(place.shown)", at: place.span, path: place.path)] }
    // When every branch fails on the type, all that are expected are named.
    if best.0 == 1, branches.count > 1 {
      let expected = branches.flatMap { $0 }.filter { $0.path == place.path }.compactMap { problem -> String? in
        guard problem.message.hasPrefix("expected "), let comma = problem.message.firstRange(of: ", found") else { return nil }
        return String(problem.message[..<comma.lowerBound].dropFirst(9))
      }
      if !expected.isEmpty {
        return [Diagnostic("no-match", "expected \(expected.joined(separator: " or ")), found \(place.node.described)", at: place.span, path: place.path)]
      }
    }
    return branches[best.3]
  }
}
