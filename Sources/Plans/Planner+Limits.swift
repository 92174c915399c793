import Specs

extension Planner {
  // MARK: Processes

  mutating func countProcesses() {
    var all = 0
    for i in drafts.indices {
      let draft = drafts[i]
      // Where each process has a queue of its own there are as many queues as are needed.
      let capacity = draft.stage.partition == nil ? draft.stage.queue?.capacity ?? Int.max : Int.max
      let isSingle = draft.spec?.processes == .one
      let cpus = draft.stage.affinity.isEmpty ? surroundings.usableCPUs : min(surroundings.usableCPUs, draft.stage.affinity.count)
      checkAffinity(draft)
      switch draft.count {
      case .auto: drafts[i].stage.processes = isSingle ? 1 : max(1, min(cpus, capacity, StageKeys.most))
      case .number(let n):
        drafts[i].stage.processes = n
        if isSingle, n > 1 {
          report(
            "one-process", "the plugin \"\(draft.stage.plugin)\" runs in one process", draft.place("processes"),
            draft.path + ".processes", "remove `processes`")
          drafts[i].stage.processes = 1
        } else if n > capacity {
          let names = draft.node["queue"]?["capacity"] != nil
          report(
            "capacity-below-processes", "the queue takes \(capacity) \(capacity == 1 ? "message" : "messages"), but \(n) processes read it",
            names ? draft.place("queue", "capacity") : draft.place("processes"), draft.path + ".queue.capacity",
            "raise `capacity` to at least \(n), or lower `processes`")
        }
      }
      all += drafts[i].stage.processes
    }
    guard all > StageKeys.most, let stages = document.pair("stages") else { return }
    let largest = largest(drafts.map { ($0.name, $0.stage.processes) }) { "\($0)" }
    report(
      "too-many-processes", "the stages have \(all) processes, but a pipeline has at most \(StageKeys.most)", stages.keySpan,
      "stages", "lower `processes`; the most have \(largest)")
  }

  /// Each item that names a CPU which is not there for this program.
  private mutating func checkAffinity(_ draft: Draft) {
    for (i, item) in (draft.node["affinity"]?.items ?? []).enumerated() {
      guard let named = StageKeys.cpus(item) else { continue }
      let missing = named.filter { !surroundings.cpuNumbers.contains($0) }
      guard let first = missing.first else { continue }
      report(
        "unusable-cpu", missing.count == 1 ? "there is no CPU \(first) that this program may use" : "there are no CPUs \(Plan.ranges(missing)) that this program may use",
        item.span, draft.path + ".affinity[\(i)]", "name some of \(Plan.ranges(surroundings.cpuNumbers))")
    }
  }

  // MARK: Order

  /// Stages that hand on nothing whose order could follow that of inputs.
  mutating func checkOrder() {
    for draft in drafts where draft.stage.isOrdered && draft.spec != nil {
      guard let order = draft.node.pair("order") else { continue }
      switch draft.stage.kind {
      case .source:
        report(
          "order-without-inputs", "a source has no inputs whose order it could follow", order.keySpan, draft.path + ".order",
          "remove it, or put it under the stage whose processes get out of step")
      case .sink:
        report(
          "order-without-outputs", "a sink hands on nothing that could be in order", order.keySpan, draft.path + ".order",
          "remove it: a sink of one process takes messages in the order of its queue")
      case .transform:
        guard let setting = draft.jointSetting else { continue }
        report(
          "order-of-joint-answers", "with this setting the plugin answers several messages at once, which have no place in the order of the inputs",
          draft.place("with", setting), draft.path + ".with." + setting, "change it, or remove `order`",
          notes: [(order.keySpan, "the order is asked for here")])
      }
    }
  }

  // MARK: Batches

  /// Batches that nobody takes, or that a queue cannot hold.
  mutating func checkBatches() {
    for draft in drafts where draft.spec != nil {
      guard let batch = draft.stage.batch, let key = draft.node.pair("batch") else { continue }
      let path = draft.path + ".batch"
      switch draft.stage.kind {
      case .source:
        report("batch-without-inputs", "a source takes no messages", key.keySpan, path, "put `batch` under a stage that reads")
        continue
      case .transform where !Self.takesSeveral(draft):
        report(
          "batch-of-one", "the plugin \"\(draft.stage.plugin)\" takes one message at a time", key.keySpan, path,
          "remove `batch`: how much is handed over together follows from how long a message takes")
        continue
      default: break
      }
      let (needed, overflow) = batch.count.multipliedReportingOverflow(by: draft.stage.processesOfAQueue)
      let capacity = draft.stage.queue?.capacity ?? Int.max
      guard overflow || needed > capacity else { continue }
      report(
        "batch-above-capacity",
        "the queue takes \(capacity) \(capacity == 1 ? "message" : "messages"), but "
          + (draft.stage.processesOfAQueue == 1 ? "a batch has \(batch.count)" : "\(draft.stage.processes) processes gather \(batch.count) each"),
        draft.place("batch", "count"), path + ".count", "raise `queue.capacity` to at least \(overflow ? Int.max : needed), or lower `count`")
    }
  }

  // MARK: Memory

