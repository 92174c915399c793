import Plans
import Platform
import Rings
import Specs

// What a run tells in figures: its report, read from the cells and the queues.

extension Runner {
  func report() -> RunReport {
    let now = Clock.now
    let stages = plan.stages.indices.map { stageReport($0, now) }
    let ledger = plan.stages.indices.compactMap { i -> RunReport.LedgerLine? in
      guard !memory.parts[i].rings.isEmpty else { return nil }
      let entered = total(plan.writers(to: i).flatMap { self.entered(from: $0, to: i) })
      let received = total(records(i).map(\.received))
      let givenUp = total(records(i).map(\.dropped))
      let deadLettered = total(records(i).map(\.deadLettered))
      return RunReport.LedgerLine(
        stage: plan.stages[i].name, entered: entered, left: memory.parts[i].openSlots, dropped: givenUp &+ queueDropped(i), deadLettered: deadLettered,
        handedOn: received &- givenUp &- deadLettered)
    }
    let bottleneck = Bottleneck.find(
      in: stages, writers: plan.stages.indices.map(plan.writers(to:)), readers: plan.stages.indices.map(plan.readers(of:)))
    var report = RunReport(
      pipeline: plan.name, outcome: supervisor.outcome.rawValue, code: supervisor.code, cause: supervisor.cause,
      seconds: (ContinuousClock.now - began).inSeconds, stages: stages, ledger: ledger, bottleneck: bottleneck)
    report.chaosSeed = options.chaos?.seed
    return report
  }

  func cells(_ stage: Int) -> [CommitCell] {
    (0..<plan.stages[stage].processes).compactMap { try? memory.cell(stage: stage, process: $0) }
  }

  /// What each process of a stage has handed on to a reader, whether there was room for it or not.
  func entered(from writer: Int, to reader: Int) -> [UInt64] {
    if plan.isUniform(writer) { return records(writer).map(\.emitted) }
    guard let output = plan.readers(of: writer).firstIndex(of: reader) else { return [] }
    return cells(writer).map { $0.counts(output).given }
  }

  /// What a stage's queue has dropped because it was full, counted by those who write to it.
  func queueDropped(_ reader: Int) -> Int {
    total(
      plan.writers(to: reader).flatMap { writer -> [UInt64] in
        guard !plan.isUniform(writer), let output = plan.readers(of: writer).firstIndex(of: reader) else { return [] }
        return cells(writer).map { $0.counts(output).dropped }
      })
  }

  func records(_ stage: Int) -> [CellRecord] { cells(stage).map(\.record) }

  func stageReport(_ index: Int, _ now: UInt64) -> RunReport.StageReport {
    let stage = plan.stages[index]
    let cells = self.cells(index)
    var report = RunReport.StageReport(name: stage.name, plugin: stage.plugin, kind: stage.kind, processes: stage.processes)
    var there = 0.0
    var waitedInput = 0.0
    var waitedRoom = 0.0
    var waitedTurn = 0.0
    var latencies = [UInt64](repeating: 0, count: CommitCell.buckets)
    let records = cells.map(\.record)
    report.received = total(records.map(\.received))
    report.emitted = total(records.map(\.emitted))
    report.dropped = total(records.map(\.dropped))
    report.deadLettered = total(records.map(\.deadLettered))
    report.queueDropped = queueDropped(index)
    report.errors = total(cells.map(\.errors))
    report.retries = total(cells.map(\.retries))
    let run = (ContinuousClock.now - began).inSeconds * 1e9
    for (i, cell) in cells.enumerated() {
      let now = goneSince[supervisor.workers(of: index).lowerBound + i] ?? now
      report.longest = max(report.longest, Double(cell.longestLatency) / 1e6)
      var share = RunReport.Share(received: total([records[i].received]))
      if cell.readySince != 0, now > cell.readySince {
        let mine = Double(now - cell.readySince)
        let (input, room) = (Double(cell.waited(.input, at: now)), Double(cell.waited(.room, at: now)))
        there += mine
        waitedInput += input
        waitedRoom += room
        waitedTurn += Double(cell.waited(.turn, at: now))
        if run > 0 { share.busyOfRun = min(1, max(0, mine - input - room) / run) }
      }
      if stage.partition != nil { report.shares.append(share) }
      for (i, count) in cell.latencies.enumerated() { latencies[i] &+= count }
    }
    if stage.kind == .sink { report.emitted = report.received &- report.dropped &- report.deadLettered }
    report.restarts = supervisor.restarts(of: index)
    report.chaos = chaos?.counts[index] ?? RunReport.ChaosCounts()
    if there > 0 {
      report.waitingInput = min(1, waitedInput / there)
      report.waitingRoom = min(1 - report.waitingInput, waitedRoom / there)
      // Who waits for its turn waits for another process of the same stage, which holds up the run then.
      let load = max(0, 1 - report.waitingInput - report.waitingRoom)
      if stage.isOrdered { report.waitingTurn = min(load, waitedTurn / there) }
      report.busy = load - (report.waitingTurn ?? 0)
      if run > 0 { report.busyOfRun = min(1, load * there / run / Double(max(1, stage.processes))) }
    }
    report.p50 = quantile(latencies, 0.5)
    report.p99 = quantile(latencies, 0.99)
    if stage.kind != .source {
      report.queued = memory.parts[index].openSlots
      report.capacity = memory.parts[index].capacity
    }
    // The buckets know a value to within a quarter; none is longer than the longest.
    report.p50 = min(report.p50, report.longest)
    report.p99 = min(report.p99, report.longest)
    return report
  }

  /// Counts from shared memory may be anything when a worker has run wild; adding them up must not bring the runner down.
  func total(_ counts: [UInt64]) -> Int {
    counts.reduce(0) { sum, count in
      let (next, overflow) = sum.addingReportingOverflow(Int(clamping: count))
      return overflow ? Int.max : next
    }
  }

  func quantile(_ counts: [UInt64], _ q: Double) -> Double {
    let all = counts.reduce(0, &+)
    if all == 0 { return 0 }
    var seen: UInt64 = 0
    for (i, count) in counts.enumerated() {
      seen &+= count
      if Double(seen) >= q * Double(all) { return Double(CommitCell.upperEnd(ofBucket: i)) / 1e6 }
    }
    return 0
  }
}
