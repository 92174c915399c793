import Foundation
import Harness

/// Torments one run after the other until a scenario has had its events, and has the oracle judge what each run left.
struct TortureDriver {
  /// What was done, and what was seen.
  struct Tally {
    var kills = 0
    /// Kills within the first milliseconds of a worker's life, and kills that came with others; both are kills.
    var newborn = 0
    var together = 0
    var stops = 0
    /// Kills of the runner, after each of which the run went on.
    var resumes = 0
    var timeouts = 0
    var runs = 0
    var messages = 0
    var lateWakes = 0
    /// Waits in which nothing came out for nearly a second, as a sleeper would that only the clock wakes: seen from
    /// outside, whatever the rings themselves have counted. A busy machine causes them too.
    var stalls = 0
    var seconds = 0.0

    var events: Int { kills + stops + resumes + timeouts }

    static func += (a: inout Tally, b: Tally) {
      a.kills += b.kills
      a.newborn += b.newborn
      a.together += b.together
      a.stops += b.stops
      a.resumes += b.resumes
      a.timeouts += b.timeouts
      a.runs += b.runs
      a.messages += b.messages
      a.lateWakes += b.lateWakes
      a.stalls += b.stalls
      a.seconds += b.seconds
    }

    var text: String {
      let rate = seconds > 0 ? Int(Double(events) / seconds) : 0
      return "\(kills) kills (\(newborn) newborn, \(together) together), \(stops) stops, \(timeouts) timeouts, \(resumes) resumes in \(runs) runs; "
        + "\(messages) messages, \(String(format: "%.1f", seconds)) s, \(rate) events/s, \(lateWakes) late wake-ups, \(stalls) stalls"
    }
  }

  let scenario: TortureScenario
  let seed: UInt64
  let binary: URL
  let oracle: URL
  /// How many messages pass between two events, more or less.
  let perEvent: Int
  /// Whether to print what a stall looks like.
  let tracesStalls = ProcessInfo.processInfo.environment["RINGWAY_TORTURE_TRACE"] != nil
  /// How long nothing may come out before that is a wedge. A sleeper that was forgotten wakes after a second.
  let patience: TimeInterval = 60

  private(set) var tally = Tally()
  private(set) var growth = Growth()

  init(_ scenario: TortureScenario, seed: UInt64, binary: URL, oracle: URL, perEvent: Int) {
    self.scenario = scenario
    self.seed = seed
    self.binary = binary
    self.oracle = oracle
    self.perEvent = perEvent
  }

  mutating func run() throws {
    var random = Seeded(seed ^ scenario.name.utf8.reduce(0) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 })
    // A run may end before it has had all its events.
    while tally.events < scenario.events, tally.runs < scenario.events {
      let before = tally
      let began = Date()
      var run = TortureRun(self, seed: random.next() >> 33, random: Seeded(random.next()))
      defer { run.end() }
      try run.torment(atMost: min(scenario.eventsInRun, scenario.events - tally.events))
      tally += run.tally
      tally.runs += 1
      tally.seconds += Date().timeIntervalSince(began)
      growth.add(run.growth)
      if tally.events == before.events { throw Failure("\(scenario.name): a run ended before anything was done to it") }
    }
  }
}

/// Descriptors and private memory of the runner and of its workers, over a run.
struct Growth {
  struct Sample {
    var runnerDescriptors: Int
    var runnerMemory: Int
    var workerDescriptors: [String: Int]
    var workerMemory: [String: Int]
  }

  private(set) var samples: [Sample] = []

  mutating func add(_ sample: Sample) { samples.append(sample) }
  mutating func add(_ more: Growth) { samples += more.samples }

  /// How many samples a comparison needs.
  static let fewest = 20

  /// KiB that private memory may differ by: what the allocator keeps moves about.
  static let tolerance = 1024

