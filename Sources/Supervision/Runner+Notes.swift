package import Plans
import Platform
import Rings

// What a run tells in lines of its log.

extension Runner {
  func say(_ origin: RunLine.Origin, _ worker: Int, _ text: String) {
    let stage = plan.stages[supervisor.stage(of: worker)]
    observer.heard(RunLine(origin: origin, stage: stage.name, process: stage.processes > 1 ? process(worker) : nil, text: text))
  }

  /// In full once: what fails again in the same way needs one line.
  func sayOfOpening(_ worker: Int, _ error: String, _ details: String) {
    workers[worker]?.remember(error)
    let stage = supervisor.stage(of: worker)
    if openingFailures[stage] == details { return say(.plugin, worker, error + " (as before)") }
    openingFailures[stage] = details
    for line in details.split(separator: "\n") { say(.plugin, worker, String(line)) }
  }

  func noteGivenUp(_ worker: Int, _ text: String) {
    let stage = supervisor.stage(of: worker)
    let (isShown, more) = givenUp[stage, default: DropNotes()].isShown(in: second)
    if let more { sayOfUnnamed(stage, more) }
    if isShown { say(.runner, worker, text) }
  }

  func sayOfUnnamed(_ stage: Int, _ count: Int) {
    sayOfStage(stage, (plan.stages[stage].onError.then == .deadLetter ? "made \(count) dead letters" : "dropped \(count) messages") + " more in that second")
  }

  static let queuePeriod = Duration.seconds(1)

  /// What full queues have dropped since the last time, in one line each: who drops counts, and tells nobody.
  func sayOfQueues() {
    for stage in droppingStages {
      let now = queueDropped(stage)
      let more = now &- (toldDropped[stage] ?? 0)
      // A look at a cell that moves meanwhile may be a little behind the last one.
      guard more > 0 else { continue }
      toldDropped[stage] = now
      guard let queue = plan.stages[stage].queue else { continue }
      sayOfStage(stage, "its queue was full and dropped \(more) \(more == 1 ? "message" : "messages") (\(queue.whenFull.rawValue), \(now) in all)")
    }
  }

  func sayOfRun(_ text: String) { observer.heard(RunLine(origin: .runner, stage: nil, process: nil, text: text)) }

  func sayOfStage(_ stage: Int, _ text: String) {
    observer.heard(RunLine(origin: .runner, stage: plan.stages[stage].name, process: nil, text: text))
  }

  static func givenUp(_ id: String, _ error: String, _ errors: Int, _ deaths: Int) -> String {
    var text = error
    if errors > 1 { text += " (tried \(errors) times)" }
    return id.isEmpty ? text : text + " [message \(id)]"
  }
}

extension Plan {
  /// Who waits while a stage takes nothing: `numbers waits`, `numbers, others wait`.
  package func writersWait(for stage: Int) -> String {
    let names = writers(to: stage).map { stages[$0].name }
    return names.joined(separator: ", ") + (names.count == 1 ? " waits" : " wait")
  }
}
