import Plans
import Platform
import PluginKit
import Rings
import Specs
import Testing

@testable import Stages

/// Batches, in one process: eight messages wait, and the plugin does what the test says.
@Suite struct BatchTests {
  /// What the test's plugin does with a batch of numbers, and what it may look at meanwhile.
  final class Script: @unchecked Sendable {
    // Unchecked: one thread, that of its test.
    var isJoint = false
    var work: ([Int], any Emitter, (BatchOutcome) throws -> Void) throws -> Void = { _, _, _ in }
    var calls: [[Int]] = []
  }

  struct Scripted: Transform, Batching {
    @TaskLocal static var script = Script()
    static let spec = PluginSpec("scripted", .transform, "Does what a test says.", settings: [], example: "")
    private let script = Self.script

    init(_ given: Given, _ context: Context) throws {}
    var batch: Int { 8 }
    var isJoint: Bool { script.isJoint }

    mutating func process(_ messages: [Message], _ out: any Emitter, settle: (BatchOutcome) throws -> Void) throws {
      let numbers = messages.compactMap { Int($0.text) }
      script.calls.append(numbers)
      try script.work(numbers, out, settle)
    }
  }

  private struct Broken: Error {}

  private let input: Ring
  private let output: Ring
  private let cells: CellBlock
  private let control: (ours: Int32, theirs: Int32)

  init() throws {
    input = try Ring.create(try #require(RingShape(capacity: 16, messageBytes: 1024, producers: 1, consumers: 1)), name: "input")
    output = try Ring.create(try #require(RingShape(capacity: 64, messageBytes: 1024, producers: 1, consumers: 1)), name: "output")
    cells = try CellBlock.create(cells: 2, name: "cells")
    control = try Channel.socketPair()
    let writer = Handoff(worker: 1, cell: try cells.cell(1), input: nil, outputs: [(input, 0)], stageHash: 1)
    for number in 0..<8 {
      writer.begin()
      try Array("\(number)".utf8).withUnsafeBytes { try writer.emit($0) }
      writer.end(.source(position: (UInt64(number), 0, 0, 0)))
    }
    try writer.commit()
    input.close()
  }

  /// Works on all eight.
  private func run(_ script: Script) throws -> CellRecord {
    let order = WorkOrder(
      stage: "batch", plugin: "scripted", kind: .transform, worker: 2, process: 0, directory: "/", settings: .mapping([]), retries: 1, deaths: 3, then: .drop,
      cells: Int(cells.descriptor), input: WorkOrder.Attachment(descriptor: Int(input.descriptor), lane: 0),
      outputs: [WorkOrder.Attachment(descriptor: Int(output.descriptor), lane: 0)])
    try Scripted.$script.withValue(script) {
      let worker = try Worker(order, spec: Scripted.spec, control: ControlLine(descriptor: control.theirs), keys: { _ in { _, _ in [] } })
      try SettlingLoop.run(Scripted.self, worker)
    }
    #expect(input.isDrained)
    return try cells.cell(0).record
  }

  private func emit(_ numbers: [Int], _ out: any Emitter) throws { for number in numbers { try out.emit("\(number)") } }

  /// What the next stage would get.
  private func outputs() throws -> [Int] {
    let reader = Handoff(worker: 3, cell: try cells.cell(1), input: (output, 0), outputs: [], stageHash: 3)
    var all: [Int] = []
    while let lease = try reader.claim() { all.append(Int(String(decoding: lease.payload, as: UTF8.self)) ?? -1) }
    return all
  }

  /// The worker may die behind any settlement: neither may inputs be gone without the outputs, nor outputs be there without them.
  @Test func whatABatchEmitsTogetherGoesOnInOneInstant() throws {
    let script = Script()
    script.isJoint = true
    var seen: [Int] = []
    script.work = { [output, input] numbers, out, settle in
      for sum in [numbers.reduce(0, +), numbers.count] { try out.emit("\(sum)") }
      for _ in numbers {
        try settle(.done)
        seen.append(output.readySlots)
        #expect(input.openSlots == 8)
      }
    }
    let record = try run(script)
    #expect(script.calls == [Array(0..<8)] && seen == Array(repeating: 0, count: 8))
    #expect(try outputs() == [28, 8])
    #expect(record.received == 8 && record.emitted == 2)
  }

  @Test func eachMessageOfABatchIsSettledForItself() throws {
    let script = Script()
    var early = 0
    script.work = { [output] numbers, out, settle in
      for number in numbers {
        try emit([number, number], out)
        switch number {
        case 2: try settle(.failed(MessageFailure("malformed", isPermanent: true)))
        case 5 where numbers.count > 1: try settle(.failed(Broken()))
        default: try settle(.done)
        }
        if number == 4 { early = output.readySlots }
      }
    }
    let record = try run(script)
    #expect(script.calls == [Array(0..<8), [5]], "the one that may succeed is tried again")
    #expect(try outputs() == [0, 0, 1, 1, 3, 3, 4, 4, 6, 6, 7, 7, 5, 5])
    #expect(record.received == 8 && record.dropped == 1)
    #expect(early > 0, "what is done does not wait for the rest")
  }

  /// Nobody knows whose failure it is until each has been tried alone.
  @Test func aBatchThatFailsIsTakenApart() throws {
    let script = Script()
    var attempts: [Int: Int] = [:]
    script.work = { numbers, out, settle in
      for number in numbers {
        if number == 3 {
          attempts[numbers.count, default: 0] += 1
          throw Broken()
        }
        if numbers.count > 1, number == 1 { throw Broken() }
        try emit([number], out)
        try settle(.done)
      }
    }
    let record = try run(script)
    #expect(script.calls == [Array(0..<8), [1], [2], [3], [3], [4], [5], [6], [7]])
    #expect(attempts == [1: 2], "one retry")
    #expect(try outputs() == [0, 1, 2, 4, 5, 6, 7])
    #expect(record.received == 8 && record.dropped == 1)
  }

  @Test(arguments: [1, 9]) func aPluginThatSettlesTooFewOrTooManyEndsTheRun(count: Int) throws {
    let script = Script()
    script.work = { _, _, settle in for _ in 0..<count { try settle(.done) } }
    #expect(throws: WorkerFailure.self) { try run(script) }
  }
}