  /// What came before the middle beside the last quarter. Of the runner, which lives all the while, the smallest value counts; of the workers,
  /// some of which have only just been started and have little, the upper quartile.
  var report: (text: String, grown: [String]) {
    guard samples.count >= Self.fewest else { return ("\(samples.count) samples are too few", ["too few samples"]) }
    let early = samples[(samples.count / 10)..<(samples.count / 2)]
    let late = samples[(samples.count - samples.count / 4)...]
    var lines: [String] = []
    var grown: [String] = []
    func compare(_ what: String, _ tolerance: Int, _ choose: ([Int]) -> Int?, _ value: (Sample) -> Int?) {
      guard let a = choose(early.compactMap(value)), let b = choose(late.compactMap(value)) else { return }
      lines.append("\(what) \(a) -> \(b)")
      if b > a + tolerance { grown.append("\(what) grew from \(a) to \(b)") }
    }
    func upperQuartile(_ values: [Int]) -> Int? { values.isEmpty ? nil : values.sorted()[values.count * 3 / 4] }
    compare("runner: descriptors", 0, { $0.min() }) { $0.runnerDescriptors }
    compare("KiB", Self.tolerance, { $0.min() }) { $0.runnerMemory }
    for stage in Set(samples.flatMap(\.workerMemory.keys)).sorted() {
      compare("\(stage): descriptors", 0, upperQuartile) { $0.workerDescriptors[stage] }
      compare("KiB", Self.tolerance, upperQuartile) { $0.workerMemory[stage] }
    }
    return (lines.joined(separator: ", ") + " (\(samples.count) samples)", grown)
  }
}

/// One run under torture.
private struct TortureRun {
  private let driver: TortureDriver
  private let seed: UInt64
  private var random: Seeded
  private let folder: TemporaryFolder?
  private var running: Running?
  private var witness: RingWitness?
  private(set) var tally = TortureDriver.Tally()
  private(set) var growth = Growth()
  /// The most that all files held together so far.
  private var reached = 0
  private var stopped: Int32?

  init(_ driver: TortureDriver, seed: UInt64, random: Seeded) {
    self.driver = driver
    self.seed = seed
    self.random = random
    folder = try? TemporaryFolder()
  }

  private var scenario: TortureScenario { driver.scenario }

  mutating func end() {
    witness?.close()
    if let running, running.process.isRunning { kill(running.pid, SIGKILL) }
  }

  mutating func torment(atMost events: Int) throws {
    guard let folder else { throw Failure("no temporary folder") }
    let count = scenario.count(driver.perEvent)
    if scenario.shape.usesPython {
      try FileManager.default.copyItem(at: Ringway.repository.appendingPathComponent("Tests/Python/torture.py"), to: folder.url.appendingPathComponent("torture.py"))
    }
    try folder.write("torture.yaml", scenario.yaml(seed: seed, count: count))
    var running = try start(folder)
    var resumesLeft = scenario.resumes

    while tally.kills + tally.stops < events, running.process.isRunning {
      if resumesLeft > 0, Int.random(in: 0..<max(1, (events - tally.kills - tally.stops) / resumesLeft), using: &random) == 0 {
        resumesLeft -= 1
        try killEverything(running)
        running = try start(folder)
        continue
      }
      try strike(running)
      try waitForProgress(running)
      // What is compared needs samples, and a busy machine may be long in starting workers anew.
      let isWanted = growth.samples.count < Growth.fewest || (tally.kills + tally.stops) % 4 == 0
      if scenario.isLong, isWanted { _ = eventually(within: 10, { !running.process.isRunning || sample(running) != nil }) }
      if let sample = sample(running) { growth.add(sample) }
    }
    resume()
    // As long as something comes out, a run may take its time to end.
    while running.process.isRunning {
      _ = progressed()
      let before = reached
      if !eventually(within: driver.patience, { !running.process.isRunning || size() > before }), !isPaused(running) { throw wedge(running) }
    }
    let result = try running.finish()
    note(result)
    try judge(result, count)
  }

  private mutating func start(_ folder: TemporaryFolder) throws -> Running {
    let running = try Running(
      ["run", "torture.yaml", "--progress", "off", "--report", "report.json"] + scenario.options, in: folder.url, executable: driver.binary)
    self.running = running
    witness?.close()
    witness = nil
    // What is killed may also be a run that is only being made, or one that is about to go on.
    if scenario.resumes > 0, Bool.random(using: &random) { return running }
    while running.process.isRunning, witness == nil { witness = RingWitness(runner: running.pid, rings: scenario.ringCount) }
    return running
  }

  /// What a life of the runner has said and counted.
  private mutating func note(_ result: Ringway.Result) {
    tally.timeouts += result.errors.components(separatedBy: "took longer than the timeout").count - 1
    tally.lateWakes += witness?.lateWakes ?? 0
  }

  // MARK: What is done