  mutating func checkMemory(_ plan: Plan, _ given: Int?) {
    let budget = given ?? surroundings.availableMemory / 2
    let total = plan.reservedBytes
    guard total > budget else { return }
    let needs = drafts.indices.compactMap { i -> (draft: Draft, bytes: Int)? in
      plan.index(of: drafts[i].name).map { (drafts[i], plan.reservedBytes(ofStage: $0)) }
    }
    guard let most = needs.max(by: { $0.bytes < $1.bytes })?.draft else { return }
    let queue = most.node["queue"]
    let place = queue?["message"] != nil ? most.place("queue", "message") : queue?["capacity"] != nil ? most.place("queue", "capacity") : most.keySpan
    let largest = largest(needs.map { need in
      let queue = need.draft.stage.queue ?? Queue()
      return ("\"\(need.draft.name)\" (\(need.draft.stage.queueDescribed ?? queue.described))", need.bytes)
    }) { Quantity.describe(bytes: $0) }
    report(
      "memory-budget",
      "the queues reserve \(Quantity.describe(bytes: total)), "
        + (given == nil
          ? "more than half of the available memory (\(Quantity.describe(bytes: budget)))"
          : "but `memory` allows only \(Quantity.describe(bytes: budget))"),
      place, most.path + ".queue",
      "the most is reserved by \(largest); lower `capacity` or `message`, bound it with `bytes`, or \(given == nil ? "allow more with" : "raise") `memory`")
  }

  /// A queue's `bytes` that are fewer than its producers need so as not to wait for one another for ever.
  mutating func checkQueueBytes(_ plan: Plan) {
    for draft in drafts {
      guard let index = plan.index(of: draft.name), let queue = plan.stages[index].queue, let bytes = queue.bytes, bytes < queue.leastBytes else { continue }
      let producers = plan.writers(to: index).reduce(0) { $0 + plan.stages[$1].processes }
      report(
        "queue-bytes",
        "the queue needs more than \(Quantity.describe(bytes: bytes)) for messages of up to \(Quantity.describe(bytes: queue.messageBytes)) from "
          + (producers == 1 ? "one process" : "\(producers) processes"),
        draft.place("queue", "bytes"), draft.path + ".queue.bytes", "raise `bytes` to at least \((queue.leastBytes + 1023) / 1024)KiB, or lower `message`")
    }
  }

  /// What a queue that drops cannot do.
  mutating func checkDroppingQueues(_ plan: Plan) {
    for draft in drafts {
      guard let index = plan.index(of: draft.name) else { continue }
      let stage = plan.stages[index]
      let takers = stage.processesOfAQueue
      if let queue = stage.queue, queue.whenFull == .dropOldest, queue.capacity <= takers {
        report(
          "drop-oldest-capacity",
          "the queue takes \(queue.capacity) \(queue.capacity == 1 ? "message" : "messages"), all of which may be worked on at once: then none is there to be dropped",
          draft.place("queue", "when_full"), draft.path + ".queue.capacity",
          "raise `capacity` to at least \(takers + 1)" + (takers > 1 ? ", or lower `processes`" : ""))
      }
      let readers = plan.readers(of: index).count
      if readers > Plan.mostCountedReaders, !plan.isUniform(index) {
        report(
          "too-many-readers",
          "\(readers) stages read \"\(draft.name)\", but where ports are read, a queue drops or keys decide, at most \(Plan.mostCountedReaders) can be counted apart", draft.keySpan,
          draft.path, "read it through a stage that hands everything on")
      }
    }
  }

  /// The three largest of some, with their amounts: `"send" 1 GiB, "detect" 64 MiB`.
  private func largest(_ all: [(name: String, amount: Int)], _ describe: (Int) -> String) -> String {
    all.enumerated().filter { $0.element.amount > 0 }
      .sorted { ($1.element.amount, $0.offset) < ($0.element.amount, $1.offset) }
      .prefix(3).map { "\($0.element.name) \(describe($0.element.amount))" }.joined(separator: ", ")
  }

  // MARK: Descriptors

  /// What the program itself has open: its standard streams, signals, files of a report; and for a moment, while a worker
  /// is started, both ends of its channels.
  private static let ownDescriptors = 32
  /// A worker's standard streams, its control socket, its order, and what a plugin opens.
  private static let workerDescriptors = 24

  mutating func checkDescriptors(_ plan: Plan) {
    guard let stages = document.pair("stages") else { return }
    var runner = Self.ownDescriptors
    var worker = 0
    for (i, stage) in plan.stages.enumerated() {
      let sockets = stage.resources.count { if case .listens = $0 { true } else { false } }
      // The rings and the cells; for each worker its process, its control socket and what it prints.
      runner += 1 + stage.queues + sockets + 3 * stage.processes
      let own = Self.workerDescriptors + sockets + plan.readers(of: i).reduce(0) { $0 + plan.stages[$1].queues }
      worker = max(worker, own)
      checkFiles(stage, needed: own)
    }
    let needed = max(runner, worker)
    guard needed > surroundings.descriptorLimit else { return }
    report(
      "descriptor-limit",
      "\(runner >= worker ? "the run needs" : "a worker needs") \(needed) file descriptors, but only \(surroundings.descriptorLimit) are allowed",
      stages.keySpan, "stages",
      "raise the limit with `ulimit -n \(needed)`, or use fewer \(runner >= worker ? "processes" : "readers of one stage")")
  }
}

extension Planner {
  /// Whether a worker's own descriptors fit into what its stage allows.
  private mutating func checkFiles(_ stage: Stage, needed: Int) {
    guard let files = stage.limits.files, files < needed, let draft = drafts.first(where: { $0.name == stage.name }) else { return }
    report(
      "limit-files", "a worker of \"\(stage.name)\" needs \(needed) file descriptors, but `limits` allows only \(files)",
      draft.place("limits", "files"), draft.path + ".limits.files", "allow at least \(needed), and as many more as the plugin opens")
  }
}

extension Queue {
  /// `64 x 1 MiB`
  package var described: String {
    "\(capacity) x \(Quantity.describe(bytes: messageBytes))" + (bytes.map { " in \(Quantity.describe(bytes: $0))" } ?? "")
      + (whenFull == .block ? "" : ", \(whenFull.rawValue)")
  }
}
