import Harness
import Specs
import Testing

@testable import Plans

struct StageGraphTests {
  @Test(arguments: [
    // (writers of each stage, order)
    ([[], [0], [], [2]], [0, 1, 2, 3]),
    ([[1], []], [1, 0]),
    ([[3], [], [1], [2]], [1, 2, 3, 0]),
    ([[], [0, 0, 9, 1], [1]], [0, 1, 2]),
    ([[1], [0], []], [2, 0, 1]),
    ([], []),
  ])
  func stagesStandAfterTheirInputsAndOtherwiseAsInTheFile(_ writers: [[Int]], _ order: [Int]) {
    #expect(StageGraph(writers: writers).order == order)
  }

  @Test(arguments: [
    ([[1], [0]], [[0, 1]]),
    // The shortest way round, from the first stage of the file. The longer one is closed by the same edge.
    ([[2], [0], [1, 0]], [[0, 2]]),
    ([[1, 2], [0], [0]], [[0, 1], [0, 2]]),
    ([[], [2], [1], [4], [3]], [[1, 2], [3, 4]]),
    ([[], [0], [0, 1], [2]], []),
    ([[0]], []),
  ])
  func cyclesAreFound(_ writers: [[Int]], _ cycles: [[Int]]) { #expect(StageGraph(writers: writers).cycles() == cycles) }

  @Test func componentsAreJoinedWhicheverWayMessagesGo() {
    #expect(StageGraph(writers: [[], [], [0, 1], [], [3], []]).components == [[0, 1, 2], [3, 4], [5]])
  }

  @Test func randomGraphsAreOrderedAndTheirCyclesAreReal() {
    let seed = testSeed()
    var random = Seeded(seed)
    for round in 0..<300 {
      let count = Int.random(in: 1...40, using: &random)
      let names = Array(0..<count).shuffled(using: &random)
      var writers = [[Int]](repeating: [], count: count)
      // Edges from an earlier to a later stage of a hidden order: no cycle.
      for _ in 0..<Int.random(in: 0...3 * count, using: &random) {
        let (a, b) = (Int.random(in: 0..<count, using: &random), Int.random(in: 0..<count, using: &random))
        if a < b { writers[names[b]].append(names[a]) }
      }
      let acyclic = StageGraph(writers: writers)
      let place = Dictionary(acyclic.order.enumerated().map { ($1, $0) }, uniquingKeysWith: { $1 })
      #expect(place.count == count, "seed \(seed), round \(round)")
      for (reader, all) in acyclic.writers.enumerated() {
        for writer in all { #expect(place[writer] ?? 0 < place[reader] ?? 0, "seed \(seed), round \(round)") }
      }
      #expect(acyclic.cycles().isEmpty, "seed \(seed), round \(round)")
      #expect(acyclic.cyclic.isEmpty, "seed \(seed), round \(round)")

      // A few more edges in any direction.
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        writers[Int.random(in: 0..<count, using: &random)].append(Int.random(in: 0..<count, using: &random))
      }
      var graph = StageGraph(writers: writers)
      let cycles = graph.cycles(limit: 1000)
      for cycle in cycles {
        #expect(cycle.first == cycle.min(), "seed \(seed), round \(round)")
        #expect(Set(cycle).isSubset(of: graph.cyclic), "seed \(seed), round \(round)")
        for (a, b) in zip(cycle, cycle.dropFirst() + cycle.prefix(1)) {
          #expect(graph.writers[b].contains(a), "seed \(seed), round \(round): \(cycle)")
        }
      }
      // Without the edges that close them nothing leads back, and with none found nothing did.
      var cut = graph.writers
      for cycle in cycles { if let first = cycle.first, let last = cycle.last { cut[first].removeAll { $0 == last } } }
      graph = StageGraph(writers: cut)
      #expect(graph.cycles().isEmpty, "seed \(seed), round \(round)")
      #expect(cycles.isEmpty == StageGraph(writers: writers).cyclic.isEmpty, "seed \(seed), round \(round)")
    }
  }

  /// Random files of plugins: whatever is planned can be run, and nothing that cannot be is planned.
  @Test func randomPipelinesArePlannedExactlyWhenTheyAreSound() throws {
    let seed = testSeed()
    var random = Seeded(seed)
    var planned = 0
    for round in 0..<300 {
      let count = Int.random(in: 2...12, using: &random)
      var text = "ringway: 1\nstages:\n"
      var inputs: [Set<Int>] = []
      var kinds: [Int] = []
      for i in 0..<count {
        let kind = i == 0 ? 0 : i == count - 1 ? 2 : Int.random(in: 0...2, using: &random)
        kinds.append(kind)
        var own: Set<Int> = []
        if kind != 0 {
          for _ in 0..<Int.random(in: 1...3, using: &random) {
            // Mostly back in the file, now and then ahead.
            let other = Int.random(in: 0..<20, using: &random) == 0 ? Int.random(in: 0..<count, using: &random) : Int.random(in: 0..<i, using: &random)
            if other != i { own.insert(other) }
          }
          if own.isEmpty { own = [0] }
        }
        inputs.append(own)
        text += "  s\(i): {plugin: \(["numbers", "add", "drop"][kind])" + (own.isEmpty ? "" : ", inputs: [\(own.sorted().map { "s\($0)" }.joined(separator: ", "))]") + "}\n"
      }
      let read = Set(inputs.joined())
      let isSound =
        (0..<count).allSatisfy { (kinds[$0] == 2) != read.contains($0) } && StageGraph(writers: inputs.map(Array.init)).cyclic.isEmpty
      let checked = try Checked(text)
      #expect((checked.plan != nil) == isSound, "seed \(seed), round \(round)\n\(text)\(checked.lines)")
      guard let plan = checked.plan else { continue }
      planned += 1
      #expect(plan.stages.count == count)
      for (i, stage) in plan.stages.enumerated() {
        #expect(plan.index(of: stage.name) == i)
        #expect(plan.writers(to: i).allSatisfy { $0 < i }, "seed \(seed), round \(round)")
        for writer in plan.writers(to: i) { #expect(plan.readers(of: writer).contains(i)) }
      }
      for drawing in Drawing.allCases { #expect(plan.drawn(as: drawing).hasSuffix("\n")) }
    }
    #expect(planned > 0, "seed \(seed)")
  }

  /// A plan of a thousand stages, and a wrong file of a thousand mistakes.
  @Test func aThousandStagesArePlanned() throws {
    var text = "ringway: 1\nstages:\n  s0: {plugin: numbers}\n"
    for i in 1..<999 { text += "  s\(i): {plugin: add, inputs: [s\(i - 1)], queue: {message: 1KiB}}\n" }
    let plan = try #require(
      try Checked(text + "  end: {plugin: drop, inputs: [s998]}\n", World(descriptors: 1 << 20)).plan)
    #expect(plan.stages.count == 1000)
    #expect(plan.components.count == 1)
    // A chain begins again at the left before it runs out of the terminal.
    let widest = plan.drawn(as: .tree).split(separator: "\n").map(\.count).max() ?? 0
    #expect(widest < 150)
    #expect(plan.drawn(as: .dot).split(separator: "\n").count > 2000)

    let broken = try Checked(text.split(separator: "\n").map { $0.replacing("inputs: [s", with: "inputs: [x") }.joined(separator: "\n"), World(descriptors: 1 << 20))
    #expect(broken.diagnostics.count { $0.code == "unknown-input" } == 998)
  }

  @Test func aCycleThroughAThousandStagesIsNamedByBothEnds() throws {
    var text = "ringway: 1\nstages:\n  s0: {plugin: add, inputs: [s999]}\n"
    for i in 1..<1000 { text += "  s\(i): {plugin: add, inputs: [s\(i - 1)]}\n" }
    let checked = try Checked(text, World(descriptors: 1 << 20))
    let cycle = try #require(checked.diagnostics.first { $0.code == "cycle" })
    #expect(cycle.message == "the stages form a cycle: s0 -> s1 -> s2 -> s3 -> s4 -> s5 -> s6 -> s7 -> s8 -> s9 -> s10 -> s11 -> … 986 more … -> s998 -> s999 -> s0")
    #expect(checked.diagnostics.count == 1 || checked.diagnostics.allSatisfy { ["cycle", "memory-budget"].contains($0.code) })
  }
}

extension Substring {
  fileprivate func replacing(_ old: String, with new: String) -> String {
    guard let range = firstRange(of: old) else { return String(self) }
    return String(self[..<range.lowerBound] + new + self[range.upperBound...])
  }
}