  private mutating func strike(_ running: Running) throws {
    let workers = running.workers
    guard !workers.isEmpty else { return }
    // Stages first, so that a sink of one process is met as often as a transform of three.
    guard let stage = Set(workers.map(\.stage)).sorted().randomElement(using: &random),
      let victim = workers.filter({ $0.stage == stage }).randomElement(using: &random)
    else { return }
    dawdle(upTo: 300)
    switch Int.random(in: 0..<20, using: &random) {
    case 0..<4:
      resume()
      kill(victim.pid, SIGSTOP)
      stopped = victim.pid
      tally.stops += 1
    case 4..<6:
      let others = workers.shuffled(using: &random).prefix(Int.random(in: 2...max(2, workers.count), using: &random))
      for worker in others { kill(worker.pid, SIGKILL) }
      tally.kills += others.count
      tally.together += others.count
    case 6..<10:
      strikeNewborn(victim.pid, running)
    default:
      kill(victim.pid, SIGKILL)
      if victim.pid == stopped { stopped = nil }
      tally.kills += 1
    }
  }

  /// Kills a worker, and the one that is started in its place as soon as it is there, or a little later. It may not even be
  /// this program yet.
  private mutating func strikeNewborn(_ victim: Int32, _ running: Running) {
    let known = Set(Running.pids(childrenOf: running.pid))
    kill(victim, SIGKILL)
    tally.kills += 1
    var newborn: Int32?
    // A restart is put off after deaths without progress; then this is an ordinary kill.
    _ = eventually(within: 0.2, every: 0) {
      newborn = Running.pids(childrenOf: running.pid).first { !known.contains($0) }
      return newborn != nil || !running.process.isRunning
    }
    guard let newborn else { return }
    if Bool.random(using: &random) { dawdle(upTo: 5000) }
    kill(newborn, SIGKILL)
    tally.kills += 1
    tally.newborn += 1
  }

  /// Kills the runner, now and then some workers before it; the others die with it. A run that has ended before is gone on with all the same:
  /// nothing is left to do then.
  private mutating func killEverything(_ running: Running) throws {
    dawdle(upTo: 3000)
    if Bool.random(using: &random) { for worker in running.workers where Bool.random(using: &random) { kill(worker.pid, SIGKILL) } }
    kill(running.pid, SIGKILL)
    stopped = nil
    let result = try running.finish()
    note(result)
    guard [0, -SIGKILL].contains(result.status) else { throw failure("ended with \(result.status): \(result.errors.suffix(2000))") }
    if result.status != 0 { tally.resumes += 1 }
  }

  /// A stopped worker goes on, or is killed where it stands.
  private mutating func resume() {
    guard let pid = stopped else { return }
    stopped = nil
    if Bool.random(using: &random) {
      kill(pid, SIGKILL)
      tally.kills += 1
    }
    kill(pid, SIGCONT)
  }

  /// Passes some microseconds, so that what follows hits any moment and not only those at which a file has just grown.
  private mutating func dawdle(upTo microseconds: UInt64) {
    let until = DispatchTime.now().uptimeNanoseconds + UInt64.random(in: 0...microseconds, using: &random) * 1000
    while DispatchTime.now().uptimeNanoseconds < until {}
  }

  // MARK: What is awaited

  private func size() -> Int {
    scenario.files.reduce(0) { sum, file in
      var status = stat()
      return sum + (stat(folder?.path(file.name) ?? "", &status) == 0 ? Int(status.st_size) : 0)
    }
  }

  private mutating func progressed() -> Bool {
    let now = size()
    if now <= reached { return false }
    reached = now
    return true
  }

  /// Until so many bytes more have come out as pass between two events; now and then not at all. While a worker is stopped
  /// that may never be, so it goes on after a while.
  private mutating func waitForProgress(_ running: Running) throws {
    if Int.random(in: 0..<4, using: &random) == 0 { return }
    let mean = driver.perEvent * (scenario.isLarge ? 150_000 : 120)
    let wanted = reached + Int.random(in: 1...(2 * mean), using: &random)
    if stopped != nil {
      let pause = Double.random(in: 0...0.05, using: &random)
      if eventually(within: pause, every: 0.0002, { size() > wanted || !running.process.isRunning }) { return }
      resume()
    }
    var last = reached
    while true {
      if !eventually(within: 0.9, every: 0.0002, { !running.process.isRunning || size() > last }), !isPaused(running) {
        tally.stalls += 1
        if driver.tracesStalls { print("torture: a stall\n\(state(running))") }
      }
      if eventually(within: driver.patience, every: 0.0002, { !running.process.isRunning || size() > last }) {
        _ = progressed()
        last = reached
        if last > wanted || !running.process.isRunning { return }
      } else if !isPaused(running) {
        throw wedge(running)
      }
    }
  }

