/// Finds the name that was probably meant.
package enum Nearest {
  /// The candidate with the smallest edit distance (Damerau-Levenshtein, transpositions count once), if it is near
  /// enough to be a slip of the fingers: at most a third of the longer name, and at least one, but not all of it. Ties go
  /// to the first.
  package static func name(to wrong: String, among candidates: some Sequence<String>) -> String? {
    let given = Array(wrong.lowercased().unicodeScalars.prefix(64))
    var best: (name: String, distance: Int)?
    for candidate in candidates where candidate != wrong {
      let other = Array(candidate.lowercased().unicodeScalars.prefix(64))
      let longest = max(given.count, other.count)
      let limit = min(max(1, longest / 3), longest - 1)
      if abs(given.count - other.count) > limit { continue }
      let d = distance(given, other)
      if d <= limit, d < best?.distance ?? Int.max { best = (candidate, d) }
    }
    return best?.name
  }

  /// `did you mean "capacity"?`, or else the list of what is valid, or nil when there is nothing to offer.
  package static func remedy(for wrong: String, among candidates: [String], of what: String) -> String? {
    if let near = name(to: wrong, among: candidates) { return "did you mean \"\(near)\"?" }
    if candidates.isEmpty { return nil }
    let shown = candidates.prefix(12).joined(separator: ", ")
    return "\(what): \(shown)" + (candidates.count > 12 ? ", … (\(candidates.count) in all)" : "")
  }

  private static func distance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var older = [Int](repeating: 0, count: b.count + 1)
    var old = Array(0...b.count)
    for i in 1...a.count {
      var new = [i] + [Int](repeating: 0, count: b.count)
      for j in 1...b.count {
        new[j] = min(old[j] + 1, new[j - 1] + 1, old[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
        if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { new[j] = min(new[j], older[j - 2] + 1) }
      }
      older = old
      old = new
    }
    return old[b.count]
  }
}
