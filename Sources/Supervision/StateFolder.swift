import Platform
import Rings
package import Specs

/// Why a run cannot begin.
package struct StartFailure: Error {
  package var code: ExitCode
  package var text: String
}

/// The files of a state directory: their names, who may use them, and what is ours.
///
///     lock            held by the runner; its content says what the folder is
///     plan.json       the graph (`StatePlan`); written last, so a folder without it is one whose making was interrupted
///     run.json        what became of the last run (`StateSession`)
///     STAGE.queue     the ring in front of a stage; STAGE.K.queue where each of its processes has one
///     STAGE.cells     the cells of its workers
///     worker-N.lock   held by worker N for as long as it may write
struct StateFolder {
  /// As it was given.
  let path: String

  init(_ path: String) { self.path = path }

  static let lock = "lock", plan = "plan.json", session = "run.json"
  /// - Parameter process: the one whose queue it is; nil for a queue that all processes read
  static func queue(_ stage: String, _ process: Int? = nil) -> String { stage + (process.map { ".\($0)" } ?? "") + ".queue" }
  static func cells(_ stage: String) -> String { stage + ".cells" }
  static func workerLock(_ number: Int) -> String { "worker-\(number).lock" }

  /// What the lock file says.
  private static let marker = "ringway state\n"

  func file(_ name: String) -> String { path + "/" + name }

  /// Whether a run was ever begun here.
  var isComplete: Bool { Files.status(file(Self.plan)) != nil }

  // MARK: Taking it

  /// Makes the folder if need be, and refuses one that others could use or that holds something else.
  func prepare() throws(StartFailure) {
    try doing(path) { () throws(SystemError) in try Files.makePrivateDirectory(path) }
    try step(.madeFolder)
    guard Files.status(path)?.kind == .directory else {
      throw StartFailure(code: .cannotCreate, text: "\(path) is no folder: name another one with --state")
    }
    let names = try names()
    let (owner, mode) = try doing(path) { () throws(SystemError) in try Files.ownership(path) }
    if owner != CurrentProcess.userID { throw StartFailure(code: .permission, text: "the folder \(path) belongs to another user: name another one with --state") }
    if mode & 0o077 != 0 {
      if !names.isEmpty {
        throw StartFailure(code: .permission, text: "others may use \(path), and a state holds messages: `chmod 700 \(path)`, if you trust what is in it")
      }
      try doing(path) { () throws(SystemError) in try Files.setMode(path, 0o700) }
    }
    if names.contains(Self.plan), !names.contains(Self.lock) { throw damaged(Self.lock, "it is gone") }
    if !names.isEmpty, !names.contains(Self.lock) { throw foreign(names[0]) }
  }

  /// - Returns: the lock's descriptor; closing it, or another one of that file, gives the lock back
  func takeLock() throws(StartFailure) -> Int32 {
    let descriptor = try finding(Self.lock) { () throws(SystemError) in try Files.openForLocking(file(Self.lock)) }
    do throws(StartFailure) {
      try step(.madeLock)
      let isOurs = try doing(Self.lock) { () throws(SystemError) in try FileLock.take(descriptor) }
      if !isOurs {
        let holder = (try? FileLock.holder(descriptor)) ?? .nameless
        throw StartFailure(
          code: .stopped, text: "\(Self.described(holder)) uses the state in \(path): wait for its end, or name another directory with --state")
      }
      // Read through the descriptor that holds the lock: closing another one would give it back.
      let text = try finding(Self.lock) { () throws(SystemError) in try Descriptors.readAll(descriptor, limit: 4096) }
      if isComplete { try check(lock: text) }
      if text.isEmpty {
        // Interrupted before it could say what it is, it is alone.
        if let other = try names().first(where: { $0 != Self.lock }) { throw foreign(other) }
        try doing(Self.lock) { () throws(SystemError) in try Descriptors.writeAll(descriptor, Self.marker) }
        try step(.marked)
      } else if text != Array(Self.marker.utf8) {
        // A kill may have come in the middle of so short a text as well.
        guard Array(Self.marker.utf8).starts(with: text), try names() == [Self.lock] else { throw foreign(Self.lock) }
        try doing(Self.lock) { () throws(SystemError) in
          try Files.truncate(descriptor, to: 0)
          try Files.seek(descriptor, to: 0)
          try Descriptors.writeAll(descriptor, Self.marker)
        }
      }
    } catch {
      Descriptors.close(descriptor)
      throw error
    }
    return descriptor
  }

  /// Looks at what the lock file of a complete state says.
  func check(lock text: [UInt8]) throws(StartFailure) {
    if text != Array(Self.marker.utf8) { throw damaged(Self.lock, "it does not say what it should") }
  }

  /// Removes what a kill while the state was being made has left. No worker was ever started with it.
  func clear() throws(StartFailure) {
    let names = try names().filter { $0 != Self.lock }
    if let other = names.first(where: { !Self.isOurs($0) }) { throw foreign(other) }
    try checkNothingWasBegun(names)
    for name in names { try doing(name) { () throws(SystemError) in try Files.remove(file(name)) } }
  }

  /// Without its plan a state is one whose making was interrupted, unless a worker has committed something since.
  func checkNothingWasBegun(_ names: [String]) throws(StartFailure) {
    for name in names where name.hasSuffix(".cells") {
      let bytes = try finding(name) { () throws(SystemError) in try Files.readAll(file(name), limit: 64 << 20) }
      // The word that counts a cell's commits; somebody has removed the plan since.
      if stride(from: 0, to: bytes.count, by: CellBlock.stride).contains(where: { bytes[$0..<min(bytes.count, $0 + 8)].contains { $0 != 0 } }) {
        throw damaged(Self.plan, "it is gone, and \(name) shows that a run had begun")
      }
    }
  }

