import CLinux

/// An epoll(7) descriptor: polls as readable while one of two others does.
package struct DescriptorGroup: Sendable {
  package let descriptor: Int32

  package init(_ a: Int32, _ b: Int32) throws(SystemError) {
    descriptor = linux_watch(a, b)
    if descriptor < 0 { throw SystemError("epoll_create1", "") }
  }
}
