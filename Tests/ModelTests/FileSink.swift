/// A sink that writes a file: it takes messages, writes them to the file in pieces, and commits the length that the file
/// has reached together with the messages in it. Whoever comes after it cuts the file back to that length.
///
/// The promise: behind what was in the file before, each message stands once, in order, whenever the sink dies.
struct FileSink: Model {
  enum Mutant: CaseIterable {
    case truncationMissing
    /// What is committed is the length that the file will have.
    case lengthCommittedBeforeTheFlush
    /// The length goes into the record in a commit of its own, after the messages.
    case lengthCommittedAfterTheMessages
    case lengthCommittedBeforeTheMessages
    /// Nothing is committed before the first message: who dies at its first flush leaves no length to go back to.
    case startLengthNotCommitted
    /// A message counts as done when it is in the sink's buffer.
    case messagesInTheBufferAreCommitted
    case busyNeverSet
    case inputsFreedBeforeCommit
    case recoveryIgnoresBusy
    /// The successor begins the file anew although something was committed.
    case successorBeginsAnew
  }

  let messages: UInt8
  let kills: UInt8
  var batch: UInt8 = 2
  /// What the file held before the run; a sink that appends keeps it.
  var before: UInt8 = 1
  var mutant: Mutant?

  enum Kind: UInt8 { case ready, leased, settling, free }
  enum Stage: UInt8 { case opens, truncated, idle, writing, flushed, settled, committed, freed, extra, extraCommitted, dead }

  struct State {
    var slots: [4 of Kind] = [.ready, .ready, .ready, .ready]
    /// A byte for each half of a message; what was there before is 255.
    var file: [12 of UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    var length: UInt8
    var stage = Stage.opens
    /// Where the sink is in its buffer.
    var written: UInt8 = 0
    var cell = Cell()
    var kills: UInt8 = 0
  }

  struct Cell {
    var hasCommitted = false
    var isBusy = false
    var committedLength: UInt8 = 0
  }

  var start: State {
    var s = State(length: before)
    for i in 0..<Int(before) { s.file[i] = 255 }
    for i in Int(messages)..<4 { s.slots[i] = .free }
    return s
  }

  private func held(_ s: State) -> [UInt8] { (0..<UInt8(4)).filter { s.slots[Int($0)] == .leased || s.slots[Int($0)] == .settling } }

  func steps(from s: State, _ take: (Step, State) -> Void) {
    func go(_ what: StaticString, _ stage: Stage, _ change: (inout State) -> Void = { _ in }) {
      var n = s
      n.stage = stage
      change(&n)
      take(Step("sink", what), n)
    }
    let held = held(s)
    switch s.stage {
    case .opens:
      let target = s.cell.hasCommitted && mutant != .successorBeginsAnew ? s.cell.committedLength : s.cell.hasCommitted ? 0 : s.length
      go("cuts the file back", .truncated) { s in
        if mutant == .truncationMissing { return }
        for i in Int(target)..<12 { s.file[i] = 0 }
        s.length = min(s.length, target)
      }
    case .truncated:
      if mutant == .startLengthNotCommitted { return go("is ready", .idle) }
      go("commits the length at its start", .idle) {
        $0.cell.hasCommitted = true
        $0.cell.committedLength = s.length
      }
    case .idle:
      if held.count < Int(batch), let next = (0..<4).first(where: { s.slots[$0] == .ready }) {
        go("claims", .idle) { $0.slots[next] = .leased }
      }
      if held.isEmpty { break }
      switch mutant {
      case .lengthCommittedBeforeTheFlush:
        go("commits the length to come", .writing) {
          $0.cell.hasCommitted = true
          $0.cell.committedLength = s.length + UInt8(held.count) * 2
        }
      case .messagesInTheBufferAreCommitted:
        go("settles what is in its buffer", .settled) { s in for m in held { s.slots[Int(m)] = .settling } }
      default: go("begins to flush", .writing)
      }
    case .writing:
      let m = held[Int(s.written / 2)]
      let isLast = Int(s.written) + 1 == held.count * 2
      go("writes half a message", isLast ? .flushed : .writing) { s in
        s.file[Int(s.length)] = m * 2 + s.written % 2 + 1
        s.length += 1
        s.written = isLast ? 0 : s.written + 1
        if isLast, mutant == .messagesInTheBufferAreCommitted {
          for m in held { s.slots[Int(m)] = .free }
          s.stage = .freed
        }
      }
    case .flushed:
      if mutant == .lengthCommittedBeforeTheMessages {
        return go("commits the length alone", .extra) {
          $0.cell.hasCommitted = true
          $0.cell.committedLength = s.length
        }
      }
      if mutant == .inputsFreedBeforeCommit {
        return go("frees its inputs", .settled) { s in for m in held { s.slots[Int(m)] = .free } }
      }
      go("settles its inputs", .settled) { s in for m in held { s.slots[Int(m)] = .settling } }
    case .extra: go("settles its inputs", .settled) { s in for m in held { s.slots[Int(m)] = .settling } }
    case .settled:
      go("commits", mutant == .messagesInTheBufferAreCommitted ? .writing : .committed) {
        $0.cell.hasCommitted = true
        $0.cell.isBusy = mutant != .busyNeverSet
        let hasLength = mutant != .lengthCommittedBeforeTheFlush && mutant != .lengthCommittedAfterTheMessages
        if hasLength { $0.cell.committedLength = s.length + (mutant == .messagesInTheBufferAreCommitted ? UInt8(held.count) * 2 : 0) }
      }
    case .committed:
      guard let first = held.first else { return go("has nothing to free", .freed) }
      go("frees an input", held.count == 1 ? .freed : .committed) { $0.slots[Int(first)] = .free }
    case .freed:
      go("clears busy", mutant == .lengthCommittedAfterTheMessages ? .extraCommitted : .idle) { $0.cell.isBusy = false }
    case .extraCommitted: go("commits the length alone", .idle) { $0.cell.committedLength = s.length }
    case .dead:
      guard !held.isEmpty else {
        return go("is recovered and started again", .opens) { $0.cell.isBusy = false }
      }
      let isDone = s.slots[Int(held[0])] == .settling && s.cell.isBusy && mutant != .recoveryIgnoresBusy
      go("has a slot put right", .dead) { $0.slots[Int(held[0])] = isDone ? .free : .ready }
    }
    if s.kills < kills, s.stage != .dead {
      var n = s
      n.kills += 1
      n.stage = .dead
      n.written = 0
      take(.kill("sink"), n)
    }
  }

  func fault(in s: State) -> String? {
    if s.length > before + messages * 2 + batch * 2 { return "the file has grown too long" }
    if s.cell.hasCommitted, s.cell.committedLength > s.length, s.stage == .opens { return "the file is shorter than what was committed" }
    return nil
  }

  func isEnd(_ s: State) -> Bool {
    guard s.stage == .idle, (0..<4).allSatisfy({ s.slots[$0] == .free }), s.length == before + messages * 2 else { return false }
    for i in 0..<Int(before) where s.file[i] != 255 { return false }
    for i in 0..<Int(messages) * 2 where s.file[Int(before) + i] != UInt8(i) + 1 { return false }
    return true
  }
}
