import Foundation
import Harness
import Synchronization
import Testing

/// Delivery over HTTP to receivers that behave badly.
@Suite struct HTTPTests {
  private func pipeline(port: Int, count: Int = 200, settings: String = "", stage: String = "") -> String {
    """
    ringway: 1
    stages:
      numbers:
        plugin: generate
        with: {count: \(count)}
      send:
        plugin: http.post
        inputs: [numbers]
        queue: {capacity: 64}
        \(stage)
        with: {url: "http://user:secret-word@127.0.0.1:\(port)/in", concurrency: 16\(settings)}
    """
  }

  private func numbers(_ requests: [Receiver.Request]) -> Set<Int> {
    Set(requests.compactMap { ((try? JSONSerialization.jsonObject(with: Data($0.body.utf8))) as? [String: Any])?["n"] as? Int })
  }

  @Test func everyMessageIsPostedOnceWithAKeyOfItsOwn() throws {
    let receiver = try Receiver { _, _ in .status(204) }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    let result = try folder.run(pipeline(port: receiver.port))
    #expect(result.status == 0, "\(result.errors)")
    #expect(receiver.requests.count == 200 && numbers(receiver.requests).count == 200)
    #expect(Set(receiver.requests.map(\.key)).count == 200)
    #expect(receiver.requests.allSatisfy { $0.headers["content-type"] == "application/json" && $0.key.count == 32 })
    #expect(!result.errors.contains("secret-word"))
  }

  /// Loading libcurl takes longer than the rest of a worker's start. Where it cannot be loaded, only what posts is told so.
  @Test func onlyWhatPostsLoadsLibcurl() throws {
    let folder = try TemporaryFolder()
    _ = try folder.write("libcurl.so.4", "no library")
    let environment = ["LD_LIBRARY_PATH": folder.url.path]
    let posting = try folder.run(pipeline(port: 9), environment: environment)
    #expect(posting.status == 71 && posting.errors.contains("stage \"send\": libcurl cannot be loaded ("), "\(posting.errors)")
    #expect(posting.errors.contains("); install libcurl4"), "\(posting.errors)")
    let other = try folder.run("ringway: 1\nstages: {numbers: {plugin: generate, with: {count: 3}}, end: {plugin: discard, inputs: [numbers]}}", environment: environment)
    #expect(other.status == 0, "\(other.errors)")
  }

  /// While a delivery is under way a thread listens for messages in the worker's place; when the answer has come, the worker itself
  /// waits again. A message must wake whoever is there.
  @Test func aMessageIsPostedAtOnceAfterARest() throws {
    let receiver = try Receiver { _, _ in .status(204) }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    #expect(mkfifo(folder.path("lines"), 0o600) == 0)
    let running = try folder.start("""
      ringway: 1
      stages:
        lines: {plugin: file.read, with: {path: lines}}
        send: {plugin: http.post, inputs: [lines], with: {url: "http://127.0.0.1:\(receiver.port)/in"}}
      """)
    let lines = try FileHandle(forUpdating: folder.url.appendingPathComponent("lines"))
    for n in 1...5 {
      try lines.write(contentsOf: Data("\(n)\n".utf8))
      #expect(eventually { receiver.requests.count == n }, "message \(n) was not posted")
      #expect(eventually { running.workers.allSatisfy { Running.isAsleep($0.pid) } })
    }
    kill(running.pid, SIGTERM)
    try lines.close()
    #expect(try running.finish().status == 0)
  }

  @Test func answersOf500And429AreTriedAgainWithTheSameKey() throws {
    let first = Mutex<Set<String>>([])
    let receiver = try Receiver { request, _ in
      let isNew = first.withLock { $0.insert(request.key).inserted }
      guard isNew else { return .status(200) }
      return request.key.hashValue & 1 == 0 ? .status(500) : .status(429, headers: ["Retry-After": "0"])
    }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    let result = try folder.run(pipeline(port: receiver.port, count: 30))
    #expect(result.status == 0, "\(result.errors)")
    let byBody = Dictionary(grouping: receiver.requests, by: \.body)
    #expect(byBody.count == 30 && byBody.values.allSatisfy { $0.count == 2 && Set($0.map(\.key)).count == 1 })
    #expect(try folder.report.stage("send", "retries") == 30)
  }

