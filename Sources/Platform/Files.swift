import CLinux
import Glibc

/// Files by path and by descriptor.
package enum Files {
  /// A small file as text, or nil.
  package static func text(_ path: String) -> String? {
    guard let bytes = try? readAll(path, limit: 1 << 20) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// - Parameter limit: a larger file is `EFBIG`
  package static func readAll(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
    let fd = try open(path, O_RDONLY)
    defer { close(fd) }
    do throws(SystemError) {
      return try Descriptors.readAll(fd, limit: limit)
    } catch {
      throw SystemError("read", path, errno: error.errno)
    }
  }

  /// Opens close-on-exec; new files are for their owner alone unless `mode` says more.
  package static func open(_ path: String, _ flags: Int32, mode: UInt32 = 0o600) throws(SystemError) -> Int32 {
    while true {
      let fd = linux_open(path, flags, mode)
      if fd >= 0 { return fd }
      if errno != EINTR { throw SystemError("open", path) }
    }
  }

  /// Opens without waiting for the writer of a pipe; such a descriptor has nothing to read, and no end, until there has been one (fifo(7)).
  package static func openForReading(_ path: String) throws(SystemError) -> Int32 { try open(path, O_RDONLY | O_NONBLOCK) }

  /// For writing, made when it is not there.
  package static func openForWriting(_ path: String) throws(SystemError) -> Int32 { try open(path, O_WRONLY | O_CREAT) }

  /// For `FileLock`: made when it is not there, for its owner alone, and no link is followed.
  package static func openForLocking(_ path: String) throws(SystemError) -> Int32 { try open(path, O_RDWR | O_CREAT | O_NOFOLLOW) }

  /// Writes a file whole or not at all: into a new one beside it, which then takes its name (rename(2)).
  ///
  /// - Parameter isDurable: has it reach the disk too, the old file's name before that (fsync(2))
  package static func replace(_ path: String, with text: String, isDurable: Bool = false) throws(SystemError) {
    let temporary = path + ".tmp\(getpid())"
    let fd = try open(temporary, O_WRONLY | O_CREAT | (isDurable ? O_TRUNC | O_NOFOLLOW : O_EXCL))
    do throws(SystemError) {
      try Descriptors.writeAll(fd, text)
      if isDurable, fsync(fd) != 0 { throw SystemError("fsync", path) }
      close(fd)
      if rename(temporary, path) != 0 { throw SystemError("rename", path) }
    } catch {
      close(fd)
      unlink(temporary)
      throw SystemError(error.call, path, errno: error.errno)
    }
  }

  /// Has what was written to a file, or the names in a folder, reach the disk.
  package static func sync(_ path: String) throws(SystemError) {
    let fd = try open(path, O_RDONLY | O_NONBLOCK)
    defer { close(fd) }
    if fsync(fd) != 0 { throw SystemError("fsync", path) }
  }

  /// Whether `replace` would work, as far as can be known before.
  package static func probe(_ path: String) throws(SystemError) {
    if status(path)?.kind == .directory { throw SystemError("open", path, errno: EISDIR) }
    let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    if access(folder, W_OK | X_OK) != 0 { throw SystemError("open", path) }
  }

  /// Makes a folder, and those that it lies in; one that is there stays.
  package static func makeDirectory(_ path: String) throws(SystemError) {
    var made = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      made += part + "/"
      if mkdir(made, 0o777) != 0, errno != EEXIST { throw SystemError("mkdir", made) }
    }
    if status(path)?.kind != .directory { throw SystemError("mkdir", path, errno: ENOTDIR) }
  }

  /// Makes a folder for its owner alone (0700), and those that it lies in with the permissions that the user's mask leaves; one that is
  /// there stays as it is.
  package static func makePrivateDirectory(_ path: String) throws(SystemError) {
    let parent = path.split(separator: "/").dropLast().joined(separator: "/")
    if !parent.isEmpty { try makeDirectory((path.hasPrefix("/") ? "/" : "") + parent) }
    if mkdir(path, 0o700) != 0, errno != EEXIST { throw SystemError("mkdir", path) }
  }

  /// Who may use a file (stat(2)): its owner, and the twelve bits of its mode.
  package static func ownership(_ path: String) throws(SystemError) -> (owner: UInt32, mode: UInt32) {
    var info = stat()
    if lstat(path, &info) != 0 { throw SystemError("stat", path) }
    return (info.st_uid, info.st_mode & 0o7777)
  }

  package static func setMode(_ path: String, _ mode: UInt32) throws(SystemError) {
    if chmod(path, mode) != 0 { throw SystemError("chmod", path) }
  }

  package static func remove(_ path: String) throws(SystemError) {
    if unlink(path) != 0, errno != ENOENT { throw SystemError("unlink", path) }
  }

  /// The names in a folder, sorted bytewise, without `.` and `..`; odd bytes of a name are shown as `illegibleNames` shows them.
  package static func names(in folder: String) throws(SystemError) -> [String] {
    guard let directory = opendir(folder) else { throw SystemError("open", folder) }
    defer { closedir(directory) }
    var all: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      if name != [0x2e], name != [0x2e, 0x2e] { all.append(shown(name)) }
    }
    return all.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
  }

  /// When a file was made, in nanoseconds since 1970: tells it from one that has got the number of a removed one. 0 where the file
  /// system does not say.
  package static func birth(of descriptor: Int32) -> UInt64 { linux_birth(descriptor) }

  /// Writes a file that must not be there yet, with the permissions that the user's mask leaves.
  package static func create(_ path: String, _ text: String) throws(SystemError) {
    let fd = try open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o666)
    defer { close(fd) }
    try Descriptors.writeAll(fd, text)
  }

  /// What stat(2) says of a file.
  package struct Status: Sendable, Equatable {
    package enum Kind: Sendable { case file, directory, other }
    package var kind: Kind
    package var size: Int
    package var device: UInt64
    package var inode: UInt64
    /// How many names it has; none is left of a file that was removed while it was open.
    package var links: UInt64
  }

  package static func status(_ path: String) -> Status? {
    var info = stat()
    return stat(path, &info) == 0 ? Status(info) : nil
  }

  package static func status(of descriptor: Int32) throws(SystemError) -> Status {
    var info = stat()
    if fstat(descriptor, &info) != 0 { throw SystemError("fstat", "descriptor \(descriptor)") }
    return Status(info)
  }

  /// Whether two paths name one file, by whatever names, and whether it is there yet or not.
  package static func areSame(_ one: String, _ other: String) -> Bool {
    switch (status(one), status(other)) {
    case (let a?, let b?): a.device == b.device && a.inode == b.inode
    case (nil, nil): resolvedName(one) == resolvedName(other)
    default: false
    }
  }

  /// The path of a file that is not there, with its folder resolved.
  private static func resolvedName(_ path: String) -> String {
    let slash = path.lastIndex(of: "/")
    let folder = slash.map { String(path[...$0]) } ?? "."
    let name = slash.map { path[path.index(after: $0)...] } ?? path[...]
    return (canonical(folder) ?? folder) + "/" + name
  }

  package static func truncate(_ descriptor: Int32, to length: Int) throws(SystemError) {
    if ftruncate(descriptor, length) != 0 { throw SystemError("ftruncate", "descriptor \(descriptor)") }
  }

  package static func seek(_ descriptor: Int32, to offset: Int) throws(SystemError) {
    if lseek(descriptor, offset, SEEK_SET) < 0 { throw SystemError("lseek", "descriptor \(descriptor)") }
  }

  /// The names that a glob(7) pattern matches, sorted bytewise; a name without wildcards matches itself when it exists. One that is
  /// no UTF-8 stands among them as it is shown, which is the name of no file: `illegibleNames` tells which.
  package static func glob(_ pattern: String) -> [String] {
    globbed(pattern).map(shown).sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
  }

  /// Those names among what a pattern matches that are no UTF-8 and so cannot be held as text, their odd bytes written as `\xff`.
  package static func illegibleNames(_ pattern: String) -> [String] {
    globbed(pattern).filter { String(validating: $0, as: UTF8.self) == nil }.map(shown)
  }

  private static func globbed(_ pattern: String) -> [[UInt8]] {
    var found = glob_t()
    defer { globfree(&found) }
    guard Glibc.glob(pattern, GLOB_NOSORT, nil, &found) == 0 else { return [] }
    return (0..<Int(clamping: found.gl_pathc)).compactMap { index in
      found.gl_pathv[index].map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) }
    }
  }

  private static func shown(_ name: [UInt8]) -> String {
    if let text = String(validating: name, as: UTF8.self) { return text }
    return name.reduce(into: "") { text, byte in
      if byte < 0x80 {
        text.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        text += "\\x" + String(byte, radix: 16)
      }
    }
  }

  /// The path without links, `.` and `..` (realpath(3)); nil when something of it does not exist.
  package static func canonical(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// What a symbolic link names (readlink(2)), relative to the link's folder unless it begins with a slash; nil for what is
  /// no link.
  package static func linkTarget(_ path: String) -> String? {
    let size = Int(PATH_MAX)
    var buffer = [CChar](repeating: 0, count: size)
    let count = readlink(path, &buffer, size)
    return count > 0 && count < size ? String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
  }

  package static var currentDirectory: String {
    guard let path = getcwd(nil, 0) else { return "/" }
    defer { free(path) }
    return String(cString: path)
  }
}

extension Files.Status {
  init(_ info: stat) {
    switch info.st_mode & S_IFMT {
    case S_IFREG: kind = .file
    case S_IFDIR: kind = .directory
    default: kind = .other
    }
    size = info.st_size
    device = UInt64(info.st_dev)
    inode = UInt64(info.st_ino)
    links = UInt64(info.st_nlink)
  }
}
