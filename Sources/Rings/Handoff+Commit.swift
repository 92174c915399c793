import Platform

// How calls that have ended are handed over, and how a call waits for the room that it needs.

extension Handoff {
  /// Hands over all calls that have ended; where outputs follow the order of the inputs, those whose turn it is.
  ///
  /// - Parameters:
  ///   - ended: a source's last word: nothing more will come
  ///   - committedLength: what a sink has reached with these messages
  package func commit(ended isLast: Bool = false, committedLength: UInt64? = nil) throws {
    while !ended.isEmpty {
      let due = isOrdered ? self.due : ended.count
      if due == 0 { return try spillSurplus() }
      var fits = due
      for i in 0..<outputs.count where whenFull[i] == .block { fits = min(fits, try take(i, for: due)) }
      if fits == 0 {
        for i in 0..<outputs.count { try outputs[i].void(from: 0) }
        // At most so many as the ring holds: what is more went on in parts before the call ended.
        try waitForRoom { recordsEnd(0, $0) }
        continue
      }
      if !dropping.isEmpty, try !takeOrDrop({ recordsEnd(fits - 1, $0) }) { continue }
      if fits < due { for i in 0..<outputs.count { try outputs[i].void(from: recordsEnd(fits - 1, i)) } }
      let isAll = fits == ended.count
      try handOver(fits, ended: isAll && isLast, committedLength: isAll ? committedLength : nil)
    }
    if isLast && !record.ended || committedLength != nil && (!record.hasLength || record.committedLength != committedLength) {
      note(ended: isLast, committedLength: committedLength)
      try cell.commit(record, counts)
      try cell.clearBusy()
    }
  }

  func note(ended isLast: Bool, committedLength: UInt64?) {
    if isLast { record.ended = true }
    if let committedLength {
      record.hasLength = true
      record.committedLength = committedLength
    }
  }

  /// Takes slots for the records of as many of the first calls as fit.
  func take(_ output: Int, for calls: Int) throws -> Int {
    let records = recordsEnd(calls - 1, output)
    let got = try outputs[output].takeSlots(records)
    if got == records { return calls }
    return (0..<calls).first { recordsEnd($0, output) > got } ?? calls
  }

  /// Takes slots where nobody waits for them, once those for which one waits are there.
  ///
  /// - Parameter count: how many records of each output
  /// - Returns: false when the oldest messages of a queue have made room. Everything was voided for that: a commit makes all slots good that
  ///   its worker holds.
  func takeOrDrop(_ count: (Int) -> Int) throws -> Bool {
    for i in dropping {
      let wanted = count(i)
      if whenFull[i] == .dropOldest { try outputs[i].dropFirst(of: wanted, downTo: outputs[i].ring.shape.capacity) }
      let got = try outputs[i].takeSlots(wanted)
      if got == wanted { continue }
      for j in 0..<outputs.count { try outputs[j].void(from: 0) }
      dropRounds += 1
      let made = dropRounds > Self.mostDropRounds ? 0 : try dropOldest(i, wanted - got)
      if made == 0 { try outputs[i].dropFirst(of: wanted, downTo: wanted - outputs[i].dropped(wanted) - (wanted - got)) }
      return false
    }
    dropRounds = 0
    return true
  }

  /// Other writers may take the places; a source does not try for ever.
  static let mostDropRounds = 64

  /// Takes messages out of a line and drops them, in a commit of its own. No slots are held, and no inputs are settled.
  ///
  /// - Returns: how many there were
  func dropOldest(_ output: Int, _ count: Int) throws -> Int {
    let places = try outputs[output].leaseOldest(count)
    if places.isEmpty { return 0 }
    for place in places { try outputs[output].settle(place) }
    counts[2 * readerOf[output] + 1] &+= UInt64(places.count)
    try cell.commit(record, counts)
    for place in places { try outputs[output].free(place) }
    try cell.clearBusy()
    outputs[output].freed(places)
    return places.count
  }

