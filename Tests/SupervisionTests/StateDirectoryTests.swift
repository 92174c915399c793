import Foundation
import Harness
import Plans
import Platform
import Rings
import Specs
import Testing

@testable import Supervision

/// The folder of `--state`, without a process.
@Suite(.serialized) struct StateDirectoryTests {
  private static func plan(_ change: (inout [Stage]) -> Void = { _ in }) -> Plan {
    var stages = [
      Stage(name: "source", plugin: "p", kind: .source),
      Stage(name: "work", plugin: "p", kind: .transform, inputs: ["source"], processes: 2, queue: Queue(capacity: 8, messageBytes: 100)),
      Stage(name: "sink", plugin: "p", kind: .sink, inputs: ["work"], queue: Queue(capacity: 8, messageBytes: 100)),
    ]
    stages[0].lasting = [("count", 1000), ("seed", 0)]
    change(&stages)
    return Plan(name: "test", description: "", file: "test.yaml", directory: "/", stages: stages, drain: .seconds(30))
  }

  /// Begins, and gives everything back as a runner does that ends without a word.
  @discardableResult
  private func begin(_ path: String, _ plan: Plan = plan(), then: (StateDirectory, StageMemory) throws -> Void = { _, _ in }) throws -> Standing? {
    let state = try StateDirectory(path, for: plan, sync: .end)
    defer { state.release() }
    let memory = try StageMemory(plan, ringStart: .zero, state: state)
    defer { memory.release() }
    let standing = try state.begin(memory) { _ in }
    try then(state, memory)
    return standing
  }

  private func refusal(_ path: String, _ plan: Plan = plan()) -> StartFailure? {
    do { try begin(path, plan) } catch { return error as? StartFailure }
    return nil
  }

  /// Abandons the making of a state at every step in turn, and once more while what was left is being put right.
  @Test func whatAKillDuringTheMakingLeavesIsAccepted() throws {
    defer { StateFolder.abandons = nil }
    var stopped = Set<StateFolder.Step>()
    for n in 1... {
      let folder = try TemporaryFolder()
      let path = folder.path("state")
      var isDone = false
      for again in [0, 2] {
        var left = max(1, n - again)
        StateFolder.abandons = { step in
          left -= 1
          if left == 0 { stopped.insert(step) }
          return left == 0
        }
        isDone = refusal(path) == nil
        StateFolder.abandons = nil
        if again == 0, isDone { break }
        if FileManager.default.fileExists(atPath: path + "/lock") {
          let report = try StateReport(reading: path)
          #expect(report.standing == .incomplete || report.standing == .resumable && report.isSound, "step \(n): \(report.faults)")
        }
      }
      try begin(path)
      let standing = try begin(path)
      #expect(standing?.openSlots == [0, 0, 0], "step \(n)")
      #expect(try StateReport(reading: path).isSound)
      if isDone, n > 3 { break }
    }
    #expect(stopped == Set(StateFolder.Step.allCases))
  }

  @Test func aStateIsPrivate() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("a/state")
    try begin(path)
    #expect(try Files.ownership(path).mode == 0o700)
    for name in try Files.names(in: path) { #expect(try Files.ownership(path + "/" + name).mode == 0o600, "\(name)") }
    #expect(chmod(path, 0o750) == 0)
    let refused = refusal(path)
    #expect(refused?.code == .permission && refused?.text.contains("chmod 700 \(path)") == true, "\(refused?.text ?? "")")
    // An empty folder of one's own is made private.
    try FileManager.default.createDirectory(atPath: folder.path("b"), withIntermediateDirectories: false)
    #expect(chmod(folder.path("b"), 0o755) == 0)
    try begin(folder.path("b"))
    #expect(try Files.ownership(folder.path("b")).mode == 0o700)
  }

  @Test func aFolderOfSomebodyElsesFilesIsLeftAlone() throws {
    let folder = try TemporaryFolder()
    chmod(folder.url.path, 0o700)
    try folder.write("notes.txt", "mine")
    let refused = refusal(folder.url.path)
    #expect(refused?.code == .cannotCreate && refused?.text.contains("notes.txt") == true, "\(refused?.text ?? "")")
    #expect(try Files.names(in: folder.url.path) == ["notes.txt"])
    try FileManager.default.removeItem(atPath: folder.path("notes.txt"))
    for text in ["", "pid 12"] {
      try text.write(toFile: folder.path("lock"), atomically: false, encoding: .utf8)
      try folder.write("x.queue", "mine")
      #expect(refusal(folder.url.path)?.code == .cannotCreate)
      #expect(try Files.names(in: folder.url.path) == ["lock", "x.queue"])
    }
    #expect(refusal(try folder.write("file", ""))?.code == .cannotCreate)
  }

