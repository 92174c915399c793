/// Whose turn it is in a stage whose outputs follow the order of its inputs: the message's of which no older one is open.
///
/// A message stays in the slot of its position until it is acknowledged, also when its lease is moved along. Readers claim along the
/// line, so every position before a claimed one has been taken, and none of them can get a message any more: each is looked at once.
struct InputOrder {
  private let view: RingView
  /// No position before it has an open message; nil before the first look.
  private(set) var front: UInt64?

  init(_ ring: Ring) { view = ring.view }

  /// Whether all messages older than one that the caller has claimed have been acknowledged.
  mutating func isFirst(_ sequence: UInt64) -> Bool {
    let found = firstOpen(from: front ?? oldest(before: sequence), before: sequence)
    front = found
    return found >= sequence
  }

  /// Whether no message between two that the caller has claimed is open.
  func isNext(_ sequence: UInt64, after other: UInt64) -> Bool { firstOpen(from: other &+ 1, before: sequence) >= sequence }

  /// Whether the oldest message that is open has been worked on, or is about to be, and waits for its worker to hand it over.
  ///
  /// - Parameter sequence: a message that the caller has claimed
  mutating func waitsForHandOver(before sequence: UInt64) -> Bool {
    if isFirst(sequence) { return true }
    guard let front else { return false }
    let fields = view.slot(view.place(front).index)
    let word = fields.state
    // In this order: what stands in a slot that is another message's by then was handed over in between.
    let isInHand = SlotAux(raw: fields.aux.acquired).mark == word.deaths + 1
    return fields.sequence.relaxed != front || word.isHeld && !isInHand
  }

  /// The caller has acknowledged this message, which was the first.
  mutating func pass(_ sequence: UInt64) { front = max(front ?? 0, sequence &+ 1) }

  private func firstOpen(from start: UInt64, before end: UInt64) -> UInt64 {
    var position = start
    if position >= end { return position }
    var i = view.place(position).index
    while position < end {
      let fields = view.slot(i)
      // In this order: a slot that is another message's by then was acknowledged in between.
      if fields.state.isOpen, fields.sequence.relaxed == position { break }
      position &+= 1
      i = i + 1 == view.count ? 0 : i + 1
    }
    return position
  }

  /// A lease may have been moved along for any number of laps, so whoever comes new looks at all slots.
  private func oldest(before sequence: UInt64) -> UInt64 {
    var oldest = sequence
    for i in 0..<view.count where view.slot(i).state.isOpen { oldest = min(oldest, view.slot(i).sequence.relaxed) }
    return oldest
  }
}
