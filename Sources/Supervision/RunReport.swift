package import Specs

/// What happened in a run: what the table, `--report` and the exit code are made of.
package struct RunReport: Sendable {
  package struct StageReport: Sendable {
    package var name: String
    package var plugin: String
    package var kind: PluginSpec.Kind
    package var processes: Int
    package var received = 0
    package var emitted = 0
    package var errors = 0
    package var retries = 0
    package var dropped = 0
    package var deadLettered = 0
    /// What its queue has dropped because it was full.
    package var queueDropped = 0
    package var restarts = 0
    /// Fractions of the time that its processes were there; together 1.
    package var busy = 0.0
    package var waitingInput = 0.0
    package var waitingRoom = 0.0
    /// For the turn of its outputs; nil where no order is kept.
    package var waitingTurn: Double?
    /// The time its processes were busy or waited for each other, as a fraction of the whole run: a stage that was busy all its short life limits
    /// nothing.
    package var busyOfRun = 0.0
    /// Milliseconds from being handed to this stage to being handed on.
    package var p50 = 0.0
    package var p99 = 0.0
    package var longest = 0.0
    /// Messages in its queues, and how many they take; nil for a source.
    package var queued: Int?
    package var capacity: Int?
    package var chaos = ChaosCounts()
    /// What each of its processes got, where keys decide which one gets a message; empty elsewhere.
    package var shares: [Share] = []

    /// How uneven the keys are: how many times as much as a fair share the process got that got most. 1 is even, and as many as there are
    /// processes means that one got all. Nil where no keys decide, and where nothing came.
    package var skew: Double? {
      let all = shares.reduce(0.0) { $0 + Double($1.received) }
      guard all > 0, let most = shares.map(\.received).max() else { return nil }
      return Double(most) * Double(shares.count) / all
    }
  }

  /// What one process of a stage got.
  package struct Share: Sendable, Equatable {
    package var received: Int
    /// The time it was busy, as a fraction of the whole run.
    package var busyOfRun = 0.0
  }

  /// What `--chaos` has done.
  package struct ChaosCounts: Sendable, Equatable {
    package var kills = 0
    package var stops = 0
    package var delays = 0

    var json: [(String, JSON)] { [("kills", .integer(kills)), ("stops", .integer(stops)), ("delays", .integer(delays))] }
  }

  /// What went into a stage's ring and what became of it.
  package struct LedgerLine: Sendable, Equatable {
    package var stage: String
    package var entered: Int
    package var left: Int
    /// Given up by the stage, or dropped by its queue.
    package var dropped: Int
    package var deadLettered: Int
    package var handedOn: Int

    package var balances: Bool { entered == handedOn &+ dropped &+ deadLettered &+ left }

    /// `detect: 1000 in = 998 out + 0 dropped + 0 dead letters + 2 left`
    package var text: String {
      "\(stage): \(entered) in \(balances ? "=" : "≠") \(handedOn) out + \(dropped) dropped + \(deadLettered) dead letters + \(left) left"
    }
  }

  package var pipeline: String
  package var outcome: String
  package var code: ExitCode
  /// Why the run ended, when it did not end by itself.
  package var cause: String
  package var seconds: Double
  package var stages: [StageReport]
  package var ledger: [LedgerLine]
  package var bottleneck: Bottleneck?
  /// Nil when nothing was disturbed on purpose.
  package var chaosSeed: Int?

  /// A run that was refused before there was a plan.
  package static func refused(_ pipeline: String, _ code: ExitCode, _ cause: String) -> RunReport {
    let outcome = code == .stopped ? Supervisor.Outcome.stopped : .failed
    return RunReport(
      pipeline: pipeline, outcome: outcome.rawValue, code: code, cause: cause, seconds: 0, stages: [], ledger: [], bottleneck: nil)
  }

  /// What was done to all stages.
  package var chaos: ChaosCounts {
    stages.reduce(into: ChaosCounts()) { sum, stage in
      sum.kills += stage.chaos.kills
      sum.stops += stage.chaos.stops
      sum.delays += stage.chaos.delays
    }
  }

  /// The same for a run in which nothing was done: what was counted, and no times.
  var withoutTimes: RunReport {
    var report = self
    report.bottleneck = nil
    for i in stages.indices {
      report.stages[i].busy = 0
      report.stages[i].busyOfRun = 0
      for k in stages[i].shares.indices { report.stages[i].shares[k].busyOfRun = 0 }
      report.stages[i].waitingInput = 0
      report.stages[i].waitingRoom = 0
      report.stages[i].waitingTurn = stages[i].waitingTurn.map { _ in 0 }
    }
    return report
  }

  package var json: JSON {
    func rounded(_ value: Double, _ digits: Double) -> JSON { .number((value * digits).rounded() / digits) }
    /// With what only stages have that keep an order, or whose keys decide.
    func detailed(_ json: JSON, _ stage: StageReport) -> JSON {
      guard case .object(let all) = json else { return json }
      let pairs = all + (stage.waitingTurn.map { [("waiting_turn", rounded($0, 10_000))] } ?? [])
      return stage.shares.isEmpty ? .object(pairs) : .object(pairs + [
        ("skew", stage.skew.map { rounded($0, 1000) } ?? .null), ("in_by_process", .array(stage.shares.map { .integer($0.received) })),
      ])
    }
    /// With what `--chaos` has done, if it was asked for.
    func disturbed(_ json: JSON, _ counts: ChaosCounts, _ more: [(String, JSON)] = []) -> JSON {
      guard chaosSeed != nil, case .object(let pairs) = json else { return json }
      return .object(pairs + [("chaos", .object(counts.json + more))])
    }
    let json: JSON = [
      "pipeline": .string(pipeline), "outcome": .string(outcome), "exit_code": .integer(Int(code.rawValue)),
      "cause": cause.isEmpty ? .null : .string(cause), "seconds": rounded(seconds, 1000),
      "bottleneck": bottleneck.map { .string($0.stage) } ?? .null,
      "bottleneck_sentence": bottleneck.map { .string($0.sentence) } ?? .null,
      "stages": .object(stages.map { stage in
        (
          stage.name,
          disturbed(detailed([
            "plugin": .string(stage.plugin), "processes": .integer(stage.processes), "in": .integer(stage.received),
            "out": .integer(stage.emitted), "errors": .integer(stage.errors), "retries": .integer(stage.retries),
            "dead_letters": .integer(stage.deadLettered), "dropped": .integer(stage.dropped),
            "queue_dropped": .integer(stage.queueDropped), "restarts": .integer(stage.restarts),
            "busy": rounded(stage.busy, 10_000), "waiting_input": rounded(stage.waitingInput, 10_000),
            "waiting_room": rounded(stage.waitingRoom, 10_000),
            "latency_ms": ["p50": rounded(stage.p50, 1000), "p99": rounded(stage.p99, 1000), "max": rounded(stage.longest, 1000)],
          ], stage), stage.chaos)
        )
      }),
      "ledger": .object(ledger.map { line in
        (
          line.stage,
          [
            "in": .integer(line.entered), "out": .integer(line.handedOn), "dropped": .integer(line.dropped),
            "dead_letters": .integer(line.deadLettered), "left": .integer(line.left), "balances": .boolean(line.balances),
          ]
        )
      }),
    ]
    return disturbed(json, chaos, [("seed", chaosSeed.map(JSON.integer) ?? .null)])
  }
}

