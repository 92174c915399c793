import Platform
import Plans
import PluginKit
import Specs
import Testing

@testable import Stages

@Suite struct PolicyTests {
  private struct Other: Error {}

  @Test func aMessageIsTriedAgainAsOftenAsThePolicySays() {
    let policy = MessagePolicy(retries: 2, deaths: 3, then: .stop)
    #expect([1, 2, 3].map { policy.retries(afterErrors: $0, Other()) } == [true, true, false])
    #expect(!policy.retries(afterErrors: 1, MessageFailure("malformed", isPermanent: true)))
    #expect([0, 2, 3, 4].map { policy.isPoison($0) } == [false, false, true, true])
    #expect(!MessagePolicy(retries: 0, deaths: 1, then: .drop).retries(afterErrors: 1, Other()))
  }

  @Test func fastCallsShareACommitAndSlowOnesGoAlone() {
    var pace = BatchPace(most: 64)
    func call(_ nanoseconds: UInt64 = 0) -> Bool {
      pace.callBegins()
      let until = Clock.now + nanoseconds
      while Clock.now < until {}
      return pace.callEnded()
    }
    #expect(call(), "nobody knows yet how long they take")
    // One in which the machine does something else counts as slow.
    for _ in 0..<1000 where pace.size < 64 {
      pace.handedOver(isFull: true)
      while !call() {}
    }
    #expect(pace.size == 64)
    // A batch that took longer than a reader should wait.
    while !call(BatchPace.longEnough * 2) {}
    pace.handedOver(isFull: true)
    #expect(pace.size == 32)
    // Slow calls: each goes alone in the end, and goes on to.
    for _ in 0..<12 {
      while !call(BatchPace.longEnough) {}
      pace.handedOver(isFull: true)
    }
    #expect(pace.size == 1)
    #expect(BatchPace(most: 0).most == 1)
  }

  @Test func aWorkOrderSurvivesItsText() throws {
    let settings = Node.mapping([
      Node.Pair(key: "filter", value: .string("\"quoted\"\n\u{1}é😀")), Node.Pair(key: "n", value: .integer(-7)),
      Node.Pair(key: "list", value: Node(.sequence([Node(.boolean(true)), Node(.null), Node(.number(1.5), text: "1.5")]))),
    ])
    let order = WorkOrder(
      stage: "detect", plugin: "jq", kind: .transform, worker: 4095, process: 3, directory: "/tmp/ä b", settings: settings, retries: 2, deaths: 3, then: .drop, cells: 5,
      input: WorkOrder.Attachment(descriptor: 6, lane: 3), outputs: [WorkOrder.Attachment(descriptor: 7, lane: 0), WorkOrder.Attachment(descriptor: 8, lane: 9)],
      sockets: [9], standardOutput: 10)
    let read = try #require(WorkOrder(decoding: order.encoded()))
    #expect(read.encoded() == order.encoded())
    #expect(read.input == order.input && read.outputs == order.outputs && read.then == .drop && read.sockets == [9] && read.standardOutput == 10)
    #expect(read.settings["filter"]?.string == "\"quoted\"\n\u{1}é😀")
  }

  @Test func aDamagedOrderIsNoOrder() {
    let bytes = WorkOrder(
      stage: "a", plugin: "b", kind: .sink, worker: 1, process: 0, directory: "/", settings: .mapping([]), retries: 0, deaths: 1, then: .stop, cells: 5, input: nil, outputs: []
    ).encoded()
    for count in 0..<bytes.count { #expect(WorkOrder(decoding: Array(bytes[..<count])) == nil) }
    #expect(WorkOrder(decoding: Array("{\"stage\": 5}".utf8)) == nil)
  }

  @Test func whatWorkersSaySurvivesItsText() throws {
    let all: [WorkerMessage] = [
      .ready, .closing, .opening("import \"é\""), .failed(code: .io, text: "disk \"full\"\n"), .messageFailed(id: "ab", error: "é", errors: 3, deaths: 0), .messageDropped(id: "", error: "x", errors: 0, deaths: 2),
    ]
    for message in all { #expect(JSONText.parse(Array(message.line.utf8)).node.flatMap(WorkerMessage.init) == message) }
    for junk in ["{}", "[]", "{\"failed\": 999999999999}", "{\"failed\": 3}", "7"] { #expect(JSONText.parse(Array(junk.utf8)).node.flatMap(WorkerMessage.init) == nil) }
  }
}
