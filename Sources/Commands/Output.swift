import Platform

/// Standard output and standard error.
enum Output {
  /// An answer. When nobody reads it any more, the command ends in silence, as programs in a pipe do.
  static func answer(_ text: String) {
    do throws(SystemError) { try Descriptors.writeAll(1, text) } catch { CurrentProcess.exit(error.errno == 32 ? 0 : 74) }
  }

  /// Everything else. A log that cannot be written is no reason to stop working.
  static func say(_ text: String) { try? Descriptors.writeAll(2, text) }

  /// Whether to use colour on a descriptor: a terminal, and NO_COLOR not set (no-color.org).
  static func usesColor(_ descriptor: Int32) -> Bool {
    Machine.isTerminal(descriptor) && !Machine.environment().contains { $0.name == "NO_COLOR" && !$0.value.isEmpty }
  }
}
