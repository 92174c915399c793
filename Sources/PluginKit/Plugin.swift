/// What every plugin has.
public protocol Plugin: SendableMetatype {
  static var spec: PluginSpec { get }

  /// Opens the plugin in its worker.
  ///
  /// - Throws: `WorkerFailure` when the stage cannot run at all and starting it again would not help (a file that
  ///   cannot be opened, a filter that does not compile); anything else counts as a crash and is restarted.
  init(_ given: Given, _ context: Context) throws

  /// Called once when the stage ends in order; not after a crash.
  mutating func close() throws
}

extension Plugin {
  public mutating func close() throws {}
}

/// Makes messages. The runner calls `next` again and again; it does all the waiting.
public protocol Source: Plugin {
  /// Goes to a position that was handed out with a committed message. Not called when the source starts afresh.
  mutating func resume(at position: Position) throws

  /// Whether `next` may block, since it calls code that knows nothing of `.wait`.
  static var mayBlock: Bool { get }

  /// Emits at most one message and says where the source stands after it. Never blocks, unless `mayBlock` says so: what must be waited for
  /// is returned as `.wait`.
  mutating func next(_ out: any Emitter) throws -> SourceStep

  /// The messages up to this position have been handed over and will never be asked for again.
  mutating func committed(_ position: Position) throws

  /// The run is being drained: `next` will not be called again. What was not committed is to be refused or left.
  mutating func stop() throws
}

extension Source {
  public static var mayBlock: Bool { false }
  public mutating func committed(_ position: Position) throws {}
  public mutating func stop() throws {}
}

public enum SourceStep {
  /// One message was emitted; the source stands here now.
  case emitted(Position)
  /// Nothing to hand on, but the source moved (an empty file was passed, say).
  case moved(Position)
  /// Nothing for the moment: call again when the descriptor is readable or the time has come, whichever is first.
  case wait(readable: Int32?, until: ContinuousClock.Instant?)
  /// No more messages, ever.
  case end

  /// How long a source may pass over what it has handed over in an earlier life before it returns, with `replaying`: the stage's `timeout` is for one message.
  package static let longestReplay = Duration.milliseconds(1)
  /// More of it is to be passed over.
  package static var replaying: SourceStep { .wait(readable: nil, until: .now) }
}

/// Turns one message into none, one or several.
public protocol Transform: Plugin {
  /// - Throws: any error; it is this message's failure, and `on_error` decides what happens to it. Outputs that were
  ///   emitted before the error are forgotten. `WorkerFailure` ends the run instead.
  mutating func process(_ message: Message, _ out: any Emitter) throws
}

/// Takes messages out, one after the other.
public protocol Sink: Plugin {
  /// Goes back to the length that was last committed: what lies beyond it was written by a worker that died before it
  /// could say so. Called once, also on a first start (with nil).
  mutating func resume(atLength length: UInt64?) throws

  /// Takes one message; it may be buffered until `flush`.
  ///
  /// - Throws: any error; it is this message's failure, and nothing of the message may have been taken.
  mutating func write(_ message: Message) throws

  /// Puts everything taken so far where it belongs.
  ///
  /// - Returns: the length to resume at, for a sink that can (a file); nil for one that cannot.
  /// - Throws: `WorkerFailure`: the messages since the last flush stay in the queue and the run ends with its code.
  mutating func flush() throws -> UInt64?
}

extension Sink {
  public mutating func resume(atLength length: UInt64?) throws {}
}

/// Takes messages out with many under way at once, each settled for itself and in any order.
public protocol DeliverySink: Plugin {
  /// How many deliveries may be under way.
  var concurrency: Int { get }

  /// Begins a delivery. The payloads stay valid until `advance` has returned its outcome. Never blocks.
  mutating func begin(_ delivery: Delivery) throws

  /// Goes on with what is under way and returns what has been decided since the last call. Blocks until there is
  /// something to return, or the descriptor `wake` is readable; does not block when `wake` is nil.
  mutating func advance(wake: Int32?) throws -> [Outcome]
}

public struct Delivery {
  /// Chosen by the runner; names the delivery in its outcome.
  public let token: Int
  /// At least one; more for a stage with `batch`. They have one outcome. When it is a failure and nobody knows whose, each is delivered again
  /// by itself.
  public let messages: [Message]

  public init(token: Int, messages: [Message]) {
    self.token = token
    self.messages = messages
  }
}

public struct Outcome {
  public enum Result {
    case delivered
    /// The message failed; `on_error` decides what happens to it.
    case failed(String)
  }

  public let token: Int
  public let result: Result
  /// How often it was tried again inside the plugin.
  public let retries: Int

  public init(token: Int, result: Result, retries: Int = 0) {
    self.token = token
    self.result = result
    self.retries = retries
  }
}
