import Plans
import PluginKit
import Rings

/// Decides what becomes of a message whose plugin failed or whose workers died.
struct MessagePolicy {
  /// How often the plugin may fail on a message before it is given up.
  let retries: Int
  /// How many workers may die with a message in hand before it is given up.
  let deaths: Int
  let then: ErrorPolicy.Then
  /// How many dead letters the stage may make; nil for any number.
  var maxDeadLetters: Int?

  /// Whether a message has cost so many workers that it will not be tried again.
  func isPoison(_ deaths: Int) -> Bool { deaths >= self.deaths }

  /// Whether a message that failed for the n-th time is tried again.
  func retries(afterErrors errors: Int, _ error: any Error) -> Bool {
    if let failure = error as? MessageFailure, failure.isPermanent { return false }
    return errors <= retries
  }

  /// Why a message that cost so many workers is given up.
  static func poison(_ deaths: Int) -> MessageFailure {
    MessageFailure(deaths == 1 ? "a worker died with this message in hand" : "\(deaths) workers died with this message in hand")
  }
}

/// Ends the worker: a message was given up and `then: stop` decided. The message stays leased, so the runner's recovery
/// puts it back into its queue.
struct MessageGivenUp: Error {
  let id: String
  let error: String
  let errors: Int
  let deaths: Int
}
