/// `order: input`: two workers of a stage take messages in turn, each makes one, two or three of its own, and all of it arrives in the order of
/// the inputs, whoever dies. A worker that is ahead keeps what it has made, and takes what comes back; one message is handed over in parts.
///
/// The promise: what a reader can see is always the beginning of the one right sequence, without a gap and without a repeat.
struct Ordered: Model {
  enum Mutant: CaseIterable {
    case nobodyWaitsForItsTurn
    /// A message that was put back, or is being acknowledged, is thought to be done.
    case readyIsNotOpen
    case settlingIsNotOpen
    case slotsTakenBeforeTheTurn
    /// The end of the call is where it stands in the order, not its input.
    case lateCallsGoLast
    /// Who can hold no more claims nothing, not even what comes back.
    case nothingIsTakenAhead
    case partsDoNotWait
    /// Parts wait until all that had ended before has gone, also what comes after them.
    case partsWaitForLaterCalls
    case recoveryForgetsParts
    case recoveryIgnoresBusy
  }

  let messages: Int
  let kills: UInt8
  /// The message that goes in parts, one output each; 0 for none.
  var parted: UInt8 = 0
  /// How many calls a worker keeps.
  var most = 2
  /// Whether a dead worker has a successor.
  var replacesTheDead = true
  var mutant: Mutant?

  enum Kind: UInt8 { case ready, leased, settling, free }

  struct Input {
    var kind = Kind.ready
    var owner: UInt8 = 0
    /// How many of its outputs have gone.
    var skip: UInt8 = 0
  }

  enum Place: UInt8 { case none, writing, ready, void }

  struct Output {
    var place = Place.none
    var owner: UInt8 = 0
    var message: UInt8 = 0
    var ordinal: UInt8 = 0
  }

  enum Stage: UInt8 { case idle, takes, settles, committed, partTaken, partCommitted, dead }

  struct Worker {
    var stage = Stage.idle
    var isBusy = false
    /// The message of the open call, and how many outputs of it have gone.
    var hand: UInt8 = 0
    var gone: UInt8 = 0
    /// Ended calls, in the order in which they are handed over.
    var pending: [4 of UInt8] = [0, 0, 0, 0]
    var count: UInt8 = 0
    /// How many of them are being handed over.
    var batch: UInt8 = 0
    /// What the cell says of a call in parts.
    var partOf: UInt8 = 0
    var partCount: UInt8 = 0
  }

  struct State {
    var inputs: [4 of Input] = [Input(), Input(), Input(), Input()]
    var workers: [2 of Worker] = [Worker(), Worker()]
    /// The line of outputs, as far as places were taken.
    var line: [20 of Output] = .init(repeating: Output())
    var end: UInt8 = 0
    /// The first message that was never claimed.
    var head: UInt8 = 1
    var kills: UInt8 = 0
  }

  var start: State { State() }

  private func outputs(of message: UInt8) -> UInt8 { message == parted ? 3 : message == 2 ? 0 : message == 3 ? 2 : 1 }

  private func isOpen(_ s: State, _ message: UInt8) -> Bool {
    switch s.inputs[Int(message) - 1].kind {
    case .free: false
    case .ready: mutant != .readyIsNotOpen
    case .settling: mutant != .settlingIsNotOpen
    case .leased: true
    }
  }

  /// Whether nothing older is open.
  private func isFirst(_ s: State, _ message: UInt8) -> Bool {
    mutant == .nobodyWaitsForItsTurn || message < 2 || !(1..<message).contains { isOpen(s, $0) }
  }

  /// How many of a worker's ended calls may be handed over.
  private func due(_ s: State, _ w: Int) -> UInt8 {
    let me = s.workers[w]
    guard me.count > 0, isFirst(s, me.pending[0]) else { return 0 }
    var n = 1
    while n < me.count, mutant == .nobodyWaitsForItsTurn || me.pending[n] > me.pending[n - 1], !between(s, me.pending[n - 1], me.pending[n]) { n += 1 }
    return UInt8(n)
  }

  private func between(_ s: State, _ a: UInt8, _ b: UInt8) -> Bool {
    mutant != .nobodyWaitsForItsTurn && a + 1 < b && (a + 1..<b).contains { isOpen(s, $0) }
  }

