import Specs

/// How `ringway graph` shows a plan. Settings are never drawn: they may hold secrets.
package enum Drawing: String, CaseIterable, Sendable { case tree, dot, mermaid, json }

extension Plan {
  /// - Returns: text that ends with a newline
  package func drawn(as drawing: Drawing) -> String {
    switch drawing {
    case .tree: tree
    case .dot: dot
    case .mermaid: mermaid
    case .json: json.pretty + "\n"
    }
  }

  /// `4 stages, 7 processes, 1 component, 132 MiB reserved`
  package var totals: String {
    func count(_ n: Int, _ one: String, _ many: String) -> String { "\(n) \(n == 1 ? one : many)" }
    return [
      count(stages.count, "stage", "stages"), count(processes, "process", "processes"),
      count(components.count, "component", "components"), "\(Quantity.describe(bytes: reservedBytes)) reserved",
    ].joined(separator: ", ")
  }

  /// `64 x 1 MiB, reserves 68.3 MiB`, behind the ports when it is not the main one alone.
  func arrowLabel(_ writer: Int, _ reader: Int) -> String {
    let ports = ports(from: writer, to: reader)
    let names = ports == [0] ? "" : ports.map { $0 == 0 ? "main" : String(stages[writer].portName($0).dropFirst(stages[writer].name.count + 1)) }.joined(separator: ", ") + ": "
    let reserved = Quantity.describe(bytes: reservedBytes(ofStage: reader))
    return names + (stages[reader].queueDescribed.map { "\($0), reserves \(reserved)" } ?? "")
  }

  /// `0, 2-5`, of numbers in order.
  static func ranges(_ numbers: [Int]) -> String {
    var runs: [ClosedRange<Int>] = []
    for number in numbers {
      if let last = runs.last, number == last.upperBound + 1 { runs[runs.count - 1] = last.lowerBound...number } else { runs.append(number...number) }
    }
    return runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ", ")
  }

  /// A free text on one line, without what would disturb a terminal or a quoted string.
  static func oneLine(_ text: String) -> String {
    let line = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
    let words = line.split(separator: " ").joined(separator: " ")
    return words.count > 120 ? words.prefix(119) + "…" : words
  }
}

extension Stage {
  /// What holds its processes down, or keeps messages from them: `at most 100/s`.
  var restraints: [String] {
    var all: [String] = []
    if let partition { all.append("partitioned by \(Plan.oneLine(partition.key))") }
    let limits = [
      limits.memoryBytes.map { "memory \(Quantity.describe(bytes: $0))" }, limits.files.map { "files \($0)" },
      limits.cpuSeconds.map { "cpu \(Quantity.describe(.seconds($0)))" },
    ].compactMap { $0 }
    if !limits.isEmpty { all.append("limits: " + limits.joined(separator: ", ")) }
    if let nice { all.append("nice \(nice)") }
    if !affinity.isEmpty { all.append("CPUs " + Plan.ranges(affinity)) }
    if let batch {
      let rest = [batch.bytes.map { "\(Quantity.describe(bytes: $0))" }, batch.within > 0 ? "within \(Quantity.describe(.nanoseconds(Int64(clamping: batch.within))))" : nil]
      all.append("batches of \(batch.count)" + rest.compactMap { $0 }.map { ", " + $0 }.joined())
    }
    if isOrdered { all.append("order: input") }
    if let rate { all.append("at most \(Quantity.describe(rate: rate))") }
    return all
  }
}
