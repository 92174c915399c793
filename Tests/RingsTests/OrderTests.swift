import Harness
import Platform
import Synchronization
import Testing

@testable import Rings

extension RingsTests {
/// Several workers of one stage, whose outputs follow the order of its inputs.
@Suite struct OrderTests {
  /// A ring of numbers, workers 11, 12, … that read it, and a ring that they write to.
  private final class Bench: Sendable {
    let input: Ring
    let output: Ring
    let cells: CellBlock
    let workers: Int

    init(inputs: Int = 16, outputs: Int = 64, workers: Int = 2, start: RingStart = .zero) throws {
      func ring(_ capacity: Int, _ producers: Int, _ consumers: Int) throws -> Ring {
        let shape = try #require(RingShape(capacity: capacity, messageBytes: 20_000, producers: producers, consumers: consumers))
        return try Ring.create(shape, name: "test", start: start)
      }
      input = try ring(inputs, 1, workers)
      output = try ring(outputs, workers, 1)
      cells = try CellBlock.create(cells: workers + 2, name: "test")
      self.workers = workers
    }

    func source() throws -> Handoff { Handoff(worker: 1, cell: try cells.cell(workers), input: nil, outputs: [(input, 0)], stageHash: 1) }
    func sink() throws -> Handoff { Handoff(worker: 2, cell: try cells.cell(workers + 1), input: (output, 0), outputs: [], stageHash: 3) }

    func worker(_ lane: Int) throws -> Handoff {
      Handoff(
        worker: WorkerNumber(lane + 11), cell: try cells.cell(lane), input: (input, lane), outputs: [(output, lane)], stageHash: 2, isOrdered: true)
    }

    @discardableResult
    func recover(_ lane: Int) throws -> Recovery.Summary {
      try Recovery.recover(
        worker: WorkerNumber(lane + 11), cell: cells.cell(lane),
        rings: [Recovery.Attachment(ring: input, consumerLane: lane), Recovery.Attachment(ring: output, producerLane: lane)])
    }

    func put(_ numbers: ClosedRange<Int>, _ source: Handoff) throws {
      for n in numbers {
        source.begin()
        try Array("\(n)".utf8).withUnsafeBytes { try source.emit($0) }
        source.end(.source(position: (UInt64(n), 0, 0, 0)))
      }
      try source.commit()
    }

    func closed() {
      for ring in [input, output] { ring.unmap() }
    }
  }

  private static func number(_ lease: Lease) -> Int { Int(String(decoding: lease.payload, as: UTF8.self)) ?? 0 }
  private static func emit(_ text: String, _ handoff: Handoff, payload: Int = 0) throws {
    let bytes = Array(text.utf8) + [UInt8](repeating: 0x20, count: max(0, payload - text.utf8.count))
    try bytes.withUnsafeBytes { try handoff.emit($0) }
  }

  /// Claims a message and makes `count` of it: `7.0`, `7.1`, …
  @discardableResult
  private static func work(_ handoff: Handoff, payload: Int = 0, _ count: (Int) -> Int = { _ in 1 }) throws -> Int? {
    guard let lease = try handoff.claim() else { return nil }
    let number = number(lease)
    handoff.begin(lease)
    for i in 0..<count(number) { try emit("\(number).\(i)", handoff, payload: payload) }
    handoff.end(.done)
    return number
  }

  private static func read(_ sink: Handoff) throws -> [String] {
    var all: [String] = []
    while let lease = try sink.claim() {
      all.append(String(decoding: lease.payload.prefix { $0 != 0x20 }, as: UTF8.self))
      sink.begin(lease)
      sink.end(.done)
    }
    try sink.commit()
    return all
  }

