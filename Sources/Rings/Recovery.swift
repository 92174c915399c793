import Platform

/// Puts right what a dead worker left. Called by the runner alone, and only after the worker has been reaped: a process
/// that is merely stopped may still write.
///
/// The order matters, and every step can be repeated: all slots of all rings, then the segments, then the sweep, then the
/// redelivery epoch, then the cell, then everybody is woken. Only then may the worker's number be given to another.
package enum Recovery {
  /// A ring that the worker was attached to, with its lanes there.
  package struct Attachment {
    package var ring: Ring
    package var consumerLane: Int?
    package var producerLane: Int?
    /// Which of the worker's readers the ring belongs to, where several belong to one (`Partition`); nil where each has one.
    package var reader: Int?

    package init(ring: Ring, consumerLane: Int? = nil, producerLane: Int? = nil, reader: Int? = nil) {
      self.ring = ring
      self.consumerLane = consumerLane
      self.producerLane = producerLane
      self.reader = reader
    }
  }

  package struct Summary: Sendable, Equatable {
    /// Whether the worker died inside a commit that had happened.
    package var rolledForward = false
    /// Messages that went back to their queue.
    package var redelivered = 0
    /// Outputs that were taken back, and outputs that were published for the dead.
    package var voided = 0
    package var published = 0
    /// Inputs that were acknowledged for the dead.
    package var freed = 0
    /// Messages that the worker had in hand: their ids and how many workers have died with them by now.
    package var deaths: [Death] = []
  }

  package struct Death: Sendable, Equatable {
    package var id: MessageID
    package var deaths: Int
  }

  /// - Parameters:
  ///   - countsDeaths: whether the messages that it had in hand are to blame; not when the runner has ended it
  ///   - death: how it died, kept for who gives up such a message
  package static func recover(
    worker: WorkerNumber, cell: CommitCell, rings: [Attachment], countsDeaths: Bool = true,
    death: CommitCell.Death = CommitCell.Death(signal: 0, lastLines: [])
  ) throws -> Summary {
    var summary = Summary()
    cell.begin(death)
    summary.rolledForward = cell.isBusy
    try finishDropping(worker, cell, rings)
    let isBusy = cell.isBusy
    let record = cell.record
    for attachment in rings {
      let ring = attachment.ring
      for i in 0..<ring.shape.capacity {
        let part = attachment.consumerLane != nil && record.partSlot == i ? record.partCount : nil
        try repair(ring, i, worker, cell, isBusy, part, countsDeaths, isReader: attachment.consumerLane != nil, &summary)
      }
    }
    for attachment in rings {
      try orphanSegments(attachment.ring, of: worker)
      sweep(attachment.ring.view)
      if attachment.ring.word(Ring.Offset.starving).relaxed == UInt64(worker) {
        attachment.ring.word(Ring.Offset.starving).release(0)
      }
    }
    for attachment in rings { _ = attachment.ring.word(Ring.Offset.epoch).add(1) }
    if record.partSlot != nil {
      // The slot holds the count now; a later message in the same slot must not find it in the cell.
      var cleared = record
      cleared.partSlot = nil
      cleared.partCount = 0
      try cell.commit(cleared, cell.allCounts)
    }
    try cell.clearBusy()
    cell.endWait(at: Clock.now)
    if cell.calls & 1 == 1 { cell.callChanged() }
    for attachment in rings {
      if let lane = attachment.consumerLane { attachment.ring.clearLane(.consumers, lane) }
      if let lane = attachment.producerLane { attachment.ring.clearLane(.producers, lane) }
      attachment.ring.wakeAll()
    }
    return summary
  }

  /// Messages that a writer had taken out of a line to drop them are dropped and counted, whether it had come to its commit or not. Back in
  /// the line they would be out of order, for readers have gone past them. A writer that has such messages holds no slots and settles no
  /// inputs: nothing else happens by this commit.
  private static func finishDropping(_ worker: WorkerNumber, _ cell: CommitCell, _ rings: [Attachment]) throws {
    if cell.isBusy { return }
    var counts = cell.allCounts
    var all = 0
    for (output, attachment) in rings.filter({ $0.producerLane != nil }).enumerated() where attachment.consumerLane == nil {
      let ring = attachment.ring
      let held = (0..<ring.shape.capacity).count { ring.slot($0).state.isHeld && ring.slot($0).state.owner == worker }
      if held == 0 { continue }
      all += held
      let reader = attachment.reader ?? output
      if reader < CommitCell.mostCounted { counts[2 * reader + 1] &+= UInt64(held) }
    }
    if all > 0 { try cell.commit(cell.record, counts) }
  }

  /// One slot. Not busy rolls back (writing is voided, leases return), busy rolls forward (writing is published,
  /// settling is acknowledged, other leases return). Only a restamp by a producer can come between, so it is tried again.
  private static func repair(
    _ ring: Ring, _ i: Int, _ worker: WorkerNumber, _ cell: CommitCell, _ isBusy: Bool, _ part: UInt64?, _ countsDeaths: Bool,
    isReader: Bool, _ summary: inout Summary
  ) throws {
    let fields = ring.slot(i)
    while true {
      let found = fields.state
      if found.owner != worker || found.isIn(.free) || found.isIn(.ready) { return }
      var next: SlotWord
      var isDeath = false
      if found.isIn(.writing) {
        next = isBusy ? SlotWord(found.lap, .ready) : SlotWord(found.lap &+ 1, .free)
        // Its writer had no time to say when; without it the reader would take an earlier lap's.
        if isBusy { fields.published.set(Clock.now) }
      } else if found.isHeld, isBusy, !isReader || found.isIn(.settling) {
        next = SlotWord(found.lap &+ 1, .free)
      } else if found.isHeld {
        var aux = SlotAux(raw: fields.aux.relaxed)
        if let part, aux.skip != part {
          aux.skip = part
          fields.aux.set(aux.raw)
        }
        isDeath = countsDeaths && found.isIn(.leased) && aux.mark == found.deaths + 1
        // A mark that no death has made stale would speak against the next worker that claims the message.
        if !countsDeaths, aux.mark != 0 {
          aux.mark = 0
          fields.aux.set(aux.raw)
        }
        // It may have died before it raised the head past what it had claimed, and a message that is neither before the head
        // nor behind every reader would be looked for by nobody.
        ring.word(Ring.Offset.head).raise(to: fields.sequence.relaxed &+ 1)
        // The owner stays in the word: it tells whose death the message has seen last.
        if isDeath { cell.addDeath(of: MessageID(high: fields.idHigh.relaxed, low: fields.idLow.relaxed)) }
        next = SlotWord(found.lap, .ready, owner: worker, deaths: found.deaths + (isDeath ? 1 : 0))
      } else {
        throw RingCorruption("slot \(i) is in no state that exists")
      }
      if fields.word.exchange(found.raw, next.raw) != nil { continue }
      try Failpoint.recoveredSlot.hit()
      switch (found.isIn(.writing), next.isIn(.ready)) {
      case (true, true):
        summary.published += 1
        ring.word(Ring.Offset.tail).raise(to: fields.sequence.relaxed &+ 1)
      case (true, false): summary.voided += 1
      case (false, false): summary.freed += 1
      case (false, true):
        summary.redelivered += 1
        if isDeath {
          summary.deaths.append(
            Death(id: MessageID(high: fields.idHigh.relaxed, low: fields.idLow.relaxed), deaths: Int(next.deaths)))
        }
      }
      return
    }
  }

  private static func orphanSegments(_ ring: Ring, of worker: WorkerNumber) throws {
    for s in 0..<ring.view.segmentCount {
      let word = ring.view.segment(s)
      var found = SegmentWord(raw: word.acquired)
      while found.isIn(.open), found.owner == worker {
        guard let other = word.exchange(found.raw, SegmentWord(found.generation, .orphan, count: found.count).raw) else {
          try Failpoint.recoveredSegment.hit()
          break
        }
        found = SegmentWord(raw: other)
      }
    }
  }

  /// Frees the sealed and orphaned segments that no slot refers to. A segment whose word changes meanwhile is left alone:
  /// somebody lives who works on it. Nothing else is touched, so a producer that finds no segment may sweep too: a death
  /// leaves the last few segments to the next sweep.
  static func sweep(_ ring: RingView) {
    let count = ring.segmentCount
    let before = (0..<count).map { ring.segment($0).acquired }
    var isUsed = [Bool](repeating: false, count: count)
    for i in 0..<ring.count {
      let fields = ring.slot(i)
      if fields.state.isIn(.free) { continue }
      let segment = Int(fields.place.relaxed >> 32)
      if segment < count { isUsed[segment] = true }
    }
    for s in 0..<count where !isUsed[s] {
      let found = SegmentWord(raw: before[s])
      if found.isIn(.sealed) || found.isIn(.orphan) { _ = ring.segment(s).exchange(found.raw, found.freed.raw) }
    }
  }
}
