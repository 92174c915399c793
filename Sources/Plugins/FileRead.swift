import Platform
import PluginKit

/// Reads files: a line a message, or a whole file a message.
struct FileRead: Source {
  enum Format: String, Choice { case lines, jsonl, whole }

  private static let path = Setting.path(
    "path", "A file, or a pattern such as data/*.txt; the files are read in the order of their names.", example: "words.txt")
  private static let format = Setting<Format>.choice(
    "format", "lines: each line is a message; jsonl: the same, but blank lines are passed over; whole: each file is a message.", default: .lines)
  private static let longest = Setting.size("longest", "A longer line, its line end not counted, or a larger file with `format: whole`, fails.", in: 1...(1 << 30), default: "1MiB")

  static let spec = PluginSpec(
    "file.read", .source, "Reads files, line by line or whole.",
    details: """
      A line ends with LF or CR LF, which is not part of the message; the last line counts also without one. Empty lines are empty messages, but for `jsonl`. \
      A source that is started again goes on behind the last line that was handed over; it notices when a file has been replaced or has become shorter, and stops \
      the run with 74 rather than skip anything.
      """,
    processes: .one, settings: [path.declaration, format.declaration, longest.declaration],
    example: """
      ringway: 1
      stages:
        words:
          plugin: file.read
          with: {path: /usr/share/common-licenses/GPL-3}
        show:
          plugin: stdout
          inputs: [words]
      """,
    resources: { [.readsFiles(pattern: $0[path], setting: "path")] })

  private let files: [String]
  private let format: Format
  private let longest: Int
  private var index = 0
  private var offset = 0
  private var identity: UInt64 = 0
  private var open: (descriptor: Int32, reader: LineReader, isRegular: Bool, hasSize: Bool)?

  init(_ given: Given, _ context: Context) throws {
    let pattern = given.resolve(given[Self.path])
    let found = Files.status(pattern) != nil ? [pattern] : Files.glob(pattern)
    files = found.filter { Files.status($0)?.kind != .directory }
    format = given[Self.format]
    longest = given[Self.longest]
    if files.isEmpty { throw WorkerFailure(.io, "there is no file \(given[Self.path])") }
    if let name = found.first(where: { Files.status($0) == nil }), Files.illegibleNames(pattern).contains(name) {
      throw WorkerFailure(.io, "the name of \(name) is no UTF-8, and cannot be opened: rename it, or let the pattern \(given[Self.path]) pass it over")
    }
  }

  /// file, byte offset in it, and which file it was: device and inode in one word.
  private var position: Position { Position(UInt64(index), UInt64(offset), identity) }

  mutating func resume(at position: Position) throws {
    index = Int(clamping: position.words.0)
    offset = Int(clamping: position.words.1)
    identity = position.words.2
    if offset == 0 || index >= files.count { return }
    let status = try openFile()
    if Self.identity(status) != position.words.2 { throw WorkerFailure(.io, "\(files[index]) is another file than the one that was read before") }
    guard let descriptor = open?.descriptor else { return }
    var isThere = status.size >= offset
    do throws(SystemError) {
      // What has no size of its own, as in /proc, is asked for the last byte that was read.
      if status.size == 0 { isThere = try Self.hasByte(at: offset - 1, descriptor) }
      try Files.seek(descriptor, to: offset)
    } catch {
      throw WorkerFailure(reading: error, files[index])
    }
    if !isThere { throw WorkerFailure(.io, "\(files[index]) has \(status.size) bytes, but \(offset) were read before: it has become shorter") }
  }

  mutating func next(_ out: any Emitter) throws -> SourceStep {
    while true {
      if index >= files.count { return .end }
      if format == .whole { return try whole(out) }
      if open == nil { _ = try openFile() }
      switch try step() {
      case .line(let line, let consumed):
        offset += consumed
        if format == .jsonl, line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
        try out.emit(line, as: format == .jsonl ? .json : .text)
        return .emitted(position)
      case .tooLong(let bytes, let consumed):
        let line = offset
        offset += consumed
        throw MessageFailure(
          "the line at byte \(line) of \(files[index]) has \(bytes) bytes, more than the \(Quantity.describe(bytes: longest)) of `longest`", isPermanent: true)
      case .later: return .wait(readable: open?.descriptor, until: nil)
      case .end:
        try checkLength()
        closeFile()
        index += 1
        offset = 0
        identity = 0
        return .moved(position)
      }
    }
  }

  private mutating func step() throws -> LineReader.Step {
    guard var file = open else { return .end }
    do throws(SystemError) {
      // A read of a pipe would block, or show an end where nobody has written yet.
      let step = try file.reader.next(from: file.descriptor, onlyWhatIsThere: !file.isRegular)
      open = file
      return step
    } catch {
      throw WorkerFailure(reading: error, files[index])
    }
  }

  private mutating func whole(_ out: any Emitter) throws -> SourceStep {
    let path = files[index]
    index += 1
    let bytes: [UInt8]
    do throws(SystemError) { bytes = try Files.readAll(path, limit: longest) } catch {
      // EFBIG
      if error.errno == 27 { throw MessageFailure("\(path) is larger than the \(Quantity.describe(bytes: longest)) of `longest`", isPermanent: true) }
      throw WorkerFailure(reading: error, path)
    }
    try out.emit(bytes)
    return .emitted(Position(UInt64(index)))
  }

  private mutating func openFile() throws -> Files.Status {
    do throws(SystemError) {
      let descriptor = try Files.openForReading(files[index])
      let status: Files.Status
      do throws(SystemError) { status = try Files.status(of: descriptor) } catch {
        Descriptors.close(descriptor)
        throw error
      }
      open = (descriptor, LineReader(longest: longest), status.kind == .file, status.kind == .file && status.size > 0)
      identity = Self.identity(status)
      return status
    } catch {
      throw WorkerFailure(reading: SystemError("open", "", errno: error.errno), files[index])
    }
  }

  private static func hasByte(at offset: Int, _ descriptor: Int32) throws(SystemError) -> Bool {
    try Files.seek(descriptor, to: offset)
    var count: Int? = 0
    var failure: SystemError?
    withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { byte in
      do throws(SystemError) { count = try Descriptors.read(descriptor, into: byte) } catch { failure = error }
    }
    if let failure { throw failure }
    return count == 1
  }

  private static func identity(_ status: Files.Status) -> UInt64 { status.inode &* 0x9e37_79b9_7f4a_7c15 ^ status.device }

  /// A regular file that ends before where we are has been cut while it was read. One of size 0 with something in it, as in /proc, has
  /// a size that says nothing.
  private func checkLength() throws {
    guard let open, open.hasSize, let status = try? Files.status(of: open.descriptor) else { return }
    if status.size < offset { throw WorkerFailure(.io, "\(files[index]) became shorter while it was read") }
  }

  private mutating func closeFile() {
    if let file = open {
      Descriptors.close(file.descriptor)
      file.reader.close()
    }
    open = nil
  }

  mutating func close() throws { closeFile() }
}
