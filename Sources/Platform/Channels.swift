import CLinux
import Glibc

/// Pairs of descriptors between the runner and a worker; all close-on-exec.
package enum Channel {
  /// A pipe whose reading end does not block.
  package static func pipe() throws(SystemError) -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    // No thread of the runner spawns but this one, so nothing can inherit them in between.
    if Glibc.pipe(&ends) != 0 { throw SystemError("pipe", "") }
    for end in ends { _ = linux_fcntl(end, F_SETFD, Int(FD_CLOEXEC)) }
    Descriptors.setNonBlocking(ends[0])
    return (ends[0], ends[1])
  }

  /// A stream socket pair; our end does not block.
  package static func socketPair() throws(SystemError) -> (ours: Int32, theirs: Int32) {
    var ends: [Int32] = [-1, -1]
    if socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) != 0 {
      throw SystemError("socketpair", "")
    }
    Descriptors.setNonBlocking(ends[0])
    return (ends[0], ends[1])
  }

  /// A memfd with this content, to be read from its beginning. Nothing of it stands in the file system.
  package static func memoryFile(_ bytes: [UInt8], name: String) throws(SystemError) -> Int32 {
    let fd = linux_memfd(name)
    if fd < 0 { throw SystemError("memfd_create", name) }
    var failure: SystemError?
    bytes.withUnsafeBytes { buffer in
      do throws(SystemError) { try Descriptors.writeAll(fd, buffer) } catch { failure = error }
    }
    if let failure {
      close(fd)
      throw failure
    }
    lseek(fd, 0, SEEK_SET)
    return fd
  }

  package static func openNull() throws(SystemError) -> Int32 {
    let fd = linux_open("/dev/null", O_RDWR, 0)
    if fd < 0 { throw SystemError("open", "/dev/null") }
    return fd
  }

  package static func duplicate(_ descriptor: Int32) throws(SystemError) -> Int32 {
    let copy = linux_fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    if copy < 0 { throw SystemError("fcntl", "descriptor \(descriptor)") }
    return copy
  }
}
