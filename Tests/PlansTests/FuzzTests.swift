import Harness
import Plans
import Specs
import Testing

/// Documents that are nearly right: a sound one with some of its parts replaced, removed, doubled or renamed.
struct FuzzTests {
  private static let sound = """
    ringway: 1
    name: fuzz
    memory: 8GiB
    drain: 5s
    parameters:
      count: {type: integer, default: 7}
      token: {type: string, secret: true, default: hunter2-hunter2}
      path: {type: string, default: "${OUT:-a.txt}"}
    stages:
      numbers: {plugin: numbers, with: {count: "${count}", size: 1KiB}}
      lines: {plugin: read, with: {path: "*.txt"}}
      add: {plugin: add, inputs: [numbers, lines], processes: auto, queue: {capacity: 8, message: 4KiB}, with: {text: "a ${count}"}}
      more: {plugin: add, inputs: [add], processes: "${count}", timeout: 5s, restart: {max: 3, within: 1s, backoff: 1ms}}
      keep: {plugin: write, inputs: [more, add], with: {path: "${path}", mode: append}, directory: /tmp}
      send: {plugin: post, inputs: [more], with: {token: "${token}", headers: {A: "b ${token}"}}, on_error: {retries: 1, then: drop}}
    """

  @Test func aFileThatIsNearlyRightIsAnsweredInOrder() throws {
    let seed = testSeed()
    var random = Seeded(seed)
    let sound = try yaml(Self.sound)
    let world = World(files: ["/here/b.txt"]).surroundings
    var plans = 0
    for round in 0..<1500 {
      var document = sound
      for _ in 0..<Int.random(in: 0...3, using: &random) { document = mutated(document, &random) }
      let sets: [(path: String, value: String)] = Int.random(in: 0..<4, using: &random) == 0 ? [(randomPath(&random), randomText(&random))] : []
      let expanded = Expansion.expand(document, overrides: sets, catalog: Declared.plugins)
      let planning = Planner.plan(expanded.node, file: "f.yaml", directory: "/here", catalog: Declared.plugins, surroundings: world)
      let all = expanded.diagnostics + expanded.attributed(planning.diagnostics)
      #expect((planning.plan == nil) == planning.diagnostics.contains { $0.severity == .error }, "seed \(seed), round \(round)")
      // A mutation may have copied the secret to where nobody calls it one, or have taken away what calls it so.
      let token = document["parameters"]?["token"]
      let isCovered = token?["secret"]?.boolean == true && token?["default"]?.string == "hunter2-hunter2"
        && JSON(document).compact.ranges(of: "hunter2-hunter2").count == 1
      for diagnostic in all where sets.isEmpty {
        #expect(!isCovered || !diagnostic.message.contains("hunter2"), "seed \(seed), round \(round): \(diagnostic.message)")
        #expect(!isCovered || !(diagnostic.remedy ?? "").contains("hunter2"), "seed \(seed), round \(round)")
        #expect(!diagnostic.message.isEmpty && !diagnostic.message.hasSuffix("."), "seed \(seed), round \(round): \(diagnostic.message)")
      }
      guard let plan = planning.plan else { continue }
      plans += 1
      #expect(Set(plan.stages.map(\.name)).count == plan.stages.count, "seed \(seed), round \(round)")
      for (i, stage) in plan.stages.enumerated() {
        #expect(stage.processes >= 1 && (stage.queue == nil || stage.processes <= stage.queue?.capacity ?? 0), "seed \(seed), round \(round)")
        #expect((stage.kind == .source) == plan.writers(to: i).isEmpty, "seed \(seed), round \(round)")
        #expect((stage.kind == .sink) == plan.readers(of: i).isEmpty, "seed \(seed), round \(round)")
      }
      for drawing in Drawing.allCases { #expect(!isCovered || !plan.drawn(as: drawing).contains("hunter2"), "seed \(seed), round \(round)") }
    }
    #expect(plans > 100, "seed \(seed)")
  }

  private func randomText(_ random: inout Seeded) -> String {
    ["", "x", "0", "-1", "4096", "${count}", "${", "${nope}", "${token}", "$${x}", "[1", "{}", "[\"add\"]", "true", "null", "1e99", "9223372036854775807", "numbers", "add", "\0", "5s", "1TiB"]
      .randomElement(using: &random) ?? ""
  }

  private func randomPath(_ random: inout Seeded) -> String {
    ["count", "stages.add.processes", "stages.add.inputs.0", "stages.keep.queue.capacity", "stages.add", "stages", "x.y", "", ".", "parameters.count", "stages.send.with.headers.A", "stages.add.inputs.-1", "memory"]
      .randomElement(using: &random) ?? ""
  }

  private func randomNode(_ random: inout Seeded) -> Node {
    switch Int.random(in: 0..<8, using: &random) {
    case 0: return Node(.null)
    case 1: return Node(.boolean(true))
    case 2: return .integer([Int.min, -1, 0, 1, 3, 100_000, Int.max].randomElement(using: &random) ?? 0)
    case 3: return Node(.number([.nan, .infinity, -0.0, 1.5, 1e300].randomElement(using: &random) ?? 0))
    case 4: return Node(.sequence([randomNode(&random)]))
    case 5: return .mapping([Node.Pair(key: randomText(&random), value: randomNode(&random))])
    default: return .string(randomText(&random))
    }
  }

  /// The same document with one thing changed, somewhere.
  private func mutated(_ node: Node, _ random: inout Seeded) -> Node {
    var node = node
    let stops = Int.random(in: 0..<5, using: &random) == 0
    switch node.value {
    case .mapping(var pairs) where !pairs.isEmpty && !stops:
      let i = Int.random(in: pairs.indices, using: &random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0: pairs.remove(at: i)
      case 1: pairs[i].key = pairs.randomElement(using: &random)?.key ?? ""
      case 2: pairs[i].key = randomText(&random)
      case 3: pairs.append(Node.Pair(key: randomText(&random), value: pairs[i].value))
      default: pairs[i].value = mutated(pairs[i].value, &random)
      }
      // Keys of a composed document are unique.
      if Set(pairs.map(\.key)).count == pairs.count { node.value = .mapping(pairs) }
    case .sequence(var items) where !items.isEmpty && !stops:
      let i = Int.random(in: items.indices, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0: items.remove(at: i)
      case 1: items.append(items[i])
      default: items[i] = mutated(items[i], &random)
      }
      node.value = .sequence(items)
    default:
      var other = randomNode(&random)
      other.span = node.span
      return other
    }
    return node
  }
}