  func steps(from s: State, _ take: (Step, State) -> Void) {
    for w in 0..<2 {
      let me = s.workers[w]
      if me.stage == .dead {
        recover(s, w, take)
        continue
      }
      work(s, w, take)
      if s.kills < kills, s.workers[1 - w].stage != .dead || replacesTheDead {
        var n = s
        n.kills += 1
        n.workers[w] = Worker(stage: .dead, isBusy: me.isBusy, partOf: me.partOf, partCount: me.partCount)
        take(.kill("worker", UInt8(w)), n)
      }
    }
  }

  private func work(_ s: State, _ w: Int, _ take: (Step, State) -> Void) {
    let me = s.workers[w]
    let owner = UInt8(w + 1)
    func go(_ what: StaticString, _ stage: Stage, _ change: (inout State) -> Void = { _ in }) {
      var n = s
      n.workers[w].stage = stage
      change(&n)
      take(Step("worker", UInt8(w), what), n)
    }
    switch me.stage {
    case .idle:
      if me.hand != 0 { return call(s, w, go) }
      if due(s, w) > 0 || mutant == .slotsTakenBeforeTheTurn && me.count > 0 {
        go("begins a hand-over", .takes) { $0.workers[w].batch = max(1, due(s, w)) }
      }
      // What was put back is older than all that nobody has claimed.
      guard let message = (1...UInt8(messages)).first(where: { s.inputs[Int($0) - 1].kind == .ready }) else { return }
      let mayHoldMore = me.count < most
      if mayHoldMore || message < s.head && mutant != .nothingIsTakenAhead {
        go("claims", .idle) {
          $0.inputs[Int(message) - 1].kind = .leased
          $0.inputs[Int(message) - 1].owner = owner
          $0.head = max($0.head, message + 1)
          $0.workers[w].hand = message
          $0.workers[w].gone = s.inputs[Int(message) - 1].skip
        }
      }
    case .takes:
      // One place after the other, for all that goes.
      let taken = UInt8((0..<s.end).count { s.line[Int($0)].owner == owner && s.line[Int($0)].place == .writing })
      var left = taken
      for k in 0..<me.batch {
        let message = me.pending[Int(k)]
        let first = me.partOf == message ? me.partCount : s.inputs[Int(message) - 1].skip
        let count = outputs(of: message) - first
        if left < count { return go("takes a place", .takes) { append(&$0, owner, message, first + left) } }
        left -= count
      }
      if mutant == .slotsTakenBeforeTheTurn, due(s, w) < me.batch { return }
      go("has all its places", .settles)
    case .settles:
      for k in 0..<me.batch where s.inputs[Int(me.pending[Int(k)]) - 1].kind == .leased {
        return go("settles", .settles) { $0.inputs[Int(me.pending[Int(k)]) - 1].kind = .settling }
      }
      go("commits", .committed) {
        $0.workers[w].isBusy = true
        $0.workers[w].partOf = 0
      }
    case .committed:
      if let i = (0..<s.end).first(where: { s.line[Int($0)].owner == owner && s.line[Int($0)].place == .writing }) {
        return go("publishes", .committed) { publish(&$0, i) }
      }
      for k in 0..<me.batch where s.inputs[Int(me.pending[Int(k)]) - 1].kind == .settling {
        return go("frees", .committed) {
          $0.inputs[Int(me.pending[Int(k)]) - 1].kind = .free
          $0.inputs[Int(me.pending[Int(k)]) - 1].owner = 0
        }
      }
      go("clears busy", .idle) {
        $0.workers[w].isBusy = false
        $0.workers[w].count -= me.batch
        for k in 0..<4 { $0.workers[w].pending[k] = k + Int(me.batch) < Int(me.count) ? me.pending[k + Int(me.batch)] : 0 }
        $0.workers[w].batch = 0
      }
    case .partTaken:
      go("commits a part", .partCommitted) {
        $0.workers[w].isBusy = true
        $0.workers[w].partOf = me.hand
        $0.workers[w].partCount = me.gone + 1
      }
    case .partCommitted:
      if let i = (0..<s.end).first(where: { s.line[Int($0)].owner == owner && s.line[Int($0)].place == .writing }) {
        return go("publishes a part", .partCommitted) { publish(&$0, i) }
      }
      go("clears busy", .idle) {
        $0.workers[w].isBusy = false
        $0.workers[w].gone = me.gone + 1
      }
    case .dead: return
    }
  }

