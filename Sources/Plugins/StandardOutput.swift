import Platform
import PluginKit

/// Writes each message as a line to the standard output of `ringway run`.
struct StandardOutput: Sink {
  static let spec = PluginSpec(
    "stdout", .sink, "Writes each message as a line to standard output.",
    details: """
      Every message is written at least once: a worker that is killed while it writes repeats what it had not committed. A message that holds a newline fails. \
      When the reader goes away (`| head`), the run ends with 74.
      """,
    processes: .one, settings: [],
    example: """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 10}
        show:
          plugin: stdout
          inputs: [numbers]
      """,
    resources: { _ in [.standardOutput] })

  private let descriptor: Int32
  private var buffer = LineBuffer()

  init(_ given: Given, _ context: Context) throws {
    guard let descriptor = context.standardOutput else { throw WorkerFailure(.io, "standard output is closed") }
    self.descriptor = descriptor
  }

  mutating func write(_ message: Message) throws { try buffer.append(message) }

  mutating func flush() throws -> UInt64? {
    do throws(SystemError) { try buffer.write(to: descriptor) } catch {
      throw WorkerFailure(error, "standard output", error.errno == 32 ? "whoever read it is gone" : "")
    }
    return nil
  }
}
