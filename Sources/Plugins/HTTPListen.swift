import PluginKit

/// Takes messages over HTTP: the body of each POST is one. A client is answered 200 only after its message has been
/// handed over for good.
struct HTTPListen: Source {
  private static let address = Setting<String>(
    "address", "Host and port to listen on. The default takes connections from this machine alone.",
    schema: ["type": "string", "pattern": "^([^\\s:/\\[\\]]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}$"], expected: "an address such as 127.0.0.1:8089 or [::1]:8089",
    default: "127.0.0.1:8089", defaultJSON: "127.0.0.1:8089",
    decode: { node in
      guard let text = node.string, let port = text.split(separator: ":").last, UInt16(port) != nil else { return nil }
      return text
    }).changeable
  private static let path = Setting<String>(
    "path", "The path that clients post to; others are answered 404.", schema: ["type": "string", "pattern": "^/[^\\s?#]*$"],
    expected: "a path that begins with /", default: "/", defaultJSON: "/", decode: \.string)
  private static let limit = Setting<Int?>(
    "limit", "After how many distinct messages the source ends; without it, it goes on until the run is drained.",
    schema: ["type": "integer", "minimum": 1], expected: "an integer of at least 1", default: .some(nil), defaultJSON: nil, isRequired: false,
    example: 1000, decode: { node in (node.integer ?? node.double.flatMap(Int.init(exactly:))).flatMap { $0 >= 1 ? .some($0) : nil } })
  private static let maxBody = Setting.size("max_body", "A larger body is answered 413.", in: 0...(1 << 30), default: "1MiB")
  private static let wait = Setting.duration("wait", "How long a client waits while the queue is full before it is answered 503.", default: "5s").changeable
  private static let linger = Setting.duration(
    "linger", "How long the source stays after its limit, once no client is connected, to answer those that repeat a request.", in: .zero ... .seconds(3600), default: "1s").changeable

  static let spec = PluginSpec(
    "http.listen", .source, "Takes messages over HTTP: the body of each POST is one.",
    details: """
      A client is answered 200 after its message has been handed over, so nothing that was acknowledged is lost. While the queue is full, clients wait, and then \
      are answered 503 with Retry-After. A request that repeats the Idempotency-Key of an earlier one (of the last 65,536) is answered without making a second \
      message; after a restart of the worker the keys are forgotten. An empty key is none. Other methods are answered 405, other paths 404.
      """,
    processes: .one,
    settings: [
      address.declaration, path.declaration, limit.declaration, maxBody.declaration, wait.declaration, linger.declaration,
    ],
    example: """
      ringway: 1
      stages:
        receive:
          plugin: http.listen
          with: {address: "127.0.0.1:8089", path: /results, limit: 1000}
        results:
          plugin: file.write
          inputs: [receive]
          with: {path: received.jsonl}
      """,
    resources: { [.listens(address: $0[address], setting: "address")] })

  private let limit: Int
  private let linger: Duration
  private let server: ListenServer
  private var count = 0
  private var quietSince: ContinuousClock.Instant?

  init(_ given: Given, _ context: Context) throws {
    guard let socket = context.sockets.first else { throw WorkerFailure(.system, "the runner passed no listening socket") }
    limit = given[Self.limit] ?? Int.max
    linger = given[Self.linger]
    server = try ListenServer(socket: socket, path: given[Self.path], maxBody: given[Self.maxBody], wait: given[Self.wait])
  }

  mutating func resume(at position: Position) throws { count = Int(clamping: position.words.0) }

  mutating func next(_ out: any Emitter) throws -> SourceStep {
    if count >= limit { return lingering() }
    guard let request = server.intake.take() else { return .wait(readable: server.intake.descriptor, until: nil) }
    do {
      try out.emit(request.body)
    } catch {
      server.intake.refuse(request, status: 413, text: "\(error)\n")
      return .moved(Position(UInt64(count)))
    }
    count += 1
    server.intake.emitted(request, count: count)
    return .emitted(Position(UInt64(count)))
  }

  /// After the limit: a client whose answer was lost asks again, and must not find a closed door.
  private mutating func lingering() -> SourceStep {
    if server.intake.connections > 0 {
      quietSince = nil
      return .wait(readable: server.intake.descriptor, until: nil)
    }
    let since = quietSince ?? .now
    quietSince = since
    if since + linger <= .now { return .end }
    return .wait(readable: server.intake.descriptor, until: since + linger)
  }

  mutating func committed(_ position: Position) throws { server.intake.committed(upTo: Int(clamping: position.words.0)) }

  mutating func stop() throws { server.intake.refuseNew() }

  mutating func close() throws { server.close() }
}