  @Test func aReceiverThatComesUpLateGetsEverything() throws {
    let port = try Receiver.freePort()
    let folder = try TemporaryFolder()
    let running = try folder.start(pipeline(port: port, count: 50))
    #expect(eventually { running.workers.count == 2 })
    let receiver = try Receiver(port: port) { _, _ in .status(200) }
    defer { receiver.close() }
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    #expect(numbers(receiver.requests).count == 50)
  }

  @Test func aSlowReceiverHoldsUpTheSourceAndNotMemory() throws {
    // The receiver answers nothing before the test says so.
    let isOpen = Atomic<Bool>(false)
    let receiver = try Receiver { _, _ in
      _ = eventually { isOpen.load(ordering: .acquiring) }
      return .status(200)
    }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    let running = try folder.start(pipeline(port: receiver.port, count: 2000), "--progress", "json")
    // 16 under way, 48 behind them in the queue of 64, and the source waits.
    #expect(eventually { receiver.requests.count == 16 })
    #expect(eventually { running.errors.contains("\"out\":64,") })
    #expect(receiver.requests.count == 16)
    isOpen.store(true, ordering: .releasing)
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    #expect(numbers(receiver.requests).count == 2000)
    let report = try folder.report
    #expect(report.balances && report.json["bottleneck"] as? String == "send", "\(result.errors)")
  }