  /// Removes half-written texts; they were never in force.
  func removeTemporaries() throws(StartFailure) {
    for name in try names() where Self.isTemporary(name) { try doing(name) { () throws(SystemError) in try Files.remove(file(name)) } }
  }

  func names() throws(StartFailure) -> [String] { try doing(path) { () throws(SystemError) in try Files.names(in: path) } }

  /// Whether a file has a name that a state may have.
  static func isOurs(_ name: String) -> Bool {
    if [lock, plan, session].contains(name) || isTemporary(name) { return true }
    if name.hasPrefix("worker-"), name.hasSuffix(".lock") { return Int(name.dropFirst(7).dropLast(5)) != nil }
    return name.hasSuffix(".queue") || name.hasSuffix(".cells")
  }

  private static func isTemporary(_ name: String) -> Bool {
    [plan, session].contains { name.hasPrefix($0 + ".tmp") && Int(name.dropFirst($0.count + 4)) != nil }
  }

  // MARK: Its texts

  func readPlan() throws(StartFailure) -> StatePlan {
    guard let plan = StatePlan(try read(Self.plan)) else { throw damaged(Self.plan, "something is missing in it") }
    return plan
  }

  func readSession() throws(StartFailure) -> StateSession {
    guard let session = StateSession(try read(Self.session)) else { throw damaged(Self.session, "something is missing in it") }
    return session
  }

  private func read(_ name: String) throws(StartFailure) -> Node {
    let bytes = try finding(name) { () throws(SystemError) in try Files.readAll(file(name), limit: 64 << 20) }
    let (node, reason) = StateFile.read(bytes)
    guard let node else { throw damaged(name, reason) }
    return node
  }

  /// Replaces a text, and has it reach the disk before anything that follows.
  func write(_ name: String, _ text: String) throws(StartFailure) {
    try doing(name) { () throws(SystemError) in
      try Files.replace(file(name), with: text, isDurable: true)
      try Files.sync(path)
    }
  }

  // MARK: What is wrong

  /// Names a file that is not what a run left.
  func damaged(_ name: String, _ reason: String) -> StartFailure {
    StartFailure(
      code: .invariantBroken,
      text: "\(file(name)) cannot be used: \(reason) (to begin anew, name another directory with --state or remove this one)")
  }

  static let strangerText = "it is the queue of another stage or of another state directory"

  private func foreign(_ name: String) -> StartFailure {
    StartFailure(code: .cannotCreate, text: "\(path) holds \(name), which is no part of a state: name a new or an empty folder with --state")
  }

  /// Performs calls on a file, and says what they were for when one fails.
  func doing<T>(_ name: String, _ body: () throws(SystemError) -> T) throws(StartFailure) -> T {
    do throws(SystemError) { return try body() } catch { throw failure(name, error) }
  }

  /// Performs calls on a file that a run has left: one that is not there or no file of ours is damage, and everything else that fails says
  /// nothing about what the file holds.
  func finding<T>(_ name: String, _ body: () throws(SystemError) -> T) throws(StartFailure) -> T {
    // To open a pipe is to wait for whoever writes to it.
    if let kind = Files.status(file(name))?.kind, kind != .file { throw damaged(name, "it is no file") }
    do throws(SystemError) { return try body() } catch {
      switch error.errno {
      case 2, 20, 21, 22, 27, 40: throw damaged(name, error.reason)  // ENOENT, ENOTDIR, EISDIR, EINVAL, EFBIG, ELOOP
      default: throw failure(name, error)
      }
    }
  }

  /// What a call that failed says of the run.
  func failure(_ name: String, _ error: SystemError) -> StartFailure {
    let code: ExitCode =
      switch error.errno {
      case 1, 13: .permission  // EPERM, EACCES
      case 2, 17, 20, 28, 30, 40, 122: .cannotCreate  // ENOENT, EEXIST, ENOTDIR, ENOSPC, EROFS, ELOOP, EDQUOT
      case 12, 23, 24, 27: .system  // ENOMEM, ENFILE, EMFILE, EFBIG
      default: .io
      }
    let remedy =
      switch error.errno {
      case 28, 122:
        // Queues alone are allocated; the texts are small.
        error.call == "fallocate"
          ? " (every queue takes its whole size at once, as `ringway graph` shows it: free space, or make the queues smaller)"
          : " (free space, and the same command goes on)"
      case 27: " (the limit on the size of files counts for queues too: raise it with ulimit -f, or make the queues smaller)"
      default: error.remedy
      }
    return StartFailure(code: code, text: "the state in \(path) cannot be used: \(error.call) \(name): \(error.reason)\(remedy)")
  }

  static func described(_ holder: FileLock.Holder) -> String {
    switch holder {
    case .process(let pid): "process \(pid)"
    case .nameless: "a process outside of this PID namespace"
    case .nobody: "a process"
    }
  }

  /// What a file of a state says of where it belongs.
  static func owner(_ id: UInt64, _ name: String) -> UInt64 {
    var h = id ^ 0xcbf2_9ce4_8422_2325
    for byte in name.utf8 { h = (h ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return h
  }

  // MARK: Steps

  /// Places where a kill may come while a state is being made.
  enum Step: String, CaseIterable { case madeFolder, madeLock, marked, madeMemory, filledMemory, madeWorkerLock, wroteSession, wrotePlan }

  #if DEBUG
  /// Called at every step of this process; returns whether to go no further, as if it had been killed there.
  nonisolated(unsafe) static var abandons: ((Step) -> Bool)?
  #endif

  func step(_ step: Step) throws(StartFailure) {
    #if DEBUG
    if Self.abandons?(step) == true { throw StartFailure(code: .system, text: "abandoned at \(step.rawValue)") }
    #endif
  }
}
