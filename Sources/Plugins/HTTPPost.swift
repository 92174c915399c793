import Curl
import PluginKit

/// Posts each message, many at once, until the receiver has taken it.
struct HTTPPost: DeliverySink {
  private static let url = Setting.url("url", "Where to post to.", example: "http://127.0.0.1:8089/results")
  private static let concurrency = Setting.integer("concurrency", "How many requests may be under way.", in: 1...1024, default: 64).changeable
  private static let giveUp = Setting.duration(
    "give_up", "How long the receiver may be unavailable before the run ends with 69: counted from the last request that succeeded, or from the first that failed.",
    default: "5m").changeable
  private static let timeout = Setting.duration("timeout", "How long one request may take.", in: .milliseconds(1) ... .seconds(3600), default: "30s").changeable
  private static let headers = Setting.strings("headers", "Headers added to each request.", secret: true, example: ["X-Team": "vision"])
  private static let contentType = Setting.string(
    "content_type", "The media type of what is posted; application/json unless given, or application/x-ndjson for `body: lines`.", example: "application/json"
  ).optional
  private static let body = Setting<PostBody>.choice(
    "body",
    """
    How the messages of a batch are put together, for a stage with `batch`: as a JSON `array`, as `lines`, or as a JSON array of objects with the Idempotency-Key \
    of each message as `key` and the message as `value` (`keyed`).
    """, default: .array, example: .lines)

