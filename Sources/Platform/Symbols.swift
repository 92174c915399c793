import Glibc

/// Symbols of this process and of shared libraries (dlopen(3), dlsym(3)).
package enum Symbols {
  /// A shared library; it stays loaded.
  package struct Library: @unchecked Sendable {
    private let handle: UnsafeMutableRawPointer

    /// - Parameter path: absolute
    /// - Throws: `Unloadable`, with the loader's own words
    package init(_ path: String) throws(Unloadable) {
      guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else { throw Unloadable(reason: dlerror().map { String(cString: $0) } ?? "it cannot be loaded") }
      self.handle = handle
    }

    package func find(_ name: String) -> UnsafeMutableRawPointer? { dlsym(handle, name) }
  }

  package struct Unloadable: Error {
    package let reason: String
  }

  /// The address of a symbol in what this process has loaded; nil when there is none.
  package static func find(_ name: String) -> UnsafeMutableRawPointer? { dlsym(nil, name) }
}
