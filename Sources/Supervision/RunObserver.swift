package import Plans
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
  /// The folder where rings and cells are files, so that the run may go on after its runner was killed; nil for memory.
  package var state: String?
  package var sync: Sync
  /// How the workers are disturbed on purpose; nil for not at all.
  package var chaos: Chaos?

  /// What a state directory survives beyond the processes.
  package enum Sync: String, Sendable, CaseIterable {
    /// The machine's own death, but for one in the middle of a run: at a run's end everything reaches the disk.
    case end
    /// Nothing more.
    case none
  }

  package init(tick: Duration? = nil, ringStart: RingStart = .zero, state: String? = nil, sync: Sync = .end) {
    self.tick = tick
    self.ringStart = ringStart
    self.state = state
    self.sync = sync
  }
}
