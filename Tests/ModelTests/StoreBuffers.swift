/// Memory as processors have it: what a process stores waits in a buffer of its own, and others see it later. The process
/// itself sees it at once. A process that is killed leaves its buffer behind, and the buffer still drains.
///
///     x86     stores drain in their order; a read-modify-write waits until the buffer is empty, and so does a fence
///     weak    stores to different places drain in any order, but a release waits for all before it; a
///             read-modify-write whose result nobody wants waits in the buffer like a store; only a fence waits for all
enum Processor: CaseIterable { case x86, weak }

struct SharedMemory {
  enum Kind: UInt8 { case set, or, clear, add }

  struct Store {
    var kind = Kind.set
    var place: UInt8 = 0
    var value: UInt8 = 0
    var isRelease = false
  }

  struct Buffer {
    var stores: [4 of Store] = [Store(), Store(), Store(), Store()]
    var count: UInt8 = 0

    mutating func remove(_ index: Int) {
      for i in index..<3 { stores[i] = stores[i + 1] }
      stores[3] = Store()
      count -= 1
    }
  }

  var words: [8 of UInt8] = [0, 0, 0, 0, 0, 0, 0, 0]
  var buffers: [3 of Buffer] = [Buffer(), Buffer(), Buffer()]

  func isDrained(_ process: Int) -> Bool { buffers[process].count == 0 }
  func hasRoom(_ process: Int) -> Bool { buffers[process].count < 4 }

  private static func applied(_ store: Store, to value: UInt8) -> UInt8 {
    switch store.kind {
    case .set: store.value
    case .or: value | store.value
    case .clear: value & ~store.value
    case .add: value + store.value
    }
  }

  /// What a process reads: its own stores lie over the shared words.
  func load(_ process: Int, _ place: UInt8) -> UInt8 {
    var value = words[Int(place)]
    let buffer = buffers[process]
    for i in 0..<Int(buffer.count) where buffer.stores[i].place == place { value = Self.applied(buffer.stores[i], to: value) }
    return value
  }

  mutating func store(_ process: Int, _ place: UInt8, _ value: UInt8, _ kind: Kind = .set, release: Bool = false) {
    let store = Store(kind: kind, place: place, value: value, isRelease: release)
    buffers[process].stores[Int(buffers[process].count)] = store
    buffers[process].count += 1
  }

  /// Every way in which a process's buffer can give one store to the others.
  func drains(_ process: Int, _ processor: Processor, _ take: (SharedMemory) -> Void) {
    let buffer = buffers[process]
    for i in 0..<Int(buffer.count) {
      let store = buffer.stores[i]
      if i > 0, processor == .x86 || store.isRelease || (0..<i).contains(where: { buffer.stores[$0].place == store.place }) { continue }
      var next = self
      next.words[Int(store.place)] = Self.applied(store, to: words[Int(store.place)])
      next.buffers[process].remove(i)
      take(next)
    }
  }
}

/// Sleeping and waking over store buffers: one process publishes two messages, two others sleep while there is none.
///
/// The promise: nobody sleeps for ever while a message waits for it. The one who publishes closes the ring only when both
/// are taken, and nobody is woken by a clock, so a wake-up that is lost is a state from which the end cannot be reached.
struct WakeUp: Model {
  enum Mutant: CaseIterable {
    case noFenceInWaiter
    case noFenceInWaker
    /// The waiter does not look again after it has set its bit.
    case noSecondLook
    /// The waiter reads the word that it will sleep on after its second look.
    case ticketReadTooLate
    /// The waker wakes without having moved the word: who is about to sleep does not notice.
    case wordNotMoved
    /// Who has claimed a message wakes nobody for the next one.
    case notPassedOn
    /// After a death those are woken whose bit is set; the dead may have cleared one and not have woken its owner.
    case recoveryWakesOnlyMarkedLanes
    case noWakeUpAfterDeath
    case noWakeUpAtTheEnd
    /// Two threads sleep in the same lane, which has one bit, and a wake-up wakes one of them.
    case laneIsShared
  }