  static let spec = PluginSpec(
    "http.post", .sink, "Posts each message to a URL, many at once.",
    details: """
      An answer of 2xx settles the message. 408, 425, 429, 5xx (but not 501 and 505), broken connections and answers that are no HTTP are tried again, after a pause that doubles from a \
      quarter of a second to half a minute and is shortened at random; a Retry-After is obeyed. Any other answer is the message's failure: redirects are not \
      followed. Every message is delivered at least once and carries an Idempotency-Key that stays the same over all tries, so that a receiver can take it once. \
      With the stage's `batch` several messages go in one request, whose key follows from theirs; a crash may group them anew, and only `body: keyed` tells the receiver each one's own key. \
      When a batch is refused, each of its messages is posted again by itself. \
      Certificates are always verified; proxies and .netrc are ignored.
      """,
    processes: .many,
    settings: [
      url.declaration, concurrency.declaration, giveUp.declaration, timeout.declaration, headers.declaration, contentType.declaration,
      body.declaration,
    ],
    example: """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 1000}
        send:
          plugin: http.post
          inputs: [numbers]
          with: {url: "http://127.0.0.1:8089/results", concurrency: 64}
      """,
    check: { given in
      given[headers].flatMap { name, value -> [SettingProblem] in
        let isName = !name.isEmpty && name.utf8.allSatisfy { Character(Unicode.Scalar($0)).isLetter || Character(Unicode.Scalar($0)).isNumber || "-_.!#$%&'*+^`|~".utf8.contains($0) }
        let isValue = value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }
        return isName && isValue ? [] : [SettingProblem("headers", "the header \(JSON.string(name).compact) has a name or a value that HTTP does not allow", remedy: "line breaks and control characters are not allowed")]
      }
    })

  private struct Work {
    var body: PostedBody
    var key: String
    var tries = 0
  }

  let concurrency: Int
  private let url: String
  private let timeout: Duration
  private let giveUp: Duration
  private let headers: [String]
  /// Nil where each message goes by itself, as it is.
  private let body: PostBody?
  /// Of deliveries that cannot be made at all.
  private var refused: [Outcome] = []
  private let queue: PostQueue
  private var work: [Int: Work] = [:]
  private var pauses: [(until: ContinuousClock.Instant, token: Int)] = []
  /// Since when nothing has succeeded; nil while all is well.
  private var failingSince: ContinuousClock.Instant?
  private var lastFailure = ""

  init(_ given: Given, _ context: Context) throws {
    url = given[Self.url]
    concurrency = given[Self.concurrency]
    timeout = given[Self.timeout]
    giveUp = given[Self.giveUp]
    body = context.batch.map { _ in given[Self.body] }
    headers = ["Content-Type: \(given[Self.contentType] ?? (body == .lines ? "application/x-ndjson" : "application/json"))"] + given[Self.headers].sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
    do throws(CurlError) { queue = try PostQueue(connections: concurrency, userAgent: "ringway") } catch { throw WorkerFailure(.system, error.text) }
  }

  mutating func begin(_ delivery: Delivery) throws {
    do throws(MessageFailure) {
      work[delivery.token] = Work(body: try PostedBody(delivery.messages, body), key: PostedBody.key(delivery.messages.map(\.id)))
    } catch {
      refused.append(Outcome(token: delivery.token, result: .failed("\(error)"), retries: 0))
      return
    }
    try post(delivery.token)
  }

  private mutating func post(_ token: Int) throws {
    guard var one = work[token] else { return }
    one.tries += 1
    work[token] = one
    let request = PostRequest(
      url: url, body: one.body.bytes, headers: headers + ["Idempotency-Key: \(one.key)"], timeout: timeout)
    do throws(CurlError) { try queue.post(request, token: token) } catch { throw WorkerFailure(.system, error.text) }
  }

  mutating func advance(wake: Int32?) throws -> [Outcome] {
    if !refused.isEmpty {
      defer { refused = [] }
      return refused
    }
    while true {
      try resume(at: .now)
      let responses = queue.advance(wake: wake, until: pauses.map(\.until).min())
      var outcomes: [Outcome] = []
      for response in responses {
        if let outcome = try judge(response) { outcomes.append(outcome) }
      }
      // Something to report, or woken: a pause that has ended is the only reason to go on.
      let isDue = pauses.contains { $0.until <= .now }
      if !outcomes.isEmpty || wake == nil || responses.isEmpty && !isDue { return outcomes }
    }
  }

  private mutating func resume(at now: ContinuousClock.Instant) throws {
    let due = pauses.filter { $0.until <= now }
    pauses.removeAll { $0.until <= now }
    for pause in due { try post(pause.token) }
  }

  private mutating func judge(_ response: PostResponse) throws -> Outcome? {
    guard let one = work[response.token] else { return nil }
    func settled(_ result: Outcome.Result) -> Outcome {
      work[response.token] = nil
      failingSince = nil
      return Outcome(token: response.token, result: result, retries: one.tries - 1)
    }
    switch response.result {
    case .status(let status) where 200..<300 ~= status: return settled(.delivered)
    case .status(let status) where !Self.isRetried(status):
      return settled(.failed("\(Self.host(url)) answered \(status)" + (response.excerpt.isEmpty ? "" : ": \(response.excerpt)")))
    case .status(let status): lastFailure = "it answered \(status)"
    case .failed(let words, let isPermanent):
      lastFailure = words
      if isPermanent { throw WorkerFailure(.unavailable, "\(Self.host(url)) cannot be posted to: \(words)") }
    }
    let now = ContinuousClock.now
    let since = failingSince ?? now
    failingSince = since
    if now - since >= giveUp {
      throw WorkerFailure(
        .unavailable, "\(Self.host(url)) was unavailable for \(Quantity.describe(giveUp)): \(lastFailure) (messages stay in the queue; `give_up` allows longer)")
    }
    let doubled = Duration.milliseconds(250) * (1 << min(one.tries - 1, 7))
    let most = min(doubled, .seconds(30))
    // Full jitter: many senders that failed together do not come back together.
    let jittered = most * Double.random(in: 0.1...1)
    let pause = response.retryAfter.map { min(max($0, jittered), .seconds(300)) } ?? jittered
    pauses.append((now + min(pause, max(.zero, giveUp - (now - since)) + .milliseconds(1)), response.token))
    return nil
  }

  /// What another try may change (RFC 9110, section 15).
  private static func isRetried(_ status: Int) -> Bool {
    [408, 425, 429].contains(status) || 500..<600 ~= status && status != 501 && status != 505
  }

  /// Scheme, host and port: credentials, path and query may hold secrets.
  static func host(_ url: String) -> String {
    guard let scheme = url.firstRange(of: "://") else { return "the receiver" }
    let authority = url[scheme.upperBound...].prefix { !"/?#".contains($0) }
    let host = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
    return String(url[..<scheme.upperBound] + host)
  }

  mutating func close() throws { queue.close() }
}
