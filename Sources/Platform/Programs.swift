import Glibc

/// Programs of the system: where they are, and what they say.
package enum Programs {
  /// The file of a program, absolute.
  ///
  /// - Parameters:
  ///   - name: a name without a slash is looked up; anything else is a path, relative to `directory`
  ///   - path: the folders to look in, as in the variable PATH; relative ones are passed over, since they would depend on the
  ///     folder that the program is started in
  package static func find(_ name: String, path: String?, directory: String) -> String? {
    if name.utf8.contains(UInt8(ascii: "/")) {
      let file = name.hasPrefix("/") ? name : directory + "/" + name
      return isExecutable(file) ? file : nil
    }
    // What execvp(3) takes where there is no PATH.
    for folder in (path ?? "/bin:/usr/bin").split(separator: ":") where folder.hasPrefix("/") {
      let file = folder + "/" + name
      if isExecutable(file) { return file }
    }
    return nil
  }

  private static func isExecutable(_ file: String) -> Bool { Files.status(file)?.kind == .file && access(file, X_OK) == 0 }

  package enum Outcome: Sendable {
    case answered([UInt8])
    /// How it ended otherwise, and what it wrote to standard error last; and what there was of an answer.
    case failed(String, said: [UInt8] = [])
  }

  /// Under what programs are asked: nothing that they have started may outlive this process, however it ends.
  package struct Watch {
    let signals: PostponedSignals
    /// Kills what they have started when this process is killed.
    let keeper: RunGuard?
    /// Called when a signal has come, once they are killed.
    let interrupted: () -> Never

    package init(_ signals: PostponedSignals, _ keeper: RunGuard?, interrupted: @escaping () -> Never) {
      self.signals = signals
      self.keeper = keeper
      self.interrupted = interrupted
    }
  }

  /// Runs a program to its end, on the main thread: it gets `input`, and its standard output is the answer. At the deadline it is killed with all that
  /// it has started.
  ///
  /// - Parameters:
  ///   - order: without descriptors
  ///   - limit: the most bytes of the answer
  package static func ask(_ order: ChildProcess.Order, input: [UInt8], within time: Duration, limit: Int, _ watch: Watch) -> Outcome {
    ask([(order, input)], within: time, limit: limit, watch).first ?? .failed("nobody was asked")
  }

  /// The same with several.
  ///
  /// - Parameters:
  ///   - atOnce: how many at the same time
  ///   - time: for each, from its start; begins anew when this process itself has stood still
  ///   - limit: the most bytes of an answer
  ///   - slow: called once for each that takes long, with what there is of its answer
  ///   - meanwhile: called when the first of them have been started; also when there are none
  /// - Returns: an outcome for each, in their order
  package static func ask(
    _ orders: [(order: ChildProcess.Order, input: [UInt8])], atOnce most: Int = 1, within time: Duration, limit: Int, _ watch: Watch,
    slow: (after: Duration, call: (Int, [UInt8]) -> Void)? = nil, meanwhile: () -> Void = {}
  ) -> [Outcome] {
    var outcomes = [Outcome?](repeating: nil, count: orders.count)
    var running: [(number: Int, child: Child)] = []
    var next = 0
    // Each at once has a place of its own in the guard's list.
    var places = Array((0..<min(max(1, most), RunGuard.places)).reversed())
    func startMore() {
      while next < orders.count, let place = places.last {
        do throws(SystemError) {
          let keeper = watch.keeper.map { (guard: $0, place: place) }
          running.append((next, try Child(orders[next].order, orders[next].input, until: .now + time, keeper)))
          places.removeLast()
        } catch {
          outcomes[next] = .failed("\(error)")
        }
        next += 1
      }
    }
    startMore()
    meanwhile()
    while !running.isEmpty {
      let deadlines = running.map(\.child.deadline) + running.compactMap { one in one.child.isToldOf ? nil : slow.map { one.child.began + $0.after } }
      let ready = Descriptors.wait(running.flatMap { $0.child.interests } + [.readable(watch.signals.descriptor)], until: deadlines.min())
      if ready.last ?? false {
        for k in running.indices { _ = running[k].child.kill("interrupted") }
        watch.interrupted()
      }
      let now = ContinuousClock.now
      for k in running.indices {
        let number = running[k].number
        outcomes[number] = running[k].child.hear(Array(ready[3 * k..<3 * k + 3]), limit: limit)
        if outcomes[number] != nil { continue }
        let late = now - running[k].child.deadline
        if late > .seconds(1) {
          // This process was stopped, or the machine slept, and the program perhaps with it.
          running[k].child.deadline = now + time
        } else if late >= .zero {
          outcomes[number] = running[k].child.kill("it did not end within \(time.components.seconds) s")
        } else if let slow, !running[k].child.isToldOf, now >= running[k].child.began + slow.after {
          running[k].child.isToldOf = true
          slow.call(number, running[k].child.said)
        }
      }
      for one in running where outcomes[one.number] != nil { if let place = one.child.keeper?.place { places.append(place) } }
      running.removeAll { outcomes[$0.number] != nil }
      startMore()
    }
    return outcomes.map { $0 ?? .failed("it was not asked") }
  }

  /// A program that is being asked.
  private struct Child {
    private let process: ChildProcess
    let keeper: (guard: RunGuard, place: Int)?
    let began = ContinuousClock.now
    var deadline: ContinuousClock.Instant
    /// Whether it has been told of that it takes long.
    var isToldOf = false
    /// Its standard output and its standard error; nil once it has closed them.
    private var answer: Int32?
    private var words: Int32?
    private(set) var said: [UInt8] = []
    private var complained: [UInt8] = []

    init(
      _ order: ChildProcess.Order, _ input: [UInt8], until deadline: ContinuousClock.Instant, _ keeper: (guard: RunGuard, place: Int)?
    ) throws(SystemError) {
      let question = try Channel.memoryFile(input, name: "ringway-question")
      defer { Descriptors.close(question) }
      let answer = try Channel.pipe()
      defer { Descriptors.close(answer.write) }
      let words: (read: Int32, write: Int32)
      do throws(SystemError) { words = try Channel.pipe() } catch {
        Descriptors.close(answer.read)
        throw error
      }
      defer { Descriptors.close(words.write) }
      var order = order
      order.descriptors = [question, answer.write, words.write]
      do throws(SystemError) { process = try ChildProcess.spawn(order) } catch {
        Descriptors.close(answer.read)
        Descriptors.close(words.read)
        throw error
      }
      self.answer = answer.read
      self.words = words.read
      self.deadline = deadline
      self.keeper = keeper
      if let keeper { keeper.guard.enter(keeper.place, group: process.pid) }
    }

    var interests: [Descriptors.Interest] { [answer, words, process.pidfd].map { .readable($0 ?? process.pidfd) } }

    /// - Parameter ready: which of `interests` are
    /// - Returns: nil while it goes on
    mutating func hear(_ ready: [Bool], limit: Int) -> Outcome? {
      if said.count > limit { return kill("it wrote more than \(limit) bytes") }
      if ready[0] { Self.take(&answer, &said) }
      if ready[1] { Self.take(&words, &complained) }
      if complained.count > 64 << 10 { complained.removeFirst(complained.count - (32 << 10)) }
      // Its end decides, not that of its streams: something that it left behind may hold them.
      guard ready[2] else { return nil }
      do throws(SystemError) {
        guard let end = try process.reap(beforeItIsFree: strikeOut)?.end else { return nil }
        return outcome(end, limit)
      } catch {
        return closed(.failed("\(error)", said: said))
      }
    }

    mutating func kill(_ reason: String) -> Outcome {
      process.killNow(beforeItIsFree: strikeOut)
      return closed(.failed(reason, said: said))
    }

    private func strikeOut() { if let keeper { keeper.guard.strikeOut(keeper.place) } }

    private mutating func outcome(_ end: ChildProcess.End, _ limit: Int) -> Outcome {
      while Self.hasMore(answer), said.count <= limit { Self.take(&answer, &said) }
      while Self.hasMore(words), complained.count < 1 << 20 { Self.take(&words, &complained) }
      if end == .exited(0) { return closed(.answered(said)) }
      let text = String(decoding: complained, as: UTF8.self)
      let last = text.split(separator: "\n").last.map { ": " + $0 } ?? ""
      return closed(.failed(end.description + last, said: said))
    }

    private func closed(_ outcome: Outcome) -> Outcome {
      if let answer { Descriptors.close(answer) }
      if let words { Descriptors.close(words) }
      return outcome
    }

    private static func hasMore(_ stream: Int32?) -> Bool {
      guard let stream else { return false }
      return Descriptors.wait([.readable(stream)], until: .now).contains(true)
    }

    /// Reads what is there of a stream, and closes it at its end.
    private static func take(_ stream: inout Int32?, _ bytes: inout [UInt8]) {
      guard let descriptor = stream else { return }
      var buffer = [UInt8](repeating: 0, count: 64 << 10)
      let count = buffer.withUnsafeMutableBytes { (try? Descriptors.read(descriptor, into: $0)) ?? 0 }
      bytes += buffer[..<count]
      if count == 0 {
        Descriptors.close(descriptor)
        stream = nil
      }
    }
  }
}
