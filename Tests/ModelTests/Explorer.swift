/// A small model checker. It walks through every state that a model can reach, breadth first, and asks two things:
///
/// 1. Does the model's invariant hold in every state?
/// 2. Can every state still reach the end without another kill? A state that cannot is a deadlock, a wedge or a loss.
///
/// A counterexample is the shortest list of steps that leads to the first state at fault.
protocol Model {
  /// Made of bytes only, so that equal states have equal memory: the explorer compares and hashes the bytes.
  associatedtype State: BitwiseCopyable

  var start: State { get }

  /// Hands every step that is possible in `state` to `take`, with the state it leads to.
  func steps(from state: State, _ take: (Step, State) -> Void)

  /// What rule this state breaks, if it breaks one.
  func fault(in state: State) -> String?

  func isEnd(_ state: State) -> Bool
}

/// The label of a step.
struct Step: CustomStringConvertible {
  let who: StaticString
  let number: UInt8
  let what: StaticString
  /// Kills are steps that happen to the others: nothing may depend on one to reach the end.
  let isKill: Bool

  init(_ who: StaticString, _ number: UInt8, _ what: StaticString) {
    (self.who, self.number, self.what, isKill) = (who, number, what, false)
  }

  init(_ who: StaticString, _ what: StaticString) { self.init(who, 255, what) }

  private init(killing who: StaticString, _ number: UInt8) {
    (self.who, self.number, what, isKill) = (who, number, "is killed", true)
  }

  static func kill(_ who: StaticString, _ number: UInt8 = 255) -> Step { Step(killing: who, number) }

  var description: String { "\(who)\(number == 255 ? "" : "\(number)") \(what)" }
}

struct Finding: CustomStringConvertible {
  var states = 0
  var ends = 0
  var duration = Duration.zero
  var counterexample: Counterexample?

  struct Counterexample {
    let fault: String
    let steps: [String]
  }

  var description: String {
    let size = "\(states) states, \(ends) of them an end, \(duration.formatted)"
    guard let found = counterexample else { return size }
    return "\(found.fault) (\(size))\n" + found.steps.enumerated().map { "  \($0 + 1). \($1)\n" }.joined()
  }
}

extension Duration {
  fileprivate var formatted: String {
    let hundredths = Int(self / .milliseconds(10))
    return "\(hundredths / 100).\(hundredths / 10 % 10)\(hundredths % 10) s"
  }
}

struct Explorer<M: Model> {
  private let model: M
  private var states: ContiguousArray<M.State> = []
  private var parents: ContiguousArray<UInt32> = []
  /// Open addressing; the index of a state plus one, or 0.
  private var table = ContiguousArray<UInt32>(repeating: 0, count: 1 << 12)
  /// The steps that are no kills: where those of state i lead lies in `targets[firsts[i]..<firsts[i + 1]]`.
  private var targets: ContiguousArray<UInt32> = []
  private var firsts: ContiguousArray<UInt32> = []
  private var isEnd: ContiguousArray<Bool> = []

  /// - Parameter most: the model is at fault when it has more states; its author meant it to be small
  static func explore(_ model: M, most: Int = 30_000_000) -> Finding {
    precondition(MemoryLayout<M.State>.alignment == 1, "\(M.State.self) has padding, whose bytes mean nothing")
    var explorer = Explorer(model)
    return explorer.run(most)
  }

  private init(_ model: M) { self.model = model }

  private mutating func run(_ most: Int) -> Finding {
    let clock = ContinuousClock()
    let began = clock.now
    var finding = Finding()
    var fault = walk(most)
    if fault == nil, let lost = firstLost() { fault = ("the end cannot be reached any more", lost) }
    if let (text, index) = fault { finding.counterexample = .init(fault: text, steps: trace(to: index)) }
    finding.states = states.count
    finding.ends = isEnd.reduce(0) { $0 + ($1 ? 1 : 0) }
    finding.duration = clock.now - began
    return finding
  }

