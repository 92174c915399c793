import Platform
import PluginKit

/// `exec` at the beginning: what a program writes, until it exits with 0.
struct ExecSource: Source {
  static let spec = Exec.spec

  private let exec: Exec
  private let process: UInt64
  private let incoming: IncomingFrames
  private var program: Companion?
  /// How many outputs were handed over or passed.
  private var count: UInt64 = 0
  /// How many of a program that runs anew were handed over before.
  private var toSkip: UInt64 = 0
  private var isStarted = false
  private var isAtEnd = false
  /// Whether the loop has had its chance to hand over what was made before the end is looked at.
  private var hasPaused = false
  private var isFinished = false

  init(_ given: Given, _ context: Context) throws {
    exec = try Exec(given)
    process = UInt64(clamping: context.process)
    incoming = IncomingFrames(exec.framing, longest: exec.longest)
  }

  /// The number of the process keeps the messages of several apart.
  private var position: Position { Position(count, process) }

  mutating func resume(at position: Position) throws {
    count = position.words.0
    if exec.onRestart == .replay { toSkip = count }
    // There is only one message, and it has been handed over.
    if exec.framing == .message, count > 0, toSkip > 0 { isFinished = true }
  }

  mutating func next(_ out: any Emitter) throws -> SourceStep {
    if isFinished { return .end }
    if !isStarted {
      program = try exec.start(input: .none, output: .pipe, errors: .log)
      isStarted = true
    }
    guard let program, let output = program.output else { return .end }
    let pause = toSkip > 0 ? ContinuousClock.now + SourceStep.longestReplay : nil
    while true {
      if let frame = incoming.next() {
        if toSkip > 0 {
          toSkip -= 1
          if let pause, .now > pause { return .replaying }
          continue
        }
        count += 1
        try exec.emit(frame, out)
        return .emitted(position)
      }
      if isAtEnd { return try finish(program, out) }
      switch try incoming.fill(from: output) {
      case nil: return .wait(readable: output, until: nil)
      case 0?: isAtEnd = true
      default:
        guard exec.framing == .message, incoming.isTooLong else { continue }
        // There is only this one, and its end may never come.
        end()
        isFinished = true
        count += 1
        throw exec.tooLong(nil)
      }
    }
  }

  /// It has closed its output.
  private mutating func finish(_ ending: Companion, _ out: any Emitter) throws -> SourceStep {
    let pidfd = ending.process.pidfd
    var ending = ending
    guard hasPaused, let end = ending.reap() else {
      hasPaused = true
      return .wait(readable: pidfd, until: nil)
    }
    ending.end()
    program = nil
    isFinished = true
    guard case .exited(0) = end else { throw Ended(description: "\(exec.name) ended (\(end.description))") }
    if toSkip > 0, exec.framing != .message {
      throw WorkerFailure(
        .io, "\(exec.name) was run again and wrote \(toSkip) messages less than were handed over before: use `on_restart: continue` for a program that does not repeat itself")
    }
    if exec.framing == .message {
      count += 1
      try exec.emit(incoming.rest(), out)
      return .emitted(position)
    }
    if incoming.hasPart { throw MessageFailure(exec.halfFrame, isPermanent: true) }
    return .end
  }

  mutating func stop() throws { end() }
  mutating func close() throws { end() }

  private mutating func end() {
    program?.end()
    program = nil
  }

  /// The program failed: the stage is started again, as often as `restart` allows.
  private struct Ended: Error, CustomStringConvertible { let description: String }
}
