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

  /// Runs a program to its end, on the main thread: it gets `input`, and its standard output is the answer. At the deadline it is killed with all that
  /// it has started.
  ///
  /// - Parameters:
  ///   - order: without descriptors
  ///   - limit: the most bytes of the answer
  package static func ask(_ order: ChildProcess.Order, input: [UInt8], within time: Duration, limit: Int) -> Outcome {
    ask([(order, input)], within: time, limit: limit).first ?? .failed("nobody was asked")
  }

  /// The same with several, at the same time.
  ///
  /// - Parameters:
  ///   - limit: the most bytes of an answer
  ///   - slow: called once for each that takes long, with what there is of its answer
  ///   - meanwhile: called when they have been started; also when there are none
  /// - Returns: an outcome for each, in their order
  package static func ask(
    _ orders: [(order: ChildProcess.Order, input: [UInt8])], within time: Duration, limit: Int,
    slow: (after: Duration, call: (Int, [UInt8]) -> Void)? = nil, meanwhile: () -> Void = {}
  ) -> [Outcome] {
    let deadline = ContinuousClock.now + time
    var reminder = slow.map { ContinuousClock.now + $0.after }
    // Nobody else would end what they have started: a signal to this process alone must not leave that behind.
    let signals: PostponedSignals
    do throws(SystemError) { signals = try PostponedSignals() } catch {
      meanwhile()
      return orders.map { _ in .failed("\(error)") }
    }
    defer { signals.release() }
    var all = orders.map { order, input in
      do throws(SystemError) { return Asked.running(try Child(order, input)) } catch { return Asked.done(.failed("\(error)")) }
    }
    meanwhile()
    while true {
      var running: [(number: Int, child: Child)] = []
      for case (let i, .running(let child)) in all.enumerated() { running.append((i, child)) }
      if running.isEmpty { break }
      let ready = Descriptors.wait(
        running.flatMap { $0.child.interests } + [.readable(signals.descriptor)], until: reminder.map { min($0, deadline) } ?? deadline)
      if let due = reminder, due <= .now, due < deadline {
        reminder = nil
        for (number, child) in running { slow?.call(number, child.said) }
        continue
      }
      let isInterrupted = ready.last ?? false
      let isLate = !ready.contains(true)
      for (k, (number, var child)) in running.enumerated() {
        let outcome =
          isInterrupted || isLate
          ? child.kill("it did not end within \(time.components.seconds) s") : child.hear(Array(ready[3 * k..<3 * k + 3]), limit: limit)
        all[number] = outcome.map(Asked.done) ?? .running(child)
      }
    }
    return all.map { if case .done(let outcome) = $0 { outcome } else { .failed("it was not waited for") } }
  }

  private enum Asked {
    case running(Child)
    case done(Outcome)
  }

  /// A program that is being asked.
  private struct Child {
    private let process: ChildProcess
    private let answer: Int32
    private let words: Int32
    /// Whether it has closed its standard output, its standard error.
    private var isMute = (false, false)
    private(set) var said: [UInt8] = []
    private var complained: [UInt8] = []

    init(_ order: ChildProcess.Order, _ input: [UInt8]) throws(SystemError) {
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
    }

    var interests: [Descriptors.Interest] {
      [.readable(isMute.0 ? process.pidfd : answer), .readable(isMute.1 ? process.pidfd : words), .readable(process.pidfd)]
    }

    /// - Parameter ready: which of `interests` are
    /// - Returns: nil while it goes on
    mutating func hear(_ ready: [Bool], limit: Int) -> Outcome? {
      if said.count > limit { return kill("it wrote more than \(limit) bytes") }
      if ready[0], !isMute.0 { isMute.0 = !take(answer, &said) }
      if ready[1], !isMute.1 { isMute.1 = !take(words, &complained) }
      if complained.count > 64 << 10 { complained.removeFirst(complained.count - (32 << 10)) }
      // Its end decides, not that of its streams: something that it left behind may hold them.
      guard ready[2] else { return nil }
      do throws(SystemError) {
        guard let end = try process.reap()?.end else { return nil }
        return outcome(end, limit)
      } catch {
        return closed(.failed("\(error)", said: said))
      }
    }

    mutating func kill(_ reason: String) -> Outcome {
      process.killNow()
      return closed(.failed(reason, said: said))
    }

    private mutating func outcome(_ end: ChildProcess.End, _ limit: Int) -> Outcome {
      while Descriptors.wait([.readable(answer)], until: .now).contains(true), take(answer, &said), said.count <= limit {}
      while Descriptors.wait([.readable(words)], until: .now).contains(true), take(words, &complained), complained.count < 1 << 20 {}
      if end == .exited(0) { return closed(.answered(said)) }
      let text = String(decoding: complained, as: UTF8.self)
      let last = text.split(separator: "\n").last.map { ": " + $0 } ?? ""
      return closed(.failed(end.description + last, said: said))
    }

    private func closed(_ outcome: Outcome) -> Outcome {
      Descriptors.close(answer)
      Descriptors.close(words)
      return outcome
    }

    /// - Returns: whether there may be more
    private func take(_ descriptor: Int32, _ bytes: inout [UInt8]) -> Bool {
      var buffer = [UInt8](repeating: 0, count: 64 << 10)
      let count = buffer.withUnsafeMutableBytes { (try? Descriptors.read(descriptor, into: $0)) ?? 0 }
      bytes += buffer[..<count]
      return count > 0
    }
  }
}
