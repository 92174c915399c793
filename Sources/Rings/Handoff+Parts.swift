import Platform

// A call that makes more than a queue holds is handed over in parts.

extension Handoff {
  /// Keeps the open call's outputs below what the smallest ring holds: when it emits more, what came before is handed
  /// over, and then the call itself, in parts. The cell names the input and how many outputs are gone, so that a worker
  /// which repeats the call skips as many.
  @inline(__always)
  func makeRoomInCall(for length: Int) throws {
    guard hasInput else { return }
    if let mostAtOnce, length > RingShape.smallPayload ? sizes.large >= mostAtOnce.large : sizes.small >= mostAtOnce.small {
      try handOverInParts()
    } else if isUniform {
      if outputs[0].records.count - lastEnd(0) >= mostOutputs { try handOverInParts() }
    } else if (0..<outputs.count).contains(where: {
      // What must stay whole, and finds no room where that drops it, is dropped.
      outputs[$0].records.count - lastEnd($0) >= outputs[$0].ring.shape.capacity && !(keepsCallsWhole && whenFull[$0] != .block)
    }) {
      try handOverInParts()
    }
  }

  /// - Parameter reserved: a payload that had a large segment in mind may have become small, and could then need either
  func noteSize(_ length: Int, reserved: Int) {
    if max(length, reserved) > RingShape.smallPayload { sizes.large += 1 }
    if length <= RingShape.smallPayload { sizes.small += 1 }
  }

  /// After a part has gone: what is left of the call, which are the first records.
  func countSizes(of left: Int) {
    sizes = (0, 0)
    guard isUniform else { return }
    for i in 0..<left { noteSize(Int(outputs[0].records[i].length), reserved: 0) }
  }

  @inline(never)
  func handOverInParts() throws {
    if keepsCallsWhole { throw RingError.tooManyOutputs(limit: (0..<outputs.count).map { outputs[$0].records.count - lastEnd($0) }.max() ?? 0) }
    if isOrdered { try commitInTurn() } else { try commit() }
    // Calls that have ended may be left where the turn is this one's: it goes before them.
    let later = (0..<outputs.count).map(lastEnd)
    for i in 0..<outputs.count { outputs[i].records.moveLast(outputs[i].records.count - later[i], to: 0) }
    defer { for i in 0..<outputs.count { outputs[i].records.moveLast(later[i], to: 0) } }
    let slot = Int(inputPlace.slot)
    let before = part?.slot == slot ? part?.count ?? 0 : skip
    while true {
      guard let got = try takeSlotsInCall() else {
        for i in 0..<outputs.count { try outputs[i].void(from: 0) }
        try waitForRoom { isUniform ? 1 : outputs[$0].records.count - later[$0] }
        continue
      }
      fruitless = 0
      let gone: UInt64
      if isUniform {
        gone = before &+ UInt64(got)
        record.emitted &+= UInt64(got)
      } else {
        // All that there is, up to the output that comes next.
        gone = ordinal
        record.emitted &+= UInt64(made)
        made = 0
        count { outputs[$0].records.count - later[$0] }
      }
      record.partSlot = slot
      record.partCount = gone
      try cell.commit(record, counts)
      let now = Clock.now
      for i in 0..<outputs.count { try outputs[i].publish(isUniform ? got : outputs[i].records.count - later[i], at: now) }
      try cell.clearBusy()
      for i in 0..<outputs.count { try outputs[i].published(isUniform ? got : outputs[i].records.count - later[i]) }
      part = (slot, gone)
      if mostAtOnce != nil { countSizes(of: outputs[0].records.count - later[0]) }
      return
    }
  }

  /// Takes slots for what the open call has made: for as much as fits where every output gets the same, else for all of it, since
  /// where a call stands is one number.
  ///
  /// - Returns: how many records of each output have slots where every output gets the same, else 0; nil when it was too little
  func takeSlotsInCall() throws -> Int? {
    if isUniform {
      let records = outputs[0].records.count - lastEnd(0)
      var got = records
      for i in 0..<outputs.count { got = min(got, try outputs[i].takeSlots(records)) }
      if got == 0 { return nil }
      for i in 0..<outputs.count { try outputs[i].void(from: got) }
      return got
    }
    while true {
      for i in 0..<outputs.count where whenFull[i] == .block {
        let records = outputs[i].records.count - lastEnd(i)
        if try outputs[i].takeSlots(records) < records { return nil }
      }
      if dropping.isEmpty { return 0 }
      if try takeOrDrop({ outputs[$0].records.count - lastEnd($0) }) { return 0 }
    }
  }
}
