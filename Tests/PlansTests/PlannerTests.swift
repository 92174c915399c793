import Plans
import Specs
import Testing

/// A broken file and what is said of it, all of it.
struct Broken: Sendable, CustomTestStringConvertible {
  var name: String
  var stages: String
  var expected: [String]
  var world = World()
  var testDescription: String { name }

  init(_ name: String, _ stages: String, _ expected: String..., world: World = World()) {
    self.name = name
    self.stages = stages
    self.expected = expected
    self.world = world
  }
}

struct PlannerTests {
  /// The stages begin in line 3, each on a line of its own.
  static let broken: [Broken] = [
    Broken(
      "an input that is no stage, with a near one",
      """
        camera: {plugin: numbers}
        show: {plugin: drop, inputs: [camra]}
      """,
      "4:33 unknown-input: there is no stage \"camra\"; did you mean \"camera\"?"),
    Broken(
      "an input that is no stage, with none near",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a, elsewhere]}
      """,
      "4:33 unknown-input: there is no stage \"elsewhere\"; stages: a"),
    Broken(
      "a stage that reads itself",
      """
        a: {plugin: numbers}
        b: {plugin: add, inputs: [a, b]}
        c: {plugin: drop, inputs: [b]}
      """,
      "4:32 cycle: the stage \"b\" reads itself: b -> b; name the stage that comes before it"),
    Broken(
      "a source with inputs",
      """
        a: {plugin: numbers}
        b: {plugin: numbers, inputs: [a]}
        c: {plugin: drop, inputs: [b]}
      """,
      "4:24 source-inputs: \"b\" is a source (numbers) and reads nothing; remove `inputs`, or choose a plugin that is no source"),
    Broken(
      "a transform and a sink without inputs",
      """
        a: {plugin: add}
        b: {plugin: drop}
        c: {plugin: drop, inputs: [a]}
      """,
      "3:3 no-inputs: \"a\" is a transform (add) and needs inputs; add `inputs: [NAME]` with the stage that it reads",
      "4:3 no-inputs: \"b\" is a sink (drop) and needs inputs; add `inputs: [NAME]` with the stage that it reads"),
    Broken(
      "partitions that cannot be",
      """
        a: {plugin: numbers, partition: {key: .a}}
        b: {plugin: add, inputs: [a], partition: {key: .b, input: text}}
        c: {plugin: drop, inputs: [b, d], partition: {key: "wrong filter"}}
        d: {plugin: add, inputs: [b], order: input, partition: {key: .d}}
      """,
      "3:24 source-partition: a source reads nothing that its processes could share; put `partition` under the stage that reads \"a\"",
      "5:54 partition-key: the filter is wrong; try it with `jq -n '…'` on the command line",
      "6:33 partition-order: a stage with `partition` keeps the order of each key, and cannot keep that of its whole input; remove `order`, or `partition`"),
    Broken(
      "limits that leave nothing to work with",
      """
        a: {plugin: numbers, limits: {memory: 1MiB}}
        b: {plugin: drop, inputs: [a], limits: {cpu: 999ms}}
      """,
      "3:41 wrong-value: expected a size of at least 16 MiB with its unit, such as 64KiB or 1MB, found the string \"1MiB\"",
      "4:48 wrong-value: expected a duration from 1s to 365d with its unit, such as 250ms or 5s, found the string \"999ms\""),
    Broken(
      "fewer descriptors than a worker has itself",
      """
        a: {plugin: numbers, limits: {files: 25}}
        b: {plugin: drop, inputs: [a], limits: {files: 23}}
        c: {plugin: drop, inputs: [a], limits: {files: 24}}
      """,
      "3:40 limit-files: a worker of \"a\" needs 26 file descriptors, but `limits` allows only 25; allow at least 26, and as many more as the plugin opens",
      "4:50 limit-files: a worker of \"b\" needs 24 file descriptors, but `limits` allows only 23; allow at least 24, and as many more as the plugin opens"),
    Broken(
      "CPUs that are not there",
      """
        a: {plugin: numbers, affinity: [0, 1-3, 9]}
        b: {plugin: drop, inputs: [a], affinity: [7]}
      """,
      "3:38 unusable-cpu: there is no CPU 2 that this program may use; name some of 0-1, 3, 7",
      "3:43 unusable-cpu: there is no CPU 9 that this program may use; name some of 0-1, 3, 7",
      world: World(cpuNumbers: [0, 1, 3, 7])),
    Broken(
      "an order that nothing can have",
      """
        a: {plugin: numbers, order: input}
        b: {plugin: add, inputs: [a], order: input, processes: 4}
        c: {plugin: add, inputs: [b], order: input, with: {fast: true}}
        d: {plugin: drop, inputs: [c], order: input}
      """,
      "3:24 order-without-inputs: a source has no inputs whose order it could follow; remove it, or put it under the stage whose processes get out of step",
      "5:60 order-of-joint-answers: with this setting the plugin answers several messages at once, which have no place in the order of the inputs; change it, or remove `order`",
      "6:34 order-without-outputs: a sink hands on nothing that could be in order; remove it: a sink of one process takes messages in the order of its queue"),
    Broken(
      "batches that nobody takes, or no queue holds",
      """
        a: {plugin: numbers, batch: {count: 2}}
        b: {plugin: add, inputs: [a], batch: {count: 2}}
        c: {plugin: drop, inputs: [b], processes: 3, queue: {capacity: 8}, batch: {count: 3}}
        d: {plugin: drop, inputs: [b], queue: {capacity: 1}, batch: {count: 2, within: 1s}}
        e: {plugin: several, inputs: [b], batch: {count: 2}, with: {batch: 4}}
        f: {plugin: drop, inputs: [e]}
      """,
      "3:24 batch-without-inputs: a source takes no messages; put `batch` under a stage that reads",
      "4:33 batch-of-one: the plugin \"add\" takes one message at a time; remove `batch`: how much is handed over together follows from how long a message takes",
      "5:85 batch-above-capacity: the queue takes 8 messages, but 3 processes gather 3 each; raise `queue.capacity` to at least 9, or lower `count`",
      "6:71 batch-above-capacity: the queue takes 1 message, but a batch has 2; raise `queue.capacity` to at least 2, or lower `count`",
      "7:63 batch-twice: how large a batch is stands under the stage's `batch` too; remove one of the two"),
    Broken(
      "an input twice",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a, a]}
      """,
      "4:33 input-twice: the input \"a\" is named twice; remove one of the two"),
    Broken(
      "a port that does not exist",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a.large]}
      """,
      "4:30 unknown-port: the stage \"a\" has no port \"large\"; write \"a\" for its messages"),
    Broken(
      "a port of a sink",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a]}
        c: {plugin: drop, inputs: [b.large]}
      """,
      "5:30 unknown-port: the stage \"b\" has no port \"large\"; it is a sink and hands nothing on but `b.dead_letter`"),
    Broken(
      "a slip in the name of a port",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a]}
        c: {plugin: drop, inputs: [a.dead_leter]}
      """,
      "5:30 unknown-port: the stage \"a\" has no port \"dead_leter\"; did you mean \"a.dead_letter\"?"),
    Broken(
      "dead letters that nobody reads",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a], on_error: {then: dead_letter}}
      """,
      "4:51 dead-letters: nobody reads \"b.dead_letter\"; add a stage with `inputs: [b.dead_letter]`, a `file.write` say"),
    Broken(
      "dead letters that never come",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a], on_error: {then: drop}}
        c: {plugin: drop, inputs: [b.dead_letter]}
      """,
      "4:51 dead-letters: \"b.dead_letter\" is read, but what is given up is dropped; remove `then`, or the input"),
    Broken(
      "a limit of dead letters where there are none",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a], on_error: {max_dead_letters: 3}}
      """,
      "4:63 dead-letters: `max_dead_letters` counts dead letters, and \"b\" makes none; add a stage with `inputs: [b.dead_letter]`, or remove it"),
    Broken(
      "a queue too small for dead letters",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a], queue: {message: 30KiB}}
        c: {plugin: drop, inputs: [b.dead_letter], queue: {message: 64KiB}}
      """,
      "5:63 dead-letter-size: the dead letters that come here have up to 104 KiB, and the queue takes 64 KiB; remove `message`: it is then as large as it must be"),
    Broken(
      "a port to ignore that does not exist",
      """
        a: {plugin: numbers, ignore: [else]}
        b: {plugin: drop, inputs: [a]}
      """,
      "3:33 unknown-port: the stage \"a\" has no port \"else\"; remove `ignore`"),
    Broken(
      "messages that nobody reads",
      """
        a: {plugin: numbers}
        b: {plugin: add, inputs: [a]}
      """,
      "4:3 unread: nobody reads the messages of \"b\"; add a stage with `inputs: [b]`; the plugin `discard` throws them away"),
    Broken(
      "a sink that is read",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a]}
        c: {plugin: drop, inputs: [b]}
      """,
      "5:30 sink-read: \"b\" is a sink (drop) and hands nothing on; read what it reads: a"),
    Broken(
      "a cycle, and a stage that only the cycle leads to",
      """
        a: {plugin: add, inputs: [b]}
        b: {plugin: add, inputs: [a]}
        c: {plugin: drop, inputs: [b]}
      """,
      "3:29 cycle: the stages form a cycle: a -> b -> a; messages go one way; remove one of these inputs",
      "5:30 unreachable: no source leads to \"c\": it reads only from a cycle; let it, or the stages before it, read a source"),
    Broken(
      "two cycles that share a stage",
      """
        s: {plugin: numbers}
        a: {plugin: add, inputs: [s, b, c]}
        b: {plugin: add, inputs: [a]}
        c: {plugin: add, inputs: [a]}
        z: {plugin: drop, inputs: [a]}
      """,
      "4:32 cycle: the stages form a cycle: a -> b -> a; messages go one way; remove one of these inputs",
      "4:35 cycle: the stages form a cycle: a -> c -> a; messages go one way; remove one of these inputs"),
    Broken(
      "a queue smaller than its processes",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a], processes: 3, queue: {capacity: 2}}
        c: {plugin: drop, inputs: [a], processes: 300}
      """,
      "4:66 capacity-below-processes: the queue takes 2 messages, but 3 processes read it; raise `capacity` to at least 3, or lower `processes`",
      "5:45 capacity-below-processes: the queue takes 256 messages, but 300 processes read it; raise `capacity` to at least 300, or lower `processes`"),
    Broken(
      "processes of a plugin that runs in one",
      """
        a: {plugin: numbers, processes: 2}
        b: {plugin: drop, inputs: [a]}
      """,
      "3:35 one-process: the plugin \"numbers\" runs in one process; remove `processes`"),
    Broken(
      "more processes than owners",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a], processes: 4000, queue: {capacity: 4000, message: 1B}}
        c: {plugin: drop, inputs: [a], processes: 100}
      """,
      "2:1 too-many-processes: the stages have 4101 processes, but a pipeline has at most 4095; lower `processes`; the most have b 4000, c 100, a 1",
      world: World(descriptors: 1 << 20)),
    Broken(
      "less memory for a queue than its writers need",
      """
        a: {plugin: numbers}
        b: {plugin: add, inputs: [a], processes: 2, queue: {bytes: 2MiB}}
        c: {plugin: drop, inputs: [b], queue: {message: 64KiB, bytes: 100KiB}}
      """,
      "5:65 queue-bytes: the queue needs more than 100 KiB for messages of up to 64 KiB from 2 processes; raise `bytes` to at least 192KiB, or lower `message`"),
    Broken(
      "a queue whose readers hold all that it takes",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a], processes: 2, queue: {capacity: 2, when_full: drop_oldest}}
        c: {plugin: drop, inputs: [a], queue: {capacity: 1, when_full: drop_newest}}
      """,
      "4:80 drop-oldest-capacity: the queue takes 2 messages, all of which may be worked on at once: then none is there to be dropped; raise `capacity` to at least 3, or lower `processes`"),
    Broken(
      "more readers than are counted apart",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a], queue: {when_full: drop_newest}}
      """ + (1...47).map { "\n  c\($0): {plugin: drop, inputs: [a]}" }.joined(),
      "3:3 too-many-readers: 48 stages read \"a\", but where ports are read, a queue drops or keys decide, at most 47 can be counted apart; read it through a stage that hands everything on"),
    Broken(
      "a source with a queue",
      """
        a: {plugin: numbers, queue: {capacity: 3}}
        b: {plugin: drop, inputs: [a]}
      """,
      "3:24 source-queue: a source has no queue; put `queue` under the stage that reads \"a\""),
    Broken(
      "a working directory that is not there",
      """
        a: {plugin: numbers, directory: there}
        b: {plugin: drop, inputs: [a], directory: /tmp}
        c: {plugin: drop, inputs: [a], directory: /nowhere}
      """,
      "3:35 missing-directory: there is no folder \"there\"; relative paths start from the pipeline file's folder, /here",
      "5:45 missing-directory: there is no folder \"/nowhere\""),
    Broken(
      "what a plugin finds wrong with its settings",
      """
        a: {plugin: numbers}
        b: {plugin: add, inputs: [a], with: {text: wrong}}
        c: {plugin: drop, inputs: [b]}
      """,
      "4:46 plugin-setting: the text is wrong; write another"),
    Broken(
      "a size within its pattern and beyond its range",
      """
        a: {plugin: numbers, with: {size: 2MiB}}
        b: {plugin: drop, inputs: [a], queue: {message: 2GiB}}
      """,
      "3:37 wrong-value: expected a size from 1 B to 1 MiB with its unit, such as 64KiB or 1MB, found the string \"2MiB\"",
      "4:51 wrong-value: expected a size from 1 B to 1 GiB with its unit, such as 64KiB or 1MB, found the string \"2GiB\""),
    Broken(
      "the memory budget",
      """
        a: {plugin: numbers}
        b: {plugin: add, inputs: [a], queue: {capacity: 63, message: 16MiB}}
        c: {plugin: drop, inputs: [b], queue: {capacity: 7}}
      """,
      "4:64 memory-budget: the queues reserve 1.0 GiB, more than half of the available memory (512 MiB); the most is reserved by \"b\" (63 x 16 MiB) 1 GiB, \"c\" (7 x 1 MiB) 8 MiB; lower `capacity` or `message`, bound it with `bytes`, or allow more with `memory`",
      world: World(memory: 1 << 30)),
    Broken(
      "too few descriptors",
      """
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a], processes: 100}
      """,
      "2:1 descriptor-limit: the run needs 338 file descriptors, but only 256 are allowed; raise the limit with `ulimit -n 338`, or use fewer processes",
      world: World(descriptors: 256)),
  ]

  @Test(arguments: broken)
  func saysWhatNoSchemaCan(_ file: Broken) throws {
    let checked = try Checked("ringway: 1\nstages:\n" + file.stages, file.world)
    #expect(checked.lines == file.expected)
    #expect(checked.plan == nil)
  }

  @Test func reportsEverythingAtOnceInOrderOfPlace() throws {
    let checked = try Checked(
      """
      ringway: 1
      stages:
        a: {plugin: numbers, processes: 2}
        b: {plugin: add, inputs: [elsewhere, d]}
        c: {plugin: add, inputs: [b], directory: gone}
        d: {plugin: add, inputs: [c]}
        e: {plugin: write, inputs: [d], with: {path: /nowhere/f}}
      """)
    #expect(checked.diagnostics.map(\.code) == ["unread", "one-process", "unknown-input", "cycle", "missing-directory", "missing-directory"])
  }

  @Test func aBudgetInTheFileIsNamedAsSuch() throws {
    let checked = try Checked(
      """
      ringway: 1
      memory: 100MiB
      stages:
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a]}
      """)
    #expect(
      checked.lines == [
        "5:3 memory-budget: the queues reserve 257 MiB, but `memory` allows only 100 MiB; the most is reserved by \"b\" (256 x 1 MiB) 257 MiB; lower `capacity` or `message`, bound it with `bytes`, or raise `memory`"
      ])
  }

  @Test func autoIsOneForEachCPUAndNeverAboveTheCapacity() throws {
    let text = """
      ringway: 1
      stages:
        a: {plugin: numbers, processes: auto}
        b: {plugin: add, inputs: [a], processes: auto}
        c: {plugin: add, inputs: [b], processes: auto, queue: {capacity: 3}}
        d: {plugin: write, inputs: [c], processes: auto, with: {path: d.txt}}
        e: {plugin: drop, inputs: [c]}
      """
    #expect(try Checked(text, World(cpus: 6)).plan?.stages.map(\.processes) == [1, 6, 3, 1, 1])
    #expect(try Checked(text, World(cpus: 0)).plan?.stages.map(\.processes) == [1, 1, 1, 1, 1])
    #expect(try Checked(text, World(cpus: 2)).plan?.stages.map(\.processes) == [1, 2, 2, 1, 1])
  }

  @Test func everySettingOfAStageArrivesInThePlan() throws {
    let checked = try Checked(
      """
      ringway: 1
      name: all
      description: of it
      drain: 1m
      stages:
        z:
          plugin: add
          inputs: [b, a]
          processes: 2
          queue: {capacity: 8, message: 4KiB}
          with: {text: hello}
          restart: {max: 1, within: 2s, backoff: 3ms}
          on_error: {retries: 0, deaths: 9, then: drop}
          timeout: 1.5s
          environment: {B: "2", A: "1"}
          directory: ../tmp
        a: {plugin: numbers}
        b: {plugin: numbers}
        out: {plugin: drop, inputs: [z]}
      """)
    #expect(checked.lines == [])
    let plan = try #require(checked.plan)
    #expect(plan.name == "all")
    #expect(plan.description == "of it")
    #expect(plan.drain == .seconds(60))
    #expect(plan.file == "test.yaml")
    #expect(plan.directory == "/here")
    #expect(plan.stages.map(\.name) == ["a", "b", "z", "out"])
    let z = plan.stages[2]
    #expect(z.kind == .transform)
    #expect(z.inputs == ["b", "a"])
    #expect(z.processes == 2)
    #expect(z.queue?.capacity == 8)
    #expect(z.queue?.messageBytes == 4096)
    #expect(z.queue?.reservedBytes == 10 * 4096)
    #expect(z.settings["text"]?.string == "hello")
    #expect(z.restart == RestartLimits(max: 1, within: .seconds(2), backoff: .milliseconds(3)))
    #expect(z.onError == ErrorPolicy(retries: 0, deaths: 9, then: .drop))
    #expect(z.timeout == .milliseconds(1500))
    #expect(z.environment.map { "\($0.name)=\($0.value)" } == ["A=1", "B=2"])
    #expect(z.directory == "/here/../tmp")
    #expect(plan.writers(to: 2) == [0, 1])
    #expect(plan.readers(of: 0) == [2])
    #expect(plan.readers(of: 2) == [3])
  }

  @Test func whatIsLeftOutHasTheDefaultsOfTheDesign() throws {
    let plan = try #require(try Checked("ringway: 1\nstages: {a: {plugin: numbers}, b: {plugin: drop, inputs: [a]}}").plan)
    #expect(plan.name == "test")
    #expect(plan.drain == .seconds(30))
    #expect(plan.stages[0].queue == nil)
    #expect(plan.stages[1].queue?.capacity == 256)
    #expect(plan.stages[1].queue?.messageBytes == 1 << 20)
    #expect(plan.stages[1].processes == 1)
    #expect(plan.stages[1].restart == RestartLimits(max: 5, within: .seconds(10), backoff: .milliseconds(100)))
    #expect(plan.stages[1].onError == ErrorPolicy(retries: 2, deaths: 3, then: .stop))
    #expect(plan.stages[1].timeout == nil)
    #expect(plan.stages[1].directory == nil)
  }

  /// Each of these has broken a planner that trusted the schema to have passed.
  @Test(arguments: [
    "1", "[]", "{}", "stages: 1", "stages: [a]", "stages: {a: 1}", "stages: {a: {plugin: 1}}", "stages: {a: {plugin: nope, inputs: 3}}",
    "stages: {a: {plugin: numbers, queue: 3, restart: [], on_error: x, with: 1, processes: {}}}",
    "stages: {a: {plugin: add, inputs: [a, a, b, 1, null]}, b: null}", "ringway: 1\nstages: {a: {plugin: drop, inputs: [b]}, b: null}", "ringway: 2\nmemory: x\ndrain: 1\nname: []\nparameters: []",
    "parameters: {a: 1, b: {type: 3, default: {}}}\nstages: {a: {plugin: drop, inputs: [\"${a}\", \"${b}\"]}}",
  ])
  func anInvalidDocumentIsSurvived(_ text: String) throws {
    let expanded = Expansion.expand(try yaml(text), overrides: [("stages.a.queue.capacity", "1"), ("parameters.a.default", "2")])
    let planning = Planner.plan(
      expanded.node, file: "x", directory: "/", catalog: Declared.plugins, surroundings: World().surroundings)
    #expect(planning.plan == nil)
    #expect(!planning.diagnostics.isEmpty)
  }

  @Test(arguments: [("[0, 2-3]", 3), ("[1, 1, 1-1]", 1), ("[0-3]", 4)]) func autoCountsOnlyTheCPUsOfTheAffinity(_ affinity: String, _ count: Int) throws {
    let checked = try Checked("ringway: 1\nstages:\n  a: {plugin: numbers}\n  b: {plugin: drop, inputs: [a], processes: auto, affinity: \(affinity)}\n")
    #expect(try #require(checked.plan, "\(checked.lines)").stages[1].processes == count)
  }

  @Test func aQuotaCountsBesideTheAffinity() throws {
    let checked = try Checked(
      "ringway: 1\nstages:\n  a: {plugin: numbers}\n  b: {plugin: drop, inputs: [a], processes: auto, affinity: [0-3]}\n", World(cpus: 2, cpuNumbers: [0, 1, 2, 3]))
    #expect(try #require(checked.plan, "\(checked.lines)").stages[1].processes == 2)
  }

  @Test(arguments: ["3-1", "0-9999", "1-", "a"]) func aRangeOfCPUsThatIsNoneIsRefused(_ range: String) throws {
    let checked = try Checked("ringway: 1\nstages:\n  a: {plugin: numbers}\n  b: {plugin: drop, inputs: [a], affinity: [\(range)]}\n")
    #expect(checked.plan == nil && checked.diagnostics.count == 1 && checked.lines[0].contains("expected"), "\(checked.lines)")
  }
}
