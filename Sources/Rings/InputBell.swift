import Platform
import Synchronization

/// Turns "there is a message" into a descriptor, for a sink that waits on sockets and on its ring at once. A thread sleeps
/// on the ring in the worker's place and makes the descriptor readable; it rings once for each `arm`.
package final class InputBell: Sendable {
  private let ring: Ring
  private let lane: Int
  private let event: EventDescriptor
  private let armed: EventDescriptor
  private let isArmed = Atomic<Bool>(false)
  private let isGathering = Atomic<Bool>(false)
  /// How many recoveries the worker has looked through: only a later one is news.
  private let seenEpoch = Atomic<UInt64>(0)

  /// - Throws: `SystemError` when there is no descriptor or no thread left.
  package init(_ handoff: Handoff) throws {
    guard let ring = handoff.inputRing, let event = EventDescriptor(), let armed = EventDescriptor() else {
      throw SystemError("eventfd", "")
    }
    self.ring = ring
    self.lane = handoff.inputLane
    self.event = event
    self.armed = armed
    guard Thread.start({ [self] in watch() }) else { throw SystemError("pthread_create", "") }
  }

  /// Readable once there is a message to claim, or the ring has been closed, after `arm`.
  package var descriptor: Int32 { event.descriptor }

  /// Asks for one ring of the bell. Only the bell's thread sleeps in the worker's lane from here until it has rung.
  ///
  /// - Parameter isGathering: writers that wait for room are news, too
  package func arm(_ handoff: Handoff, isGathering: Bool = false) {
    self.isGathering.store(isGathering, ordering: .releasing)
    seenEpoch.store(handoff.inputEpoch, ordering: .relaxed)
    if isArmed.exchange(true, ordering: .acquiringAndReleasing) { return }
    armed.signal()
  }

  package func clear() { event.clear() }

  /// Whether the bell's thread may be asleep in the worker's lane. Two who slept there would share one wake-up, so the worker waits
  /// for the bell then, and not for the ring.
  package var isWatching: Bool { isArmed.load(ordering: .acquiring) }

  private func watch() {
    var reader = Consumer(ring, lane: lane, owner: 0)
    while true {
      _ = Descriptors.wait([.readable(armed.descriptor)], until: nil)
      armed.clear()
      reader.ignoreRedelivery(upTo: seenEpoch.load(ordering: .acquiring))
      // A reader that gathers a batch asks whether writers wait for the places it holds.
      func isNews(_ reader: inout Consumer) -> Bool { reader.canGoOn || isGathering.load(ordering: .acquiring) && ring.hasSleepers(.producers) }
      while !isNews(&reader) { try? reader.wait { isNews(&$0) } }
      isArmed.store(false, ordering: .releasing)
      event.signal()
    }
  }
}
