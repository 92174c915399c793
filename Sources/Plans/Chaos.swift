import Specs

/// How often a run is to be disturbed on purpose: in parts of a million of the messages that a worker begins. At most one thing happens to
/// one message, so together they are at most a million.
package struct Chaos: Sendable, Equatable {
  /// The worker is killed (SIGKILL).
  package var kill = 0
  /// The worker is stopped (SIGSTOP), and goes on within a second.
  package var stop = 0
  /// The worker waits before it begins.
  package var delay = 0
  package var seed = 0

  package enum Deed: String, Sendable, CaseIterable { case kill, stop, delay }

  package init() {}

  package static let expected = "kill=PERCENT, stop=PERCENT and delay=PERCENT with commas between, together at most 100%, such as kill=1%,stop=0.1%,delay=1%"

  /// `kill=1%,stop=0.5%`
  ///
  /// - Returns: nil for anything else than `expected`
  package init?(_ text: String) {
    var seen: Set<Deed> = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", omittingEmptySubsequences: false)
      guard sides.count == 2, let deed = Deed(rawValue: String(sides[0])), seen.insert(deed).inserted, let share = Self.share(sides[1]) else { return nil }
      switch deed {
      case .kill: kill = share
      case .stop: stop = share
      case .delay: delay = share
      }
    }
    if kill + stop + delay > 1_000_000 { return nil }
  }

  /// A percentage with at most four digits behind the point, in parts of a million.
  private static func share(_ text: Substring) -> Int? {
    guard text.last == "%" else { return nil }
    let sides = text.dropLast().split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let fraction = sides.count == 2 ? sides[1] : "0"
    guard let whole = sides.first, 1...3 ~= whole.utf8.count, 1...4 ~= fraction.utf8.count,
      [whole, fraction].joined().utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let percent = Int(whole),
      let parts = Int(fraction + String(repeating: "0", count: 4 - fraction.utf8.count))
    else { return nil }
    let share = percent * 10_000 + parts
    return share <= 1_000_000 ? share : nil
  }

  /// What becomes of a message.
  ///
  /// - Parameter draw: random
  package func deed(_ draw: UInt64) -> Deed? {
    let place = Int(draw % 1_000_000)
    if place < kill { return .kill }
    if place < kill + stop { return .stop }
    return place < kill + stop + delay ? .delay : nil
  }

  var json: JSON { ["kill": .integer(kill), "stop": .integer(stop), "delay": .integer(delay), "seed": .integer(seed)] }

  init?(_ node: Node) {
    guard let kill = node["kill"]?.integer, let stop = node["stop"]?.integer, let delay = node["delay"]?.integer, let seed = node["seed"]?.integer else { return nil }
    (self.kill, self.stop, self.delay, self.seed) = (kill, stop, delay, seed)
  }
}

/// Random numbers that a seed repeats.
package struct ChaosDice {
  private var state: UInt64

  package init(_ seeds: UInt64...) {
    state = 0
    for seed in seeds { state = next() ^ seed }
  }

  package mutating func next() -> UInt64 {
    state &+= SplitMix64.step
    return SplitMix64.number(state)
  }

  /// A time of at most so long.
  package mutating func time(upTo longest: Duration) -> Duration { longest / 1000 * Int(next() % 1000 + 1) }
}