  /// The open call ends, or goes on by a part when its turn has come. What was made before it and is older goes first.
  private func call(_ s: State, _ w: Int, _ go: (StaticString, Stage, (inout State) -> Void) -> Void) {
    let me = s.workers[w]
    if me.hand == parted, me.gone + 1 < outputs(of: me.hand) {
      if due(s, w) > 0 { return go("hands over what had ended", .takes) { $0.workers[w].batch = due(s, w) } }
      let isTurn = isFirst(s, me.hand) || mutant == .partsDoNotWait
      if isTurn, mutant != .partsWaitForLaterCalls || me.count == 0 {
        go("takes a place for a part", .partTaken) { append(&$0, UInt8(w + 1), me.hand, me.gone) }
      }
      return
    }
    go("ends its call", .idle) { s in
      var place = Int(me.count)
      while mutant != .lateCallsGoLast, place > 0, me.pending[place - 1] > me.hand {
        s.workers[w].pending[place] = me.pending[place - 1]
        place -= 1
      }
      s.workers[w].pending[place] = me.hand
      s.workers[w].count += 1
      s.workers[w].hand = 0
      s.workers[w].gone = 0
    }
  }

  private func append(_ s: inout State, _ owner: UInt8, _ message: UInt8, _ ordinal: UInt8) {
    guard s.end < 20 else { return }
    s.line[Int(s.end)] = Output(place: .writing, owner: owner, message: message, ordinal: ordinal)
    s.end += 1
  }

  private func publish(_ s: inout State, _ i: UInt8) {
    s.line[Int(i)].place = .ready
    s.line[Int(i)].owner = 0
  }

  private func recover(_ s: State, _ w: Int, _ take: (Step, State) -> Void) {
    let owner = UInt8(w + 1)
    let me = s.workers[w]
    let isBusy = me.isBusy && mutant != .recoveryIgnoresBusy
    var n = s
    if let i = (0..<s.end).first(where: { s.line[Int($0)].owner == owner && s.line[Int($0)].place == .writing }) {
      n.line[Int(i)].owner = 0
      if isBusy {
        n.line[Int(i)].place = .ready
      } else {
        // Nobody can have seen it.
        n.line[Int(i)] = Output(place: .void)
        while n.end > 0, n.line[Int(n.end) - 1].place == .void {
          n.line[Int(n.end) - 1] = Output()
          n.end -= 1
        }
      }
      return take(Step("runner", "puts a place right"), n)
    }
    if let i = (0..<messages).first(where: { s.inputs[$0].owner == owner }) {
      n.inputs[i].owner = 0
      if isBusy, s.inputs[i].kind == .settling {
        n.inputs[i].kind = .free
      } else {
        n.inputs[i].kind = .ready
        if Int(me.partOf) == i + 1, mutant != .recoveryForgetsParts { n.inputs[i].skip = me.partCount }
      }
      return take(Step("runner", "puts a message right"), n)
    }
    if !replacesTheDead { return }
    n.workers[w] = Worker()
    take(Step("runner", "starts it again"), n)
  }

  /// What a reader can see: it stops at what is being written.
  func fault(in s: State) -> String? {
    var (message, ordinal) = (UInt8(1), UInt8(0))
    for i in 0..<Int(s.end) {
      let found = s.line[i]
      if found.place == .void { continue }
      if found.place != .ready { return nil }
      while message <= messages, ordinal >= outputs(of: message) { (message, ordinal) = (message + 1, 0) }
      if found.message != message || found.ordinal != ordinal { return "what is read is not in the order of the inputs, or not once" }
      ordinal += 1
    }
    return nil
  }

  func isEnd(_ s: State) -> Bool {
    guard (0..<messages).allSatisfy({ s.inputs[$0].kind == .free }) else { return false }
    let all = (1...UInt8(messages)).reduce(0) { $0 + Int(outputs(of: $1)) }
    return (0..<Int(s.end)).count { s.line[$0].place == .ready } == all && (0..<2).allSatisfy { !s.workers[$0].isBusy || s.workers[$0].stage == .dead }
  }
}
