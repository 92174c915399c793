// Targets: what is done with bytes of which nobody knows where they come from. libFuzzer calls them a million times with
// what it makes up; `make test` calls them with what was found before (Tests/Fuzz/Findings). Whatever the bytes are, a
// target returns: no trap, no endless loop, no answer that contradicts itself.

/// What is fuzzed.
package enum Target: String, CaseIterable, Sendable {
  /// A pipeline file on its way to a plan.
  case composer
  /// A schema and a document, both from outside.
  case validator
  /// What runner and worker tell each other.
  case order
  /// The runner before rings and cells that a worker has run wild in.
  case recovery
  /// Workers before the same.
  case handoff

  package func take(_ bytes: [UInt8]) {
    switch self {
    case .composer: Composer.take(bytes)
    case .validator: Validator.take(bytes)
    case .order: Order.take(bytes)
    case .recovery: Line.run(bytes, workersMeetGarbage: false)
    case .handoff: Line.run(bytes, workersMeetGarbage: true)
    }
  }
}

/// Stops the process with a sentence, optimised or not.
func demand(_ condition: Bool, _ sentence: @autoclosure () -> String) {
  if !condition { fatalError(sentence()) }
}
