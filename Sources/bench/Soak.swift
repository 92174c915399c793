import Platform
import Rings
import Specs

/// `bench soak [--messages N] [--near-overflow]`: runs N messages through three stages in four processes and watches. The
/// numbers must add up, and from the second tenth on nothing may grow and the rate may not fall.
///
/// The run is this program again, as `bench run`, so that what is watched is what users have.
struct Soak {
  // What "flat" means.
  private static let memoryTolerance = 1024  // KiB of private memory, a process
  private static let sharedTolerance = 4096  // KiB of all processes together, and of the rings' pages
  private static let warm = 2_000_000        // messages after which every page that the rings go round in has been touched
  private static let slowest = 0.5           // of the median rate before
  private static let shortest = 10.0         // seconds; a shorter run has no rate to speak of

  private static let parentVariable = "RINGWAY_SOAK_PARENT"

  static func main(_ arguments: [String]) -> Never {
    var soak = Soak()
    soak.read(arguments)
    CurrentProcess.exit(soak.run())
  }

  /// In a run that a soak has started: it ends with the soak, for what nobody watches any more is of no use.
  static func followParent() {
    guard CommandLine.arguments.dropFirst().first == "run",
      let parent = Machine.environment().first(where: { $0.name == parentVariable }).flatMap({ Int32($0.value) })
    else { return }
    if !CurrentProcess.dieWithParent(parent) { CurrentProcess.exit(ExitCode.stopped.rawValue) }
  }

  private var messages = 1_000_000
  private var isNearOverflow = false
  private var samples: [Sample] = []
  private var rings: [Ring] = []
  private var faults: [String] = []

  // MARK: The run

  private mutating func read(_ arguments: [String]) {
    var rest = arguments[...]
    while let word = rest.popFirst() {
      switch word {
      case "--near-overflow": isNearOverflow = true
      case "--messages":
        guard let n = rest.popFirst().flatMap({ Int($0) }), n > 0 else { refuse("--messages takes a number") }
        messages = n
      default: refuse("there is no \(word)")
      }
    }
  }

  private func refuse(_ text: String) -> Never {
    say("bench soak: \(text)\nusage: bench soak [--messages N] [--near-overflow]\n")
    CurrentProcess.exit(ExitCode.usage.rawValue)
  }

  private mutating func run() -> Int32 {
    do {
      return try runToEnd()
    } catch {
      say("bench soak: \(error)\n")
      return ExitCode.system.rawValue
    }
  }

  private mutating func runToEnd() throws -> Int32 {
    let signals = try SignalDescriptor.take()
    let result = try Platform.Channel.memoryFile([], name: "soak-result")
    let pipeline = try Platform.Channel.memoryFile(Array(self.pipeline(result).utf8), name: "soak-pipeline")
    var environment = Machine.environment().map { "\($0.name)=\($0.value)" } + ["\(Self.parentVariable)=\(CurrentProcess.id)"]
    if isNearOverflow { environment.append("\(RingStartOption.variable)=\(RingStartOption.value)") }
    let began = ContinuousClock.now
    let child = try ChildProcess.spawn(
      ChildProcess.Order(
        arguments: ["bench", "run", "/dev/stdin", "--progress", "off", "--quiet"], environment: environment, directory: nil,
        descriptors: [pipeline, 1, 2]))
    print("soak: \(messages) messages of \(SoakStages.messageBytes) bytes through three stages in four processes"
      + (isNearOverflow ? ", counters just below their overflow" : ""))
    print("  messages       per second  runner: fds  KiB  workers: fds  KiB  all: own KiB  pages of rings KiB")

    var mark = 1
    var isStopped = false
    while true {
      let ready = Descriptors.wait([.readable(child.pidfd), .readable(signals.descriptor)], until: .now + .milliseconds(10))
      if ready[1] {
        child.killGroup()
        isStopped = true
      }
      let done = progress(result)
      if done.sum.count * 100 >= UInt64(mark) * UInt64(messages), let sample = sample(child.pid, done.sum.count, (ContinuousClock.now - began)) {
        samples.append(sample)
        let before = mark
        mark = Int(done.sum.count * 100 / UInt64(messages)) + 1
        if before / 10 != mark / 10 || samples.count == 1 { show(sample) }
      }
      if ready[0] { break }
    }
    guard let end = try child.reap()?.end else { throw SystemError("waitid", "bench run", errno: 10) }
    if end != .exited(0) { faults.append(isStopped ? "stopped by a signal" : "the run ended with \(end.description)") }
    let seconds = Self.seconds(ContinuousClock.now - began)
    judge(progress(result), seconds)
    return faults.isEmpty ? 0 : 1
  }