  @Test func whoIsAheadWaitsForItsTurn() throws {
    let bench = try Bench()
    let (source, sink, slow, fast) = (try bench.source(), try bench.sink(), try bench.worker(0), try bench.worker(1))
    try bench.put(1...4, source)
    let first = try #require(try slow.claim())
    for n in 2...3 { #expect(try Self.work(fast) == n) }
    #expect(fast.pendingCalls == 2 && !fast.canCommit)
    try fast.commit()
    #expect(try fast.pendingCalls == 2 && Self.read(sink).isEmpty)
    slow.begin(first)
    try Self.emit("1.0", slow)
    slow.end(.done)
    #expect(slow.canCommit)
    try slow.commit()
    #expect(fast.canCommit && slow.pendingCalls == 0)
    #expect(try Self.work(slow) == 4)
    #expect(!slow.canCommit)
    try fast.commit()
    try slow.commit()
    #expect(try Self.read(sink) == ["1.0", "2.0", "3.0", "4.0"])
    bench.closed()
  }

  /// A worker with many calls that wait claims no more for a while when the oldest message waits only for its worker to hand it over, so that the line
  /// grows short again; what was put back it takes all the same.
  @Test func whoIsFarAheadLetsTheOthersCatchUp() throws {
    let bench = try Bench(inputs: 32)
    let (source, sink, other, fast) = (try bench.source(), try bench.sink(), try bench.worker(0), try bench.worker(1))
    try bench.put(1...20, source)
    let first = try #require(try other.claim())
    other.begin(first)
    for n in 2...6 { #expect(try Self.work(fast) == n) }
    fast.pause.usual = 3_600_000_000_000
    #expect(try Self.work(fast) == 7, "the oldest is worked on: it is to be passed")
    try Self.emit("1.0", other)
    other.end(.done)
    #expect(try fast.claim() == nil && fast.pause.isOn)
    // Its worker is in another call by now, and has the rest of it.
    try other.commit()
    #expect(try fast.claim() == nil && fast.canCommit)
    try fast.commit()
    #expect(try Self.work(fast) == 8)
    #expect(try Self.read(sink) == (1...7).map { "\($0).0" })
    bench.closed()
  }

  /// The oldest message's worker may be in a slow call, and dead: nobody waits for it longer than calls take.
  @Test func nobodyWaitsLongForOthersToCatchUp() throws {
    let bench = try Bench(inputs: 32)
    let (source, other, fast) = (try bench.source(), try bench.worker(0), try bench.worker(1))
    try bench.put(1...20, source)
    try Self.work(other)
    #expect(try other.claim() != nil)
    for n in 3...7 { #expect(try Self.work(fast) == n) }
    fast.pause.usual = 30_000
    #expect(try fast.waitForInput() == .ready)
    #expect(try Self.work(fast) == 8)
    // What another has left comes at once, however long the pause may be.
    fast.pause.usual = 3_600_000_000_000
    try bench.recover(0)
    #expect(try Self.work(fast) == 1 && fast.canCommit)
    bench.closed()
  }

  /// Until its slot is free, an older message may come back: its worker may die before its commit.
  @Test func whatIsBeingAcknowledgedIsStillOpen() throws {
    let bench = try Bench()
    let (source, first, second) = (try bench.source(), try bench.worker(0), try bench.worker(1))
    try bench.put(1...2, source)
    #expect(try Self.work(first) == 1 && Self.work(second) == 2)
    var looks: [Bool] = []
    Failpoint.handler = { if [.settled, .committed, .published].contains($0) { looks.append(second.canCommit) } }
    defer { Failpoint.handler = nil }
    try first.commit()
    #expect(looks == [false, false, false] && second.canCommit)
    bench.closed()
  }

  /// What is claimed by turns is handed over by turns, however much of it a commit could take.
  @Test func aCommitStopsAtWhatAnotherHas() throws {
    let bench = try Bench()
    let (source, sink, a, b) = (try bench.source(), try bench.sink(), try bench.worker(0), try bench.worker(1))
    try bench.put(1...6, source)
    for n in stride(from: 1, through: 5, by: 2) {
      #expect(try Self.work(a, { $0 % 3 }) == n)
      #expect(try Self.work(b, { $0 % 3 }) == n + 1)
    }
    for (handoff, left) in [(a, 2), (a, 2), (b, 2), (b, 2), (a, 1), (b, 1), (a, 0), (b, 0)] {
      try handoff.commit()
      #expect(handoff.pendingCalls == left)
    }
    #expect(try Self.read(sink) == ["1.0", "2.0", "2.1", "4.0", "5.0", "5.1"])
    bench.closed()
  }

  /// The one with the oldest message dies. Whoever has gone ahead and can take no more takes this one, and hands it over first.
  @Test(arguments: [2, 64]) func whoIsAheadTakesWhatComesBack(capacity: Int) throws {
    let bench = try Bench(outputs: capacity)
    let (source, sink, victim, other) = (try bench.source(), try bench.sink(), try bench.worker(0), try bench.worker(1))
    try bench.put(1...6, source)
    #expect(try Self.work(victim) == 1 && Self.work(victim) == 2)
    for n in 3...4 { #expect(try Self.work(other) == n) }
    // It holds as many as the queue behind it does.
    if capacity == 2 { #expect(try other.claim() == nil && bench.input.readySlots == 2) }
    try bench.recover(0)
    #expect(try other.waitForInput() == .ready)
    #expect(try Self.work(other) == 1 && Self.work(other) == 2)
    #expect(other.canCommit)
    if capacity > 2 {
      try other.commit()
      #expect(try Self.read(sink) == ["1.0", "2.0", "3.0", "4.0"])
    }
    bench.closed()
  }

  /// A message that comes back makes more than a queue holds: its parts go before what was made of later ones.
  @Test func partsOfAnOlderMessageGoFirst() throws {
    let bench = try Bench(outputs: 8)
    let (source, sink, victim, other) = (try bench.source(), try bench.sink(), try bench.worker(0), try bench.worker(1))
    try bench.put(1...3, source)
    #expect(try victim.claim() != nil)
    for n in 2...3 { #expect(try Self.work(other, { $0 - 1 }) == n) }
    try bench.recover(0)
    let lease = try #require(try other.claim())
    #expect(Self.number(lease) == 1)
    other.begin(lease)
    var seen: [String] = []
    for i in 0..<10 {
      try Self.emit("1.\(i)", other)
      seen += try Self.read(sink)
    }
    other.end(.done)
    while other.pendingCalls > 0 {
      try other.commit()
      seen += try Self.read(sink)
    }
    #expect(seen == (0..<10).map { "1.\($0)" } + ["2.0", "3.0", "3.1"])
    #expect(bench.output.isDrained && bench.input.isDrained)
    bench.closed()
  }

  /// The worker has both messages, and begins with the later one: in parts it would wait for itself.
  @Test func aCallInPartsDoesNotWaitForItsOwnWorker() throws {
    let bench = try Bench(outputs: 4)
    let (source, sink, worker) = (try bench.source(), try bench.sink(), try bench.worker(0))
    try bench.put(1...2, source)
    let leases = try (0..<2).map { _ in try #require(try worker.claim()) }
    worker.begin(leases[1])
    #expect(throws: RingError.outOfTurn) { for i in 0..<6 { try Self.emit("2.\(i)", worker) } }
    worker.abandon()
    var seen: [String] = []
    for (n, lease) in leases.enumerated() {
      worker.begin(lease)
      for i in 0..<6 {
        try Self.emit("\(n + 1).\(i)", worker)
        seen += try Self.read(sink)
      }
      worker.end(.done)
      try worker.commit()
      seen += try Self.read(sink)
    }
    #expect(seen == (1...2).flatMap { n in (0..<6).map { "\(n).\($0)" } })
    bench.closed()
  }

  /// One of two workers is abandoned after its k-th step, for every k, while both go ahead of each other.
  @Test(arguments: [UInt64(1), 2, 3, 4, 5, 6]) func everyStep(seed: UInt64) throws {
    var step = 0
    while true {
      var random = Seeded(seed)
      let bench = try Bench(start: seed % 2 == 0 ? .zero : .justBelowOverflow)
      let (source, sink) = (try bench.source(), try bench.sink())
      var workers = [try bench.worker(0), try bench.worker(1)]
      var (steps, wasAbandoned, next) = (0, false, 1)
      var seen: [String] = []
      struct Abandoned: Error {}
      for _ in 0..<400 {
        if bench.input.openSlots <= 4, next < 30 {
          try bench.put(next...next + 5, source)
          next += 6
        }
        let lane = Int.random(in: 0..<2, using: &random)
        if lane == 0, !wasAbandoned {
          Failpoint.handler = { _ in
            steps += 1
            if steps > step { throw Abandoned() }
          }
        }
        do {
          if Int.random(in: 0..<3, using: &random) == 0 { try workers[lane].commit() } else { try Self.work(workers[lane]) { $0 % 4 } }
          Failpoint.handler = nil
        } catch is Abandoned {
          Failpoint.handler = nil
          wasAbandoned = true
          try bench.recover(lane)
          workers[lane] = try bench.worker(lane)
        }
        seen += try Self.read(sink)
      }
      while bench.input.openSlots > 0 {
        for worker in workers {
          while try Self.work(worker, { $0 % 4 }) != nil {}
          try worker.commit()
        }
        seen += try Self.read(sink)
      }
      try #require(seen == (1..<next).flatMap { n in (0..<n % 4).map { "\(n).\($0)" } }, "seed \(seed), abandoned after step \(step)")
      bench.closed()
      if !wasAbandoned { break }
      step += 1
    }
    #expect(step > 50, "the walk through the steps did not happen")
  }

  struct Crew: CustomTestStringConvertible, Sendable {
    var inputs: Int
    var outputs: Int
    var workers: Int
    /// Large ones are short of memory long before they are short of places.
    var payload = 0
    var testDescription: String { "\(workers) workers, \(inputs) inputs, \(outputs) outputs\(payload > 0 ? " of \(payload) bytes" : "")" }
  }

  /// Workers on threads of their own die at random, some calls make nothing, some more than the queue behind them holds.
  @Test(arguments: [
    Crew(inputs: 2, outputs: 1, workers: 2), Crew(inputs: 3, outputs: 2, workers: 3), Crew(inputs: 16, outputs: 4, workers: 4),
    Crew(inputs: 64, outputs: 64, workers: 3), Crew(inputs: 16, outputs: 3, workers: 3, payload: 17_000),
  ])
  func inOrderWhoeverDies(crew: Crew) throws {
    let (outputs, workers) = (crew.outputs, crew.workers)
    let seed = testSeed()
    let bench = try Bench(inputs: crew.inputs, outputs: outputs, workers: workers)
    let messages = crew.payload > 0 ? 400 : 1_500
    let done = Atomic<Int>(0)
    let deaths = Atomic<Int>(0)
    let failures = Mutex<[String]>([])
    @Sendable func count(_ n: Int) -> Int { n % 50 == 0 ? 2 * outputs + 1 : n % 4 }
    for lane in 0..<workers {
      #expect(Thread.start {
        struct Killed: Error {}
        var random = Seeded(seed &+ UInt64(lane))
        while true {
          do {
            let handoff = try bench.worker(lane)
            var left = 20 + Int.random(in: 0..<400, using: &random)
            Failpoint.handler = { _ in
              left -= 1
              if left < 0 { throw Killed() }
            }
            defer { Failpoint.handler = nil }
            var sinceCommit = 0
            while true {
              let worked = try Self.work(handoff, payload: crew.payload, count)
              sinceCommit += 1
              if worked == nil || sinceCommit > 3 || handoff.isHeavy {
                sinceCommit = 0
                if handoff.canCommit { try handoff.commit() } else if worked == nil, try handoff.waitForInput() == .closed { break }
              }
            }
            Failpoint.handler = nil
            try handoff.close()
            break
          } catch is Killed {
            deaths.add(1, ordering: .relaxed)
            do { try bench.recover(lane) } catch { failures.withLock { $0.append("recovery: \(error)") } }
          } catch {
            failures.withLock { $0.append("\(error)") }
            break
          }
        }
        done.add(1, ordering: .releasing)
      })
    }
    #expect(Thread.start {
      do {
        let source = try bench.source()
        for n in 1...messages { try bench.put(n...n, source) }
        try source.close()
      } catch { failures.withLock { $0.append("source: \(error)") } }
      bench.input.close()
    })
    let sink = try bench.sink()
    var seen: [String] = []
    let expected = (1...messages).flatMap { n in (0..<count(n)).map { "\(n).\($0)" } }
    while failures.withLock({ $0.isEmpty }) {
      let more = try Self.read(sink)
      seen += more
      if more.isEmpty {
        if done.load(ordering: .acquiring) == workers, bench.output.isDrained { break }
        Processor.yield()
      }
    }
    #expect(failures.withLock { $0 }.isEmpty, "seed \(seed)")
    let wrong = zip(seen, expected).enumerated().first { $1.0 != $1.1 }
    #expect(wrong == nil && seen.count == expected.count, "seed \(seed): \(String(describing: wrong)), \(seen.count) of \(expected.count)")
    #expect(deaths.load(ordering: .relaxed) > workers, "nobody died")
    #expect(bench.input.lateWakes == 0 && bench.output.lateWakes == 0)
    bench.closed()
  }
}
}
