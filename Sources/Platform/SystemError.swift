import Glibc

/// A system call that failed: which one, on what, and errno as it was right after it.
package struct SystemError: Error, CustomStringConvertible, Equatable {
  package let call: String
  /// A path, an address or a name for a person; never a secret.
  package let subject: String
  package let errno: Int32

  /// - Parameter errno: read right after the call, before anything else can change it
  package init(_ call: String, _ subject: String, errno: Int32 = Glibc.errno) {
    self.call = call
    self.subject = subject
    self.errno = errno
  }

  /// `open results.txt: No space left on device`
  package var description: String {
    subject.isEmpty ? "\(call): \(reason)" : "\(call) \(subject): \(reason)"
  }

  /// The system's own words (strerror(3)).
  package var reason: String { strerror(errno).map { String(cString: $0) } ?? "error \(errno)" }
}
