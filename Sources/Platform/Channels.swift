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

  /// The most descriptors that can be handed over together.
  package static let mostHandedOver = Int(LINUX_MOST_SENT)

  /// Hands copies of descriptors over to the process at the other end of a socket (unix(7), SCM_RIGHTS). Never waits.
  ///
  /// - Throws: also when that process is gone (EPIPE), or too many are under way (ETOOMANYREFS)
  package static func handOver(_ descriptors: [Int32], over socket: Int32) throws(SystemError) {
    if linux_send_descriptors(socket, descriptors, Int32(clamping: descriptors.count)) != 0 { throw SystemError("sendmsg", "") }
  }

  /// Waits for what is handed over, and puts it in order from a number on. Programs that this process starts inherit it.
  ///
  /// - Parameter reserved: how many numbers from there on have been kept free for it: what is open by these is closed
  /// - Returns: false when the other end is closed
  package static func takeOver(from socket: Int32, first: Int32, reserved: Int32) throws(SystemError) -> Bool {
    var received = [Int32](repeating: -1, count: mostHandedOver)
    let count = linux_receive_descriptors(socket, &received, Int32(clamping: received.count))
    if count < 0 { throw SystemError("recvmsg", "") }
    received.removeLast(received.count - Int(count))
    defer { for fd in received { close(fd) } }
    // Every source lies above every target, so that none overwrites what a later one needs.
    for (i, fd) in received.enumerated() where fd < first + max(count, reserved) {
      let copy = linux_fcntl(fd, F_DUPFD_CLOEXEC, Int(first + max(count, reserved)))
      if copy < 0 { throw SystemError("fcntl", "") }
      close(fd)
      received[i] = copy
    }
    for (i, fd) in received.enumerated() where dup2(fd, first + Int32(clamping: i)) < 0 { throw SystemError("dup2", "") }
    for fd in stride(from: first + count, to: first + reserved, by: 1) { close(fd) }
    return count > 0
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
