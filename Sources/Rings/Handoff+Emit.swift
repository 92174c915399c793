// What the open call makes: to everybody, to those who read a port, and to those whom a key chooses.

extension Handoff {
  /// Hands on by the main port.
  ///
  /// - Parameter format: what a reader is told of the bytes, 0...15
  @inline(__always)
  package func emit(_ payload: UnsafeRawBufferPointer, format: UInt8 = 0) throws {
    if !isUniform { return try emit(payload, format: format, to: 0) }
    if payload.count > mostBytes { throw RingError.messageTooLarge(length: payload.count, limit: mostBytes) }
    if ordinal < skip || outputs.count == 0 {
      ordinal += 1
      return
    }
    try makeRoomInCall(for: payload.count)
    let id = nextID
    for i in 0..<outputs.count { try outputs[i].append(payload, id, format: format) }
    if mostAtOnce != nil { noteSize(payload.count, reserved: payload.count) }
    ordinal += 1
  }

  /// Hands on by a port, to those who read it.
  ///
  /// - Parameter key: the JSON text of the message's key; nil for the one that follows from the payload
  @inline(never)
  package func emit(_ payload: UnsafeRawBufferPointer, format: UInt8, to port: Int, key: [UInt8]? = nil) throws {
    if ordinal < skip || !isRead(port) {
      ordinal += 1
      return
    }
    let readers = readers(of: port)
    try checkLength(payload.count, readers)
    let named = try choose(payload, port, key)
    // Where a key travels with it, it may need a large place, and elsewhere a small one.
    let most = payload.count + (named.map { $0.count + TravellingKey.overhead } ?? 0)
    try makeRoomInCall(for: most)
    try append(payload, nextID, format, to: readers, key: named)
    if mostAtOnce != nil { noteSize(payload.count, reserved: most) }
    ordinal += 1
    made += 1
  }

  /// To these outputs, and to those that were chosen by its key.
  private func append(_ payload: UnsafeRawBufferPointer, _ id: MessageID, _ format: UInt8, to readers: some Sequence<Int>, key: [UInt8]?) throws {
    for i in readers { try outputs[i].append(payload, id, format: format) }
    for k in 0..<chosen.count { try outputs[chosen[k]].append(payload, id, format: format, key: key) }
  }

  /// Hands on what a message that is given up becomes. However much of the call has gone on in parts, this goes too, by a name that
  /// none of its outputs has.
  package func emitLetter(_ payload: UnsafeRawBufferPointer, format: UInt8, to port: Int) throws {
    let readers = readers(of: port)
    try checkLength(payload.count, readers)
    _ = try choose(payload, port, nil)
    let parent = hasInput ? inputID : MessageID.source(stage: stageHash, position: record.position)
    let id = parent.child(stage: stageHash, ordinal: .max &- (hasInput ? 0 : record.deadLettered))
    try append(payload, id, format, to: readers, key: nil)
  }

  func readers(of port: Int) -> [Int] { readers.indices.contains(port) ? readers[port] : [] }

  func checkLength(_ length: Int, _ readers: [Int]) throws {
    for i in readers where length > outputs[i].ring.shape.messageBytes {
      throw RingError.messageTooLarge(length: length, limit: outputs[i].ring.shape.messageBytes)
    }
  }

  /// Memory for one output of the main port, in place in its first reader's ring; private where only its key will tell which ring that is.
  @inline(__always)
  package func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer {
    guard let first = isUniform ? (outputs.count == 0 ? nil : 0) : readers(of: 0).first else {
      try checkLength(length, partitions(of: 0).map { partitions[$0].outputs.lowerBound })
      return scratch(length)
    }
    if isUniform {
      if length > mostBytes { throw RingError.messageTooLarge(length: length, limit: mostBytes) }
    } else {
      try checkLength(length, readers(of: 0))
    }
    if ordinal < skip { return scratch(length) }
    try makeRoomInCall(for: length)
    if mostAtOnce != nil { reservedLength = length }
    return try outputs[first].reserve(length)
  }

  @inline(__always)
  package func emitReserved(length: Int, format: UInt8 = 0) throws {
    if !isUniform { return try emitReservedToMain(length, format) }
    if ordinal < skip || outputs.count == 0 {
      ordinal += 1
      return
    }
    let id = nextID
    outputs[0].finish(length, id, format: format)
    if outputs.count > 1 {
      let payload = outputs[0].lastPayload
      for i in 1..<outputs.count { try outputs[i].append(payload, id, format: format) }
    }
    if mostAtOnce != nil { noteSize(length, reserved: reservedLength) }
    ordinal += 1
  }

  /// What was written into the memory that `reserve` gave, if it was refused.
  package func reserved(_ length: Int) -> UnsafeRawBufferPointer {
    guard let first = readers(of: 0).first else { return UnsafeRawBufferPointer(rebasing: scratchBytes.bytes.prefix(max(0, length))) }
    return outputs[first].reserved(length)
  }

  func emitReservedToMain(_ length: Int, _ format: UInt8) throws {
    if ordinal < skip || !isRead(0) {
      ordinal += 1
      return
    }
    let readers = readers(of: 0)
    let id = nextID
    if let first = readers.first {
      _ = try choose(outputs[first].reserved(length), 0, nil)
      outputs[first].finish(length, id, format: format)
      try append(outputs[first].lastPayload, id, format, to: readers.dropFirst(), key: nil)
      if mostAtOnce != nil { noteSize(length, reserved: reservedLength) }
    } else {
      let payload = UnsafeRawBufferPointer(rebasing: scratchBytes.bytes.prefix(max(0, length)))
      _ = try choose(payload, 0, nil)
      try makeRoomInCall(for: payload.count)
      try append(payload, id, format, to: EmptyCollection(), key: nil)
      if mostAtOnce != nil { noteSize(payload.count, reserved: payload.count) }
    }
    made += 1
    ordinal += 1
  }


  func scratch(_ length: Int) -> UnsafeMutableRawBufferPointer {
    if scratchBytes.bytes.count < length { scratchBytes = PrivateBytes(length) }
    return UnsafeMutableRawBufferPointer(rebasing: scratchBytes.bytes[..<max(0, length)])
  }
}