  var processor = Processor.x86
  /// Both messages are published before anybody is woken.
  var isBatch = false
  var kills: UInt8 = 0
  var mutant: Mutant?

  enum Stage: UInt8 {
    // Who publishes.
    case publishes, fences, readsMask, elects, moves, wakes, waits, closes, endFences, endWakes, dead
    // Who waits.
    case readsClosed, scans, claims, passes, passElects, passMoves, passWakes, works, readsTicket, marks, waiterFences, looksAgain
    case readsTicketLate, sleeps, asleep, unmarks
    case done
  }

  struct Process {
    var stage: Stage
    /// What it has read and acts on.
    var message: UInt8 = 0
    var mask: UInt8 = 0
    var lane: UInt8 = 0
    var ticket: UInt8 = 0
    var sawClosed = false
  }

  struct State {
    var memory = SharedMemory()
    var processes: [3 of Process] = [Process(stage: .publishes), Process(stage: .readsClosed), Process(stage: .readsClosed)]
    var kills: UInt8 = 0
  }

  /// Words 0 and 1 are the messages: 0 is nothing yet, 1 is ready, 2 is taken.
  private static let ready: UInt8 = 1
  private static let taken: UInt8 = 2
  private static let mask: UInt8 = 2
  private static let sleepingPlaces: UInt8 = 3
  private static let closed: UInt8 = 5

  var start: State { State() }

  func steps(from s: State, _ take: (Step, State) -> Void) {
    for p in 0..<3 {
      s.memory.drains(p, processor) { memory in
        var n = s
        n.memory = memory
        take(Step("buffer ", UInt8(p), "drains a store"), n)
      }
    }
    publisher(s, take)
    for p in 1...2 { waiter(s, p, take) }
    if s.kills < kills, s.processes[0].stage.rawValue < Stage.waits.rawValue {
      var n = s
      n.kills += 1
      n.processes[0] = Process(stage: .dead)
      take(.kill("publisher"), n)
    }
  }

  /// A read-modify-write whose result nobody wants; nil when it has to wait.
  private func change(_ memory: SharedMemory, _ p: Int, _ place: UInt8, _ value: UInt8, _ kind: SharedMemory.Kind) -> SharedMemory? {
    var memory = memory
    if processor == .x86, !memory.isDrained(p) || !memory.hasRoom(p) { return nil }
    guard memory.hasRoom(p) else { return nil }
    memory.store(p, place, value, kind)
    if processor == .weak { return memory }
    var result: SharedMemory?
    memory.drains(p, processor) { result = $0 }
    return result
  }

  private func lane(_ p: Int) -> UInt8 { mutant == .laneIsShared ? 0 : UInt8(p - 1) }

  private func rouse(_ s: inout State, _ lane: UInt8) {
    for p in 1...2 where self.lane(p) == lane && s.processes[p].stage == .asleep {
      s.processes[p].stage = .unmarks
      return
    }
  }

