import Platform
import PluginKit

/// Reads the standard input of `ringway run`, a line a message.
struct StandardInput: Source {
  private static let longest = Setting.size("longest", "A longer line fails; its line end does not count.", in: 1...(1 << 30), default: "1MiB")

  static let spec = PluginSpec(
    "stdin", .source, "Reads standard input, a line a message.",
    details: """
      A line ends with LF or CR LF, which is not part of the message; the last line counts also without one. What was read and not handed over dies with the \
      worker, since it cannot be read twice: such a death ends the run with 75 and says so.
      """,
    processes: .one, settings: [longest.declaration],
    example: """
      ringway: 1
      stages:
        lines:
          plugin: stdin
        show:
          plugin: stdout
          inputs: [lines]
      """,
    resources: { _ in [.standardInput] })

  private let longest: Int
  private var reader: LineReader
  private var lines: UInt64 = 0

  init(_ given: Given, _ context: Context) throws {
    longest = given[Self.longest]
    reader = LineReader(longest: longest)
  }

  mutating func resume(at position: Position) throws {
    throw WorkerFailure(.stopped, "standard input cannot be read a second time")
  }

  mutating func next(_ out: any Emitter) throws -> SourceStep {
    let step: LineReader.Step
    do throws(SystemError) {
      // A terminal or a pipe would block a read; only what is there is taken.
      step = try reader.next(from: 0, onlyWhatIsThere: true)
    } catch {
      throw WorkerFailure(error, "standard input")
    }
    switch step {
    case .line(let line, _):
      lines += 1
      try out.emit(line, as: .text)
      return .emitted(Position(lines))
    case .tooLong(let bytes, _):
      throw MessageFailure("a line of standard input has \(bytes) bytes, more than the \(Quantity.describe(bytes: longest)) of `longest`", isPermanent: true)
    case .later: return .wait(readable: 0, until: nil)
    case .end: return .end
    }
  }

  mutating func close() throws { reader.close() }
}
