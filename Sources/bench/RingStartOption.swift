import Platform
import Rings

/// Whether a run is to start the counters of its rings just below their overflow: laps, positions, generations of segments, words that
/// are slept on. The environment carries it from `bench soak --near-overflow` to the run, and from whoever sets it to a torture.
enum RingStartOption {
  static let variable = "RINGWAY_RING_START"
  static let value = "just-below-overflow"

  static var given: RingStart {
    Machine.environment().contains { $0.name == variable && $0.value == value } ? .justBelowOverflow : .zero
  }
}
