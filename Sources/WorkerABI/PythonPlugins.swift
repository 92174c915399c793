import PluginKit
import Python

struct PythonSource: Source {
  static var spec: PluginSpec { Python.spec }
  static var mayBlock: Bool { true }

  private let stage: PythonStage
  private let onRestart: Python.OnRestart
  private var values: Object?
  private var made: UInt64 = 0
  private var toSkip: UInt64 = 0

  init(_ given: Given, _ context: Context) throws {
    stage = try PythonStage(given, context)
    onRestart = given.pythonOnRestart
  }

  mutating func resume(at position: Position) throws {
    made = position.words.0
    if onRestart == .replay { toSkip = made }
  }

  mutating func next(_ out: any Emitter) throws -> SourceStep {
    do {
      if values == nil {
        // Nothing has been made that could be given up: to go on would begin it again and again.
        do { values = try stage.values() } catch let failure as MessageFailure { throw WorkerFailure(.messageFailed, "the source failed: \(failure)") }
      }
      guard let values else { return .end }
      let pause = toSkip > 0 ? ContinuousClock.now + SourceStep.longestReplay : nil
      while true {
        guard let value = stage.nextItem(values) else {
          if stage.python.hasError() == nil {
            if toSkip == 0 { return .end }
            throw WorkerFailure(
              .io, "\(stage.name) was called again and made \(toSkip) values less than were handed over before: use `on_restart: continue` for a source that does not repeat itself")
          }
          let failure = stage.failure()
          if failure is PythonStage.Stopped { throw failure }
          // A generator that has raised has ended: there is no next value to go on with.
          throw WorkerFailure(.messageFailed, "the source failed: \(failure)")
        }
        defer { stage.python.release(value) }
        if toSkip > 0 {
          toSkip -= 1
          if let pause, .now > pause { return .replaying }
          continue
        }
        made += 1
        if value == stage.python.none { return .moved(Position(made)) }
        try stage.emit(value, out)
        return .emitted(Position(made))
      }
    } catch is PythonStage.Stopped {
      return .wait(readable: nil, until: .now)
    }
  }

  mutating func stop() throws { try end() }
  mutating func close() throws { try end() }

  /// Lets a generator clean up behind itself.
  private mutating func end() throws {
    if let values { stage.python.release(values) }
    values = nil
    try stage.close()
  }
}

/// A transform, and a sink too: a transform that nobody reads.
struct PythonTransform: Transform {
  static var spec: PluginSpec { Python.spec }

  private let stage: PythonStage
  private let handsOn: Bool

  init(_ given: Given, _ context: Context) throws {
    stage = try PythonStage(given, context)
    handsOn = context.kind != .sink
  }

  mutating func process(_ message: Message, _ out: any Emitter) throws {
    try stage.call(message) { if handsOn { try stage.emitAll($0, out) } }
  }

  mutating func close() throws { try stage.close() }
}

/// The same with `batch`: one call for several messages.
struct PythonBatch: Transform, Batching {
  static var spec: PluginSpec { Python.spec }

  private let stage: PythonStage
  private let handsOn: Bool
  let batch: Int

  init(_ given: Given, _ context: Context) throws {
    stage = try PythonStage(given, context)
    handsOn = context.kind != .sink
    batch = given.pythonBatch ?? 1
  }

  mutating func process(_ messages: [Message], _ out: any Emitter, settle: (BatchOutcome) throws -> Void) throws {
    let results = try stage.call(messages, wantsResults: handsOn)
    defer { if let results { stage.python.release(results) } }
    for i in messages.indices {
      do {
        if let results, let result = stage.python.listItem(results, i) { try stage.emitAll(result, out) }
      } catch let failure as MessageFailure {
        try settle(.failed(failure))
        continue
      }
      try settle(.done)
    }
  }

  mutating func close() throws { try stage.close() }
}