  private func publisher(_ s: State, _ take: (Step, State) -> Void) {
    let me = s.processes[0]
    func go(_ what: StaticString, _ stage: Stage, _ change: (inout State) -> Void = { _ in }) {
      var n = s
      n.processes[0].stage = stage
      change(&n)
      take(Step("publisher", what), n)
    }
    switch me.stage {
    case .publishes:
      guard s.memory.hasRoom(0) else { return }
      let isLast = me.message == 1
      go("publishes", isLast || !isBatch ? .fences : .publishes) {
        $0.memory.store(0, me.message, Self.ready, release: true)
        $0.processes[0].message += 1
      }
    case .fences:
      if mutant == .noFenceInWaker || s.memory.isDrained(0) { go("fences", .readsMask) }
    case .readsMask:
      let mask = s.memory.load(0, Self.mask)
      go(mask == 0 ? "sees nobody sleep" : "sees a sleeper", mask > 0 ? .elects : me.message == 2 ? .waits : .publishes) {
        $0.processes[0].mask = mask
      }
    case .elects:
      guard s.memory.isDrained(0) || mutant == .noFenceInWaker && processor == .weak else { return }
      if s.memory.words[Int(Self.mask)] != me.mask { return go("has to read the mask again", .readsMask) }
      go("clears a bit", .moves) {
        $0.processes[0].lane = UInt8(me.mask.trailingZeroBitCount)
        $0.processes[0].mask = 0
        $0.memory.words[Int(Self.mask)] = me.mask & (me.mask - 1)
      }
    case .moves:
      if mutant == .wordNotMoved { return go("moves no word", .wakes) }
      guard let memory = change(s.memory, 0, Self.sleepingPlaces + me.lane, 1, .add) else { return }
      go("moves the word", .wakes) { $0.memory = memory }
    case .wakes:
      guard s.memory.isDrained(0) else { return }
      go("wakes", me.message == 2 ? .waits : .publishes) {
        rouse(&$0, me.lane)
        $0.processes[0].lane = 0
      }
    case .waits:
      if s.memory.words[0] == Self.taken, s.memory.words[1] == Self.taken { go("sees all taken", .closes) }
    case .closes:
      guard s.memory.hasRoom(0) else { return }
      go("closes", .endFences) { $0.memory.store(0, Self.closed, 1, release: true) }
    case .endFences: if s.memory.isDrained(0) { go("fences", mutant == .noWakeUpAtTheEnd ? .done : .endWakes) }
    case .endWakes: go("wakes all", .done) { wakeAll(&$0, onlyMarked: false) }
    case .dead:
      // The runner goes on when the process is gone, its stores with it, and begins anew with what was not published.
      guard s.memory.isDrained(0) else { return }
      let published = (s.memory.words[0] > 0 ? 1 : 0) + (s.memory.words[1] > 0 ? 1 : 0)
      go("is recovered", published == 2 ? .waits : .publishes) { s in
        s.processes[0].message = UInt8(published)
        if mutant != .noWakeUpAfterDeath { wakeAll(&s, onlyMarked: mutant == .recoveryWakesOnlyMarkedLanes) }
      }
    default: return
    }
  }

  private func wakeAll(_ s: inout State, onlyMarked: Bool) {
    for lane in UInt8(0)..<2 {
      let bit = UInt8(1) << lane
      if onlyMarked, s.memory.words[Int(Self.mask)] & bit == 0 { continue }
      s.memory.words[Int(Self.mask)] &= ~bit
      s.memory.words[Int(Self.sleepingPlaces + lane)] += 1
      rouse(&s, lane)
    }
  }

