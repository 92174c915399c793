import Platform
import PluginKit

/// Lines gathered for one write(2): what `file.write` and `stdout` share.
struct LineBuffer {
  private var bytes: [UInt8] = []
  var count: Int { bytes.count }

  /// - Throws: `MessageFailure` for a message that holds a newline: it would read back as two
  mutating func append(_ message: Message) throws {
    if message.payload.contains(UInt8(ascii: "\n")) {
      throw MessageFailure("the message holds a newline, which would make two lines of it (let the stage before leave it out, or make JSON of it: `jq` with `{input: text, filter: .}`)", isPermanent: true)
    }
    bytes.append(contentsOf: message.payload)
    bytes.append(UInt8(ascii: "\n"))
  }

  /// Writes everything. On failure the buffer is kept.
  mutating func write(to descriptor: Int32) throws(SystemError) {
    var failure: SystemError?
    bytes.withUnsafeBytes { buffer in
      do throws(SystemError) { try Descriptors.writeAll(descriptor, buffer) } catch { failure = error }
    }
    if let failure { throw failure }
    bytes.removeAll(keepingCapacity: true)
  }
}

extension WorkerFailure {
  /// A failing call as the end of a run: its code follows from errno.
  init(_ error: SystemError, _ subject: String, _ remedy: String = "") {
    let code: ExitCode =
      switch error.errno {
      case 1, 13: .permission  // EPERM, EACCES
      case 2, 20, 21, 30: .cannotCreate  // ENOENT, ENOTDIR, EISDIR, EROFS
      case 12, 23, 24: .system  // ENOMEM, ENFILE, EMFILE
      default: .io
      }
    self.init(code, "\(error.call) \(subject): \(error.reason)" + (remedy.isEmpty ? "" : " (\(remedy))"))
  }

  /// The same for a file that is read: one that is not there has not failed to be made.
  init(reading error: SystemError, _ subject: String) {
    let other = WorkerFailure(error, subject)
    self = other.code == .cannotCreate ? WorkerFailure(.io, other.description) : other
  }
}
