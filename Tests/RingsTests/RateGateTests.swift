import Testing

@testable import Rings

/// Turns, with times that the test makes up.
@Suite struct RateGateTests {
  private let block: CellBlock

  init() throws { block = try CellBlock.create(cells: 3, name: "test") }

  private func gate(_ rate: Double) -> RateGate { RateGate(block, rate: rate) }

  /// A whole number of seconds, far from 0.
  private let start: UInt64 = 1_000_000_000_000

  /// When so many messages begin, each as early as it may, from a time on.
  private func begin(_ count: Int, _ gate: inout RateGate, from start: UInt64) -> [UInt64] {
    var now = start
    return (0..<count).map { _ in
      now = max(now, gate.take(at: now))
      gate.begun(at: now)
      return now - start
    }
  }

  @Test func slowMessagesComeEvenly() {
    var gate = gate(10)
    #expect(begin(5, &gate, from: start) == [0, 100, 200, 300, 400].map { $0 * 1_000_000 })
  }

  /// What lies within ten milliseconds may come at once.
  @Test func fastMessagesComeInSmallBursts() {
    var gate = gate(1000)
    let times = begin(30, &gate, from: start)
    #expect(times.prefix(10).allSatisfy { $0 == 0 } && times[10] == 1_000_000 && times[29] == 20_000_000)
  }

  @Test func aQuietTimeEarnsNoMoreThanABurst() {
    var slow = gate(10)
    _ = begin(1, &slow, from: start)
    #expect(begin(3, &slow, from: start + 60_000_000_000) == [0, 100_000_000, 200_000_000])
    var fast = gate(1000)
    let times = begin(20, &fast, from: start + 120_000_000_000)
    #expect(times.count { $0 == 0 } == 10)
  }

  @Test func lateSleepersCatchUp() {
    var gate = gate(10)
    var now = start
    for n in 0..<UInt64(10) {
      now = max(now, gate.take(at: now) + 20_000_000)
      gate.begun(at: now)
      #expect(now - start == n * 100_000_000 + 20_000_000)
    }
  }

  @Test func processesShareTheirTurns() {
    var gates = [gate(10), gate(10), gate(10)]
    let turns = gates.indices.map { gates[$0].take(at: start) - start }
    #expect(turns == [0, 100_000_000, 200_000_000])
    #expect(gates[1].take(at: start + 5) == start + 100_000_000, "a turn is kept until it is used")
  }

  @Test(arguments: [10.0, 1000]) func aProcessThatIsStartedAgainGetsNoBurst(rate: Double) throws {
    var now = start
    let times = (0..<40).map { _ in
      var gate = gate(rate)
      now = max(now, gate.take(at: now))
      gate.begun(at: now)
      return now - start
    }
    var other = RateGate(try CellBlock.create(cells: 1, name: "other"), rate: rate)
    #expect(times == begin(40, &other, from: start))
  }

  /// Many processes that have each kept a turn from before a pause do not begin together.
  @Test func aTurnThatWasNotUsedGrowsOld() {
    var gates = (0..<8).map { _ in gate(10) }
    for i in gates.indices { _ = gates[i].take(at: start) }
    let later = start + 60_000_000_000
    let turns = gates.indices.map { gates[$0].take(at: later) }
    #expect(turns == (0..<UInt64(8)).map { later + $0 * 100_000_000 })
  }

  /// A source may wait for what it makes; then two must not come at once.
  @Test func aLateMessageMovesTheNext() {
    var gate = gate(10)
    _ = gate.take(at: start)
    gate.begun(at: start + 5_000_000_000)
    #expect(gate.take(at: start + 5_000_000_000) == start + 5_050_000_000)
  }

  @Test(arguments: [UInt64.max, UInt64.max - 1, 1 << 63, 0, 1])
  func aWordThatAWildWorkerWroteHoldsUpNobody(word: UInt64) {
    block.due.set(word)
    var gate = gate(10)
    #expect(begin(3, &gate, from: start) == [0, 100_000_000, 200_000_000])
  }

  /// After the machine was started anew its clock shows less; and what the dead had taken holds up nobody.
  @Test func aRunThatGoesOnWaitsForOneIntervalAtMost() {
    var gate = gate(10)
    _ = begin(20, &gate, from: start)
    RateGate.resume(block, rate: 10, at: 5)
    var next = self.gate(10)
    #expect(next.take(at: 5) == 100_000_005)
    RateGate.resume(block, rate: 10, at: start)
    var later = self.gate(10)
    #expect(later.take(at: start) == start, "a word that lies behind stays")
  }

  @Test(arguments: [1e-300, 1e-9, 1e300, 0.5]) func extremeRatesDoNotOverflow(rate: Double) {
    var gate = gate(rate)
    let times = begin(3, &gate, from: start)
    #expect(times[0] == 0 && times[1] <= times[2])
  }
}
