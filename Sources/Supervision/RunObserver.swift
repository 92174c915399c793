package import Rings

/// Hears what happens in a run. Called on the main thread; what it takes, the run waits.
package protocol RunObserver: AnyObject {
  func heard(_ line: RunLine)
  /// Every `RunOptions.tick`, and once more at the end.
  func progressed(_ report: RunReport)
}

package struct RunLine: Sendable {
  package enum Origin: String, Sendable {
    /// What a plugin wrote to its standard output or standard error.
    case plugin
    /// What the runner did: restarts, timeouts, dropped messages, a drain.
    case runner
  }

  package var origin: Origin
  /// Nil when it is about the whole run.
  package var stage: String?
  /// Which process of the stage, when it has several.
  package var process: Int?
  package var text: String
}

package struct RunOptions: Sendable {
  /// How often the observer is told of the progress; nil for never.
  package var tick: Duration?
  /// Where the counters of the rings begin; anything but zero is for tests.
  package var ringStart: RingStart

  package init(tick: Duration? = nil, ringStart: RingStart = .zero) {
    self.tick = tick
    self.ringStart = ringStart
  }
}
