import Plans
import Platform
import Rings

/// Disturbs a worker on purpose (`ringway run --chaos`). It draws for each message that the worker is about to begin. To be killed or stopped it
/// asks the runner, which does it at once: that hits wherever the worker is by then, nobody has to guess whose signal it was, and what is
/// stopped is always gone on with.
///
/// A worker asks to be killed only once it has handed something over since its start. So every one that is killed has made progress, which costs
/// nothing of the restart budget, and every run comes to its end, whatever the percentage and however large its batches.
final class ChaosMaker {
  private let chaos: Chaos
  private let handoff: Handoff
  private let cell: CommitCell
  private let control: ControlLine
  private var dice: ChaosDice
  private let atStart: CellRecord
  private var isKillDue = false
  private var hasAskedForKill = false

  static let longestDelay = Duration.milliseconds(20)

  init?(_ order: WorkOrder, _ handoff: Handoff, _ cell: CommitCell, _ control: ControlLine) {
    guard let chaos = order.chaos else { return nil }
    self.chaos = chaos
    self.handoff = handoff
    self.cell = cell
    self.control = control
    atStart = cell.record
    // Another life draws other numbers.
    dice = ChaosDice(UInt64(truncatingIfNeeded: chaos.seed), UInt64(clamping: order.worker), cell.sequence)
  }

  /// A message is about to begin.
  func strike() {
    if hasAskedForKill { return }
    switch chaos.deed(dice.next()) {
    case .kill: isKillDue = true
    case .stop: control.send(.chaos(.stop))
    case .delay:
      control.send(.chaos(.delay))
      let pause = dice.time(upTo: Self.longestDelay)
      handoff.waiting { _ = Descriptors.wait([], until: .now + pause) }
    case nil: break
    }
    if isKillDue, hasProgressed {
      hasAskedForKill = true
      control.send(.chaos(.kill))
    }
  }

  private var hasProgressed: Bool {
    let now = cell.record
    return now.received != atStart.received || now.emitted != atStart.emitted
  }
}
