import Platform

// What a worker claims, and how it waits for more.

extension Handoff {
  /// Claims messages; never waits. One that must be worked on alone comes alone.
  package func claim(atMost most: Int, into leases: inout [Lease]) throws -> Int {
    var n = 0
    while n < most, let lease = try claim() {
      leases.append(lease)
      n += 1
      if lease.isAlone { break }
    }
    return n
  }

  /// Claims the next message; never waits.
  @inline(__always)
  package func claim() throws -> Lease? {
    guard let input, let lease = try mayClaim ? input.pointee.claim() : input.pointee.claimReturned() else { return nil }
    if isOrdered { pause.callBegins() }
    try input.pointee.passOn()
    return lease
  }

  /// Waits for a message or for the end. `closed` means that the ring was closed before a look at every slot found
  /// nothing: in this order, or a message that came in between would be left.
  package func waitForInput() throws -> InputState {
    guard let input else { return .closed }
    if !ended.isEmpty { return try waitForTurn(input) }
    // A wait that is about as short as a few looks at the clock is not worth counting.
    for _ in 0..<64 {
      if input.pointee.hasMessage() { return .ready }
      Processor.pause()
    }
    cell.beginWait(.input, at: Clock.now)
    defer { cell.endWait(at: Clock.now) }
    while true {
      let isClosed = input.pointee.ring.isClosed
      if input.pointee.hasMessage() { return .ready }
      if isClosed { return input.pointee.hasAnyMessage() ? .ready : .closed }
      try waiting { try input.pointee.wait() }
    }
  }

  /// Says that this reader gathers messages, so that writers who wait for the places that it holds wake it.
  package func gathers() { input?.pointee.ring.word(Ring.Offset.gathered).release(1) }

  /// Whether a writer waits for room.
  package var hasWaitingWriters: Bool { input?.pointee.ring.hasSleepers(.producers) ?? false }

  /// Waits for one more message beside those that are held.
  ///
  /// - Parameter deadline: a time of `Clock.now`
  /// - Returns: false when it is over, nothing more will come, or a writer waits for room
  package func waitForMore(until deadline: UInt64) throws -> Bool {
    guard let input else { return false }
    if input.pointee.hasMessage() { return true }
    cell.beginWait(.input, at: Clock.now)
    defer { cell.endWait(at: Clock.now) }
    while true {
      let isClosed = input.pointee.ring.isClosed
      if input.pointee.hasMessage() { return true }
      if isClosed || Clock.now >= deadline || input.pointee.ring.hasSleepers(.producers) { return false }
      try waiting { try input.pointee.wait(until: deadline) { $0.canGoOn || $0.ring.hasSleepers(.producers) } }
    }
  }

  /// Whether no fresh messages will come; one that a dead worker had may still come back.
  package var isInputClosed: Bool { input?.pointee.ring.isClosed ?? true }

  /// Counts what `body` takes as waiting for input: a source that waits for the outside, or a sink for an answer.
  package func waitingForInput<T>(_ body: () throws -> T) rethrows -> T {
    cell.beginWait(.input, at: Clock.now)
    defer { cell.endWait(at: Clock.now) }
    return try waiting(body)
  }

  /// For a bell: whether the input has something or has ended, seen by another thread's own reader.
  var inputRing: Ring? { input?.pointee.ring }
  var inputLane: Int { input?.pointee.lane ?? 0 }
  var inputEpoch: UInt64 { input?.pointee.epoch ?? 0 }
}
