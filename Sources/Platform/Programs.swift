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
  ///   - slow: called once when it takes long, with what there is of an answer
  package static func ask(
    _ order: ChildProcess.Order, input: [UInt8], within time: Duration, limit: Int, slow: (after: Duration, call: ([UInt8]) -> Void)? = nil
  ) -> Outcome {
    do throws(SystemError) {
      return try askThrowing(order, input, time, limit, slow)
    } catch {
      return .failed("\(error)")
    }
  }

  private static func askThrowing(
    _ order: ChildProcess.Order, _ input: [UInt8], _ time: Duration, _ limit: Int, _ slow: (after: Duration, call: ([UInt8]) -> Void)?
  ) throws(SystemError) -> Outcome {
    let deadline = ContinuousClock.now + time
    var reminder = slow.map { (at: ContinuousClock.now + $0.after, call: $0.call) }
    let question = try Channel.memoryFile(input, name: "ringway-question")
    defer { Descriptors.close(question) }
    let answer = try Channel.pipe()
    defer { Descriptors.close(answer.read) }
    let words: (read: Int32, write: Int32)
    do throws(SystemError) { words = try Channel.pipe() } catch {
      Descriptors.close(answer.write)
      throw error
    }
    defer { Descriptors.close(words.read) }
    // Nobody else would end it: a signal to this process alone must not leave it behind.
    let signals = try PostponedSignals()
    defer { signals.release() }
    var order = order
    order.descriptors = [question, answer.write, words.write]
    let child: ChildProcess
    do throws(SystemError) { child = try ChildProcess.spawn(order) } catch {
      Descriptors.close(answer.write)
      Descriptors.close(words.write)
      throw error
    }
    Descriptors.close(answer.write)
    Descriptors.close(words.write)
    var said: [UInt8] = []
    var complained: [UInt8] = []
    var end: ChildProcess.End?
    // Its end decides, not that of its streams: something that it left behind may hold them.
    while end == nil {
      let ready = Descriptors.wait([.readable(answer.read), .readable(words.read), .readable(child.pidfd), .readable(signals.descriptor)], until: reminder.map { min($0.at, deadline) } ?? deadline)
      if let due = reminder, due.at <= .now, due.at < deadline {
        reminder = nil
        due.call(said)
        continue
      }
      if !ready.contains(true) || said.count > limit || ready[3] {
        child.killGroup()
        while try child.reap() == nil { _ = Descriptors.wait([.readable(child.pidfd)], until: nil) }
        return .failed(said.count > limit ? "it wrote more than \(limit) bytes" : "it did not end within \(time.components.seconds) s", said: said)
      }
      if ready[0] { take(answer.read, &said) }
      if ready[1] { take(words.read, &complained) }
      if complained.count > 64 << 10 { complained.removeFirst(complained.count - (32 << 10)) }
      if ready[2] { end = try child.reap()?.end }
    }
    while Descriptors.wait([.readable(answer.read)], until: .now).contains(true), take(answer.read, &said), said.count <= limit {}
    while Descriptors.wait([.readable(words.read)], until: .now).contains(true), take(words.read, &complained), complained.count < 1 << 20 {}
    if case .exited(0)? = end { return .answered(said) }
    let text = String(decoding: complained, as: UTF8.self)
    let last = text.split(separator: "\n").last.map { ": " + $0 } ?? ""
    return .failed((end?.description ?? "") + last, said: said)
  }

  @discardableResult
  private static func take(_ descriptor: Int32, _ bytes: inout [UInt8]) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    let count = buffer.withUnsafeMutableBytes { (try? Descriptors.read(descriptor, into: $0)) ?? 0 }
    bytes += buffer[..<count]
    return count > 0
  }
}