  private func pipeline(_ result: Int32) -> String {
    """
    ringway: 1
    stages:
      numbers: {plugin: soak.source, with: {count: \(messages)}}
      pass: {plugin: soak.transform, inputs: [numbers], processes: 2, queue: {capacity: 1024, message: 16B}}
      sum:
        plugin: soak.sink
        inputs: [pass]
        queue: {capacity: 1024, message: 16B}
        with: {result: /proc/\(CurrentProcess.id)/fd/\(result)}

    """
  }

  private func progress(_ result: Int32) -> (sum: SoakStages.Sum, isEnd: Bool) {
    try? Files.seek(result, to: 0)
    let text = String(decoding: (try? Descriptors.readAll(result, limit: 4096)) ?? [], as: UTF8.self)
    let words = text.prefix { $0 != "\n" }.split(separator: " ")
    let numbers = words.prefix(3).compactMap { UInt64($0) }
    guard numbers.count == 3 else { return (SoakStages.Sum(), false) }
    return (SoakStages.Sum(count: numbers[0], sum: numbers[1], scrambled: numbers[2]), words.count == 4)
  }

  // MARK: Samples

  private struct Sample {
    var messages: UInt64
    var seconds: Double
    var runner: ProcessSize
    var workers: [ProcessSize]
    /// What all of them take together, but for the pages of programs and libraries: shared pages are divided by those who share them
    /// (proc_pid_smaps(5)), and of those many others may.
    var proportional: Int { workers.reduce(runner.proportional) { $0 + $1.proportional } }
    var shared: Int { workers.map(\.shared).max() ?? 0 }
  }

  private mutating func sample(_ runner: Int32, _ messages: UInt64, _ time: Duration) -> Sample? {
    let children = Files.text("/proc/\(runner)/task/\(runner)/children") ?? ""
    let workers = children.split(separator: " ").compactMap { Int32($0) }.compactMap(ProcessSize.init)
    // Four workers and the guard of the run.
    guard let size = ProcessSize(runner), workers.count == 5 else { return nil }
    if rings.isEmpty { rings = attachRings(runner) }
    return Sample(messages: messages, seconds: Self.seconds(time), runner: size, workers: workers)
  }

  /// The run's rings, for what they counted; the mapping outlives the run.
  private func attachRings(_ runner: Int32) -> [Ring] {
    Files.glob("/proc/\(runner)/fd/*").compactMap { path in
      guard let target = Files.linkTarget(path), ["/memfd:ringway-pass (deleted)", "/memfd:ringway-sum (deleted)"].contains(target),
        let descriptor = try? Files.open(path, 2)  // O_RDWR (open(2))
      else { return nil }
      return try? Ring(attaching: descriptor)
    }
  }

  private func show(_ sample: Sample) {
    let before = samples.last { $0.messages * 10 / UInt64(messages) < sample.messages * 10 / UInt64(messages) }
    let rate = Double(sample.messages - (before?.messages ?? 0)) / max(0.001, sample.seconds - (before?.seconds ?? 0))
    func column(_ value: Int, _ width: Int) -> String {
      let text = String(value)
      return String(repeating: " ", count: max(1, width - text.utf8.count)) + text
    }
    print(
      column(Int(sample.messages), 10) + column(Int(rate), 17) + column(sample.runner.descriptors, 13) + column(sample.runner.anonymous, 5)
        + column(sample.workers.map(\.descriptors).max() ?? 0, 14) + column(sample.workers.map(\.anonymous).max() ?? 0, 5)
        + column(sample.proportional, 14) + column(sample.shared, 20))
  }

  // MARK: The verdict

  private mutating func judge(_ found: (sum: SoakStages.Sum, isEnd: Bool), _ seconds: Double) {
    var expected = SoakStages.Sum()
    for n in 0..<UInt64(messages) { expected.add(n) }
    if !found.isEnd || found.sum != expected {
      faults.append("the numbers do not add up: expected \(expected.text), found \(found.sum.text)\(found.isEnd ? "" : " before the end")")
    }
    let late = rings.reduce(0) { $0 + $1.lateWakes }
    if rings.count != 2 { faults.append("the rings could not be seen") }
    print("soak: \(found.sum.count) messages in \(Quantity.fixed(seconds, 1)) s, \(Int(Double(messages) / max(0.001, seconds))) a second; "
      + (found.sum == expected ? "they add up" : "they do not add up") + "; \(late) late wake-ups")
    judgeGrowth()
    judgeRate(seconds)
    for fault in faults { print("soak: FAILED: \(fault)") }
    if faults.isEmpty { print("soak: passed") }
  }

