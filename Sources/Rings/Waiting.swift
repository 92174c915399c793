import Platform

/// Sleeping and waking. Every peer has a lane: a bit in its side's mask and a word to sleep on.
///
/// A waiter sets its bit, fences, looks again, and sleeps on the value that its word had before. A waker makes its
/// change visible, fences, reads the mask, and elects one sleeper by clearing its bit: whichever of the two comes second
/// in the order of the fences sees the other. Clearing the bit pays for one system call a sleeper, not one a message.
extension Ring {
  enum Side { case consumers, producers }

  private func mask(_ side: Side, _ lane: Int) -> (word: SharedWord, bit: UInt64) {
    let base = side == .consumers ? Offset.consumerMasks : Offset.producerMasks
    return (word(base + (lane >> 6) * 8), 1 << UInt64(lane & 63))
  }

  private func lanes(_ side: Side) -> Int { side == .consumers ? shape.consumers : shape.producers }

  private func sleepingPlace(_ side: Side, _ lane: Int) -> UnsafeMutableRawPointer {
    memory.base + shape.lanesOffset + ((side == .consumers ? 0 : shape.consumers) + lane) * RingShape.line
  }

  /// Whether anybody sleeps on this side. Exact only behind a fence.
  @inline(__always)
  func hasSleepers(_ side: Side) -> Bool {
    let base = side == .consumers ? Offset.consumerMasks : Offset.producerMasks
    if lanes(side) <= 64 { return word(base).relaxed != 0 }
    return (0..<(lanes(side) + 63) / 64).contains { word(base + $0 * 8).relaxed != 0 }
  }

  /// Sleeps until somebody wakes this lane. `isReady` is asked once more after the bit is set.
  ///
  /// - Parameter deadline: a time of `Clock.now` that the caller does not want to pass
  func park(_ side: Side, _ lane: Int, for patience: inout Patience, until deadline: UInt64 = .max, unless isReady: () -> Bool) throws {
    let (mask, bit) = mask(side, lane)
    let place = sleepingPlace(side, lane)
    let ticket = SharedWord(place).acquired
    try Failpoint.waiterMarks.hit()
    mask.setBits(bit)
    SharedWord.fence()  // pairs with the fence before wakeOne and wakeAll
    try Failpoint.waiterMarked.hit()
    if !isReady() {
      try Failpoint.sleeps.hit()
      let end = min(patience.deadline, Int64(clamping: deadline))
      let late = Futex.wait(place, expected: UInt32(truncatingIfNeeded: ticket), deadline: end) && end < Int64(clamping: deadline)
      let isForgotten = late && isReady()
      if isForgotten { _ = word(Offset.lateWakes).add(1) }
      patience.learn(isIdle: late && !isForgotten)
    }
    mask.clearBits(bit)
  }

  /// Wakes one sleeper of a side, if there is one. The caller has made its change visible and has fenced.
  func wakeOne(_ side: Side) throws {
    let words = (lanes(side) + 63) / 64
    // Beginning at another place each time, so that nobody sleeps for ever beside busy neighbours.
    let start = Int(truncatingIfNeeded: word(Offset.head).relaxed & 0xffff) % max(1, lanes(side))
    for turn in 0...words {
      let index = (start / 64 + turn) % max(1, words)
      var (word, _) = mask(side, index * 64)
      var bits = word.relaxed
      while bits != 0 {
        let later = turn == 0 ? bits & (~0 << UInt64(start & 63)) : bits
        let candidates = later != 0 ? later : bits
        let bit = candidates & (~candidates &+ 1)
        if let found = word.exchange(bits, bits & ~bit) {
          bits = found
          continue
        }
        try Failpoint.woke.hit()
        let lane = index * 64 + bit.trailingZeroBitCount
        guard lane < lanes(side) else {
          (word, _) = mask(side, index * 64)
          bits = word.relaxed
          continue
        }
        rouse(side, lane)
        return
      }
    }
  }

  /// Wakes everybody who sleeps on a side.
  func wakeAll(_ side: Side) {
    for lane in 0..<lanes(side) {
      let (word, bit) = mask(side, lane)
      if word.relaxed & bit != 0 {
        word.clearBits(bit)
        rouse(side, lane)
      }
    }
  }

  /// For recovery and for closing: a dead waker may have cleared a bit and not have called, so every lane is called.
  func wakeAll() {
    SharedWord.fence()
    for side in [Side.consumers, .producers] {
      for lane in 0..<lanes(side) {
        let (word, bit) = mask(side, lane)
        word.clearBits(bit)
        rouse(side, lane)
      }
    }
  }

  /// Forgets that a dead worker sleeps.
  func clearLane(_ side: Side, _ lane: Int) {
    guard 0..<lanes(side) ~= lane else { return }
    let (word, bit) = mask(side, lane)
    word.clearBits(bit)
  }

  private func rouse(_ side: Side, _ lane: Int) {
    let place = sleepingPlace(side, lane)
    _ = SharedWord(place).add(1)
    Futex.wake(place)
  }
}

/// How long to sleep before looking whether a wake-up was forgotten: a minute after work, then twice as long each time, up to
/// an hour, so that an idle pipeline costs nothing.
struct Patience: BitwiseCopyable {
  private var seconds: Int64

  init(seconds: Int64 = 60) { self.seconds = seconds }

  /// Nanoseconds of `Clock.now`.
  var deadline: Int64 { Int64(clamping: Clock.now) &+ seconds * 1_000_000_000 }

  mutating func learn(isIdle: Bool) { seconds = isIdle ? min(3600, seconds * 2) : 60 }
}

/// How long to spin before sleeping. Waking somebody costs the waker some 7 microseconds, and 25 pass until a sleeper on another core
/// runs: a wait that tends to be a few times as long as that is spun away, giving the core to whoever else wants it; one that tends to
/// be longer would only keep the core from whoever is waited for.
struct SpinBudget: BitwiseCopyable {
  /// Measured with four processes on two cores that hand on 64 bytes: with at most 40 microseconds half of the time was lost in wake-ups.
  private static let longest: UInt64 = 100_000
  private static let shortest: UInt64 = 1_000
  /// A wait up to this long counts as one that should have been spun away.
  private static let worthwhile = 2 * longest

  private var nanoseconds: UInt64 = 20_000

  /// - Parameter start: `Clock.now`, looked at a moment ago
  /// - Returns: whether it became ready
  func spin(from start: UInt64, until isReady: () -> Bool) -> Bool {
    while true {
      for _ in 0..<32 {
        if isReady() { return true }
        Processor.pause()
      }
      let spent = Clock.now &- start
      if spent > nanoseconds { return false }
      if spent > 2_000 { Processor.yield() }
    }
  }

  /// Learns from how long a wait took in the end, spun or slept.
  mutating func learn(_ waited: UInt64) {
    nanoseconds = waited < Self.worthwhile ? min(Self.longest, nanoseconds * 2) : max(Self.shortest, nanoseconds / 2)
  }
}
