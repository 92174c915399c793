import Foundation
import Harness

/// What is tortured: a pipeline, and what its files must hold in the end.
struct TortureScenario: Sendable {
  enum Shape: String, CaseIterable, Sendable {
    /// One process each: every source's order is kept.
    case line
    /// Several processes of each but the sink, two transforms in a row.
    case parallel
    /// A source and a transform with two readers each, one of them shared: order is kept here too.
    case broadcast
    /// Two sources into one transform, in order.
    case merge
    /// Two sources, two transforms, and two files that each read two stages.
    case diamond
    /// A source, a function and a class for batches in Python, with a transform of ours in between.
    case python
    /// A transform that gives up one message in eleven, and the dead letters of these.
    case letters
    /// Two transforms of several processes, whose outputs follow their inputs, and a sink that takes batches.
    case ordered
    /// A transform whose processes share its messages by their keys.
    case keyed
    /// Messages part by a condition and meet again, through queues that are bounded by bytes too, at a rate and confined.
    case routed
    /// Two sinks whose queues drop what they have no room for.
    case dropped

    /// How long its messages may be: a large one takes some longer than the timeout, and a bound of bytes is for more than a page.
    var limits: [Int] { self == .routed ? [1 << 14] : usesPython || self == .keyed ? [300] : [300, 1 << 20] }
    var usesPython: Bool { self == .python || self == .letters }
  }

  var shape: Shape
  var capacity: Int
  /// The longest message in bytes.
  var limit: Int
  /// How many kills, stops and bursts.
  var events: Int
  /// How many of them come in one run; the end of the input comes under fire once a run.
  var eventsInRun: Int

  var isLarge: Bool { limit > 65_536 }
  /// One run for everything, in which descriptors and memory are compared.
  var isLong = false
  /// How many kills of the runner, and with it of everything, are among the events; the run has a state and goes on after each.
  var resumes = 0
  /// Whether the run disturbs itself, too (`--chaos`).
  var hasChaos = false
  var name: String { "\(shape.rawValue)-\(capacity)-\(isLarge ? "large" : "small")\(isLong ? "-long" : resumes > 0 ? "-state" : "")\(hasChaos ? "-chaos" : "")" }

  /// What `run` is given beside the file.
  var options: [String] {
    (resumes > 0 ? ["--state", "state"] : []) + (hasChaos ? ["--chaos", "kill=0.5%,stop=0.05%,delay=0.2%"] : [])
  }

  /// How many numbers each source goes through, so that a run lasts for its events: by the messages that pass between two.
  func count(_ perEvent: Int) -> Int { max(20, eventsInRun * perEvent / sources.count) }

  /// Messages a second: a run that is compared over its time has ten seconds at least.
  private func highestRate(_ count: Int) -> Int { max(1, sources.count * count / 10) }

  // MARK: The pipeline

  /// More than a ring holds, so that calls are handed over in parts; rarely where it is a lot more, and not where it would
  /// be half a gigabyte, which takes longer than the timeout.
  private var burst: (count: Int, every: Int) {
    if isLarge, capacity > 100 { return (0, 1) }
    return (3 * capacity + 1, capacity > 100 ? 4096 : isLarge ? 128 : 32)
  }
  private func processes(_ wanted: Int) -> Int { min(wanted, capacity) }

  private var sources: [String] {
    switch shape {
    case .line, .broadcast, .python, .letters, .ordered, .keyed, .routed, .dropped: ["0"]
    case .parallel: ["0", "1"]
    case .merge: ["0", "10"]
    case .diamond: ["0", "1", "10"]
    }
  }

