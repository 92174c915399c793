public import Foundation
import Synchronization

/// The program under test, run as a user runs it.
public enum Ringway {
  /// The repository's top folder.
  public static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// `RINGWAY_BINARY`, or the program that was built beside the tests.
  public static let binary: URL = {
    if let path = ProcessInfo.processInfo.environment["RINGWAY_BINARY"] { return URL(fileURLWithPath: path) }
    let link = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(fileURLWithPath: link).deletingLastPathComponent().appendingPathComponent("ringway")
  }()

  public struct Result: Sendable {
    public var status: Int32
    public var output: String
    public var errors: String
  }

  /// Runs to the end.
  public static func run(
    _ arguments: [String], in folder: URL? = nil, environment: [String: String] = [:], input: String? = nil, deadline: TimeInterval = 300
  ) throws -> Result {
    let running = try Running(arguments, in: folder, environment: environment, input: input)
    return try running.finish(within: deadline)
  }
}

/// A run that is under way.
public final class Running {
  public let process = Process()
  private let folder: TemporaryFolder
  private let outputFile: URL
  private let errorFile: URL

  public init(
    _ arguments: [String], in directory: URL? = nil, environment: [String: String] = [:], input: String? = nil, executable: URL = Ringway.binary
  ) throws {
    folder = try TemporaryFolder()
    outputFile = folder.url.appendingPathComponent("output")
    errorFile = folder.url.appendingPathComponent("errors")
    let inputFile = folder.url.appendingPathComponent("input")
    for file in [outputFile, errorFile] { _ = FileManager.default.createFile(atPath: file.path, contents: nil) }
    try (input ?? "").write(to: inputFile, atomically: true, encoding: .utf8)
    process.executableURL = executable
    process.arguments = arguments
    process.currentDirectoryURL = directory
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = try FileHandle(forReadingFrom: inputFile)
    process.standardOutput = try FileHandle(forWritingTo: outputFile)
    process.standardError = try FileHandle(forWritingTo: errorFile)
    try Self.spawning.withLock { _ in try process.run() }
  }

  /// Foundation lists what is open, and has a new process close that: what another thread has opened in between, such as the socket that tells of the
  /// end of another process, would stay open there.
  private static let spawning = Mutex(())

  public var pid: Int32 { process.processIdentifier }
  public var output: String { (try? String(contentsOf: outputFile, encoding: .utf8)) ?? "" }
  public var errors: String { (try? String(contentsOf: errorFile, encoding: .utf8)) ?? "" }

  /// The worker processes, by the arguments that name them in `ps`: (pid, stage).
  public var workers: [(pid: Int32, stage: String)] { Self.children(of: pid) }

  public static func children(of parent: Int32) -> [(pid: Int32, stage: String)] {
    pids(childrenOf: parent).compactMap { pid in
      guard let line = try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8) else { return nil }
      let words = line.split(separator: "\0")
      // A worker that is an interpreter has other words before.
      guard let mark = words.firstIndex(of: "__worker"), mark + 1 < words.count else { return nil }
      return (pid, String(words[mark + 1]))
    }
  }

  /// Whether a process is there and no zombie (proc_pid_stat(5)).
  public static func isAlive(_ pid: Int32) -> Bool {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return !status.contains(") Z ")
  }

  /// Whether every thread of a process sleeps (proc_pid_stat(5)).
  public static func isAsleep(_ pid: Int32) -> Bool {
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
    return threads.allSatisfy { thread in
      let stat = (try? String(contentsOfFile: "/proc/\(pid)/task/\(thread)/stat", encoding: .utf8)) ?? ""
      return stat.split(separator: ")").last?.hasPrefix(" S") ?? false
    }
  }

  /// All child processes, whatever they are.
  public static func pids(childrenOf parent: Int32) -> [Int32] {
    let list = (try? String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)) ?? ""
    return list.split(separator: " ").compactMap { Int32($0) }
  }

  /// What stands in /proc/PID/stat behind the name (proc_pid_stat(5)); the first is what ends that.
  public static func status(_ pid: Int32) -> [Substring] {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), let name = text.lastIndex(of: ")") else { return [] }
    return text[name...].split(separator: " ")
  }

  /// All processes that are in one of these process groups.
  public static func members(ofGroups groups: [Int32]) -> [Int32] {
    ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }.filter { pid in
      status(pid).dropFirst(3).first.flatMap { Int32($0) }.map(groups.contains) ?? false
    }
  }

  /// Waits for the end.
  public func finish(within seconds: TimeInterval = 300) throws -> Ringway.Result {
    guard eventually(within: seconds, { !process.isRunning }) else {
      kill(pid, SIGKILL)
      process.waitUntilExit()
      throw Failure("still running after \(seconds) s; it wrote:\n\(errors)")
    }
    process.waitUntilExit()
    let status = process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    return Ringway.Result(status: status, output: output, errors: errors)
  }
}

public struct Failure: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// A folder that goes away with its owner.
public final class TemporaryFolder: Sendable {
  public let url: URL

  public init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("ringway-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  /// Writes a file and returns its path.
  @discardableResult
  public func write(_ name: String, _ text: String) throws -> String {
    let file = url.appendingPathComponent(name)
    try text.write(to: file, atomically: true, encoding: .utf8)
    return file.path
  }

  public func path(_ name: String) -> String { url.appendingPathComponent(name).path }

  public func lines(_ name: String) -> [String] {
    let text = (try? String(contentsOf: url.appendingPathComponent(name), encoding: .utf8)) ?? ""
    return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
  }
}

/// Waits until a condition holds. It yields the core in between and gives up at the deadline: the deadline bounds a test
/// that would hang, it is never what a passing test waits for. Time in which this thread has not had its turn hardly counts:
/// the processes that it waits for may have had none either.
///
/// - Parameter interval: how often to look, in seconds
public func eventually(within seconds: TimeInterval = 120, every interval: TimeInterval = 0.002, _ condition: () -> Bool) -> Bool {
  let clock = SuspendingClock()
  // What one look and the pause behind it count for at most.
  let longest = Duration.seconds(max(10 * interval, 0.01))
  var left = Duration.seconds(seconds)
  var last = clock.now
  while !condition() {
    if left <= .zero { return false }
    usleep(UInt32(interval * 1e6))
    let now = clock.now
    left -= min(now - last, longest)
    last = now
  }
  return true
}

/// Random numbers that can be repeated: tests print the seed.
public struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  public init(_ seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}

/// A seed for this run, or the one that `RINGWAY_SEED` repeats.
public func testSeed() -> UInt64 {
  ProcessInfo.processInfo.environment["RINGWAY_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 1...999_999)
}