  /// Whether somebody else has stopped the runner, as a person or a measuring program does to have the machine for itself.
  private func isPaused(_ running: Running) -> Bool { ProcessStatus.state(running.pid)?.hasPrefix("T") ?? false }

  /// Only when every worker is there, and the guard beside them: a runner has three descriptors for each.
  private func sample(_ running: Running) -> Growth.Sample? {
    let workers = running.workers
    guard workers.count == scenario.processCount, Running.pids(childrenOf: running.pid).count == workers.count + 1,
      let descriptors = ProcessStatus.descriptors(running.pid), let memory = ProcessStatus.anonymousMemory(running.pid)
    else { return nil }
    var sample = Growth.Sample(runnerDescriptors: descriptors, runnerMemory: memory, workerDescriptors: [:], workerMemory: [:])
    for worker in workers {
      guard let descriptors = ProcessStatus.descriptors(worker.pid), let memory = ProcessStatus.anonymousMemory(worker.pid) else { return nil }
      sample.workerDescriptors[worker.stage] = max(descriptors, sample.workerDescriptors[worker.stage] ?? 0)
      sample.workerMemory[worker.stage] = max(memory, sample.workerMemory[worker.stage] ?? 0)
    }
    return sample
  }

  // MARK: What is found

  private mutating func judge(_ result: Ringway.Result, _ count: Int) throws {
    guard result.status == 0 else { throw failure("ended with \(result.status): \(result.errors.suffix(2000))") }
    if let open = witness?.openSlots, open > 0 { throw failure("\(open) slots are left open\n\(witness?.dump ?? "")") }
    let report = try Report(folder?.path("report.json") ?? "")
    for file in scenario.files {
      let dropped = file.drops.map { ["--dropped", "\(report.stage($0, "queue_dropped"))"] } ?? []
      let arguments = scenario.oracleArguments(file, seed: seed, count: count) + dropped + [folder?.path(file.name) ?? ""]
      let verdict = try Running(arguments, executable: driver.oracle).finish(within: 300)
      let words = verdict.output.split(separator: " ")
      guard verdict.status == 0, words.count > 3, let found = Int(words[3]) else {
        throw failure("\(file.name): \(verdict.output)\(verdict.errors)\noracle \(arguments.joined(separator: " "))")
      }
      tally.messages += found
    }
    guard report.outcome == "finished", report.balances else { throw failure("the report does not balance: \(report.json)") }
  }

  private func wedge(_ running: Running) -> Failure {
    failure("nothing has come out for \(driver.patience) s: a wedge\n\(state(running))")
  }

  /// What every process does, what every ring holds, and the runner's last words.
  private func state(_ running: Running) -> String {
    var text = ""
    for pid in [running.pid] + Running.pids(childrenOf: running.pid) {
      let words = ((try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8)) ?? "").split(separator: "\0")
      text += "  \(pid) \(words.dropFirst().prefix(3).joined(separator: " ")): \(ProcessStatus.state(pid) ?? "gone"), \(ProcessStatus.waitsIn(pid))\n"
    }
    return text + (witness?.dump ?? "") + "\n" + running.errors.suffix(1500)
  }

  /// Keeps what the run has left, for whoever looks for the cause.
  private func failure(_ text: String) -> Failure {
    let kept = FileManager.default.temporaryDirectory.appendingPathComponent("ringway-torture-\(scenario.name)-\(driver.seed)-\(seed)")
    try? FileManager.default.removeItem(at: kept)
    if let folder { try? FileManager.default.copyItem(at: folder.url, to: kept) }
    return Failure("""
      \(scenario.name): after \(tally.kills) kills and \(tally.stops) stops of this run (messages' seed \(seed)) \(text)
      what is left of it: \(kept.path)
      again: RINGWAY_SEED=\(driver.seed) RINGWAY_TORTURE_ONLY=\(scenario.name) make torture
      """)
  }
}
