import Platform

// Outputs in the order of the inputs. Calls that have ended before their turn line up by it; the worker claims on meanwhile, and at last
// waits for whoever has the oldest message. That one may have died: then its message is put back, and whoever waits takes it.

extension Handoff {
  /// How many of the ended calls may be handed over now.
  var due: Int {
    guard !ended.isEmpty, order?.isFirst(ended[0].sequence) ?? true else { return 0 }
    var n = 1
    while n < ended.count, order?.isNext(ended[n].sequence, after: ended[n - 1].sequence) ?? true { n += 1 }
    return n
  }

  /// Whether more calls may end before those that wait are handed over: each output takes as much memory as its queue has places, no more.
  @inline(__always)
  var mayHoldMore: Bool {
    if !isOrdered { return true }
    for i in 0..<outputs.count where outputs[i].records.count >= outputs[i].ring.shape.capacity { return false }
    return true
  }

  /// The call that has ended last goes where its input's place is: one that was put back is older than what waits.
  func moveLastIntoOrder() {
    let last = ended.count - 1
    let sequence = ended[last].sequence
    var place = last
    while place > 0, ended[place - 1].sequence > sequence { place -= 1 }
    if place == last { return }
    for i in 0..<outputs.count {
      let count = recordsEnd(last, i) - recordsEnd(last - 1, i)
      let before = place == 0 ? 0 : recordsEnd(place - 1, i)
      outputs[i].records.moveLast(count, to: before)
      if isUniform {
        if i > 0 { continue }
        for call in place..<last { ended[call].recordsEnd += count }
        ended[last].recordsEnd = before + count
      } else {
        for call in place..<last { ends[call * outputs.count + i] += count }
        ends[last * outputs.count + i] = before + count
      }
    }
    ended.moveLast(1, to: place)
    if !isUniform { ends.moveLast(outputs.count, to: place * outputs.count) }
  }

  /// Waits until calls may be handed over, or there is more to claim.
  func waitForTurn(_ input: UnsafeMutablePointer<Consumer>) throws -> InputState {
    try waitForTurn(input) { self.due > 0 || (self.mayHoldMore ? $0.hasMessage() : $0.hasReturned) }
    return .ready
  }

  /// Waits until calls may be handed over, while nothing may be claimed.
  ///
  /// - Parameter deadline: a time of `Clock.now`
  package func waitForTurn(until deadline: UInt64) throws {
    guard let input else { return }
    try waitForTurn(input, until: deadline) { _ in self.due > 0 }
  }

  private func waitForTurn(_ input: UnsafeMutablePointer<Consumer>, until deadline: UInt64 = .max, _ isReady: (inout Consumer) -> Bool) throws {
    try spillSurplus()
    if isReady(&input.pointee) { return }
    cell.beginWait(.turn, at: Clock.now)
    defer { cell.endWait(at: Clock.now) }
    while !isReady(&input.pointee), deadline == .max || Clock.now < deadline {
      try waiting { try input.pointee.wait(until: deadline, isReady) }
    }
  }

  /// Hands over what comes before the open call, and returns when its turn has come. Nothing is claimed meanwhile: what was put back is
  /// taken by others, or by the successor of whoever had it.
  ///
  /// - Throws: `RingError.outOfTurn` when it would wait for its own worker
  func commitInTurn() throws {
    guard let input else { return }
    if holdsOlder(input.pointee.ring) { throw RingError.outOfTurn }
    while true {
      try commit()
      if order?.isFirst(inputSequence) ?? true { return }
      try waitForTurn(input) { _ in self.due > 0 || self.order?.isFirst(self.inputSequence) ?? true }
    }
  }

  /// Whether the worker holds an older message than the open call's whose call has not ended: one of the same batch.
  private func holdsOlder(_ ring: Ring) -> Bool {
    let waiting = Set((0..<ended.count).map { ended[$0].sequence })
    return (0..<ring.shape.capacity).contains { i in
      let (state, sequence) = (ring.slot(i).state, ring.slot(i).sequence.relaxed)
      return state.isHeld && state.owner == worker && sequence < inputSequence && !waiting.contains(sequence)
    }
  }

  /// After the inputs of calls are free: the turn is another's, who may sleep.
  func passTurn(_ sequence: UInt64) {
    order?.pass(sequence)
    input?.pointee.wakeFellows()
  }
}
