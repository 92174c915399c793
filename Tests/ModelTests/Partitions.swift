/// `partition: {key}`: one writer, and two processes of a stage, each with a queue of its own. A message goes to the queue that its key chooses.
/// Whoever dies has a successor.
///
/// The promise: what was done with a key is, at any moment, the beginning of what the writer made of it, each message once, and all of it by the
/// same process.
struct Partitions: Model {
  enum Mutant: CaseIterable {
    /// Another life of the writer chooses otherwise.
    case keysAreDrawnAnew
    /// A process whose queue is empty takes from the other one.
    case idleProcessesHelp
    case putBackComesLast
    case positionIsNotInTheCommit
    case publishedBeforeTheCommit
    /// What one commit has put into several queues is put right in the first of them alone.
    case recoveryKnowsOneQueue
    case recoveryIgnoresBusy
    /// A queue is closed when the writer's commits reach it no more, and not when the writer has ended.
    case emptyIsTakenForTheEnd
  }

  let messages: Int
  let kills: UInt8
  var capacity = 2
  var batch = 2
  var mutant: Mutant?

  enum Kind: UInt8 { case none, writing, ready, leased, settling }

  struct Slot {
    var kind = Kind.none
    var message: UInt8 = 0
  }

  enum WriterStage: UInt8 { case idle, takes, committed, ended, dead }
  enum ReaderStage: UInt8 { case idle, committed, ended, dead }

  struct Reader {
    /// In the order of the line; what is free is at its end.
    var queue: [3 of Slot] = [Slot(), Slot(), Slot()]
    var stage = ReaderStage.idle
    var isBusy = false
  }

  struct State {
    var writer = WriterStage.idle
    var isBusy = false
    /// How many messages are committed, and how many of the next have a place.
    var position: UInt8 = 0
    var taken: UInt8 = 0
    /// How often the writer has died; told apart only as far as a mutant looks at it.
    var lives: UInt8 = 0
    var readers: [2 of Reader] = [Reader(), Reader()]
    /// How often each message was done, and by which process last.
    var done: [6 of UInt8] = [0, 0, 0, 0, 0, 0]
    var by: [6 of UInt8] = [0, 0, 0, 0, 0, 0]
    var isOutOfOrder = false
    var kills: UInt8 = 0
  }

  var start: State { State() }

  /// Three keys for two queues: two of them share one.
  private func key(_ message: Int) -> Int { message % 3 }

  private func queue(_ s: State, _ message: Int) -> Int { (key(message) + (mutant == .keysAreDrawnAnew ? Int(s.lives) : 0)) % 2 }

  private func count(_ reader: Reader) -> Int { (0..<capacity).count { reader.queue[$0].kind != .none } }

  func steps(from s: State, _ take: (Step, State) -> Void) {
    write(s, take)
    for r in 0..<2 { read(s, r, take) }
    guard s.kills < kills else { return }
    if s.writer != .dead, s.writer != .ended {
      var n = s
      n.kills += 1
      n.writer = .dead
      take(.kill("writer"), n)
    }
    for r in 0..<2 where s.readers[r].stage != .dead && s.readers[r].stage != .ended {
      var n = s
      n.kills += 1
      n.readers[r].stage = .dead
      take(.kill("reader", UInt8(r)), n)
    }
  }

  private func write(_ s: State, _ take: (Step, State) -> Void) {
    func go(_ what: StaticString, _ stage: WriterStage, _ change: (inout State) -> Void = { _ in }) {
      var n = s
      n.writer = stage
      change(&n)
      take(Step("writer", what), n)
    }
    let writing = places(s, .writing)
    switch s.writer {
    case .idle:
      if Int(s.position) == messages { return go("ends", .ended) }
      // It takes as many places as there are, up to a batch, and holds none while it waits.
      if count(s.readers[queue(s, Int(s.position))]) < capacity { go("begins", .takes) { $0.taken = 0 } }
    case .takes:
      let next = Int(s.position) + Int(s.taken)
      if next < messages, Int(s.taken) < batch, count(s.readers[queue(s, next)]) < capacity {
        go("takes a place", .takes) { s in
          let r = queue(s, next)
          s.readers[r].queue[count(s.readers[r])] = Slot(kind: .writing, message: UInt8(next))
          s.taken += 1
        }
      }
      if mutant == .publishedBeforeTheCommit, let (r, i) = writing.first {
        return go("publishes", .takes) { $0.readers[r].queue[i].kind = .ready }
      }
      if s.taken > 0 {
        go("commits", .committed) {
          $0.isBusy = true
          if mutant != .positionIsNotInTheCommit { $0.position += s.taken }
        }
      }
    case .committed:
      if let (r, i) = writing.first { return go("publishes", .committed) { $0.readers[r].queue[i].kind = .ready } }
      go("clears busy", .idle) {
        if mutant == .positionIsNotInTheCommit { $0.position += s.taken }
        $0.isBusy = false
        $0.taken = 0
      }
    case .ended: return
    case .dead:
      let isBusy = s.isBusy && mutant != .recoveryIgnoresBusy
      if let (r, i) = writing.first {
        return go("is recovered: a place", .dead) { s in
          if isBusy, mutant != .recoveryKnowsOneQueue || r == 0 {
            s.readers[r].queue[i].kind = .ready
          } else {
            // It was at the end of the line.
            remove(&s.readers[r], i)
          }
        }
      }
      go("is recovered", .idle) {
        $0.isBusy = false
        $0.taken = 0
        $0.lives = mutant == .keysAreDrawnAnew ? s.lives + 1 : 0
      }
    }
  }