/// The stage that sets the pace, and the sentence that says why.
package struct Bottleneck: Sendable, Equatable {
  package var stage: String
  package var sentence: String

  /// The busiest stage limits the run. Its neighbours bear witness: those before it wait for room, those after it for
  /// input. Where keys decide, a single busy process is enough, since the others cannot help it. Nil when no stage was busy enough to be
  /// called a limit.
  package static func find(in stages: [RunReport.StageReport], writers: [[Int]], readers: [[Int]]) -> Bottleneck? {
    func load(_ stage: RunReport.StageReport) -> Double { max(stage.busyOfRun, stage.hotProcess?.busyOfRun ?? 0) }
    guard let index = stages.indices.max(by: { load(stages[$0]) < load(stages[$1]) }), load(stages[index]) >= 0.2 else { return nil }
    let stage = stages[index]
    func percent(_ value: Double) -> String { Quantity.fixed(value * 100, 0) + " %" }
    var parts: [String] = []
    if let hot = stage.hotProcess {
      parts.append(
        "its process \(stage.name)[\(hot.process)] got \(percent(hot.share)) of the messages by their keys and was busy \(percent(hot.busyOfRun)) of the time, "
          + "\(stage.processes == 2 ? "the other one" : "the \(stage.processes - 1) others") \(percent(hot.othersBusy))")
    } else {
      parts.append("busy \(percent(stage.busy)) of the time" + (stage.processes > 1 ? " in \(stage.processes) processes" : ""))
    }
    if let turn = stage.waitingTurn, turn >= 0.1 {
      parts.append("waited \(percent(turn)) for its turn in the order (larger queues in front of it and behind it let it get further ahead)")
    }
    if let before = writers[index].max(by: { stages[$0].waitingRoom < stages[$1].waitingRoom }), stages[before].waitingRoom >= 0.1 {
      parts.append("\(stages[before].name) waited \(percent(stages[before].waitingRoom)) for room in its queue")
    }
    if let after = readers[index].max(by: { stages[$0].waitingInput < stages[$1].waitingInput }), stages[after].waitingInput >= 0.1 {
      parts.append("\(stages[after].name) waited \(percent(stages[after].waitingInput)) for input")
    }
    return Bottleneck(stage: stage.name, sentence: "\(stage.name) limits the run: " + parts.joined(separator: ", "))
  }
}

extension RunReport.StageReport {
  /// The process that has more to do than the others together could balance: it is busy, and the others are hardly half as busy on average.
  fileprivate var hotProcess: (process: Int, share: Double, busyOfRun: Double, othersBusy: Double)? {
    guard shares.count > 1, let process = shares.indices.max(by: { shares[$0].busyOfRun < shares[$1].busyOfRun }) else { return nil }
    let busy = shares[process].busyOfRun
    let others = (shares.reduce(0) { $0 + $1.busyOfRun } - busy) / Double(shares.count - 1)
    let received = shares.reduce(0.0) { $0 + Double($1.received) }
    guard received > 0, busy >= 0.2, others <= busy / 2 else { return nil }
    return (process, Double(shares[process].received) / received, busy, others)
  }
}
