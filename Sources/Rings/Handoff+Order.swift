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

  /// Whether fresh messages may be claimed. Not while many calls wait that could be handed over if only their workers came to it: each hands
  /// over what is its own between two calls, so if all of them claimed on, the line would stay as long as it once got, and the next slow message
  /// could be passed by none. Once they pause, one after the other hands over all it has.
  @inline(__always)
  var mayClaim: Bool {
    if !isOrdered { return true }
    return mayHoldMore && !isBehind()
  }

  private func isBehind() -> Bool {
    let count = ended.count
    guard count > 1, let input, pause.isOn || isLong(count, input.pointee.ring.shape.capacity) else {
      pause.isOn = false
      return false
    }
    let isOpen = self.order?.waitsForHandOver(before: ended[0].sequence) ?? false
    pause.isOn = isOpen && pause.mayGoOn(for: order?.front, at: Clock.now)
    return pause.isOn
  }

  /// Whether the calls that wait take up much of what the stage may be ahead: a share of the queue, or, among many processes, half of it.
  private func isLong(_ count: Int, _ capacity: Int) -> Bool {
    count >= max(2, capacity / 8) || ended[count - 1].sequence &- ended[0].sequence >= UInt64(capacity / 2)
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
    let deadline = mayClaim || !pause.isOn ? UInt64.max : pause.deadline
    try waitForTurn(input, until: deadline) { self.due > 0 || (self.mayClaim ? $0.hasMessage() : $0.hasReturned) }
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

/// A worker's pause from claiming, in which those that wait are handed over. It lasts no longer than the calls of the others should take, for
/// whoever has the oldest message may be in a slow one, which is to be passed.
struct CatchingUp {
  var isOn = false
  private(set) var deadline: UInt64 = 0
  /// The oldest message for which it was begun last.
  private var front: UInt64?
  /// When the call that is measured was begun; 0 when none is.
  private var began: UInt64 = 0
  private var calls: UInt8 = 0
  /// What a call took of late, in nanoseconds.
  var usual: UInt64 = 0

  /// Nobody pauses for calls that take less, in nanoseconds: to sleep and to be woken takes longer.
  private static let worthWhile: UInt64 = 20_000

  /// Of fast calls only some are measured: the clock takes as long as they do.
  mutating func callBegins() {
    calls &+= 1
    began = usual >= Self.worthWhile || calls & 7 == 0 ? Clock.now : 0
  }

  mutating func callEnded() {
    if began == 0 { return }
    let took = Clock.now &- began
    // One slow call makes no others slow.
    usual = usual == 0 ? took : (usual &* 3 &+ min(took, usual &* 4)) / 4
  }

  mutating func mayGoOn(for front: UInt64?, at now: UInt64) -> Bool {
    if usual < Self.worthWhile { return false }
    if front != self.front {
      self.front = front
      deadline = now &+ 2 &* usual
    }
    return now < deadline
  }
}
