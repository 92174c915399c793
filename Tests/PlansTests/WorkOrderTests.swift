import Plans
import Specs
import Testing

struct WorkOrderTests {
  @Test func anOrderIsReadAsItWasWritten() throws {
    var order = WorkOrder(
      stage: "detect", plugin: "jq", kind: .transform, worker: 7, process: 3, directory: "/with \"quotes\"\n", settings: try yaml("{filter: \". | \\\"ü\\\\n\\\"\", raw: true, n: [1, 2.5, null]}"),
      retries: 2, deaths: 3, then: .drop, cells: 5, input: WorkOrder.Attachment(descriptor: 6, lane: 3),
      outputs: [WorkOrder.Attachment(descriptor: 7, lane: 0), WorkOrder.Attachment(descriptor: 8, lane: 12)], sockets: [9, 10], standardOutput: 11)
    order.rate = 0.1
    order.nice = -3
    order.affinity = [0, 130]
    order.limits = ProcessLimits(memoryBytes: 1 << 40, files: 64)
    order.partition = PartitionRule(key: ".\"é\"", input: .text)
    order.partitions = [WorkOrder.Partition(reader: "next", outputs: 0..<2, rule: PartitionRule(key: ".a"))]
    let read = try #require(WorkOrder(decoding: order.encoded()))
    #expect(read.partition == order.partition && read.partitions == order.partitions)
    #expect(read.stage == order.stage)
    #expect(read.plugin == order.plugin)
    #expect(read.worker == 7)
    #expect(read.process == 3)
    #expect(read.directory == order.directory)
    #expect(JSON(read.settings) == JSON(order.settings))
    #expect(read.retries == 2)
    #expect(read.deaths == 3)
    #expect(read.then == .drop)
    #expect(read.cells == 5)
    #expect(read.input == order.input)
    #expect(read.outputs == order.outputs)
    #expect(read.sockets == [9, 10])
    #expect(read.standardOutput == 11)
    #expect(read.rate == 0.1)
    #expect(read.nice == -3)
    #expect(read.affinity == [0, 130])
    #expect(read.limits == order.limits)
    #expect(read.chaos == nil)
    var source = order
    source.input = nil
    source.standardOutput = nil
    source.chaos = Chaos("kill=1%,delay=0.5%")
    source.chaos?.seed = 7
    let other = try #require(WorkOrder(decoding: source.encoded()))
    #expect(other.input == nil)
    #expect(other.standardOutput == nil)
    #expect(other.chaos == source.chaos && other.chaos?.kill == 10_000 && other.chaos?.delay == 5000 && other.chaos?.seed == 7)
  }

  @Test(arguments: ["", "{}", "[]", "{\"stage\":\"a\"}", "{\"stage\":1}", "\u{0}"])
  func whatIsNoOrderIsNone(_ text: String) { #expect(WorkOrder(decoding: Array(text.utf8)) == nil) }

  @Test(arguments: [
    WorkerMessage.ready, .messageFailed(id: "00ff", error: "a \"b\"\n", errors: 3, deaths: 1), .messageDropped(id: "1", error: "", errors: 0, deaths: 9),
    .failed(code: .io, text: "disk full"), .chaos(.stop),
  ])
  func aWorkersMessageIsOneLineThatReadsBack(_ message: WorkerMessage) throws {
    #expect(message.line.hasSuffix("\n"))
    #expect(message.line.utf8.count { $0 == UInt8(ascii: "\n") } == 1)
    let node = try #require(JSONText.parse(Array(message.line.utf8)).node)
    #expect(WorkerMessage(node) == message)
  }

  /// A broken worker may write anything.
  @Test(arguments: ["{}", "[]", "1", "{\"ready\":false}", "{\"ready\":1}", "{\"failed\":3}", "{\"failed\":1e40}", "{\"message_failed\":1}", "{\"chaos\":\"burn\"}"])
  func whatIsNoMessageIsNone(_ text: String) throws {
    #expect(WorkerMessage(try #require(JSONText.parse(Array(text.utf8)).node)) == nil)
  }

  @Test func countsThatABrokenWorkerMakesUpAreNotNegative() throws {
    let node = try #require(JSONText.parse(Array("{\"message_failed\":\"x\",\"errors\":-5,\"deaths\":99999999999999999999}".utf8)).node)
    #expect(WorkerMessage(node) == .messageFailed(id: "x", error: "", errors: 0, deaths: 0))
  }
}
