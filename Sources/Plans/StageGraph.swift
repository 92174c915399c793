/// Who reads whom, in numbers: stages are 0..<count in the order of the file. Every question is answered in time that
/// grows with stages and edges (the order: times a logarithm), since a generated file may have thousands.
struct StageGraph {
  /// The stages that each one reads, each once, none itself.
  let writers: [[Int]]
  let readers: [[Int]]

  /// - Parameter writers: may name a stage twice or itself; such edges are left out
  init(writers: [[Int]]) {
    var readers = [[Int]](repeating: [], count: writers.count)
    self.writers = writers.enumerated().map { reader, all in
      var seen: Set<Int> = [reader]
      return all.filter { writers.indices.contains($0) && seen.insert($0).inserted }
    }
    for (reader, all) in self.writers.enumerated() {
      for writer in all { readers[writer].append(reader) }
    }
    self.readers = readers
  }

  /// Every stage after all that it reads, otherwise in the order of the file. Stages that a cycle holds back come last.
  var order: [Int] {
    var missing = writers.map(\.count)
    var ready = MinimumHeap()
    for i in writers.indices where missing[i] == 0 { ready.insert(i) }
    var ordered: [Int] = []
    ordered.reserveCapacity(writers.count)
    while let next = ready.removeMinimum() {
      ordered.append(next)
      for reader in readers[next] {
        missing[reader] -= 1
        if missing[reader] == 0 { ready.insert(reader) }
      }
    }
    return ordered + writers.indices.filter { missing[$0] > 0 }
  }

  /// Cycles along the flow, each from its stage that stands first in the file: `[a, b]` for a -> b -> a. Taking out the
  /// edge that closes each of them (from its last to its first) leaves no cycle, unless there are more than `limit`.
  func cycles(limit: Int = 20) -> [[Int]] {
    var cut = Set<Edge>()
    var found: [[Int]] = []
    while found.count < limit {
      let groups = stronglyConnected(without: cut).filter { $0.count > 1 }
      if groups.isEmpty { break }
      for group in groups.prefix(limit - found.count) {
        guard let cycle = shortestCycle(in: group, without: cut), let first = cycle.first, let last = cycle.last else { continue }
        found.append(cycle)
        cut.insert(Edge(from: last, to: first))
      }
    }
    return found
  }

  /// Stages that lead back to themselves.
  var cyclic: Set<Int> { Set(stronglyConnected(without: []).filter { $0.count > 1 }.joined()) }

  /// Every stage that a message from one of these can come to, themselves among them.
  func reached(from starts: [Int]) -> Set<Int> {
    var seen = Set(starts)
    var stack = starts
    while let stage = stack.popLast() {
      for reader in readers[stage] where seen.insert(reader).inserted { stack.append(reader) }
    }
    return seen
  }

  /// Groups of stages that are joined, whichever way the messages go; each in order.
  var components: [[Int]] {
    var group = [Int](repeating: -1, count: writers.count)
    var all: [[Int]] = []
    for start in writers.indices where group[start] < 0 {
      group[start] = all.count
      var members = [start]
      var next = 0
      while next < members.count {
        for other in writers[members[next]] + readers[members[next]] where group[other] < 0 {
          group[other] = all.count
          members.append(other)
        }
        next += 1
      }
      all.append(members.sorted())
    }
    return all
  }

  // MARK: Cycles

  private struct Edge: Hashable {
    var from: Int
    var to: Int
  }

  /// Tarjan's algorithm with a stack of its own: a chain may be longer than the thread's stack is deep.
  private func stronglyConnected(without cut: Set<Edge>) -> [[Int]] {
    var index = [Int](repeating: -1, count: readers.count)
    var low = index
    var isOpen = [Bool](repeating: false, count: readers.count)
    var open: [Int] = []
    var groups: [[Int]] = []
    var count = 0
    for start in readers.indices where index[start] < 0 {
      var calls: [(stage: Int, next: Int)] = [(start, 0)]
      while let (stage, next) = calls.last {
        if next == 0 {
          index[stage] = count
          low[stage] = count
          count += 1
          open.append(stage)
          isOpen[stage] = true
        }
        if next < readers[stage].count {
          calls[calls.count - 1].next += 1
          let reader = readers[stage][next]
          if !cut.isEmpty, cut.contains(Edge(from: stage, to: reader)) { continue }
          if index[reader] < 0 { calls.append((reader, 0)) } else if isOpen[reader] { low[stage] = min(low[stage], index[reader]) }
          continue
        }
        calls.removeLast()
        if let above = calls.last?.stage { low[above] = min(low[above], low[stage]) }
        guard low[stage] == index[stage] else { continue }
        var group: [Int] = []
        while let member = open.popLast() {
          isOpen[member] = false
          group.append(member)
          if member == stage { break }
        }
        groups.append(group.sorted())
      }
    }
    return groups.sorted { ($0.first ?? 0) < ($1.first ?? 0) }
  }

  /// Breadth first from the group's first stage until a stage that leads back to it.
  private func shortestCycle(in group: [Int], without cut: Set<Edge>) -> [Int]? {
    guard let start = group.first else { return nil }
    let members = Set(group)
    var before = [start: start]
    var queue = [start]
    var next = 0
    while next < queue.count {
      let stage = queue[next]
      next += 1
      for reader in readers[stage] where members.contains(reader) && !cut.contains(Edge(from: stage, to: reader)) {
        if reader == start {
          var path = [stage]
          while let last = path.last, last != start, let previous = before[last] { path.append(previous) }
          return path.reversed()
        }
        if before[reader] == nil {
          before[reader] = stage
          queue.append(reader)
        }
      }
    }
    return nil
  }
}

/// The smallest of its numbers first.
private struct MinimumHeap {
  private var numbers: [Int] = []

  mutating func insert(_ number: Int) {
    numbers.append(number)
    var i = numbers.count - 1
    while i > 0, numbers[i] < numbers[(i - 1) / 2] {
      numbers.swapAt(i, (i - 1) / 2)
      i = (i - 1) / 2
    }
  }

  mutating func removeMinimum() -> Int? {
    guard let first = numbers.first, let last = numbers.popLast() else { return nil }
    if numbers.isEmpty { return first }
    numbers[0] = last
    var i = 0
    while true {
      let smallest = [2 * i + 1, 2 * i + 2].filter { $0 < numbers.count }.reduce(i) { numbers[$1] < numbers[$0] ? $1 : $0 }
      if smallest == i { return first }
      numbers.swapAt(i, smallest)
      i = smallest
    }
  }
}