  private func waiter(_ s: State, _ p: Int, _ take: (Step, State) -> Void) {
    let me = s.processes[p]
    let lane = lane(p)
    let bit = UInt8(1) << lane
    func go(_ what: StaticString, _ stage: Stage, _ change: (inout State) -> Void = { _ in }) {
      var n = s
      n.processes[p].stage = stage
      change(&n)
      take(Step("waiter ", UInt8(p), what), n)
    }
    func load(_ place: UInt8) -> UInt8 { s.memory.load(p, place) }

    switch me.stage {
    case .readsClosed: go("reads closed", .scans) { $0.processes[p].sawClosed = load(Self.closed) == 1 }
    case .scans:
      if load(me.message) == Self.ready { return go("sees a message", .claims) }
      if me.message == 0 { return go("sees no message in the first slot", .scans) { $0.processes[p].message = 1 } }
      go("sees no message", me.sawClosed ? .done : .readsTicket) { $0.processes[p].message = 0 }
    case .claims:
      guard s.memory.isDrained(p) else { return }
      if s.memory.words[Int(me.message)] != Self.ready {
        return go("comes too late", .readsClosed) { $0.processes[p].message = 0 }
      }
      go("claims", mutant == .notPassedOn ? .works : .passes) {
        $0.memory.words[Int(me.message)] = Self.taken
        $0.processes[p].message = 0
      }
    case .passes:
      let mask = load(Self.mask)
      let isMore = load(0) == Self.ready || load(1) == Self.ready
      go(mask != 0 && isMore ? "passes on" : "has nobody to pass on to", mask != 0 && isMore ? .passElects : .works) {
        $0.processes[p].mask = mask
      }
    case .passElects:
      guard s.memory.isDrained(p) else { return }
      if s.memory.words[Int(Self.mask)] != me.mask { return go("has to read the mask again", .passes) }
      go("clears a bit", .passMoves) {
        $0.processes[p].lane = UInt8(me.mask.trailingZeroBitCount)
        $0.memory.words[Int(Self.mask)] = me.mask & (me.mask - 1)
      }
    case .passMoves:
      guard let memory = change(s.memory, p, Self.sleepingPlaces + me.lane, 1, .add) else { return }
      go("moves the word", .passWakes) { $0.memory = memory }
    case .passWakes:
      guard s.memory.isDrained(p) else { return }
      go("wakes", .works) { rouse(&$0, me.lane) }
    case .works:
      // A call that takes long: until then the other message has to find somebody else.
      if s.memory.words[0] == Self.taken, s.memory.words[1] == Self.taken {
        go("ends its call", .readsClosed) { $0.processes[p] = Process(stage: .readsClosed) }
      }
    case .readsTicket:
      go("reads its word", .marks) { $0.processes[p].ticket = load(Self.sleepingPlaces + lane) }
    case .marks:
      guard let memory = change(s.memory, p, Self.mask, bit, .or) else { return }
      go("sets its bit", .waiterFences) { $0.memory = memory }
    case .waiterFences:
      if mutant == .noFenceInWaiter || s.memory.isDrained(p) { go("fences", mutant == .noSecondLook ? .sleeps : .looksAgain) }
    case .looksAgain:
      if me.message == 2 {
        let isClosed = load(Self.closed) == 1
        return go("has looked again", isClosed ? .unmarks : mutant == .ticketReadTooLate ? .readsTicketLate : .sleeps) {
          $0.processes[p].message = 0
        }
      }
      if load(me.message) == Self.ready { return go("sees a message", .unmarks) { $0.processes[p].message = 0 } }
      go("looks again", .looksAgain) { $0.processes[p].message += 1 }
    case .readsTicketLate:
      go("reads its word", .sleeps) { $0.processes[p].ticket = load(Self.sleepingPlaces + lane) }
    case .sleeps:
      guard s.memory.isDrained(p) || mutant == .noFenceInWaiter else { return }
      let hasMoved = s.memory.words[Int(Self.sleepingPlaces + lane)] != me.ticket
      go(hasMoved ? "does not sleep" : "sleeps", hasMoved ? .unmarks : .asleep)
    case .unmarks:
      guard let memory = change(s.memory, p, Self.mask, bit, .clear) else { return }
      go("clears its bit", .readsClosed) {
        $0.memory = memory
        $0.processes[p] = Process(stage: .readsClosed)
      }
    default: return
    }
  }

  func fault(in s: State) -> String? { nil }

  func isEnd(_ s: State) -> Bool { (0..<3).allSatisfy { s.processes[$0].stage == .done && s.memory.isDrained($0) } }
}

/// The commit over store buffers: the record's other copy, the sequence, the slot's word. Somebody reads all the time, as
/// a reader or the runner does; and the writer may be killed.
///
/// The promise: a slot that is ready has its payload, and its commit has happened; a sequence has its whole record.
struct CommitOrder: Model {
  enum Mutant: CaseIterable {
    case sequenceStoredBeforeRecord
    /// Nothing makes the sequence wait for the record.
    case sequenceWithoutRelease
    case slotStoredBeforeSequence
    case slotWithoutRelease
    case payloadWrittenAfterTheSlot
    /// There is one copy of the record.
    case recordHasOneCopy
  }

