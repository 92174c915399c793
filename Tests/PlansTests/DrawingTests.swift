import Plans
import Specs
import Testing

struct DrawingTests {
  /// Two components; a broadcast, a merge, several processes.
  private static let file = """
    ringway: 1
    name: all-shapes
    description: |
      Two lines
      of "words"
    stages:
      camera: {plugin: numbers}
      ticks: {plugin: numbers}
      detect: {plugin: add, inputs: [camera], processes: 3, queue: {capacity: 64, message: 64KiB}}
      merge: {plugin: add, inputs: [detect, ticks], queue: {capacity: 8}}
      keep: {plugin: write, inputs: [merge], with: {path: out.txt}, queue: {capacity: 4}}
      send: {plugin: post, inputs: [merge, detect], with: {token: hunter2, headers: {Authorization: hunter2}}, queue: {capacity: 4}}
      alone: {plugin: numbers}
      nowhere: {plugin: drop, inputs: [alone], processes: 2, queue: {capacity: 2, message: 16B}}
    """

  private func plan() throws -> Plan {
    let checked = try Checked(Self.file)
    return try #require(checked.plan, "\(checked.lines)")
  }

  @Test func theTreeShowsMergesAndBroadcasts() throws {
    #expect(
      try plan().drawn(as: .tree) == """
        all-shapes: Two lines of "words"

        stage             plugin   processes  queue        reserves
        camera            numbers          1
        └── detect        add              3  64 x 64 KiB  4.1 MiB   each message to merge, send
            ├── merge     add              1  8 x 1 MiB    12 MiB    merges ticks, detect; each message to keep, send
            │   ├── keep  write            1  4 x 1 MiB    5 MiB
            │   └── send  post             1  4 x 1 MiB    8 MiB     merges detect, merge
            └── send      (above)
        ticks             numbers          1
        └── merge         (above)

        alone             numbers          1
        └── nowhere       drop             2  2 x 16 B     48 B

        8 stages, 11 processes, 2 components, 29.1 MiB reserved

        """)
  }

  @Test func whatHoldsAStageDownIsShown() throws {
    let checked = try Checked(
      """
      ringway: 1
      stages:
        a: {plugin: numbers, rate: 30/m, limits: {memory: 2GiB, files: 1024, cpu: 1h}, nice: -5, affinity: [3, 0-1]}
        b: {plugin: drop, inputs: [a]}
      """)
    let plan = try #require(checked.plan, "\(checked.lines)")
    #expect(plan.drawn(as: .tree).contains("limits: memory 2 GiB, files 1024, cpu 1h; nice -5; CPUs 0-1, 3; at most 30/m\n"))
    #expect(plan.drawn(as: .dot).contains(#"label="a\nnumbers\nlimits: memory 2 GiB, files 1024, cpu 1h\nnice -5\nCPUs 0-1, 3\nat most 30/m""#))
    #expect(plan.drawn(as: .mermaid).contains("\"a<br>numbers<br>limits: memory 2 GiB, files 1024, cpu 1h<br>nice -5<br>CPUs 0-1, 3<br>at most 30/m\""))
    #expect(plan.drawn(as: .json).contains("\"rate_per_second\": 0.5"))
    #expect(plan.drawn(as: .json).contains("\"cpu_seconds\": 3600"))
  }

  @Test func dotIsForGraphviz() throws {
    #expect(
      try plan().drawn(as: .dot) == #"""
        digraph "all-shapes" {
          rankdir=LR;
          node [fontname="sans-serif"];
          edge [fontname="sans-serif", fontsize=10];
          label="8 stages, 11 processes, 2 components, 29.1 MiB reserved";
          s0 [shape=invhouse, label="camera\nnumbers"];
          s1 [shape=invhouse, label="ticks\nnumbers"];
          s2 [shape=box, label="detect x3\nadd"];
          s3 [shape=box, label="merge\nadd"];
          s4 [shape=house, label="keep\nwrite"];
          s5 [shape=house, label="send\npost"];
          s6 [shape=invhouse, label="alone\nnumbers"];
          s7 [shape=house, label="nowhere x2\ndrop"];
          s0 -> s2 [label="64 x 64 KiB, reserves 4.1 MiB"];
          s1 -> s3 [label="8 x 1 MiB, reserves 12 MiB"];
          s2 -> s3 [label="8 x 1 MiB, reserves 12 MiB"];
          s3 -> s4 [label="4 x 1 MiB, reserves 5 MiB"];
          s2 -> s5 [label="4 x 1 MiB, reserves 8 MiB"];
          s3 -> s5 [label="4 x 1 MiB, reserves 8 MiB"];
          s6 -> s7 [label="2 x 16 B, reserves 48 B"];
        }

        """#)
  }

  @Test func mermaidIsForMarkdown() throws {
    #expect(
      try plan().drawn(as: .mermaid) == #"""
        flowchart LR
          s0[/"camera<br>numbers"/]
          s1[/"ticks<br>numbers"/]
          s2["detect x3<br>add"]
          s3["merge<br>add"]
          s4[\"keep<br>write"\]
          s5[\"send<br>post"\]
          s6[/"alone<br>numbers"/]
          s7[\"nowhere x2<br>drop"\]
          s0 -->|"64 x 64 KiB, reserves 4.1 MiB"| s2
          s1 -->|"8 x 1 MiB, reserves 12 MiB"| s3
          s2 -->|"8 x 1 MiB, reserves 12 MiB"| s3
          s3 -->|"4 x 1 MiB, reserves 5 MiB"| s4
          s2 -->|"4 x 1 MiB, reserves 8 MiB"| s5
          s3 -->|"4 x 1 MiB, reserves 8 MiB"| s5
          s6 -->|"2 x 16 B, reserves 48 B"| s7
          %% all-shapes: 8 stages, 11 processes, 2 components, 29.1 MiB reserved

        """#)
  }

  @Test func jsonIsForPrograms() throws {
    let node = try #require(JSONText.parse(Array(try plan().drawn(as: .json).utf8)).node)
    #expect(node["pipeline"]?.string == "all-shapes")
    #expect(node["description"]?.string == "Two lines\nof \"words\"\n")
    #expect(node["file"]?.string == "test.yaml")
    #expect(node["stages"]?.items?.map { $0["name"]?.string } == ["camera", "ticks", "detect", "merge", "keep", "send", "alone", "nowhere"])
    let detect = try #require(node["stages"]?.items?[2])
    #expect(
      JSON(detect) == [
        "name": "detect", "plugin": "add", "kind": "transform", "processes": 3, "inputs": ["camera"],
        "outputs": [["port": "detect", "readers": ["merge", "send"]]],
        "queue": ["capacity": 64, "message_bytes": 65536, "bytes": .null, "when_full": "block", "reserved_bytes": 4_259_840],
      ])
    #expect(node["stages"]?.items?[0]["queue"]?.isNull == true)
    #expect(node["stages"]?.items?[5]["outputs"].map(JSON.init) == [])
    #expect(node["components"].map(JSON.init) == [["camera", "ticks", "detect", "merge", "keep", "send"], ["alone", "nowhere"]])
    #expect(node["totals"].map(JSON.init) == ["stages": 8, "processes": 11, "components": 2, "reserved_bytes": 30_474_288])
  }

  @Test(arguments: Drawing.allCases)
  func noDrawingShowsASetting(_ drawing: Drawing) throws {
    let text = try plan().drawn(as: drawing)
    #expect(!text.contains("hunter2"))
    #expect(!text.contains("out.txt"))
  }

  /// Names of files and plugins may hold anything.
  @Test func whatHasAMeaningInALanguageIsEscaped() {
    let odd = "a\"b\\n<c>#\n\u{1b}[31m"
    let plan = Plan(
      name: odd, description: odd, file: odd, directory: "/",
      stages: [Stage(name: "x", plugin: odd, kind: .source), Stage(name: "y", plugin: "drop", kind: .sink, inputs: ["x"], queue: Queue())],
      drain: .seconds(1))
    let dot = plan.drawn(as: .dot).split(separator: "\n")
    #expect(dot[0] == #"digraph "a\"b\\n<c># [31m" {"#)
    #expect(dot[5] == #"  s0 [shape=invhouse, label="x\na\"b\\n<c># [31m"];"#)
    let mermaid = plan.drawn(as: .mermaid).split(separator: "\n")
    #expect(mermaid[1] == #"  s0[/"x<br>a#quot;b\n#lt;c#gt;#35; [31m"/]"#)
    #expect(JSONText.parse(Array(plan.drawn(as: .json).utf8)).node?["pipeline"]?.string == odd)
    for drawing in Drawing.allCases { #expect(!plan.drawn(as: drawing).unicodeScalars.contains("\u{1b}")) }
  }

  @Test func aLongChainGoesOnAtTheLeft() throws {
    var text = "ringway: 1\nname: chain\nstages:\n  s0: {plugin: numbers}\n"
    for i in 1...20 { text += "  s\(i): {plugin: \(i == 20 ? "drop" : "add"), inputs: [s\(i - 1)]}\n" }
    let lines = try #require(try Checked(text).plan).drawn(as: .tree).split(separator: "\n").map(String.init)
    #expect(lines[18].hasPrefix(String(repeating: "    ", count: 15) + "└── s16") == true)
    #expect(lines[18].hasSuffix("continued below"))
    #expect(lines[19].split(separator: " ") == ["s16", "continued"])
    #expect(lines[20].hasPrefix("└── s17 "))
  }
}