  var files: [File] {
    let all = sources.joined(separator: ",")
    return switch shape {
    case .line, .merge: [File("a.txt", ["1:\(all)"], isOrdered: true)]
    case .letters:
      [
        File("a.txt", ["1:\(all)"], isOrdered: false, more: ["--given-up", "\(Self.giveUpEvery)"]),
        File("b.txt", [":\(all)"], isOrdered: false, more: ["--given-up", "\(Self.giveUpEvery)", "--letters"]),
      ]
    case .python, .keyed, .routed: [File("a.txt", ["1:\(all)"], isOrdered: false)]
    case .dropped: ["a.txt": "newest", "b.txt": "oldest"].sorted { $0.key < $1.key }.map { File($0.key, ["1:\(all)"], isOrdered: true, drops: $0.value) }
    case .ordered: [File("a.txt", ["12:\(all)"], isOrdered: true)]
    case .parallel: [File("a.txt", ["12:\(all)"], isOrdered: false)]
    case .broadcast: [File("a.txt", ["1:0"], isOrdered: true), File("b.txt", [":0"], isOrdered: true), File("c.txt", ["1:0"], isOrdered: true)]
    case .diamond: [File("a.txt", ["1:\(all)", "2:\(all)"], isOrdered: false), File("b.txt", ["2:\(all)", ":10"], isOrdered: false)]
    }
  }

  struct File: Sendable {
    let name: String
    /// As the oracle takes them.
    let routes: [String]
    let isOrdered: Bool
    /// What else the oracle has to know.
    let more: [String]
    /// The stage that writes it, if that has a queue that drops.
    let drops: String?

    init(_ name: String, _ routes: [String], isOrdered: Bool, more: [String] = [], drops: String? = nil) {
      self.more = more
      self.drops = drops
      self.name = name
      self.routes = routes
      self.isOrdered = isOrdered
    }
  }

  func oracleArguments(_ file: File, seed: UInt64, count: Int) -> [String] {
    var all = ["--seed", "\(seed)", "--limit", "\(limit)", "--count", "\(count)"]
    for level in 1...2 { all += ["--fan", "\(level),\(level == 1 ? burst.count : 0),\(burst.every)"] }
    for route in file.routes { all += ["--route", route] }
    return all + file.more + (file.isOrdered ? ["--ordered"] : [])
  }

  private static let giveUpEvery = 11

