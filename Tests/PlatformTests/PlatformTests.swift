import Foundation
import Harness
import Testing

@testable import Platform

@Suite struct PlatformTests {
  private let temporary: TemporaryFolder
  private let folder: String

  init() throws {
    temporary = try TemporaryFolder()
    folder = temporary.url.path
  }

  @Test func aByteIsFoundWhereItStandsFirst() {
    let bytes: [UInt8] = [1, 10, 2, 10, 0]
    bytes.withUnsafeBytes {
      #expect($0.offset(of: 10) == 1 && $0.offset(of: 0) == 4 && $0.offset(of: 3) == nil)
      #expect(UnsafeRawBufferPointer(rebasing: $0[2...]).offset(of: 10) == 1 && UnsafeRawBufferPointer(rebasing: $0[4...]).offset(of: 10) == nil)
      #expect(UnsafeRawBufferPointer(rebasing: $0[5...]).offset(of: 10) == nil && UnsafeRawBufferPointer(start: nil, count: 0).offset(of: 0) == nil)
    }
  }

  @Test func aFailingCallKeepsItsNameSubjectAndReason() {
    let error = #expect(throws: SystemError.self) { try Files.readAll(folder + "/none", limit: 10) }
    #expect(error?.description == "open \(folder)/none: No such file or directory")
  }

  @Test func filesAreReplacedWholeAndForTheirOwnerAlone() throws {
    let path = folder + "/report.json"
    try Files.replace(path, with: "one")
    try Files.replace(path, with: "two")
    #expect(Files.text(path) == "two")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["report.json"])
    #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
    #expect(throws: SystemError.self) { try Files.replace(folder + "/no/report.json", with: "x") }
  }

  @Test func readingIsBounded() throws {
    try String(repeating: "x", count: 1000).write(toFile: folder + "/big", atomically: true, encoding: .utf8)
    #expect(try Files.readAll(folder + "/big", limit: 1000).count == 1000)
    #expect(throws: SystemError("read", folder + "/big", errno: EFBIG)) { try Files.readAll(folder + "/big", limit: 999) }
  }

  @Test func globsAreSortedByteByByte() throws {
    for name in ["b.txt", "a.txt", "B.txt", "c.log"] { try "".write(toFile: folder + "/" + name, atomically: true, encoding: .utf8) }
    #expect(Files.glob(folder + "/*.txt").map { String($0.dropFirst(folder.count + 1)) } == ["B.txt", "a.txt", "b.txt"])
    #expect(Files.glob(folder + "/none*") == [])
  }

  @Test(arguments: [
    ("127.0.0.1:80", "127.0.0.1", "80"), ("[::1]:8080", "::1", "8080"), ("localhost:0", "localhost", "0"), ("no-port", nil, nil), ("host:", nil, nil), (":80", nil, nil),
    ("host:99999", nil, nil), ("::1:80", nil, nil),
  ] as [(String, String?, String?)]) func addresses(text: String, host: String?, port: String?) {
    let parsed = Sockets.parse(text)
    #expect(parsed?.host == host && parsed?.port == port)
  }

  /// Less than a second ago counts too: poll(2) takes a negative time for none.
  @Test(arguments: [Duration.zero, .milliseconds(3), .milliseconds(20), .milliseconds(999), .seconds(1), .milliseconds(1500), .seconds(100_000)])
  func aDeadlineThatHasPassedIsNotWaitedFor(ago: Duration) throws {
    let rescue = try #require(EventDescriptor())
    // Ends a wait that would never end.
    #expect(Thread.start { _ = Descriptors.wait([], until: .now + .seconds(60)); rescue.signal() })
    #expect(Descriptors.wait([.readable(rescue.descriptor)], until: .now - ago) == [false])
  }

