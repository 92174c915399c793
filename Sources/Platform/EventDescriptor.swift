import CLinux
import Glibc

/// An eventfd(2): a descriptor that polls as readable from `signal()` until `clear()`. Both may be called from any thread.
package struct EventDescriptor: Sendable {
  package let descriptor: Int32

  /// - Returns: nil when the process is out of descriptors.
  package init?() {
    let fd = linux_eventfd()
    guard fd >= 0 else { return nil }
    descriptor = fd
  }

  package func signal() {
    var one: UInt64 = 1
    // EAGAIN means that the counter is full, which is readable too.
    _ = write(descriptor, &one, 8)
  }

  package func clear() {
    var count: UInt64 = 0
    _ = read(descriptor, &count, 8)
  }

  package func close() { _ = Glibc.close(descriptor) }
}
