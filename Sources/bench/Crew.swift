import CBench
import Platform

/// What one process of a measurement shares with the others: when to start, when to stop, and what it has counted.
struct Place {
  let page: OpaquePointer
  let lane: Int32

  /// Says that everything is set up, and waits for the start.
  func ready() { cbench_lane_ready(page, lane) }
  var isStopped: Bool { cbench_is_stopped(page) != 0 }
  func note(_ count: UInt64, sum: UInt64) { cbench_note(page, lane, count, sum) }
}

/// A way to get messages from producers to consumers, each a process of its own.
protocol Contender {
  /// Sends messages, numbered from 0, until it is stopped; then notes how many there were.
  func produce(_ producer: Int, _ place: Place) throws
  /// Takes messages until there are no more, noting how many and the sum of their numbers.
  func consume(_ consumer: Int, _ place: Place) throws
  /// In the parent, when the last producer has gone.
  func close()
}

/// Runs a contender: producers on CPU 0, consumers on CPU 1, all at once, and counts what the consumers have taken in a
/// window of time. Then everything is drained, and what arrived must be what was sent.
struct Crew {
  var producers: Int
  var consumers: Int
  /// A consumer beside the others, which is not counted in the rate.
  var bystander: (@Sendable (Place) throws -> Void)?
  var warmUp: Double
  var seconds: Double

  struct Result {
    /// Messages a second.
    var rate: Double
    var messages: UInt64
  }

  func run(_ contender: some Contender) throws -> Result {
    guard let page = cbench_page_make() else { throw SystemError("mmap", "the shared page") }
    defer { cbench_page_free(page) }
    var pids: [Int32] = []
    func child(cpu: Int32, _ body: (Place) throws -> Void) throws {
      let place = Place(page: page, lane: Int32(pids.count))
      let pid = cbench_fork(UInt32(warmUp + seconds) + 30)
      if pid < 0 { throw SystemError("fork", "") }
      if pid > 0 { return pids.append(pid) }
      cbench_pin(cpu)
      do {
        try body(place)
        cbench_exit(0)
      } catch {
        try? Descriptors.writeAll(2, "bench: \(error)\n")
        cbench_exit(1)
      }
    }
    // Consumers first: what a producer finds is somebody who reads.
    for i in 0..<consumers { try child(cpu: 1) { try contender.consume(i, $0) } }
    let others = bystander == nil ? 0 : 1
    if let bystander { try child(cpu: 1) { try bystander($0) } }
    for i in 0..<producers { try child(cpu: 0) { try contender.produce(i, $0) } }
    cbench_wait_ready(page, Int32(pids.count))
    cbench_start(page)

    func taken() -> UInt64 { (0..<consumers).reduce(0) { $0 + cbench_count(page, Int32($1)) } }
    // On a busy machine a process may have to wait for its core first.
    let patience = Clock.now + 20_000_000_000
    while taken() == 0, Clock.now < patience { cbench_pause_us(200) }
    cbench_pause_us(UInt32(warmUp * 1e6))
    let (before, start) = (taken(), Clock.now)
    cbench_pause_us(UInt32(seconds * 1e6))
    let (after, end) = (taken(), Clock.now)
    cbench_stop(page)
    try reap(pids, producers: Set(pids[(consumers + others)...]), close: contender.close)

    func total(_ lanes: Range<Int>, _ value: (OpaquePointer, Int32) -> UInt64) -> UInt64 { lanes.reduce(0) { $0 &+ value(page, Int32($1)) } }
    let (from, to) = (consumers + others, consumers + others + producers)
    let (sent, arrived) = (total(from..<to, cbench_count), total(0..<from, cbench_count))
    guard sent == arrived, total(from..<to, cbench_sum) == total(0..<from, cbench_sum) else {
      throw Invalid("\(sent) messages were sent and \(arrived) arrived, or they are not the same")
    }
    return Result(rate: Double(after - before) * 1e9 / Double(end - start), messages: arrived)
  }

  /// Waits for everybody. One that fails ends the others, which might wait for it for ever.
  private func reap(_ pids: [Int32], producers: Set<Int32>, close: () -> Void) throws {
    var left = Set(pids)
    if producers.isEmpty { close() }
    while !left.isEmpty {
      var pid: Int32 = -1
      let status = cbench_wait(-1, &pid)
      left.remove(pid)
      if status != 0 {
        for other in left { cbench_kill(other) }
        for other in left { _ = cbench_wait(other, nil) }
        throw Invalid("\(producers.contains(pid) ? "a producer" : "a consumer") ended with status \(status)")
      }
      if producers.contains(pid), left.isDisjoint(with: producers) { close() }
    }
  }
}

/// A way to send a message to another process and to get it back.
protocol Echo {
  /// In the other process: sends back what comes, until the end.
  func echo() throws
  /// Called once in this process before `ping`.
  func begin() throws
  /// Sends message `number` and waits for its return.
  func ping(_ number: UInt64) throws
  func close()
}

extension Crew {
  /// Round trips in nanoseconds, in the order of their length.
  static func roundTrips(_ echo: some Echo, seconds: Double) throws -> [UInt64] {
    let pid = cbench_fork(UInt32(seconds) + 30)
    if pid < 0 { throw SystemError("fork", "") }
    if pid == 0 {
      cbench_pin(1)
      do {
        try echo.echo()
        cbench_exit(0)
      } catch {
        try? Descriptors.writeAll(2, "bench: \(error)\n")
        cbench_exit(1)
      }
    }
    cbench_pin(0)
    try echo.begin()
    var all: [UInt64] = []
    all.reserveCapacity(1 << 20)
    var number: UInt64 = 0
    let start = Clock.now
    let warm = start + UInt64(seconds * 0.2e9)
    let end = start + UInt64(seconds * 1.2e9)
    while true {
      let sent = Clock.now
      if sent > end, all.count >= 3 { break }
      try echo.ping(number)
      let back = Clock.now
      if sent > warm { all.append(back - sent) }
      number += 1
    }
    echo.close()
    let status = cbench_wait(pid, nil)
    if status != 0 { throw Invalid("the echo ended with status \(status)") }
    return all.sorted()
  }
}