  @Test func whatIsWrittenIsReadAndAnEndIsAnEnd() throws {
    let pipe = try Channel.pipe()
    var buffer = [UInt8](repeating: 0, count: 16)
    #expect(try buffer.withUnsafeMutableBytes { try Descriptors.read(pipe.read, into: $0) } == nil, "nothing yet")
    try Descriptors.writeAll(pipe.write, "hello")
    #expect(Descriptors.wait([.readable(pipe.read)], until: nil) == [true])
    #expect(try buffer.withUnsafeMutableBytes { try Descriptors.read(pipe.read, into: $0) } == 5)
    Descriptors.close(pipe.write)
    // A process that another test has just begun to start may hold a copy for a moment.
    #expect(Descriptors.wait([.readable(pipe.read)], until: nil) == [true])
    #expect(try buffer.withUnsafeMutableBytes { try Descriptors.read(pipe.read, into: $0) } == 0)
    Descriptors.close(pipe.read)
  }

  @Test func waitingEndsAtTheDeadline() throws {
    let pipe = try Channel.pipe()
    #expect(Descriptors.wait([.readable(pipe.read)], until: .now + .milliseconds(5)) == [false])
    #expect(Descriptors.wait([.readable(pipe.read), .writable(pipe.write)], until: .now - .seconds(1)) == [false, true])
    Descriptors.close(pipe.read)
    Descriptors.close(pipe.write)
  }