  private func places(_ s: State, _ kind: Kind) -> [(Int, Int)] {
    (0..<2).flatMap { r in (0..<capacity).filter { s.readers[r].queue[$0].kind == kind }.map { (r, $0) } }
  }

  private func remove(_ reader: inout Reader, _ i: Int) {
    for k in i..<2 { reader.queue[k] = reader.queue[k + 1] }
    reader.queue[2] = Slot()
  }

  private func read(_ s: State, _ r: Int, _ take: (Step, State) -> Void) {
    let me = s.readers[r]
    func go(_ what: StaticString, _ stage: ReaderStage, _ change: (inout State) -> Void = { _ in }) {
      var n = s
      n.readers[r].stage = stage
      change(&n)
      take(Step("reader", UInt8(r), what), n)
    }
    func first(_ reader: Reader, _ kind: Kind) -> Int? { (0..<capacity).first { reader.queue[$0].kind == kind } }
    switch me.stage {
    case .idle:
      if let i = first(me, .leased) { return go("settles", .idle) { $0.readers[r].queue[i].kind = .settling } }
      if let i = first(me, .settling) {
        return go("commits", .committed) { s in
          s.readers[r].isBusy = true
          let message = Int(me.queue[i].message)
          let later = stride(from: message + 3, to: messages, by: 3).contains { s.done[$0] > 0 }
          let missing = stride(from: key(message), to: message, by: 3).contains { s.done[$0] == 0 }
          let strange = stride(from: key(message), to: messages, by: 3).contains { s.done[$0] > 0 && s.by[$0] != UInt8(r + 1) }
          if later || missing || strange { s.isOutOfOrder = true }
          s.done[message] += 1
          s.by[message] = UInt8(r + 1)
        }
      }
      if let i = first(me, .ready) { return go("claims", .idle) { $0.readers[r].queue[i].kind = .leased } }
      if mutant == .idleProcessesHelp, count(me) == 0, let i = first(s.readers[1 - r], .ready) {
        return go("helps", .idle) { s in
          s.readers[r].queue[0] = Slot(kind: .leased, message: s.readers[1 - r].queue[i].message)
          remove(&s.readers[1 - r], i)
        }
      }
      if count(me) == 0, s.writer == .ended || mutant == .emptyIsTakenForTheEnd && s.position > 0 && !s.isBusy { go("ends", .ended) }
    case .committed:
      if let i = first(me, .settling) { return go("frees", .committed) { remove(&$0.readers[r], i) } }
      go("clears busy", .idle) { $0.readers[r].isBusy = false }
    case .ended: return
    case .dead:
      if let i = first(me, .settling) ?? first(me, .leased) {
        return go("is recovered: a message", .dead) { s in
          if me.isBusy, me.queue[i].kind == .settling { return remove(&s.readers[r], i) }
          s.readers[r].queue[i].kind = .ready
          if mutant == .putBackComesLast {
            let slot = s.readers[r].queue[i]
            remove(&s.readers[r], i)
            s.readers[r].queue[count(s.readers[r])] = slot
          }
        }
      }
      go("is recovered", .idle) { $0.readers[r].isBusy = false }
    }
  }

  func fault(in s: State) -> String? {
    if s.isOutOfOrder { return "a key's messages are out of order, or not with one process" }
    for i in 0..<messages where s.done[i] > 1 { return "a message is done twice" }
    return nil
  }

  func isEnd(_ s: State) -> Bool {
    (0..<messages).allSatisfy { s.done[$0] == 1 } && s.writer == .ended && (0..<2).allSatisfy { s.readers[$0].stage == .ended }
  }
}
