import Glibc

/// Symbols of this process and of shared libraries (dlopen(3)).
package enum Symbols {
  /// The address of a symbol in what this process has loaded; nil when there is none.
  package static func find(_ name: String) -> UnsafeMutableRawPointer? { dlsym(nil, name) }
}
