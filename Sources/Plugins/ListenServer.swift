import NIOCore
import NIOHTTP1
import NIOPosix
import PluginKit

/// The HTTP server behind `http.listen`: SwiftNIO on one thread of its own.
final class ListenServer {
  let intake: ListenIntake
  private let group: MultiThreadedEventLoopGroup
  private let channel: any Channel

  /// Connections beyond these are closed at once.
  static let mostConnections = 4096

  init(socket: Int32, path: String, maxBody: Int, wait: Duration) throws {
    guard let intake = ListenIntake() else { throw WorkerFailure(.system, "there are no descriptors left") }
    self.intake = intake
    group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let nanoseconds = wait.components.seconds * 1_000_000_000 + wait.components.attoseconds / 1_000_000_000
    let settings = ListenHandler.Settings(path: path, maxBody: maxBody, wait: .nanoseconds(nanoseconds))
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline(withPipeliningAssistance: true, withErrorHandling: true)
          try channel.pipeline.syncOperations.addHandler(IdleStateHandler(allTimeout: .seconds(60)))
          try channel.pipeline.syncOperations.addHandler(ListenHandler(intake, settings))
        }
      }
    // NIO closes the socket with the channel; ours stays for the next worker.
    do { channel = try bootstrap.withBoundSocket(socket).wait() } catch {
      throw WorkerFailure(.system, "the listening socket cannot be used: \(error)")
    }
  }

  /// Answers everybody who still waits and ends when the answers are out.
  func close() {
    try? channel.close().wait()
    intake.refuseAll()
    // Runs behind the answers, which were put to the same loop.
    try? group.next().submit {}.wait()
    try? group.syncShutdownGracefully()
  }
}

/// One connection. NIO hands it one request at a time.
private final class ListenHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  struct Settings: Sendable {
    var path: String
    var maxBody: Int
    var wait: TimeAmount
  }

  private enum State {
    case idle
    case receiving(key: String?, keepAlive: Bool)
    /// The rest of a request that has been answered is passed over.
    case refused
    case waiting
  }

  private let intake: ListenIntake
  private let settings: Settings
  private var state = State.idle
  private var body: [UInt8] = []
  private var isCounted = false
  /// Sends the client away when its message has waited too long for a place in the queue.
  private var patience: Scheduled<Void>?

  init(_ intake: ListenIntake, _ settings: Settings) {
    self.intake = intake
    self.settings = settings
  }

  func channelActive(context: ChannelHandlerContext) {
    if intake.connections >= ListenServer.mostConnections { return context.close(promise: nil) }
    isCounted = true
    intake.connected(1)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    if isCounted { intake.connected(-1) }
    isCounted = false
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): begin(head, context)
    case .body(let part):
      guard case .receiving = state else { return }
      if body.count + part.readableBytes > settings.maxBody {
        refuse(.payloadTooLarge, "the body is larger than \(settings.maxBody) bytes\n", context)
      } else {
        body.append(contentsOf: part.readableBytesView)
      }
    case .end: end(context)
    }
  }

  private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    body = []
    state = .receiving(key: nil, keepAlive: head.isKeepAlive)
    let path = head.uri.prefix { $0 != "?" && $0 != "#" }
    guard path == settings.path else { return refuse(.notFound, "post to \(settings.path)\n", context) }
    guard head.method == .POST else { return refuse(.methodNotAllowed, "only POST is taken here\n", context, [("Allow", "POST")]) }
    if let length = head.headers.first(name: "content-length").flatMap(Int.init), length > settings.maxBody {
      return refuse(.payloadTooLarge, "the body is larger than \(settings.maxBody) bytes\n", context)
    }
    // An empty one names nothing: all who send it would be taken for one client that repeats itself.
    let key = head.headers.first(name: "idempotency-key").flatMap { $0.isEmpty ? nil : $0 }
    if let key, key.utf8.count > 256 { return refuse(.badRequest, "the Idempotency-Key has more than 256 bytes\n", context) }
    state = .receiving(key: key, keepAlive: head.isKeepAlive)
    if head.headers.first(name: "expect")?.lowercased() == "100-continue" {
      context.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: .continue))), promise: nil)
    }
  }

  private func end(_ context: ChannelHandlerContext) {
    guard case .receiving(let key, let keepAlive) = state else { return }
    state = .waiting
    let channel = context.channel
    let this = NIOLoopBound(self, eventLoop: context.eventLoop)
    let answer: ListenAnswer = { status, text in
      channel.eventLoop.execute { this.value.answer(status, text, keepAlive: keepAlive, channel) }
    }
    let request = intake.arrive(body, key: key, answer: answer)
    body = []
    if case .accepted(let request) = request {
      let intake = self.intake
      patience = context.eventLoop.scheduleTask(in: settings.wait) { intake.giveUp(request) }
    }
  }

  private func answer(_ status: Int, _ text: String, keepAlive: Bool, _ channel: any Channel) {
    guard case .waiting = state else { return }
    state = .idle
    patience?.cancel()
    patience = nil
    var headers: [(String, String)] = []
    if status == 503 { headers.append(("Retry-After", "1")) }
    write(HTTPResponseStatus(statusCode: status), text, headers, close: !keepAlive, channel)
  }

  private func refuse(_ status: HTTPResponseStatus, _ text: String, _ context: ChannelHandlerContext, _ headers: [(String, String)] = []) {
    state = .refused
    body = []
    write(status, text, headers, close: true, context.channel)
  }

  private func write(_ status: HTTPResponseStatus, _ text: String, _ extra: [(String, String)], close: Bool, _ channel: any Channel) {
    var headers = HTTPHeaders(extra)
    headers.add(name: "Content-Length", value: String(text.utf8.count))
    if !text.isEmpty { headers.add(name: "Content-Type", value: "text/plain; charset=utf-8") }
    if close { headers.add(name: "Connection", value: "close") }
    channel.write(HTTPServerResponsePart.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers)), promise: nil)
    if !text.isEmpty { channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: text))), promise: nil) }
    let done = channel.writeAndFlush(HTTPServerResponsePart.end(nil))
    if close { done.whenComplete { _ in channel.close(promise: nil) } }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    // Nothing was read or written for a minute: a client that dawdles is sent away, one that waits for its answer is not.
    if event is IdleStateHandler.IdleStateEvent {
      if case .waiting = state { return }
      context.close(promise: nil)
    } else {
      context.fireUserInboundEventTriggered(event)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
