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
      A source that is started again goes on behind the last line that was handed over. It knows the file by its device, its number and the time when it was made, and by \
      the end of the line that it read last; it stops the run with 74, rather than skip anything, when a file has been replaced (rotated, say), has become shorter or was written \
      anew, and when a pattern finds other names before the file that it had come to.
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

  private let pattern: String
  private let files: [String]
  private let format: Format
  private let longest: Int
  private var index = 0
  private var offset = 0
  private var identity: UInt64 = 0
  /// Of the names before `index`, and of the end of the line before `offset`; 0 for a line that was passed over.
  private var names: UInt32 = 0
  private var tail: UInt32 = 0
  private var open: (descriptor: Int32, reader: LineReader, isRegular: Bool, hasSize: Bool)?

  init(_ given: Given, _ context: Context) throws {
    let pattern = given.resolve(given[Self.path])
    self.pattern = given[Self.path]
    let found = Files.status(pattern) != nil ? [pattern] : Files.glob(pattern)
    files = found.filter { Files.status($0)?.kind != .directory }
    format = given[Self.format]
    longest = given[Self.longest]
    if files.isEmpty { throw WorkerFailure(.io, "there is no file \(given[Self.path])") }
    if let name = found.first(where: { Files.status($0) == nil }), Files.illegibleNames(pattern).contains(name) {
      throw WorkerFailure(.io, "the name of \(name) is no UTF-8, and cannot be opened: rename it, or let the pattern \(given[Self.path]) pass it over")
    }
  }

  /// Which of the files, the byte offset in it, which file it was, and what stood before it.
  private var position: Position { Position(UInt64(index), UInt64(offset), identity, UInt64(names) << 32 | UInt64(tail)) }

  mutating func resume(at position: Position) throws {
    index = Int(clamping: position.words.0)
    offset = Int(clamping: position.words.1)
    identity = position.words.2
    names = Self.sum(files.prefix(index))
    tail = UInt32(truncatingIfNeeded: position.words.3)
    if index > files.count || names != UInt32(truncatingIfNeeded: position.words.3 >> 32) {
      throw WorkerFailure(
        .io, "the \(index) files that were read before are not the first that \(pattern) finds now: some were added, removed or renamed")
    }
    if offset == 0 || index >= files.count { return }
    let status = try openFile()
    if identity != position.words.2 {
      throw WorkerFailure(.io, "\(files[index]) is another file than the one of which \(offset) bytes were read before: it was rotated or replaced")
    }
    guard let descriptor = open?.descriptor else { return }
    var isThere = status.size >= offset
    var isSame = true
    do throws(SystemError) {
      // What has no size of its own, as in /proc, is asked for the last byte that was read.
      if status.size == 0 { isThere = try Self.hasByte(at: offset - 1, descriptor) } else if isThere { isSame = try hasTail(descriptor) }
      try Files.seek(descriptor, to: offset)
    } catch {
      throw WorkerFailure(reading: error, files[index])
    }
    if !isThere { throw WorkerFailure(.io, "\(files[index]) has \(status.size) bytes, but \(offset) were read before: it has become shorter") }
    if !isSame { throw WorkerFailure(.io, "\(files[index]) holds something else than what was read before, up to byte \(offset): it was truncated or written anew") }
  }

  /// As many bytes at the end of a line tell whether it is the line that was read.
  private static let tailBytes = 32

  /// Never 0.
  private static func sum(line: UnsafeRawBufferPointer) -> UInt32 {
    var h: UInt64 = 0x9e37_79b9_7f4a_7c15
    var at = max(0, line.count - tailBytes)
    while at < line.count {
      var word: UInt64 = 0
      let count = min(8, line.count - at)
      withUnsafeMutableBytes(of: &word) { $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: line[at..<at + count])) }
      h = (h ^ word) &* 0xd1b5_4a32_d192_ed03
      h ^= h >> 29
      at += count
    }
    return UInt32(truncatingIfNeeded: h >> 32) | 1
  }

  private static func sum(_ names: ArraySlice<String>) -> UInt32 {
    var h: UInt32 = 0
    for name in names { h = add(name, to: h) }
    return h
  }

  private static func add(_ name: String, to sum: UInt32) -> UInt32 {
    var h = sum
    for byte in name.utf8 { h = (h ^ UInt32(byte)) &* 0x0100_0193 }
    return (h ^ 0x2f) &* 0x0100_0193
  }

  /// Whether the line that ends before `offset` ends as the one did that was read.
  private func hasTail(_ descriptor: Int32) throws(SystemError) -> Bool {
    if tail == 0 { return true }
    // CR and LF, and the LF of the line before.
    let count = min(offset, Self.tailBytes + 3)
    try Files.seek(descriptor, to: offset - count)
    var bytes = [UInt8](repeating: 0, count: count)
    var got = 0
    var failure: SystemError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(SystemError) {
        while got < count, let n = try Descriptors.read(descriptor, into: UnsafeMutableRawBufferPointer(rebasing: buffer[got...])), n > 0 { got += n }
      } catch { failure = error }
    }
    if let failure { throw failure }
    if got < count { return false }
    if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
    if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
    let line = bytes.lastIndex(of: UInt8(ascii: "\n")).map { bytes[($0 + 1)...] } ?? bytes[...]
    return line.withUnsafeBytes { Self.sum(line: $0) } == tail
  }

  /// Goes on to the next file.
  private mutating func pass() {
    names = Self.add(files[index], to: names)
    index += 1
    offset = 0
    identity = 0
    tail = 0
  }

  mutating func next(_ out: any Emitter) throws -> SourceStep {
    while true {
      if index >= files.count { return .end }
      if format == .whole { return try whole(out) }
      if open == nil { _ = try openFile() }
      switch try step() {
      case .line(let line, let consumed):
        offset += consumed
        tail = Self.sum(line: line)
        if format == .jsonl, line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
        try out.emit(line, as: format == .jsonl ? .json : .text)
        return .emitted(position)
      case .tooLong(let bytes, let consumed):
        let line = offset
        offset += consumed
        tail = 0
        throw MessageFailure(
          "the line at byte \(line) of \(files[index]) has \(bytes) bytes, more than the \(Quantity.describe(bytes: longest)) of `longest`", isPermanent: true)
      case .later: return .wait(readable: open?.descriptor, until: nil)
      case .end:
        try checkLength()
        closeFile()
        pass()
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
    pass()
    let bytes: [UInt8]
    do throws(SystemError) { bytes = try Files.readAll(path, limit: longest) } catch {
      // EFBIG
      if error.errno == 27 { throw MessageFailure("\(path) is larger than the \(Quantity.describe(bytes: longest)) of `longest`", isPermanent: true) }
      throw WorkerFailure(reading: error, path)
    }
    try out.emit(bytes)
    return .emitted(position)
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
      identity = Self.identity(status, Files.birth(of: descriptor))
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

  private static func identity(_ status: Files.Status, _ birth: UInt64) -> UInt64 {
    (status.inode &* 0x9e37_79b9_7f4a_7c15 ^ status.device) &* 0xd1b5_4a32_d192_ed03 ^ birth
  }

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