  var processor = Processor.weak
  var kills: UInt8 = 1
  var mutant: Mutant?

  struct State {
    var memory = SharedMemory()
    /// How far the writer is.
    var place: UInt8 = 0
    var isDead = false
    /// What the observer has read of the slot and of the sequence, and how far it is.
    var seen: [3 of UInt8] = [0, 0, 0]
    var reads: UInt8 = 0
    var isWrong = false
    var kills: UInt8 = 0
  }

  /// Words: the payload, two copies of a record of two words, the sequence, the slot.
  private static let payload: UInt8 = 0
  private static let copies: UInt8 = 1
  private static let sequence: UInt8 = 5
  private static let slot: UInt8 = 6

  var start: State { State() }

  private enum Write { case payload, recordFirst, recordSecond, sequence, slot }

  private var program: [Write] {
    switch mutant {
    case .sequenceStoredBeforeRecord: [.payload, .sequence, .recordFirst, .recordSecond, .slot]
    case .slotStoredBeforeSequence: [.payload, .recordFirst, .recordSecond, .slot, .sequence]
    case .payloadWrittenAfterTheSlot: [.recordFirst, .recordSecond, .sequence, .slot, .payload]
    default: [.payload, .recordFirst, .recordSecond, .sequence, .slot]
    }
  }

  func steps(from s: State, _ take: (Step, State) -> Void) {
    s.memory.drains(0, processor) { memory in
      var n = s
      n.memory = memory
      take(Step("buffer", "drains a store"), n)
    }
    if s.place < 5, !s.isDead {
      if s.memory.hasRoom(0) {
        var n = s
        n.place += 1
        let copy = mutant == .recordHasOneCopy ? Self.copies : Self.copies + 2
        switch program[Int(s.place)] {
        case .payload: n.memory.store(0, Self.payload, 1)
        case .recordFirst: n.memory.store(0, copy, 1)
        case .recordSecond: n.memory.store(0, copy + 1, 1)
        case .sequence: n.memory.store(0, Self.sequence, 1, release: mutant != .sequenceWithoutRelease)
        case .slot: n.memory.store(0, Self.slot, 1, release: mutant != .slotWithoutRelease)
        }
        take(Step("writer", "stores"), n)
      }
      if s.kills < kills {
        var n = s
        n.kills += 1
        n.isDead = true
        take(.kill("writer"), n)
      }
    }
    observe(s, take)
  }

  /// Reads the slot, the sequence, then the record in force, each with an acquire.
  private func observe(_ s: State, _ take: (Step, State) -> Void) {
    var n = s
    n.reads += 1
    switch s.reads {
    case 0: n.seen[0] = s.memory.words[Int(Self.slot)]
    case 1: n.isWrong = s.seen[0] == 1 && s.memory.words[Int(Self.payload)] == 0
    case 2:
      n.seen[1] = s.memory.words[Int(Self.sequence)]
      n.isWrong = s.seen[0] == 1 && n.seen[1] == 0
    default:
      let place = Int(mutant == .recordHasOneCopy ? Self.copies : Self.copies + s.seen[1] * 2) + Int(s.reads) - 3
      n.isWrong = s.memory.words[place] != s.seen[1]
      if s.reads == 4 {
        n.reads = 0
        n.seen = [0, 0, 0]
      }
    }
    take(Step("observer", "reads"), n)
  }

  func fault(in s: State) -> String? { s.isWrong ? "somebody reads what was not there yet" : nil }

  /// A writer that was killed has an end too: what it has stored is there for the runner.
  func isEnd(_ s: State) -> Bool { s.memory.isDrained(0) && (s.isDead || s.place == 5) && s.reads == 0 }
}