  @Test func aChangedGraphIsRefusedWithWhatChanged() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("state")
    try begin(path)
    let changes: [(String, (inout [Stage]) -> Void)] = [
      ("stages.work.plugin was \"p\", now it is \"q\"", { $0[1].plugin = "q" }),
      ("stages.work.processes was 2, now it is 3", { $0[1].processes = 3 }),
      ("stages.work.partition was not there, now it is {\"key\":\".a\",\"input\":\"json\"}", { $0[1].partition = PartitionRule(key: ".a") }),
      ("stages.sink.queue.capacity was 8, now it is 16", { $0[2].queue?.capacity = 16 }),
      ("stages.sink.queue.message was 100 B, now it is 1 KiB", { $0[2].queue?.messageBytes = 1024 }),
      ("stages.sink.inputs was [\"work\"], now it is [\"source\"]", { $0[2].inputs = ["source"] }),
      ("stages.source.with.count was 1000, now it is 2000", { $0[0].lasting[0].value = 2000 }),
      ("the stage \"other\" is new", { $0.append(Stage(name: "other", plugin: "p", kind: .sink, inputs: ["work"], queue: Queue())) }),
      ("the order of the stages was [\"source\",\"work\",\"sink\"], now it is [\"source\",\"sink\",\"work\"]", { $0.swapAt(1, 2) }),
      ("the stage \"sink\" is gone", { $0.removeLast() }),
    ]
    for (text, change) in changes {
      let refused = refusal(path, Self.plan(change))
      #expect(refused?.code == .invalidPipeline && refused?.text.contains(text) == true, "\(refused?.text ?? "accepted: \(text)")")
    }
    // These say nothing about what the messages are.
    try begin(path, Self.plan { stages in
      stages[0].environment = [("A", "b")]
      stages[1].timeout = .seconds(1)
      stages[1].restart.max = 1
      stages[2].onError.then = .drop
    })
  }

  private static func publish(_ count: Int, _ memory: StageMemory, stage: Int, worker: WorkerNumber) throws {
    let handoff = Handoff(
      worker: worker, cell: try memory.cell(stage: stage, process: 0), input: nil, outputs: memory.parts[stage].outputs.map { ($0.ring, $0.firstLane) },
      stageHash: 1)
    for n in 0..<count {
      handoff.begin()
      try withUnsafeBytes(of: n) { try handoff.emit($0) }
      handoff.end(.source(position: (UInt64(n + 1), 0, 0, 0)))
    }
    try handoff.commit()
  }

  /// A message that a worker had in hand when everything was killed is as good as new: no death counts, then or later.
  @Test func theRunnersDeathSpeaksAgainstNoMessage() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("state")
    func claim(_ memory: StageMemory, begins: Bool) throws {
      let ring = try #require(memory.parts[1].rings.first)
      let handoff = Handoff(worker: 2, cell: try memory.cell(stage: 1, process: 0), input: (ring, 0), outputs: [], stageHash: 2)
      let lease = try #require(try handoff.claim())
      #expect(lease.deaths == 0)
      if begins { handoff.begin(lease) }
    }
    try begin(path) { _, memory in
      try Self.publish(1, memory, stage: 0, worker: 1)
      try claim(memory, begins: true)
    }
    // A worker that dies before it has begun has not died of it either.
    try begin(path) { _, memory in
      try claim(memory, begins: false)
      let summary = try Recovery.recover(worker: 2, cell: try memory.cell(stage: 1, process: 0), rings: memory.attachments(stage: 1, process: 0))
      #expect(summary.redelivered == 1 && summary.deaths.isEmpty)
      try claim(memory, begins: true)
    }
    let standing = try begin(path) { _, memory in
      let ring = try #require(memory.parts[1].rings.first)
      #expect(ring.readySlots == 1 && ring.leasedSlots == 0)
    }
    #expect(standing?.hasEnded == [false, false, false])
  }

  /// A ring and a file for each process; what waits in any of them keeps the stage from having ended.
  @Test func eachProcessHasAQueueWhereKeysDecide() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("state")
    let plan = Self.plan { $0[1].partition = PartitionRule(key: ".") }
    try begin(path, plan) { _, memory in
      #expect(memory.parts[1].rings.count == 2 && memory.parts[0].outputs.count == 2 && memory.parts[0].outputs.allSatisfy { $0.reader == 0 && $0.firstLane == 0 })
      let handoff = Handoff(
        worker: 1, cell: try memory.cell(stage: 0, process: 0), input: nil, outputs: memory.parts[0].outputs.map { ($0.ring, $0.firstLane) },
        partitions: [Partition(outputs: 0..<2) { text, _ in Array(text) }], stageHash: 1)
      for n in UInt8(0)..<9 {
        handoff.begin()
        try [n].withUnsafeBytes { try handoff.emit($0) }
        handoff.end(.source(position: (UInt64(n) + 1, 0, 0, 0)))
      }
      try handoff.commit(ended: true)
    }
    let names = try FileManager.default.contentsOfDirectory(atPath: path)
    #expect(names.contains("work.0.queue") && names.contains("work.1.queue") && !names.contains("work.queue"))
    let standing = try begin(path, plan) { _, memory in
      let open = memory.parts[1].rings.map(\.openSlots)
      #expect(open.reduce(0, +) == 9 && open.allSatisfy { $0 > 0 } && memory.parts[1].capacity == 16)
      for process in 0..<2 { #expect(memory.attachments(stage: 1, process: process).last?.ring === memory.parts[1].rings[process]) }
    }
    #expect(standing?.openSlots == [0, 9, 0] && standing?.hasEnded == [true, false, false])
    let report = try StateReport(reading: path)
    #expect(report.isSound && report.stages[1].queued == 9 && report.stages[1].capacity == 16 && report.strangers == [], "\(report.faults)")
    try FileManager.default.removeItem(atPath: path + "/work.1.queue")
    #expect(try StateReport(reading: path).faults.contains { $0.contains("work.1.queue") })
    #expect(refusal(path, plan)?.text.contains("work.1.queue") == true)
  }

  @Test func whatHasEndedIsNotStartedAgain() {
    let plan = Self.plan()
    var all = Supervisor(plan, from: Standing(hasEnded: [true, true, true], endedSources: [[true], [], []], openSlots: [0, 0, 0]))
    #expect(start(&all) == [.closeInput(stage: 1), .closeInput(stage: 2), .finish])
    var some = Supervisor(plan, from: Standing(hasEnded: [true, false, false], endedSources: [[true], [], []], openSlots: [0, 2, 0]))
    #expect(start(&some) == [.spawn(worker: 1), .spawn(worker: 2), .spawn(worker: 3), .closeInput(stage: 1)])
  }

  private func start(_ supervisor: inout Supervisor) -> [Supervisor.Action] { supervisor.start() }

  // MARK: Damage

  @Test func everyDamagedFileIsNamed() throws {
    let folder = try TemporaryFolder()
    let good = folder.path("good")
    try begin(good) { _, memory in try Self.publish(5, memory, stage: 0, worker: 1) }
    let other = folder.path("other")
    try begin(other)
    let files = try Files.names(in: good).filter { !$0.hasSuffix(".lock") }
    #expect(files.count == 8)
    var round = 0
    func damage(_ file: String, _ what: String, _ body: (String) throws -> Void) throws {
      round += 1
      let copy = folder.path("copy\(round)")
      try FileManager.default.copyItem(atPath: good, toPath: copy)
      try body(copy + "/" + file)
      let refused = refusal(copy)
      #expect(refused?.code == .invariantBroken && refused?.text.contains(copy + "/" + file) == true, "\(what) \(file): \(refused?.text ?? "accepted")")
      do throws(StartFailure) {
        let report = try StateReport(reading: copy)
        #expect(!report.isSound && report.faults.contains { $0.contains(file) }, "\(what) \(file)")
      } catch {
        #expect(error.code == .invariantBroken && error.text.contains(file), "\(what) \(file): \(error.text)")
      }
      try FileManager.default.removeItem(atPath: copy)
    }
    for file in files {
      let size = try #require(Files.status(good + "/" + file)).size
      try damage(file, "empty") { #expect(truncate($0, 0) == 0) }
      try damage(file, "cut") { #expect(truncate($0, size / 2) == 0) }
      try damage(file, "a pipe") { path in
        try FileManager.default.removeItem(atPath: path)
        #expect(mkfifo(path, 0o600) == 0)
      }
      if file == "lock" {
        for size in [size + 1, 1 << 16] { try damage(file, "grown") { #expect(truncate($0, off_t(size)) == 0) } }
        try damage(file, "flipped") { try Self.flip($0, at: 4) }
        continue
      }
      try damage(file, "flipped") { try Self.flip($0, at: file.hasSuffix(".cells") ? 4089 : 17) }
      // Another's plan does not fit these queues, so they are named.
      if file != "plan.json" { try damage(file, "foreign") { path in
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.copyItem(atPath: file == "run.json" ? good + "/plan.json" : other + "/" + file, toPath: path)
      } }
      if file != "plan.json" { try damage(file, "removed") { try FileManager.default.removeItem(atPath: $0) } }
      if file != "plan.json", file != "run.json" {
        try damage(file, "made a link") { path in
          try FileManager.default.removeItem(atPath: path)
          try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: good + "/" + file)
        }
      }
    }
  }

  /// Without its plan a folder looks like one whose making was interrupted; but there a run has begun.
  @Test func aPlanThatIsGoneIsMissed() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("state")
    try begin(path) { _, memory in try Self.publish(1, memory, stage: 0, worker: 1) }
    try FileManager.default.removeItem(atPath: path + "/plan.json")
    #expect(refusal(path)?.code == .invariantBroken && refusal(path)?.text.contains(path + "/plan.json") == true)
    let report = try StateReport(reading: path)
    #expect(report.standing == .incomplete && !report.isSound && report.faults.contains { $0.contains("/plan.json") })
  }

  @Test func aLockThatIsGoneIsMissed() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("state")
    try begin(path)
    try FileManager.default.removeItem(atPath: path + "/lock")
    #expect(refusal(path)?.code == .invariantBroken && refusal(path)?.text.contains(path + "/lock") == true)
  }

  @Test func aStateMayBeNamedByALink() throws {
    let folder = try TemporaryFolder()
    try begin(folder.path("state"))
    try FileManager.default.createSymbolicLink(atPath: folder.path("link"), withDestinationPath: folder.path("state"))
    #expect(try begin(folder.path("link")) != nil)
  }

  private static func flip(_ path: String, at offset: Int, bit: Int = 3) throws {
    let file = try #require(FileHandle(forUpdatingAtPath: path))
    defer { try? file.close() }
    try file.seek(toOffset: UInt64(offset))
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: UInt64(offset))
    try file.write(contentsOf: Data([byte ^ 1 << bit]))
  }

  /// Whatever is flipped, a run is refused with the file's name or begins; nothing crashes.
  @Test func anyBitMayBeFlipped() throws {
    let seed = testSeed()
    var random = Seeded(seed)
    let folder = try TemporaryFolder()
    let good = folder.path("good")
    try begin(good) { _, memory in try Self.publish(5, memory, stage: 0, worker: 1) }
    let files = try Files.names(in: good).filter { !$0.hasSuffix(".lock") }
    for round in 0..<150 {
      let copy = folder.path("copy\(round)")
      try FileManager.default.copyItem(atPath: good, toPath: copy)
      let file = try #require(files.randomElement(using: &random))
      let size = try #require(Files.status(copy + "/" + file)).size
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        try Self.flip(copy + "/" + file, at: Int.random(in: 0..<min(size, 16 << 10), using: &random), bit: Int.random(in: 0..<8, using: &random))
      }
      _ = try? StateReport(reading: copy)
      if let refused = refusal(copy) { #expect(refused.text.contains(file) || file.hasSuffix(".json"), "seed \(seed), round \(round): \(refused.text)") }
      try FileManager.default.removeItem(atPath: copy)
    }
  }

  @Test func aMachineThatWentDownInTheMiddleOfARunIsNoticed() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("state")
    try begin(path)
    func rewrite(_ change: (inout StateSession) -> Void) throws {
      var session = try StateFolder(path).readSession()
      change(&session)
      try StateFolder(path).write(StateFolder.session, session.text)
    }
    try rewrite { $0.boot = "another" }
    #expect(refusal(path)?.code == .invariantBroken && refusal(path)?.text.contains("started anew") == true)
    try rewrite { ($0.phase, $0.isSynced) = ("drained", false) }
    #expect(refusal(path)?.text.contains("--sync none") == true)
    try rewrite { $0.isSynced = true }
    #expect(refusal(path) == nil)
  }
}