  @Test func aConnectionCutAfterTheRequestIsTriedAgain() throws {
    let receiver = try Receiver { _, number in number % 5 == 0 ? .cut : .status(200) }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    let result = try folder.run(pipeline(port: receiver.port, count: 40))
    #expect(result.status == 0, "\(result.errors)")
    #expect(numbers(receiver.requests).count == 40)
    for (_, requests) in Dictionary(grouping: receiver.requests, by: \.body) { #expect(Set(requests.map(\.key)).count == 1) }
  }

  /// What stands in the receiver's place for a moment may answer anything.
  @Test(arguments: ["\u{0}\u{ff} garbage", "garbage\r\n\r\n", "HTTP/1.1 999999 x\r\n\r\n", "HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 3_000_000) + "\r\n\r\n"])
  func anAnswerThatIsNoneIsTriedAgain(answer: String) throws {
    let receiver = try Receiver { _, number in number <= 3 ? .raw(answer) : .status(200) }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    let result = try folder.run(pipeline(port: receiver.port, count: 20))
    #expect(result.status == 0, "\(result.errors)")
    #expect(numbers(receiver.requests).count == 20)
  }

  @Test(arguments: [("\u{0}\u{ff} garbage", "the answer is not HTTP"), ("HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 3_000_000), "a header of the answer is too long")])
  func aReceiverThatNeverAnswersProperlyEndsTheRunWith69(answer: String, words: String) throws {
    let receiver = try Receiver { _, _ in .raw(answer) }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    let result = try folder.run(pipeline(port: receiver.port, count: 3, settings: ", give_up: 600ms"))
    #expect(result.status == 69 && result.errors.contains("was unavailable for 600ms: \(words)"), "\(result.errors)")
  }

  @Test func aReceiverThatIsNeverThereEndsTheRunWith69() throws {
    let port = try Receiver.freePort()
    let folder = try TemporaryFolder()
    let result = try folder.run(pipeline(port: port, settings: ", give_up: 600ms"))
    #expect(result.status == 69, "\(result.errors)")
    #expect(result.errors.contains("http://127.0.0.1:\(port) was unavailable for 600ms"))
    #expect(!result.errors.contains("secret-word"))
    #expect(try folder.report.balances)
  }

  @Test func silenceIsEndedByTheTimeout() throws {
    let receiver = try Receiver { _, number in number <= 3 ? .silence : .status(200) }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    let result = try folder.run(pipeline(port: receiver.port, count: 20, settings: ", timeout: 300ms"))
    #expect(result.status == 0, "\(result.errors)")
    #expect(numbers(receiver.requests).count == 20)
  }

  @Test func anAnswerThatMeansNoIsTheMessagesFailure() throws {
    let receiver = try Receiver { request, _ in
      request.body.contains("\"n\":3,") ? .status(422, body: "no threes\u{1b}[31m") : request.body.contains("\"n\":4,") ? .status(302, headers: ["Location": "http://127.0.0.1:1/"]) : .status(200)
    }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    let result = try folder.run(pipeline(port: receiver.port, count: 20, stage: "on_error: {retries: 1, then: drop}"))
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.contains("answered 422: no threes") && result.errors.contains("answered 302"))
    #expect(!result.errors.contains("\u{1b}[31m"))
    let report = try folder.report
    #expect(report.stage("send", "dropped") == 2 && report.stage("send", "errors") == 4 && report.balances)
  }

  /// What was under way when a message was given up is no message that kills workers.
  @Test func nobodyDiesOfARunThatStops() throws {
    let receiver = try Receiver { request, _ in request.body.contains("\"n\":30,") ? .status(422) : .status(200) }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    let result = try folder.run(pipeline(port: receiver.port, stage: "processes: 2"))
    #expect(result.status == 65 && result.errors.contains("answered 422"), "\(result.errors)")
    #expect(!result.errors.contains("in hand"), "\(result.errors)")
  }

  @Test func senderAndReceiverThatAreKilledDeliverEverythingOnceInEffect() throws {
    let folder = try TemporaryFolder()
    let port = try Receiver.freePort()
    let seed = testSeed()
    print("http kills: RINGWAY_SEED=\(seed)")
    var random = Seeded(seed)
    let running = try folder.start("""
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 6000}
        send:
          plugin: http.post
          inputs: [numbers]
          restart: {max: 1000, backoff: 1ms}
          on_error: {deaths: 254}
          with: {url: "http://127.0.0.1:\(port)/in", concurrency: 32}
        receive:
          plugin: http.listen
          with: {address: "127.0.0.1:\(port)", path: /in}
        results:
          plugin: file.write
          inputs: [receive]
          with: {path: out.txt}
      """)
    for _ in 0..<12 {
      let before = folder.lines("out.txt").count
      _ = eventually(within: 2) { folder.lines("out.txt").count > before + 100 }
      if let worker = running.workers.filter({ $0.stage == "send" }).randomElement(using: &random) { kill(worker.pid, SIGKILL) }
    }
    #expect(eventually(within: 300) { Set(folder.lines("out.txt")).count == 6000 }, "\(running.errors)")
    kill(running.pid, SIGTERM)
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    // The receiver knows the keys that it has taken: nothing is doubled although the sender died with requests under way.
    #expect(folder.lines("out.txt").count == 6000)
  }

  @Test func aFullQueueMakesClientsWaitAndThenSendsThemAway() throws {
    let folder = try TemporaryFolder()
    let port = try Receiver.freePort()
    mkfifo(folder.path("slow"), 0o600)
    let holder = open(folder.path("slow"), O_RDWR | O_CLOEXEC)
    defer { close(holder) }
    // The reader of this pipe is the test, which reads nothing: the queue fills and stays full.
    let running = try folder.start("""
      ringway: 1
      drain: 200ms
      stages:
        receive:
          plugin: http.listen
          with: {address: "127.0.0.1:\(port)", wait: 200ms, max_body: 64KiB}
        results:
          plugin: file.write
          inputs: [receive]
          queue: {capacity: 2, message: 64KiB}
          with: {path: slow}
      """)
    #expect(eventually { running.workers.count == 2 })
    let body = folder.path("body")
    try String(repeating: "x", count: 60_000).write(toFile: body, atomically: true, encoding: .utf8)
    // Its worker is there before it listens.
    let first = try Running(
      ["-c", "curl -s -m 20 --retry 20 --retry-delay 1 --retry-all-errors -o /dev/null -w '%{http_code}' -d first http://127.0.0.1:\(port)/"],
      executable: URL(fileURLWithPath: "/bin/bash"))
    #expect(try first.finish().output == "200", "\(running.errors)")
    let curl = try Running(
      ["-c", "for i in $(seq 12); do curl -s -m 20 -o /dev/null -D - --data-binary @'\(body)' http://127.0.0.1:\(port)/ & done; wait"],
      executable: URL(fileURLWithPath: "/bin/bash"))
    let answers = try curl.finish().output
    #expect(answers.contains("HTTP/1.1 200"))
    #expect(answers.contains("HTTP/1.1 503") && answers.contains("Retry-After: 1"))
    let others = try Ringway.run(["--version"])
    #expect(others.status == 0)
    kill(running.pid, SIGTERM)
    _ = try running.finish()
  }

  @Test func otherMethodsPathsAndSizesAreRefused() throws {
    let folder = try TemporaryFolder()
    let port = try Receiver.freePort()
    let running = try folder.start("""
      ringway: 1
      stages:
        receive:
          plugin: http.listen
          with: {address: "127.0.0.1:\(port)", path: /in, max_body: 100B, limit: 2, linger: 0s}
        results:
          plugin: file.write
          inputs: [receive]
          with: {path: out.txt}
      """)
    #expect(eventually { running.workers.count == 2 })
    let base = "http://127.0.0.1:\(port)"
    let curl = try Running(
      ["-c", """
        c() { curl -s -m 10 --retry 10 --retry-connrefused -o /dev/null -w '%{http_code}\\n' "$@"; }
        c \(base)/in; c -d x \(base)/elsewhere; c -d "$(head -c 101 /dev/zero | tr '\\0' x)" \(base)/in
        c -d one -H 'Idempotency-Key: a' \(base)/in; c -d again -H 'Idempotency-Key: a' \(base)/in; c -d two -H 'Transfer-Encoding: chunked' -H 'Expect: 100-continue' \(base)/in
        """], executable: URL(fileURLWithPath: "/bin/bash"))
    #expect(try curl.finish().output == "405\n404\n413\n200\n200\n200\n")
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt") == ["one", "two"])
  }

  @Test func anEmptyKeyIsNone() throws {
    let folder = try TemporaryFolder()
    let port = try Receiver.freePort()
    let running = try folder.start("""
      ringway: 1
      stages:
        receive: {plugin: http.listen, with: {address: "127.0.0.1:\(port)", limit: 2, linger: 0s}}
        results: {plugin: file.write, inputs: [receive], with: {path: out.txt}}
      """)
    #expect(eventually { running.workers.count == 2 })
    let post = "curl -s -m 10 --retry 10 --retry-connrefused -o /dev/null -w '%{http_code}\\n' -H 'Idempotency-Key;' http://127.0.0.1:\(port)/"
    let curl = try Running(["-c", "\(post) -d one; \(post) -d two"], executable: URL(fileURLWithPath: "/bin/bash"))
    #expect(try curl.finish().output == "200\n200\n")
    let result = try running.finish()
    #expect(result.status == 0 && folder.lines("out.txt") == ["one", "two"], "\(result.errors)")
  }

  @Test func anAddressThatIsTakenIsNamed() throws {
    let receiver = try Receiver { _, _ in .status(200) }
    defer { receiver.close() }
    let folder = try TemporaryFolder()
    let result = try folder.run("ringway: 1\nstages:\n  r:\n    plugin: http.listen\n    with: {address: \"127.0.0.1:\(receiver.port)\"}\n  o:\n    plugin: discard\n    inputs: [r]\n")
    #expect(result.status == 73)
    #expect(result.errors.contains("cannot listen on 127.0.0.1:\(receiver.port): Address already in use"))
  }
}
