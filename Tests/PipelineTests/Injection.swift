import Foundation
import Harness
import Testing

/// System calls that fail though the machine could do them (strace(1)). Where that is not to be had, the tests that need it are skipped.
enum Injection {
  static let canTrace = ends("/usr/bin/strace", ["-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", "true"])
  static let withoutTracing: Comment = "strace(1) is not installed, or may not trace here"

  /// Whether a program ends well, if it is there.
  static func ends(_ program: String, _ arguments: [String]) -> Bool {
    ((try? Running(arguments, executable: URL(fileURLWithPath: program)).finish())?.status ?? 1) == 0
  }

  /// Runs the program under test to its end, with calls that fail.
  ///
  /// - Parameters:
  ///   - rule: what strace(1) takes behind `inject=`, such as `fsync:error=EIO:when=3`
  ///   - path: only calls on this file
  ///   - isInherited: also in the processes that it starts
  static func run(_ arguments: [String], _ rule: String, on path: String? = nil, isInherited: Bool = false) throws -> Ringway.Result {
    let strace = ["-qq", "-o", "/dev/null"] + (isInherited ? ["-f"] : []) + (path.map { ["-P", $0] } ?? []) + ["-e", "inject=\(rule)"]
    return try Running(strace + [Ringway.binary.path] + arguments, executable: URL(fileURLWithPath: "/usr/bin/strace")).finish()
  }
}

/// A file system of its own, in memory and as small as need be. Only what is started in it sees it.
final class SmallDisk {
  /// Where it is mounted.
  let path: String
  private let folder: TemporaryFolder
  private let holder: Running

  static let canMount = Injection.ends("/usr/bin/unshare", ["-Urm", "mount", "-t", "tmpfs", "none", "/mnt"])
  static let withoutMounting: Comment = "this machine allows no file system of one's own (unshare -Urm)"

  /// - Parameters:
  ///   - size: as mount(8) takes it, such as `64k`
  ///   - place: a folder that it hides from those who see it; one of its own unless given
  init(_ size: String, over place: String? = nil) throws {
    folder = try TemporaryFolder()
    path = place ?? folder.path("disk")
    if place == nil { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }
    let script = "mount -t tmpfs -o size=\(size),mode=700 none '\(path)' && echo mounted && exec sleep 600"
    holder = try Running(["-Urm", "sh", "-c", script], executable: URL(fileURLWithPath: "/usr/bin/unshare"))
    guard eventually({ holder.output == "mounted\n" }) else { throw Failure("no file system: \(holder.errors)") }
  }

  deinit {
    kill(holder.pid, SIGKILL)
    holder.process.waitUntilExit()
  }

  func start(_ arguments: [String], program: String = Ringway.binary.path) throws -> Running {
    try Running(
      ["-t", String(holder.pid), "-U", "-m", "--preserve-credentials", program] + arguments, executable: URL(fileURLWithPath: "/usr/bin/nsenter"))
  }

  func run(_ arguments: [String]) throws -> Ringway.Result { try start(arguments).finish() }

  /// - Parameter options: `size=8m`, or `ro`
  func remount(_ options: String) throws { try shell("mount -o remount,\(options) none '\(path)'") }

  /// Takes all the room that is left.
  func fill() throws { try shell("cat /dev/zero > '\(path)/fill' 2> /dev/null; true") }
  func empty() throws { try shell("rm '\(path)/fill'") }

  func shell(_ script: String) throws {
    let result = try start(["-c", script], program: "/bin/sh").finish()
    if result.status != 0 { throw Failure("\(script): \(result.errors)") }
  }

  /// A file's path for those who do not see it.
  func outside(_ name: String) -> String { "/proc/\(holder.pid)/root\(path)/\(name)" }

  func lines(_ name: String) -> [String] {
    ((try? String(contentsOfFile: outside(name), encoding: .utf8)) ?? "").split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
  }
}

/// A run that counts into a file, over a queue of a few messages, and what must stand in the file whatever happens.
struct Counting {
  let folder: TemporaryFolder
  let file: String
  let output: String
  let state: String

  /// - Parameters:
  ///   - count: nil for a run without an end, which a signal drains
  ///   - output: where the numbers go; a file in a folder of its own unless given
  ///   - state: the same for the run's state
  ///   - between: the lines of a stage `work` between the two
  init(_ count: Int?, output: String? = nil, state: String? = nil, between: String? = nil) throws {
    folder = try TemporaryFolder()
    self.output = output ?? folder.path("out.txt")
    self.state = state ?? folder.path("state")
    file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {\(count.map { "count: \($0)" } ?? "rate: 2000/s")}}
      \(between.map { "  work: {plugin: jq, inputs: [numbers], with: {filter: .}, \($0)}" } ?? "")
        results: {plugin: file.write, inputs: [\(between == nil ? "numbers" : "work")], queue: {capacity: 16, message: 4KiB}, with: {path: \(self.output)}}
      """)
  }

  /// The command that begins, and that goes on.
  var command: [String] { ["run", file, "--progress", "off", "--state", state] }

  var lines: [String] { Self.read(output) }

  static func read(_ path: String) -> [String] {
    ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
  }

  /// Whether lines are those of the first numbers, each once and in order.
  static func isWhole(_ lines: [String]) -> Bool { lines.enumerated().allSatisfy { $1.hasPrefix("{\"n\":\($0),") } }

  /// Waits until there are some lines more.
  func goesOn(_ running: Running) -> Bool {
    let before = lines.count
    return eventually { lines.count > before + 50 }
  }

  /// Ends everything at once, in the middle of the work.
  func interrupt(_ running: Running) throws {
    kill(running.pid, SIGKILL)
    _ = try running.finish()
  }

  /// Drains a run, and looks at its file.
  func drain(_ running: Running) throws -> Ringway.Result {
    kill(running.pid, SIGTERM)
    return try running.finish()
  }
}