  /// Every state, until one breaks the invariant.
  private mutating func walk(_ most: Int) -> (String, Int)? {
    _ = insert(model.start, from: 0)
    if let text = model.fault(in: model.start) { return (text, 0) }
    var fault: (String, Int)?
    var index = 0
    while index < states.count, fault == nil {
      firsts.append(UInt32(targets.count))
      let state = states[index]
      isEnd.append(model.isEnd(state))
      model.steps(from: state) { step, next in
        if fault != nil { return }
        let (target, isNew) = insert(next, from: index)
        if !step.isKill { targets.append(UInt32(target)) }
        if isNew, let text = model.fault(in: next) { fault = (text, target) }
      }
      if states.count > most { fault = ("there are more than \(most) states", index) }
      index += 1
    }
    firsts.append(UInt32(targets.count))
    return fault
  }

  private mutating func insert(_ state: M.State, from parent: Int) -> (index: Int, isNew: Bool) {
    let mask = table.count - 1
    var place = Self.hash(state) & mask
    while table[place] != 0 {
      let index = Int(table[place] - 1)
      if Self.areEqual(states[index], state) { return (index, false) }
      place = (place + 1) & mask
    }
    states.append(state)
    parents.append(UInt32(parent))
    table[place] = UInt32(states.count)
    if states.count * 2 > table.count { grow() }
    return (states.count - 1, true)
  }

  private mutating func grow() {
    let mask = table.count * 4 - 1
    table = ContiguousArray(repeating: 0, count: mask + 1)
    for (index, state) in states.enumerated() {
      var place = Self.hash(state) & mask
      while table[place] != 0 { place = (place + 1) & mask }
      table[place] = UInt32(index + 1)
    }
  }

  @inline(__always)
  private static func hash(_ state: M.State) -> Int {
    withUnsafeBytes(of: state) { bytes in
      var sum: UInt64 = 0x9e37_79b9_7f4a_7c15
      var at = 0
      while at + 8 <= bytes.count {
        sum = (sum ^ bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)) &* 0xff51_afd7_ed55_8ccd
        sum ^= sum >> 32
        at += 8
      }
      while at < bytes.count {
        sum = (sum ^ UInt64(bytes[at])) &* 0xc4ce_b9fe_1a85_ec53
        at += 1
      }
      return Int(truncatingIfNeeded: (sum ^ sum >> 29) >> 1)
    }
  }

  @inline(__always)
  private static func areEqual(_ a: M.State, _ b: M.State) -> Bool {
    withUnsafeBytes(of: a) { a in withUnsafeBytes(of: b) { b in a.elementsEqual(b) } }
  }

  /// The first state from which no end can be reached: those that can are found backwards from the ends.
  private func firstLost() -> Int? {
    let count = states.count
    var sources = ContiguousArray<UInt32>(repeating: 0, count: targets.count)
    var starts = ContiguousArray<UInt32>(repeating: 0, count: count + 2)
    for target in targets { starts[Int(target) + 2] += 1 }
    for i in 2..<(count + 2) { starts[i] += starts[i - 1] }
    for i in 0..<count {
      for k in Int(firsts[i])..<Int(firsts[i + 1]) {
        let target = Int(targets[k])
        sources[Int(starts[target + 1])] = UInt32(i)
        starts[target + 1] += 1
      }
    }
    var canEnd = isEnd
    var left = (0..<count).filter { isEnd[$0] }
    while let state = left.popLast() {
      for k in Int(starts[state])..<Int(starts[state + 1]) where !canEnd[Int(sources[k])] {
        canEnd[Int(sources[k])] = true
        left.append(Int(sources[k]))
      }
    }
    return canEnd.firstIndex(of: false)
  }

  /// The steps to a state. Labels are not kept: each is found by taking the parent's steps once more.
  private func trace(to index: Int) -> [String] {
    var labels: [String] = []
    var at = index
    while at != 0 {
      let parent = Int(parents[at])
      var label: String?
      model.steps(from: states[parent]) { step, next in
        if label == nil, Self.areEqual(next, states[at]) { label = "\(step)" }
      }
      labels.append(label ?? "?")
      at = parent
    }
    return labels.reversed()
  }
}
