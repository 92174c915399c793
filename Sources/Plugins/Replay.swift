import Platform
package import PluginKit

/// Reads a file of dead letters and hands on the messages in them as they were. Only `ringway replay` puts it in front of a stage; no
/// pipeline file can name it.
package struct Replay: Source {
  /// Absolute.
  private static let file = Setting.path("file", "A file of dead letters.")
  private static let stage = Setting.string("stage", "The only stage whose letters are sent; empty for all.", default: "", allowEmpty: true)

  private static let into = Setting.string("into", "The stage that the messages go into.", default: "", allowEmpty: true)

  package static let spec = PluginSpec(
    "replay", .source, "Sends the messages of dead letters again.", processes: .one, settings: [file.declaration, stage.declaration, into.declaration], example: "",
    resources: { [.readsFiles(pattern: $0[file], setting: "file")] })

  /// No queue takes more, so nothing longer was ever written as a letter.
  static let longest = 1 << 30

  /// Which line was read, and that the file is still the one that was begun, are `file.read`'s to know. So the name of a message follows
  /// from the file and from where its letter stands in it.
  private var lines: FileRead
  private let stage: String
  private let into: String
  private let letter = LineCatcher()

  package init(_ given: Given, _ context: Context) throws {
    stage = given[Self.stage]
    into = given[Self.into]
    lines = try FileRead(
      Given(["path": .string(given[Self.file]), "format": .string("jsonl"), "longest": .string("1GiB")], directory: given.directory), context)
  }

  package mutating func resume(at position: Position) throws { try lines.resume(at: position) }

  package mutating func next(_ out: any Emitter) throws -> SourceStep {
    letter.line = nil
    let step = try lines.next(letter)
    guard let line = letter.line else { return step }
    let read: Letter
    // They were all looked at before the run began.
    do throws(NoLetter) { read = try Letter(line) } catch {
      throw MessageFailure("the file was changed since the run began: a line is no dead letter: \(error.text)", isPermanent: true)
    }
    guard let message = read.message else { return step }
    if !stage.isEmpty, read.stage != stage {
      throw MessageFailure("the file was changed since the run began: it has a letter of \"\(read.stage)\" now", isPermanent: true)
    }
    // A key that was named for it nobody could find again; to another stage it means nothing.
    if let key = read.key, read.stage == into {
      try message.payload.withUnsafeBytes { try out.emit($0, as: message.format, to: 0) { key } }
    } else {
      try out.emit(message.payload, as: message.format)
    }
    return step
  }

  package mutating func close() throws { try lines.close() }
}

/// Keeps a copy of the line that `file.read` emits.
private final class LineCatcher: Emitter {
  var line: [UInt8]?

  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat) throws { line = Array(payload) }
  func emit(_ payload: UnsafeRawBufferPointer, as format: MessageFormat, to port: Int) throws { line = Array(payload) }
  func reserve(_ length: Int) throws -> UnsafeMutableRawBufferPointer { throw MessageFailure("lines are copied") }
  func emitReserved(_ length: Int, as format: MessageFormat) throws {}
}
