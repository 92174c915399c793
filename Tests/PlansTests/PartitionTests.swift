import Plans
import Specs
import Testing

/// What a plan makes of `partition`.
struct PartitionTests {
  private func checked(_ stages: String, _ world: World = World()) throws -> Checked { try Checked("ringway: 1\nstages:\n" + stages, world) }

  @Test func eachProcessHasAQueueOfItsOwn() throws {
    let plan = try #require(try checked("""
        a: {plugin: numbers}
        b: {plugin: add, inputs: [a], processes: 3, partition: {key: .user}, queue: {capacity: 2, message: 1MiB}}
        c: {plugin: add, inputs: [a], processes: 3, queue: {capacity: 8, message: 1MiB}}
        d: {plugin: drop, inputs: [b, c], partition: {key: ., input: text}}
      """).plan)
    #expect(plan.stages.map(\.queues) == [0, 3, 1, 1] && plan.stages.map(\.processesOfAQueue) == [1, 1, 3, 1])
    #expect(plan.stages[1].partition == PartitionRule(key: ".user") && plan.stages[3].partition == PartitionRule(key: ".", input: .text))
    #expect((0..<4).map(plan.isUniform) == [false, false, false, true])
    #expect(plan.reservedBytes(ofStage: 1) == 3 * (2 + 1) << 20 && plan.reservedBytes(ofStage: 2) == (8 + 1) << 20)
    let tree = plan.drawn(as: .tree)
    #expect(tree.contains("3 x (2 x 1 MiB)") && tree.contains("partitioned by .user") && !tree.contains("1 x (8"), "\(tree)")
    #expect(plan.drawn(as: .mermaid).contains("3 x (2 x 1 MiB), reserves 9 MiB"))
    #expect(plan.drawn(as: .json).contains("\"key\": \".user\""))
  }

  /// The capacity is that of each queue, so it has nothing to do with how many processes there are.
  @Test func capacitiesAndProcessesAreFree() throws {
    #expect(try checked("""
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a], processes: 4, partition: {key: .user}, queue: {capacity: 1}}
        c: {plugin: drop, inputs: [a], processes: 4, partition: {key: .user}, queue: {capacity: 2, when_full: drop_oldest}}
      """).lines == [])
    let auto = try checked("  a: {plugin: numbers}\n  b: {plugin: drop, inputs: [a], processes: auto, partition: {key: .user}, queue: {capacity: 1}}\n")
    #expect(auto.plan?.stages[1].processes == 4)
    let one = try checked("  a: {plugin: numbers}\n  b: {plugin: drop, inputs: [a], processes: 4, partition: {key: .user}, queue: {capacity: 1, when_full: drop_oldest}}\n")
    #expect(one.lines.count == 1 && one.lines[0].hasSuffix("raise `capacity` to at least 2"), "\(one.lines)")
  }

  @Test func whatTheQueuesTakeIsCounted() throws {
    var world = World()
    world.memory = 100 << 20
    let memory = try checked("  a: {plugin: numbers}\n  b: {plugin: drop, inputs: [a], processes: 8, partition: {key: .user}, queue: {capacity: 7, message: 1MiB}}\n", world)
    #expect(memory.lines.count == 1 && memory.lines[0].contains("the queues reserve 64 MiB") && memory.lines[0].contains("\"b\" (8 x (7 x 1 MiB)) 64 MiB"), "\(memory.lines)")
    world = World()
    world.descriptors = 64
    let files = try checked("  a: {plugin: numbers}\n  b: {plugin: drop, inputs: [a], processes: 8, partition: {key: .user}}\n", world)
    #expect(files.lines == [
      "2:1 descriptor-limit: the run needs 69 file descriptors, but only 64 are allowed; raise the limit with `ulimit -n 69`, or use fewer processes"
    ])
  }

  @Test func aSecretIsNoKey() throws {
    let found = try Checked("""
      ringway: 1
      parameters: {token: {type: string, default: abc, secret: true}}
      stages:
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a], partition: {key: ".${token}"}}
      """)
    #expect(found.lines.count == 1 && found.lines[0].contains("secret-shown: `key` is shown in graphs and kept in states"), "\(found.lines)")
  }
}