  func yaml(seed: UInt64, count: Int) -> String {
    // A message comes back however often its workers die; what must not happen is that it is given up.
    let patience = """
          timeout: \(isLarge || TortureTests.isSanitized ? 1000 : 200)ms
          restart: {max: 1000000, within: 100ms, backoff: 1ms}
          on_error: {deaths: 254, retries: 254}
      """
    func source(_ name: String, _ number: Int, processes: Int = 1, _ key: String? = nil) -> String {
      """
        \(name):
          plugin: torture.source
          processes: \(processes)
          with: {seed: \(seed), limit: \(limit)B, count: \(count), source: \(number)}\(key.map { "\n    " + $0 } ?? "")
      \(patience)
      """
    }
    func transform(_ name: String, _ inputs: String, level: Int, processes: Int = 1, _ key: String? = nil, queue: String = "") -> String {
      let more = (shape == .letters ? "give_up_every: \(Self.giveUpEvery), " : "") + (level == 1 ? "burst: \(burst.count), burst_every: \(burst.every), fail_every: 97, " : "")
      return """
          \(name):
            plugin: torture.transform
            inputs: [\(inputs)]
            processes: \(self.processes(processes))
            queue: {capacity: \(capacity), message: \(limit)B\(queue)}
            with: {seed: \(seed), limit: \(limit)B, level: \(level), \(more)slow_every: \(max(100, count / 3))}\(key.map { "\n    " + $0 } ?? "")
        \(patience)
        """
    }
    func python(_ name: String, _ inputs: String, processes: Int = 1, _ with: String, hasQueue: Bool = true) -> String {
      // Dead letters are larger than their messages.
      let queue = hasQueue ? "    queue: {capacity: \(capacity), message: \(limit)B}" : "    queue: {capacity: \(capacity)}"
      return """
        \(name):
          plugin: python
          processes: \(self.processes(processes))
      \(inputs.isEmpty ? "" : "    inputs: [\(inputs)]\n\(queue)")
          with: {python: /usr/bin/python3, \(with)}
      \(patience)
      """
    }
    func sink(_ name: String, _ inputs: String, _ path: String, _ key: String? = nil, queue: String = "") -> String {
      """
        \(name):
          plugin: file.write
          inputs: [\(inputs)]
          queue: {capacity: \(capacity), message: \(limit)B\(queue)}
          with: {path: \(path)}\(key.map { "\n    " + $0 } ?? "")
      \(patience)
      """
    }
    let stages =
      switch shape {
      case .line: [source("numbers", 0), transform("work", "numbers", level: 1), sink("out", "work", "a.txt")]
      case .parallel:
        [
          source("numbers", 0, processes: 2, isLong ? "rate: \(highestRate(count))/s" : nil), transform("work", "numbers", level: 1, processes: 3),
          transform("more", "work", level: 2, processes: 2), sink("out", "more", "a.txt"),
        ]
      case .broadcast:
        [
          source("numbers", 0), transform("work", "numbers", level: 1), sink("out", "work", "a.txt"), sink("raw", "numbers", "b.txt"),
          sink("copy", "work", "c.txt"),
        ]
      case .letters:
        [
          source("numbers", 0), transform("work", "numbers", level: 1, processes: 2), sink("out", "work", "a.txt"),
          python("original", "work.dead_letter", "callable: \"torture:original\"", hasQueue: false), sink("letters", "original", "b.txt"),
        ]
      case .python:
        [
          python("numbers", "", "callable: \"torture:messages\", arguments: {seed: \(seed), limit: \(limit), count: \(count), source: 0}"),
          python("same", "numbers", processes: 2, "callable: \"torture:same\""), transform("work", "same", level: 1),
          python("each", "work", "callable: \"torture:Each\", batch: \(min(16, capacity))"), sink("out", "each", "a.txt"),
        ]
      case .ordered:
        [
          source("numbers", 0), transform("work", "numbers", level: 1, processes: 3, "order: input"),
          transform("more", "work", level: 2, processes: 2, "order: input"),
          sink("out", "more", "a.txt", "batch: {count: \(min(16, capacity)), within: 5ms}"),
        ]
      case .keyed:
        [
          source("numbers", 0), transform("work", "numbers", level: 1, processes: 3, "partition: {key: length % 5, input: text}"), sink("out", "work", "a.txt"),
        ]
      case .routed:
        [
          source("numbers", 0, "rate: 50000/s"), """
              split:
                plugin: route
                inputs: [numbers]
                processes: \(processes(2))
                queue: {capacity: \(capacity), message: \(limit)B, bytes: 1MiB}
                with: {routes: {even: length % 2 == 0}, input: text}
                nice: 1
            \(patience)
            """, transform("work", "split.even", level: 1, processes: 2, queue: ", bytes: 1MiB"), transform("other", "split.else", level: 1),
          sink("out", "work, other", "a.txt", queue: ", bytes: 1MiB"),
        ]
      case .dropped:
        [
          source("numbers", 0, "rate: 10000/s"), transform("work", "numbers", level: 1), sink("newest", "work", "a.txt", queue: ", when_full: drop_newest"),
          sink("oldest", "work", "b.txt", queue: ", when_full: drop_oldest"),
        ]
      case .merge:
        [source("numbers", 0), source("others", 16), transform("work", "numbers, others", level: 1), sink("out", "work", "a.txt")]
      case .diamond:
        [
          source("numbers", 0, processes: 2), source("others", 16), transform("work", "numbers, others", level: 1, processes: 2),
          transform("more", "numbers, others", level: 2, processes: 2), sink("out", "work, more", "a.txt"),
          sink("both", "more, others", "b.txt"),
        ]
      }
    return "ringway: 1\nmemory: 64GiB\nstages:\n" + stages.joined(separator: "\n") + "\n"
  }

  /// How many processes a run has when all are there.
  var processCount: Int {
    switch shape {
    case .line: 3
    case .ordered: 2 + processes(3) + processes(2)
    case .keyed: 2 + processes(3)
    case .routed: 3 + 2 * processes(2)
    case .dropped: 4
    case .parallel: 3 + processes(3) + processes(2)
    case .broadcast: 5
    case .merge: 4
    case .python: 4 + processes(2)
    case .letters: 4 + processes(2)
    case .diamond: 5 + 2 * processes(2)
    }
  }

