import PluginKit

/// `exec` at the end: a batch is delivered when a program has read all of it and has exited with 0.
struct ExecSink: Sink, Batching {
  static let spec = Exec.spec

  private let exec: Exec

  init(_ given: Given, _ context: Context) throws { exec = try Exec(given) }

  var batch: Int { exec.framing == .message ? 1 : exec.batch }

  mutating func process(_ messages: [Message], _ out: any Emitter, settle: (BatchOutcome) throws -> Void) throws {
    let frames = OutgoingFrames(exec.framing)
    let objections = messages.map { frames.objection(to: $0) }
    let sendable = zip(messages, objections).filter { $0.1 == nil }.map(\.0)
    if !sendable.isEmpty { try ExecBatch(exec: exec).run(sendable, handsOn: false) { _ in } }
    for objection in objections { try settle(objection.map { .failed($0) } ?? .done) }
  }
}
