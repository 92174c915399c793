/// The ports of a stage that an output reads, by their numbers: 0 is the main one.
package struct PortSet: OptionSet, Sendable, Equatable {
  package let rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }

  package static let main = PortSet(port: 0)
  /// How many ports a stage may have, the main one and the dead letters among them.
  package static let most = 64

  /// - Parameter port: 0..<64; what is beyond is no port
  package init(port: Int) { rawValue = 0..<Self.most ~= port ? 1 << UInt64(port) : 0 }
}