  /// How many rings it has: one before each stage that reads, but one for each process where a key decides.
  var ringCount: Int { yaml(seed: 0, count: 0).components(separatedBy: "inputs:").count - 1 + (shape == .keyed ? processes(3) - 1 : 0) }

  // MARK: Which there are

  /// Every shape on rings of 1, 2, 7 and 1,024 slots with small and large messages, and one long run: 10,000 events and more.
  static let all: [TortureScenario] =
    Shape.allCases.flatMap { shape in
      // The oldest of one message is the one that is worked on.
      (shape == .dropped ? [2, 7, 1024] : [1, 2, 7, 1024]).flatMap { capacity in
        shape.limits.map { limit in TortureScenario(shape: shape, capacity: capacity, limit: limit, events: 225, eventsInRun: 75) }
      }
    } + [TortureScenario(shape: .parallel, capacity: 7, limit: 300, events: 1500, eventsInRun: 1500, isLong: true)]
    // Everything killed 120 times, and whoever disturbs his own run.
    + [Shape.parallel, .broadcast, .diamond, .python, .letters, .ordered, .keyed, .routed].map {
      TortureScenario(shape: $0, capacity: 7, limit: $0.limits[0], events: 90, eventsInRun: 30, resumes: 5)
    }
    + [1, 2].map { TortureScenario(shape: .parallel, capacity: $0, limit: 1 << 20, events: 60, eventsInRun: 20, resumes: 5) }
    + [Shape.line, .ordered, .keyed, .letters].map {
      TortureScenario(shape: $0, capacity: 7, limit: 300, events: 75, eventsInRun: 25, hasChaos: true)
    }

  /// A twentieth of that: each shape, each capacity and each size at least once.
  static let some: [TortureScenario] = [
    TortureScenario(shape: .line, capacity: 1, limit: 300, events: 40, eventsInRun: 40),
    TortureScenario(shape: .line, capacity: 1024, limit: 300, events: 40, eventsInRun: 40),
    TortureScenario(shape: .parallel, capacity: 2, limit: 300, events: 40, eventsInRun: 40),
    TortureScenario(shape: .parallel, capacity: 1024, limit: 1 << 20, events: 40, eventsInRun: 40),
    TortureScenario(shape: .broadcast, capacity: 2, limit: 300, events: 40, eventsInRun: 40),
    TortureScenario(shape: .broadcast, capacity: 1024, limit: 300, events: 40, eventsInRun: 40),
    TortureScenario(shape: .merge, capacity: 1, limit: 1 << 20, events: 40, eventsInRun: 40),
    TortureScenario(shape: .merge, capacity: 7, limit: 300, events: 40, eventsInRun: 40),
    TortureScenario(shape: .diamond, capacity: 7, limit: 1 << 20, events: 40, eventsInRun: 40),
    TortureScenario(shape: .diamond, capacity: 2, limit: 300, events: 40, eventsInRun: 40),
    TortureScenario(shape: .python, capacity: 7, limit: 300, events: 20, eventsInRun: 20),
    TortureScenario(shape: .letters, capacity: 7, limit: 300, events: 30, eventsInRun: 30),
    TortureScenario(shape: .ordered, capacity: 7, limit: 300, events: 40, eventsInRun: 40),
    TortureScenario(shape: .ordered, capacity: 2, limit: 1 << 20, events: 20, eventsInRun: 20),
    TortureScenario(shape: .keyed, capacity: 7, limit: 300, events: 30, eventsInRun: 30),
    TortureScenario(shape: .routed, capacity: 1024, limit: 1 << 14, events: 30, eventsInRun: 30),
    TortureScenario(shape: .dropped, capacity: 7, limit: 300, events: 30, eventsInRun: 30),
    TortureScenario(shape: .parallel, capacity: 7, limit: 300, events: 20, eventsInRun: 20, resumes: 4),
    TortureScenario(shape: .ordered, capacity: 7, limit: 300, events: 20, eventsInRun: 20, resumes: 4),
    TortureScenario(shape: .keyed, capacity: 7, limit: 300, events: 15, eventsInRun: 15, hasChaos: true),
    TortureScenario(shape: .parallel, capacity: 7, limit: 300, events: 100, eventsInRun: 100, isLong: true),
  ]
}
