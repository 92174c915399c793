import Platform
import PluginKit

/// Writes each message as a line of a file, exactly once: the file's length is committed together with the messages, and
/// a worker that is started again cuts off what its predecessor wrote without having committed it.
struct FileWrite: Sink {
  enum Mode: String, Choice { case replace, append }

  private static let path = Setting.path("path", "The file; its folder must exist.", example: "results.jsonl")
  private static let mode = Setting<Mode>.choice(
    "mode", "Whether the file is begun anew or goes on behind what it holds; a replay always does the latter.", default: .replace
  ).replayed(as: Mode.append.rawValue)

  static let spec = PluginSpec(
    "file.write", .sink, "Writes each message as a line of a file.",
    details: """
      Every message stands in the file exactly once, also when the worker is killed at any moment. A message that holds a newline fails. New files can be read \
      and written by their owner alone. A path that is no regular file (a pipe, a terminal) takes every message at least once; \
      a named pipe is waited for until somebody reads it, and the sources begin then. A full disk ends the run with 74; \
      no message is lost by it, and the file keeps whole lines alone. A file that was removed or replaced while it was written ends the run with 74, too. \
      When `append` finds a last line without a newline, it ends it first.
      """,
    processes: .one, settings: [path.declaration, mode.declaration],
    example: """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 1000}
        results:
          plugin: file.write
          inputs: [numbers]
          with: {path: results.jsonl}
      """,
    resources: { [.writesFile(path: $0[path], setting: "path")] })

  private let shown: String
  private let path: String
  private let mode: Mode
  private let descriptor: Int32
  private let isRegular: Bool
  /// Whether it had a name when it was opened; a shell may hand on a file that has none.
  private let isNamed: Bool
  private var length = 0
  private var buffer = LineBuffer()

  init(_ given: Given, _ context: Context) throws {
    shown = given[Self.path]
    path = given.resolve(shown)
    mode = given[Self.mode]
    do throws(SystemError) {
      descriptor = try Files.openForWriting(path)
      let status = try Files.status(of: descriptor)
      isRegular = status.kind == .file
      isNamed = status.links > 0
      length = status.size
    } catch {
      throw WorkerFailure(error, shown)
    }
  }

  mutating func resume(atLength committed: UInt64?) throws {
    guard isRegular else { return }
    let target = committed.map { Int(clamping: $0) } ?? (mode == .append ? length : 0)
    if target > length {
      throw WorkerFailure(.io, "\(shown) is shorter than what was written to it (\(length) of \(target) bytes): somebody has truncated or replaced it")
    }
    do throws(SystemError) {
      try Files.truncate(descriptor, to: target)
      try Files.seek(descriptor, to: target)
    } catch {
      throw WorkerFailure(error, shown)
    }
    length = target
    if committed == nil { try endLastLine() }
  }

  /// What another program, or a machine that lost its power, left without a newline must not become one line with the first message.
  private mutating func endLastLine() throws {
    // A file that may be written and not read is taken at its word.
    guard length > 0, let reader = try? Files.openForReading(path) else { return }
    defer { Descriptors.close(reader) }
    var last = [UInt8(ascii: "\n")]
    do throws(SystemError) {
      try Files.seek(reader, to: length - 1)
      var failure: SystemError?
      last.withUnsafeMutableBytes { bytes in
        do throws(SystemError) { _ = try Descriptors.read(reader, into: bytes) } catch { failure = error }
      }
      if let failure { throw failure }
      if last == [UInt8(ascii: "\n")] { return }
      try Descriptors.writeAll(descriptor, "\n")
    } catch {
      throw failed(error)
    }
    length += 1
  }

  private func failed(_ error: SystemError) -> WorkerFailure {
    let remedy =
      switch error.errno {
      case 28, 122: "free space on the disk and run again"  // ENOSPC, EDQUOT
      case 27: "raise the limit on the size of files with ulimit -f and run again"  // EFBIG
      default: ""
      }
    return WorkerFailure(error, shown, remedy)
  }

  mutating func write(_ message: Message) throws { try buffer.append(message) }

  mutating func flush() throws -> UInt64? {
    let more = buffer.count
    do throws(SystemError) { try buffer.write(to: descriptor) } catch {
      // What was written of the lines that did not fit. When this fails too, the worker that resumes cuts it off.
      if isRegular {
        try? Files.truncate(descriptor, to: length)
        try? Files.seek(descriptor, to: length)
      }
      throw failed(error)
    }
    guard isRegular else { return nil }
    length += more
    return UInt64(length)
  }

  mutating func close() throws {
    defer { Descriptors.close(descriptor) }
    if isRegular, isNamed, (try? Files.status(of: descriptor))?.links == 0 {
      throw WorkerFailure(.io, "\(shown) was removed or replaced while it was written, and what was written to it is lost")
    }
  }
}
