import CLinux
import Glibc

/// Where a text goes that is written to a path of the user's. A regular file is replaced whole; a pipe or a device is written
/// into, since a file that took its name would destroy it.
package enum Destination: Sendable, Equatable {
  /// A regular file, or nothing yet; links to it have been followed.
  case file(String)
  /// A pipe or a device.
  case stream(String)
  /// A descriptor of this very process, as /dev/stdout and /dev/fd/63 name them. It is used as it is: opened a second time, a file
  /// would be written from its beginning, over what is there already.
  case descriptor(Int32)
  case directory

  package init(_ path: String) {
    var place = path
    // The kernel follows no more links either (path_resolution(7)).
    for _ in 0..<40 {
      let slash = place.lastIndex(of: "/")
      let folder = slash.map { place[...$0] } ?? ""
      let name = slash.map { place[place.index(after: $0)...] } ?? place[...]
      if let number = Int32(name), number >= 0, Files.canonical(String(folder)) == "/proc/\(getpid())/fd" {
        self = .descriptor(number)
        return
      }
      // Asked before the link is followed: that of a pipe in /proc names nothing that has a path.
      switch Files.status(place)?.kind {
      case .other:
        self = .stream(place)
        return
      case .directory:
        self = .directory
        return
      case .file, nil: break
      }
      guard let target = Files.linkTarget(place) else { break }
      place = target.hasPrefix("/") ? target : folder + target
    }
    self = .file(place)
  }

  /// Whether `write` would work, as far as can be known before.
  package func probe() throws(SystemError) {
    switch self {
    case .file(let path): try Files.probe(path)
    case .stream(let path): if access(path, W_OK) != 0 { throw SystemError("open", path) }
    case .descriptor(let number):
      let flags = linux_fcntl(number, F_GETFL, 0)
      if flags < 0 || flags & O_ACCMODE == O_RDONLY { throw SystemError("write", "descriptor \(number)", errno: EBADF) }
    case .directory: throw SystemError("open", "", errno: EISDIR)
    }
  }

  package func write(_ text: String) throws(SystemError) {
    switch self {
    case .file(let path): try Files.replace(path, with: text)
    case .stream(let path):
      // A pipe that nobody reads is an error (ENXIO) rather than a wait without end.
      let fd = try Files.open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY)
      defer { close(fd) }
      do throws(SystemError) { try Descriptors.writeAll(fd, text) } catch { throw SystemError(error.call, path, errno: error.errno) }
    case .descriptor(let number): try Descriptors.writeAll(number, text)
    case .directory: throw SystemError("open", "", errno: EISDIR)
    }
  }
}
