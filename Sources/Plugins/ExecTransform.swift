import Platform
import PluginKit

/// `exec` between two stages.
struct ExecTransform: Transform, Batching {
  static let spec = Exec.spec

  private let exec: Exec
  private var conversation: Conversation?

  init(_ given: Given, _ context: Context) throws {
    exec = try Exec(given)
    if exec.answers == .one, exec.framing != .message { conversation = Conversation(exec) }
  }

  var batch: Int { conversation?.window ?? (exec.framing == .message ? 1 : exec.batch) }
  var isJoint: Bool { exec.answers == .any }

  mutating func process(_ messages: [Message], _ out: any Emitter, settle: (BatchOutcome) throws -> Void) throws {
    if conversation != nil {
      try conversation?.process(messages, out, settle)
      return
    }
    let frames = OutgoingFrames(exec.framing)
    // Settled first of all, they would take the place of the one that the outputs go with.
    let (sendable, objections) = (messages.filter { frames.objection(to: $0) == nil }, messages.map { frames.objection(to: $0) })
    if !sendable.isEmpty {
      // What goes on goes with the first that is settled as done; with a failure in front that would be forgotten.
      if sendable.count < messages.count, messages.count > 1 { throw MessageFailure("one of the messages cannot be sent") }
      try ExecBatch(exec: exec).run(sendable, handsOn: true) { try exec.emit($0, out) }
    }
    for objection in objections { try settle(objection.map { .failed($0) } ?? .done) }
  }

  mutating func close() throws { try conversation?.close() }
}

/// A program that runs as long as the stage and answers each input with one output, in order. Several inputs are under way at once,
/// so that neither side waits for the other all the time; how many follows from how long they take.
struct Conversation {
  private let exec: Exec
  private var program: Companion?
  private var incoming: IncomingFrames
  private var hasAnswered = false
  private var hasWarned = false
  /// How many messages to send ahead: what a slow program has not begun, another worker could do.
  private(set) var window = 1

  private static let worthMore = Duration.milliseconds(2)
  private static let tooLong = Duration.milliseconds(20)

  init(_ exec: Exec) {
    self.exec = exec
    incoming = IncomingFrames(exec.framing, longest: exec.longest)
  }

  mutating func process(_ messages: [Message], _ out: any Emitter, _ settle: (BatchOutcome) throws -> Void) throws {
    let began = ContinuousClock.now
    do {
      while try !talk(messages, out, settle) {}
    } catch {
      // Nobody knows what it would say next, or to what.
      end()
      throw error
    }
    let took = ContinuousClock.now - began
    if messages.count >= window, took < Self.worthMore { window = min(exec.batch, window * 2) }
    if took > Self.tooLong { window = max(1, window / 2) }
  }

  /// - Returns: false when the program had ended before it saw any of the messages: a new one gets them
  private mutating func talk(_ messages: [Message], _ out: any Emitter, _ settle: (BatchOutcome) throws -> Void) throws -> Bool {
    let program = try begin()
    guard let output = program.output, let input = program.input else { throw WorkerFailure(.invariantBroken, "a program without pipes") }
    var outgoing = OutgoingFrames(exec.framing)
    var asked = 0
    var answered = 0
    var lastSign = ContinuousClock.now
    while answered < messages.count {
      while asked < messages.count, outgoing.hasRoom {
        if outgoing.objection(to: messages[asked]) == nil { outgoing.append(messages[asked]) }
        asked += 1
      }
      if answered < asked, let objection = outgoing.objection(to: messages[answered]) {
        answered += 1
        try settle(.failed(objection))
        continue
      }
      if let frame = incoming.next() {
        guard answered < asked else { throw unasked }
        answered += 1
        hasAnswered = true
        do { try exec.emit(frame, out) } catch let failure as MessageFailure {
          try settle(.failed(failure))
          continue
        }
        try settle(.done)
        continue
      }
      try outgoing.write(to: program)
      if outgoing.isEmpty, asked < messages.count { continue }
      var interests = [Descriptors.Interest.readable(output), .readable(program.process.pidfd)]
      if !outgoing.isEmpty { interests.append(.writable(input)) }
      let ready = Descriptors.wait(interests, until: hasWarned || !outgoing.isEmpty ? nil : lastSign + .seconds(1))
      if !ready.contains(true) {
        warn(program)
        lastSign = .now
        continue
      }
      if ready[0] || ready[1] {
        // It may have written and ended between two looks: what it wrote is read before its end counts.
        let count = try incoming.fill(from: output)
        if let count, count > 0 {
          lastSign = .now
        } else if ready[1] || count == 0 {
          // An end that came before it had read a single byte of these says nothing about them.
          let sawNothing = answered == 0 && hasAnswered && !incoming.hasPart && program.unread == outgoing.total
          program.waitForEnd()
          let how = end()
          // What one message has killed is that message's failure, which is told; the others are only tried again.
          if sawNothing || messages.count > 1 { noteRestart(how) }
          if sawNothing { return false }
          throw MessageFailure(
            incoming.hasPart ? exec.halfFrame : "\(exec.name) ended (\(how?.description ?? "it vanished")) before it had answered")
        }
      }
      if ready.count > 2, ready[2] { lastSign = .now }
    }
    return true
  }

  /// The program, started if there is none or it has ended since it was asked last.
  private mutating func begin() throws -> Companion {
    if let program, let output = program.output {
      if incoming.hasPart { throw unasked }
      let ready = Descriptors.wait([.readable(output), .readable(program.process.pidfd)], until: .now)
      if ready[0], let count = try incoming.fill(from: output), count > 0 {
        if incoming.hasPart { throw unasked }
        // It was the rest of a line that was too long.
        if !ready[1] { return program }
      }
      if !ready.contains(true) { return program }
      program.waitForEnd()
      let how = end()
      noteRestart(how)
    }
    incoming = IncomingFrames(exec.framing, longest: exec.longest)
    hasAnswered = false
    let program = try exec.start(input: .pipe, output: .pipe, errors: .log)
    self.program = program
    return program
  }

  private func noteRestart(_ how: ChildProcess.End?) {
    if how != .exited(0) { exec.note("\(exec.name) ended (\(how?.description ?? "it vanished")); it is started again") }
  }

  private var unasked: WorkerFailure {
    WorkerFailure(
      .pluginProtocol, "\(exec.name) wrote an output that answers no input; with `answers: one` each input has exactly one: use `answers: any` for such a program")
  }

  /// Says once that nothing comes, and why that usually is so.
  private mutating func warn(_ program: Companion) {
    // What it has not read yet it cannot answer: it is starting, or busy.
    if program.unread > 0 { return }
    hasWarned = true
    exec.note("\(exec.name) has read its input and answers nothing: \(exec.silence)")
  }

  @discardableResult
  private mutating func end() -> ChildProcess.End? {
    let how = program?.end()
    program = nil
    return how
  }

  /// The end of its input; what it writes then answers nothing.
  mutating func close() throws {
    guard var program, let output = program.output else { return }
    defer { end() }
    program.closeInput()
    self.program = program
    let deadline = ContinuousClock.now + .seconds(10)
    while true {
      if incoming.hasPart { throw unasked }
      let ready = Descriptors.wait([.readable(output), .readable(program.process.pidfd)], until: deadline)
      if !ready.contains(true) { return exec.note("\(exec.name) did not end 10 s after the end of its input, and was killed") }
      let count = try incoming.fill(from: output)
      if count == 0 || count == nil && ready[1] { return }
    }
  }
}