  /// A program that was done in time, and one that had no time since this process did not run: neither is blamed. In a process of its own, for
  /// the kernel ends programs with the thread that has started them.
  @Test func whoAsksLateBlamesNobody() async {
    await #expect(processExitsWith: .success) {
      func ask(_ script: String, within time: Duration, meanwhile: () -> Void = {}) -> Programs.Outcome? {
        let signals = PostponedSignals()
        defer { signals.release() }
        var order = ChildProcess.Order(arguments: ["sh", "-c", script], descriptors: [])
        order.program = "/bin/sh"
        return Programs.ask([(order, [])], within: time, limit: 1000, Programs.Watch(signals, nil) { signals.end() }, meanwhile: meanwhile).first
      }
      func answer(_ outcome: Programs.Outcome?) -> String {
        if case .answered(let bytes) = outcome { String(decoding: bytes, as: UTF8.self) } else { "\(outcome, default: "nothing")" }
      }
      let early = ask("echo early", within: .zero) {
        // It has ended, and is still to be reaped.
        var info = siginfo_t()
        #expect(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0)
      }
      #expect(answer(early) == "early\n")
      // Its time was over so long ago that this process must have stood still; it has not ended when that is first seen.
      let late = ask("sleep 0.5; echo late", within: .seconds(-5))
      #expect(answer(late) == "late\n")
      if case .failed(let reason, _) = ask("sleep 1000", within: .milliseconds(1)) {
        #expect(reason == "it did not end within 0 s")
      } else {
        Issue.record("it goes on")
      }
    }
  }

  /// Into numbers that are taken, some of them by what has just come. In a process of its own, and with a table of descriptors for
  /// this thread alone (unshare(2)): threads of libraries open files at any time too.
  @Test func descriptorsAreHandedOverInOrder() async {
    await #expect(processExitsWith: .success) {
      func inode(_ descriptor: Int32) -> UInt64? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? UInt64(status.st_ino) : nil
      }
      let unshare = try #require(dlsym(nil, "unshare").map { unsafeBitCast($0, to: (@convention(c) (Int32) -> Int32).self) })
      #expect(unshare(0x400 /* CLONE_FILES */) == 0)
      let sockets = try Channel.socketPair()
      // Fills what is free in between, so that numbers follow each other from here on.
      let first: Int32 = 200
      while try Channel.openNull() < first - 1 {}
      let files = try (0..<Channel.mostHandedOver).map { _ in try Channel.memoryFile([1], name: "test") }
      let end = first + Int32(files.count)
      #expect(files == Array(first..<end))
      let before = files.map(inode)
      try Channel.handOver(files, over: sockets.ours)
      #expect(throws: SystemError.self) { try Channel.handOver(files + files, over: sockets.ours) }
      try Descriptors.writeAll(sockets.ours, "go")
      for fd in files { Descriptors.close(fd) }
      for fd in first..<first + 3 { #expect(try Channel.openNull() == fd, "what is open there gives way") }
      for fd in end..<end + 2 { #expect(dup2(first, fd) == fd) }
      #expect(try Channel.takeOver(from: sockets.theirs, first: first, reserved: Int32(files.count) + 2))
      #expect(before.indices.map { inode(first + Int32($0)) } == before)
      #expect(before.indices.allSatisfy { fcntl(first + Int32($0), F_GETFD) == 0 }, "programs that are started have them too")
      #expect((end..<end + 600).allSatisfy { inode($0) == nil }, "nothing else is left open")
      var buffer = [UInt8](repeating: 0, count: 8)
      #expect(try buffer.withUnsafeMutableBytes { try Descriptors.read(sockets.theirs, into: $0) } == 2, "what came after it is still there")
      Descriptors.close(sockets.ours)
      #expect(try !Channel.takeOver(from: sockets.theirs, first: first, reserved: 1))
    }
  }

  @Test func whoIsGoneIsHandedNothing() throws {
    let sockets = try Channel.socketPair()
    Descriptors.close(sockets.theirs)
    // A process that another test has just begun to start may hold a copy for a moment.
    #expect(Descriptors.wait([.readable(sockets.ours)], until: nil) == [true])
    let error = #expect(throws: SystemError.self) { try Channel.handOver([0], over: sockets.ours) }
    #expect(error?.errno == EPIPE)
    Descriptors.close(sockets.ours)
  }

  @Test func eventsStayUntilTheyAreCleared() throws {
    let event = try #require(EventDescriptor())
    #expect(Descriptors.wait([.readable(event.descriptor)], until: .now) == [false])
    event.signal()
    event.signal()
    #expect(Descriptors.wait([.readable(event.descriptor)], until: nil) == [true])
    event.clear()
    #expect(Descriptors.wait([.readable(event.descriptor)], until: .now) == [false])
    event.close()
  }

  @Test func sharedMemoryCannotBeCutByAPeer() throws {
    let memory = try SharedMemory.create(name: "test", count: 8192)
    #expect(ftruncate(memory.descriptor, 4096) == -1 && errno == EPERM)
    #expect(ftruncate(memory.descriptor, 16_384) == -1)
    let other = try SharedMemory.attach(try Channel.duplicate(memory.descriptor))
    memory.base.storeBytes(of: 42, as: UInt64.self)
    #expect(other.base.load(as: UInt64.self) == 42 && other.count == 8192)
    other.unmap()
    memory.unmap()
  }

  @Test func aListenerIsBoundOnce() throws {
    let first = try Sockets.listen("127.0.0.1:0")
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = withUnsafeMutablePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(first, $0, &length) } }
    let port = UInt16(bigEndian: address.sin_port)
    let error = #expect(throws: SystemError.self) { try Sockets.listen("127.0.0.1:\(port)") }
    #expect(error?.errno == EADDRINUSE)
    Descriptors.close(first)
  }

  @Test func theMachineHasSomethingToOffer() {
    #expect(1...4096 ~= Machine.usableCPUs)
    #expect(Machine.availableMemory > 1 << 20)
    #expect(Machine.raiseDescriptorLimit() >= 256)
  }

  @Test func aChildThatSomebodyHasStoppedIsSeenToBe() throws {
    var order = ChildProcess.Order(arguments: ["sleep", "100000"], environment: [], directory: nil, descriptors: [0, 1, 2])
    order.program = "/bin/sleep"
    let child = try ChildProcess.spawn(order)
    #expect(!child.isStopped)
    child.stop()
    while !child.isStopped { sched_yield() }
    child.goOn()
    while child.isStopped { sched_yield() }
    child.killGroup()
    var isGone = false
    while try child.reap(beforeItIsFree: { isGone = kill(child.pid, 0) != 0 }) == nil { _ = Descriptors.wait([.readable(child.pidfd)], until: nil) }
    #expect(!isGone, "its number is its own until it is reaped")
    #expect(kill(child.pid, 0) != 0 && !child.isStopped)
  }
}