  private mutating func judgeGrowth() {
    let flat = samples.filter { $0.messages * 10 >= UInt64(messages) }
    guard flat.count >= 2, let first = flat.first, let last = flat.last else {
      faults.append("the run was too short to be watched")
      return
    }
    if flat.contains(where: { $0.workers.map(\.pid) != first.workers.map(\.pid) }) { faults.append("a worker was started again") }
    func compare(_ what: String, _ a: Int, _ b: Int, _ tolerance: Int) {
      if b > a + tolerance { faults.append("\(what) grew from \(a) to \(b), more than \(tolerance)") }
    }
    for (a, b) in [(first.runner, last.runner)] + zip(first.workers, last.workers) {
      compare("descriptors of process \(a.pid)", a.descriptors, b.descriptors, 0)
      compare("private memory of process \(a.pid) in KiB", a.anonymous, b.anonymous, Self.memoryTolerance)
    }
    compare("memory without the rings' pages in KiB", first.proportional - first.shared, last.proportional - last.shared, Self.sharedTolerance)
    let isWarm = first.messages >= Self.warm
    if isWarm { compare("the rings' pages in KiB", first.shared, last.shared, Self.sharedTolerance) }
    print("soak: from the second tenth on (allowed): descriptors the same, private memory of each process + \(Self.memoryTolerance) KiB, all memory "
      + "\(first.proportional - first.shared) -> \(last.proportional - last.shared) KiB and pages of the rings \(first.shared) -> \(last.shared) KiB, each + "
      + "\(Self.sharedTolerance)" + (isWarm ? "" : " (fewer than \(Self.warm) messages in a tenth: the pages are not judged)"))
  }

  /// Rates between samples: the median of the last four tenths beside the median of tenths two to five.
  private mutating func judgeRate(_ seconds: Double) {
    guard seconds >= Self.shortest else { return print("soak: shorter than \(Int(Self.shortest)) s, so the rate is not judged") }
    func median(_ tenths: ClosedRange<UInt64>) -> Double {
      let rates = zip(samples, samples.dropFirst()).compactMap { a, b -> Double? in
        tenths.contains(b.messages * 10 / UInt64(messages)) && b.seconds > a.seconds ? Double(b.messages - a.messages) / (b.seconds - a.seconds) : nil
      }.sorted()
      return rates.isEmpty ? 0 : rates[rates.count / 2]
    }
    let early = median(1...4)
    let late = median(6...9)
    print("soak: median rate \(Int(early)) a second in tenths 2 to 5, \(Int(late)) in the last four (at least \(Self.slowest) of it asked for)")
    if late < early * Self.slowest { faults.append("the rate fell from \(Int(early)) to \(Int(late)) messages a second") }
  }

  private static func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
  }

  private func print(_ text: String) { try? Descriptors.writeAll(1, text + "\n") }
  private func say(_ text: String) { try? Descriptors.writeAll(2, text) }
}

/// What a process takes (proc_pid_status(5), proc_pid_smaps(5)); memory in KiB.
private struct ProcessSize {
  let pid: Int32
  let descriptors: Int
  let anonymous: Int
  let shared: Int
  let proportional: Int

  init?(_ pid: Int32) {
    self.pid = pid
    descriptors = Files.glob("/proc/\(pid)/fd/*").count
    func field(_ name: String, _ file: String) -> Int? {
      guard let line = Files.text("/proc/\(pid)/\(file)")?.split(separator: "\n").first(where: { $0.hasPrefix(name) }) else { return nil }
      return Int(line.dropFirst(name.utf8.count).split { $0 == " " || $0 == "\t" }.first ?? "")
    }
    guard let anonymous = field("RssAnon:", "status"), let shared = field("RssShmem:", "status"), let proportional = field("Pss:", "smaps_rollup"),
      let files = field("Pss_File:", "smaps_rollup")
    else { return nil }
    self.anonymous = anonymous
    self.shared = shared
    self.proportional = proportional - files
  }
}
