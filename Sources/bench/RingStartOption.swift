/// Where a run is told to start the counters of its rings just below their overflow: laps, positions, generations of
/// segments, words that are slept on. The environment carries it from `bench soak --near-overflow` to the run.
enum RingStartOption {
  static let variable = "RINGWAY_RING_START"

  /// Whether `apply` does anything. While it does not, `--near-overflow` is refused.
  static let isConnected = false

  /// Called in the run's process before the command line is read. The option goes on to `RunOptions.ringStart` here.
  static func apply() {}
}
