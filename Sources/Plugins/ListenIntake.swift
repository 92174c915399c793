import Platform
import Synchronization

/// One request, from its arrival to its answer.
final class ListenRequest: Sendable {
  let body: [UInt8]
  let key: String?

  init(body: [UInt8], key: String?) {
    self.body = body
    self.key = key
  }
}

/// How a request is answered; called on any thread, once.
typealias ListenAnswer = @Sendable (_ status: Int, _ text: String) -> Void

/// Where the server's thread and the source meet: requests wait here to be taken, and their clients for the answer.
final class ListenIntake: Sendable {
  fileprivate struct Waiting {
    var request: ListenRequest
    var answers: [ListenAnswer]
    /// The source's count after it, once it has been emitted.
    var count: Int?
  }

  fileprivate struct State {
    var queue: [ObjectIdentifier] = []
    var waiting: [ObjectIdentifier: Waiting] = [:]
    /// Emitted and not committed, in order.
    var emitted: [ObjectIdentifier] = []
    /// The request that carries a key, or nil once it has been committed.
    var keys: [String: ObjectIdentifier?] = [:]
    var keyOrder: [String] = []
    var bytes = 0
    var connections = 0
    var isClosed = false
  }

  /// So many requests may wait to be taken; beyond that clients are sent away at once.
  static let mostWaiting = 4096
  static let mostBytes = 256 << 20
  static let mostKeys = 65_536

  private let state = Mutex(State())
  private let event: EventDescriptor

  init?() {
    guard let event = EventDescriptor() else { return nil }
    self.event = event
  }

  /// Readable when something has happened.
  var descriptor: Int32 { event.descriptor }
  var connections: Int { state.withLock { $0.connections } }

  // MARK: The server's side

  func connected(_ change: Int) {
    state.withLock { $0.connections += change }
    event.signal()
  }

  enum Arrival {
    case accepted(ListenRequest)
    case repeated
    case full
    case closed
  }

  /// A request has come in whole.
  func arrive(_ body: [UInt8], key: String?, answer: @escaping ListenAnswer) -> Arrival {
    let arrival: Arrival = state.withLock { state in
      if let key, let known = state.keys[key] {
        guard let carrier = known else { return .repeated }
        // The first one is still under way: both are answered when it is.
        state.waiting[carrier]?.answers.append(answer)
        return .accepted(state.waiting[carrier]?.request ?? ListenRequest(body: [], key: key))
      }
      if state.isClosed { return .closed }
      if state.queue.count >= Self.mostWaiting || state.bytes + body.count > Self.mostBytes { return .full }
      let request = ListenRequest(body: body, key: key)
      let id = ObjectIdentifier(request)
      state.waiting[id] = Waiting(request: request, answers: [answer])
      state.queue.append(id)
      state.bytes += body.count
      if let key { state.keys[key] = .some(id) }
      return .accepted(request)
    }
    switch arrival {
    case .accepted: event.signal()
    case .repeated: answer(200, "")
    case .full, .closed: answer(503, "")
    }
    return arrival
  }

  /// The client has waited long enough.
  func giveUp(_ request: ListenRequest) {
    let answers: [ListenAnswer] = state.withLock { state in
      guard let index = state.queue.firstIndex(of: ObjectIdentifier(request)) else { return [] }
      state.queue.remove(at: index)
      return state.remove(request)
    }
    for answer in answers { answer(503, "") }
  }

  // MARK: The source's side

  /// The request that has waited longest. One at a time: what the source has taken can be given up no more, so the others keep
  /// their right to an answer while it waits for room.
  func take() -> ListenRequest? {
    event.clear()
    return state.withLock { state in state.queue.isEmpty ? nil : state.waiting[state.queue.removeFirst()]?.request }
  }

  func emitted(_ request: ListenRequest, count: Int) {
    state.withLock { state in
      state.waiting[ObjectIdentifier(request)]?.count = count
      state.emitted.append(ObjectIdentifier(request))
    }
  }

  func committed(upTo count: Int) {
    let answers: [ListenAnswer] = state.withLock { state in
      var all: [ListenAnswer] = []
      var done = 0
      for id in state.emitted {
        guard let waiting = state.waiting[id], let reached = waiting.count, reached <= count else { break }
        done += 1
        all += waiting.answers
        state.waiting[id] = nil
        state.bytes -= waiting.request.body.count
        if let key = waiting.request.key { state.remember(key) }
      }
      state.emitted.removeFirst(done)
      return all
    }
    for answer in answers { answer(200, "") }
  }

  func refuse(_ request: ListenRequest, status: Int, text: String) {
    for answer in state.withLock({ $0.remove(request) }) { answer(status, text) }
  }

  /// The run is being drained: what has not been emitted is sent away.
  func refuseNew() {
    let answers: [ListenAnswer] = state.withLock { state in
      state.isClosed = true
      state.queue = []
      return state.waiting.values.filter { $0.count == nil }.flatMap { state.remove($0.request) }
    }
    for answer in answers { answer(503, "") }
  }

  /// Everybody who still waits is sent away.
  func refuseAll() {
    let answers: [ListenAnswer] = state.withLock { state in
      state.isClosed = true
      let all = state.waiting.values.flatMap(\.answers)
      state.waiting = [:]
      return all
    }
    for answer in answers { answer(503, "") }
  }
}

extension ListenIntake.State {
  fileprivate mutating func remove(_ request: ListenRequest) -> [ListenAnswer] {
    guard let waiting = waiting.removeValue(forKey: ObjectIdentifier(request)) else { return [] }
    bytes -= request.body.count
    if let key = request.key { keys[key] = nil }
    return waiting.answers
  }

  fileprivate mutating func remember(_ key: String) {
    keys[key] = .some(nil)
    keyOrder.append(key)
    if keyOrder.count > 2 * ListenIntake.mostKeys {
      for old in keyOrder.prefix(ListenIntake.mostKeys) { keys[old] = nil }
      keyOrder.removeFirst(ListenIntake.mostKeys)
    }
  }
}
