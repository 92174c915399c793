import Platform
import Rings
import Synchronization

/// Hands over in a worker's place while its source keeps it. A source that makes some messages at once and then waits for its next one inside its
/// own code, as a Python generator does, would keep those that were not handed over yet for as long as it waits.
///
/// The worker lends its hand-over while it is in the source's code, when something is finished. Once that has lasted for a while, a thread uses it.
/// When nothing is lent any more, the thread sleeps and costs nothing.
final class Deputy: @unchecked Sendable {
  // Unchecked: the hand-over, and `failure`, belong to whoever has moved `state`.
  private enum State {
    static let kept = 0
    static let lent = 1
    static let inUse = 2
    /// Lent, with nothing left to hand over.
    static let done = 3
  }

  /// How long a source may keep finished messages.
  private static let patience = Duration.milliseconds(2)

  private let handoff: Handoff
  private let state = Atomic<Int>(State.kept)
  /// How often it was lent.
  private let turns = Atomic<UInt>(0)
  private let isAwake = Atomic<Bool>(false)
  private let alarm: EventDescriptor
  private let released: EventDescriptor
  private var failure: (any Error)?

  /// - Throws: `SystemError` when there is no descriptor or no thread left
  init(_ handoff: Handoff) throws {
    guard let alarm = EventDescriptor(), let released = EventDescriptor() else { throw SystemError("eventfd", "") }
    self.handoff = handoff
    self.alarm = alarm
    self.released = released
    guard Thread.start({ [self] in watch() }) else { throw SystemError("pthread_create", "") }
  }

  // MARK: The worker's side

  /// Lends the hand-over, if there is something to hand over. The worker does not touch it before `take`.
  func lend() {
    if handoff.pendingCalls == 0 { return }
    turns.store(turns.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    // In one order with the thread, which says that it will sleep and then looks at the state.
    state.store(State.lent, ordering: .sequentiallyConsistent)
    if !isAwake.load(ordering: .sequentiallyConsistent), !isAwake.exchange(true, ordering: .sequentiallyConsistent) { alarm.signal() }
  }

  /// Takes it back.
  ///
  /// - Throws: what went wrong meanwhile
  func take() throws {
    if state.load(ordering: .relaxed) == State.kept { return }
    while true {
      let (isOurs, found) = state.compareExchange(expected: State.lent, desired: State.kept, ordering: .acquiringAndReleasing)
      if isOurs { break }
      if found == State.done {
        state.store(State.kept, ordering: .relaxed)
        break
      }
      handoff.waiting { _ = Descriptors.wait([.readable(released.descriptor)], until: nil) }
      released.clear()
    }
    if let failure { throw failure }
  }

  // MARK: The thread's side

  private func watch() {
    Handoff.isBesideTheWorker = true
    while true {
      _ = Descriptors.wait([.readable(alarm.descriptor)], until: nil)
      alarm.clear()
      var seen = turns.load(ordering: .relaxed)
      while true {
        _ = Descriptors.wait([], until: .now + Self.patience)
        let now = turns.load(ordering: .relaxed)
        if now != seen {
          seen = now
          continue
        }
        handOver()
        isAwake.store(false, ordering: .sequentiallyConsistent)
        guard state.load(ordering: .sequentiallyConsistent) == State.lent, !isAwake.exchange(true, ordering: .sequentiallyConsistent) else { break }
      }
    }
  }

  private func handOver() {
    guard state.compareExchange(expected: State.lent, desired: State.inUse, ordering: .acquiringAndReleasing).exchanged else { return }
    do { try handoff.commit() } catch { failure = error }
    state.store(State.done, ordering: .releasing)
    released.signal()
  }
}