  /// Steps 2 to 6 for the first `calls` calls, whose outputs all have slots.
  func handOver(_ calls: Int, ended isLast: Bool, committedLength: UInt64?) throws {
    let isOnce = promises.contains(.once)
    fruitless = 0
    if isUniform { record.emitted &+= UInt64(recordsEnd(calls - 1, 0)) } else { countSent(calls) }
    for i in 0..<calls {
      let call = ended[i]
      if call.hasInput, let input {
        try input.pointee.settle(call.place)
        record.received &+= 1
        if let part, part.slot == Int(call.place.slot) { self.part = nil }
      }
      if call.isDropped { record.dropped &+= 1 }
      if call.isDeadLettered { record.deadLettered &+= 1 }
    }
    if ended[calls - 1].hasPosition { record.position = ended[calls - 1].position }
    record.partSlot = nil
    record.partCount = 0
    note(ended: isLast, committedLength: committedLength)
    if isOnce { try cell.commit(record, counts) }
    let now = Clock.now
    for i in 0..<outputs.count { try outputs[i].publish(recordsEnd(calls - 1, i), at: now) }
    if let input { for i in 0..<calls where ended[i].hasInput { try input.pointee.free(ended[i].place) } }
    if isOnce { try cell.clearBusy() }
    for i in 0..<outputs.count { try outputs[i].published(recordsEnd(calls - 1, i)) }
    if let input {
      var run = ReleaseRun()
      for i in 0..<calls where ended[i].hasInput { run.add(ended[i].place, input.pointee.ring.view) }
      try input.pointee.freed(run)
      if isOrdered { passTurn(ended[calls - 1].sequence) }
      if promises.contains(.counts) { countLatencies(calls, now) }
    }
    forget(calls)
  }

  /// The first calls have been handed over.
  @inline(__always)
  func forget(_ calls: Int) {
    if isUniform {
      let records = recordsEnd(calls - 1, 0)
      ended.removeFirst(calls)
      for i in 0..<ended.count { ended[i].recordsEnd -= records }
    } else {
      let records = (0..<outputs.count).map { recordsEnd(calls - 1, $0) }
      ended.removeFirst(calls)
      ends.removeFirst(calls * outputs.count)
      for i in 0..<ends.count { ends[i] -= records[i % outputs.count] }
    }
  }

  func countSent(_ calls: Int) {
    for i in 0..<calls { record.emitted &+= UInt64(ended[i].made) }
    count { recordsEnd(calls - 1, $0) }
  }

  /// - Parameter records: how many of an output's records are handed over, or dropped, now
  func count(_ records: (Int) -> Int) {
    for i in 0..<outputs.count {
      let given = records(i)
      counts[2 * readerOf[i]] &+= UInt64(given)
      counts[2 * readerOf[i] + 1] &+= UInt64(outputs[i].dropped(given))
    }
  }

  /// Messages that were published together took the same time.
  func countLatencies(_ calls: Int, _ now: UInt64) {
    var i = 0
    while i < calls {
      let published = ended[i].published
      var next = i + 1
      while next < calls, ended[next].published == published { next += 1 }
      if ended[i].hasInput, now > published { cell.recordLatency(now - published, count: UInt64(next - i)) }
      i = next
    }
  }

  // MARK: Waiting for room

  /// What is kept while a worker waits is no more than everybody may hold.
  func spillSurplus() throws {
    for i in 0..<outputs.count { try outputs[i].spillSurplus() }
  }

  /// - Parameter count: how many records of each output are to find room at once
  func waitForRoom(_ count: (Int) -> Int) throws {
    let now = Clock.now
    cell.beginWait(.room, at: now)
    defer { cell.endWait(at: Clock.now) }
    try spillSurplus()
    try giveWay()
    let concerned = (0..<outputs.count).filter { whenFull[$0] == .block && count($0) > 0 }
    func hasRoom(_ output: Int) -> Bool {
      outputs[output].ring.hasRoom(max(1, min(count(output), outputs[output].ring.shape.capacity))) && !outputs[output].lacksSegments(count(output))
    }
    // The first that has no room; if all have, the one where it is somebody else's turn.
    let blocked =
      concerned.first { outputs[$0].ring.isCrowded || !hasRoom($0) }
      ?? concerned.first { outputs[$0].turn != 0 && !outputs[$0].hasTurn }
    let holdsTurn = (0..<outputs.count).contains { outputs[$0].hasTurn }
    if let blocked { try waiting { try outputs[blocked].waitForRoom(count(blocked), holdsTurn: holdsTurn) } }
    // Others may be faster, now and then. Room that is shown again and again and is never there is a damaged ring.
    fruitless = concerned.allSatisfy(hasRoom) ? fruitless + 1 : 0
    if fruitless > Self.mostFruitless { throw RingCorruption("a queue shows room that nobody can take") }
  }

  /// With a hundred writers at a queue of one message, the odds of losing so many races in a row have four hundred zeros.
  static let mostFruitless = 100_000

  /// Two workers with several readers could each have their turn in a ring that the other needs: the lower number keeps its own.
  func giveWay() throws {
    if outputs.count < 2 { return }
    for i in 0..<outputs.count where outputs[i].turn != 0 && outputs[i].turn < UInt64(worker) {
      for i in 0..<outputs.count { outputs[i].endTurn() }
      return
    }
  }
}
