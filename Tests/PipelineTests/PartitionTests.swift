import Foundation
import Harness
import Testing

/// `partition`: equal keys go to the same process in order, whatever is killed.
@Suite struct PartitionTests {
  /// A folder with a pipeline of these stages and `stages.py`; `PY` stands for a Python stage's plugin.
  /// Which process of its stage a Python worker is stands behind its stage's name in its arguments.
  private static let process = """
    import sys
    from ringway import Message
    words = open("/proc/self/cmdline").read().split("\\0")
    process = int(words[words.index("__worker") + 2]) if "__worker" in words else -1

    """

  private func project(_ stages: String, python: String = "") throws -> Project {
    // Each process has a queue of its own.
    try Project(stages, python: Self.process + python, memory: "64GiB")
  }

  /// Lines `[n, process]`: each n once, the numbers of each key in order, and each key's in one process.
  private func check(_ folder: TemporaryFolder, _ name: String = "out", count: Int, keys: Int, processes: Int, _ note: String) throws {
    let rows = try folder.lines(name).map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [Int] ?? [] }
    #expect(rows.allSatisfy { $0.count == 2 }, "\(note)")
    #expect(rows.map { $0[0] }.sorted() == Array(0..<count), "\(note): each message once")
    var used: Set<Int> = []
    for key in 0..<keys {
      let own = rows.filter { $0[0] % keys == key }
      #expect(zip(own, own.dropFirst()).allSatisfy { $0[0] < $1[0] }, "\(note): the key \(key) is in order")
      #expect(Set(own.map { $0[1] }).count == 1, "\(note): the key \(key) was in several processes")
      used.formUnion(own.map { $0[1] })
    }
    #expect(used.count > processes / 2, "\(note): \(used) of \(processes) processes had keys")
  }

  @Test(arguments: [1, 4]) func aKeyStaysInItsProcessAndInOrderWhateverIsKilled(processes: Int) throws {
    let seed = testSeed()
    let count = 1500, keys = 17
    let project = try project("""
      numbers: {plugin: generate, rate: 1500/s, with: {count: \(count)}}
      count: {PY:count"}, inputs: [numbers], processes: \(processes), queue: {capacity: 32, message: 4KiB}, partition: {key: '.n % \(keys)'}}
      again: {PY:same", batch: 8}, inputs: [count], processes: \(processes), queue: {capacity: 16, message: 4KiB}, partition: {key: '.[0] % \(keys)'}}
      out: {plugin: file.write, inputs: [again], with: {path: out}}
      also: {plugin: file.write, inputs: [numbers], with: {path: also}}
      """, python: """
      def count(value):
          return Message([value["n"], process])
      def same(values):
          return [Message(v) for v in values]
      """)
    let result = try project.run(["--chaos", "kill=2%,stop=0.1%", "--chaos-seed", "\(seed)"])
    #expect(result.status == 0, "seed \(seed): \(result.errors)")
    try check(project.folder, count: count, keys: keys, processes: processes, "seed \(seed)")
    #expect(project.folder.lines("also").count == count, "another reader gets everything")
    let report = try project.report
    #expect(report.balances, "seed \(seed)")
    #expect(((report.json["chaos"] as? [String: Int])?["kills"] ?? 0) >= 10, "seed \(seed)")
    #expect(report.stage("count", "in") == count && report.stage("numbers", "out") == count)
    #expect(try project.inByProcess("count").reduce(0, +) == count && project.inByProcess("count").count == processes)
    #expect(try project.inByProcess("numbers").isEmpty && project.skew("count") >= 1)
  }

  /// The workers of one process are killed at moments of our choice, also when nothing but its own queue is left.
  @Test func aWorkerThatIsKilledGetsItsOwnQueueBack() throws {
    let project = try project("""
      numbers: {plugin: generate, with: {count: 400}}
      slow: {PY:slow"}, inputs: [numbers], processes: 3, rate: 400/s, queue: {capacity: 256, message: 4KiB}, partition: {key: '.n % 7'}, restart: {max: 1000, backoff: 1ms}}
      out: {plugin: file.write, inputs: [slow], with: {path: out}}
      """, python: """
      def slow(value):
          return Message([value["n"], process])
      """)
    let running = try project.start()
    var kills = 0
    while running.process.isRunning, kills < 30 {
      let before = project.folder.lines("out").count
      guard eventually({ !running.process.isRunning || project.folder.lines("out").count > before + 5 }) else { break }
      guard let victim = running.workers.filter({ $0.stage == "slow" }).max(by: { $0.pid < $1.pid }) else { continue }
      kill(victim.pid, SIGKILL)
      kills += 1
    }
    let result = try running.finish()
    #expect(result.status == 0 && kills >= 10, "\(kills) kills: \(result.errors)")
    try check(project.folder, count: 400, keys: 7, processes: 3, "\(kills) kills")
  }

  /// Everything is killed, and the same command goes on; a key finds its queue and its process again.
  @Test func aKeyStaysInItsProcessOverResumes() throws {
    let seed = testSeed()
    var random = Seeded(seed)
    let count = 3000, keys = 23
    let project = try project("""
      numbers: {plugin: generate, with: {count: \(count), rate: 4000/s}}
      count: {PY:count"}, inputs: [numbers], processes: 4, queue: {capacity: 32, message: 4KiB}, partition: {key: '.n % \(keys)'}}
      again: {plugin: jq, inputs: [count], processes: 3, queue: {capacity: 8, message: 4KiB}, partition: {key: '.[0] % \(keys)'}, with: {filter: .}}
      out: {plugin: file.write, inputs: [again], with: {path: out}}
      """, python: """
      def count(value):
          return Message([value["n"], process])
      """)
    let state = project.folder.path("state")
    var kills = 0
    for _ in 0..<8 {
      let running = try project.start(["--state", state])
      // A kill falls anywhere, the making of the state and the recovery of the last kill included.
      let lines = project.folder.lines("out").count
      let more = Int.random(in: 0...800, using: &random)
      _ = eventually(within: 3) { !running.process.isRunning || project.folder.lines("out").count >= lines + more }
      if Bool.random(using: &random) { for worker in running.workers where Bool.random(using: &random) { kill(worker.pid, SIGKILL) } }
      kill(running.pid, SIGKILL)
      let end = try running.finish()
      if end.status == 0 { break }
      #expect(end.status == -SIGKILL, "seed \(seed): exit \(end.status): \(end.errors)")
      kills += 1
      let shown = try Ringway.run(["state", state])
      #expect(shown.status == 0 || shown.status == 78, "seed \(seed): \(shown.output)\(shown.errors)")
    }
    let result = try project.run(["--state", state])
    #expect(result.status == 0 && kills >= 3, "seed \(seed), \(kills) kills: \(result.errors)")
    try check(project.folder, count: count, keys: keys, processes: 4, "seed \(seed), \(kills) kills")
    #expect(try project.report.balances)
    let shown = try Ringway.run(["state", state])
    #expect(shown.status == 0 && shown.output.contains("0/128") && shown.output.contains("0/24"), "\(shown.output)\(shown.errors)")
    // Another number of processes, or another key, would look for a message where it is not.
    let text = try String(contentsOfFile: project.file, encoding: .utf8)
    for (old, new, what) in [
      ("processes: 4", "processes: 5", "stages.count.processes was 4, now it is 5"),
      (".n % 23", ".n % 24", "stages.count.partition was {\"key\":\".n % 23\",\"input\":\"json\"}, now it is {\"key\":\".n % 24\",\"input\":\"json\"}"),
      (", partition: {key: '.[0] % 23'}", "", "stages.again.partition was"),
    ] {
      try text.replacingOccurrences(of: old, with: new).write(toFile: project.file, atomically: true, encoding: .utf8)
      let refused = try project.run(["--state", state])
      #expect(refused.status == 78 && refused.errors.contains(what), "\(refused.errors)")
    }
  }

  /// A key that Python names is used instead of the filter, which would fail here; equal values are equal keys, however they are written.
  @Test func aKeyThatPythonNamesIsUsed() throws {
    let project = try project("""
      values: {PY:values"}}
      count: {PY:count"}, inputs: [values], processes: 4, partition: {key: 'error("not asked")'}}
      all: {plugin: file.write, inputs: [values], with: {path: all}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      """, python: """
      def values():
          for i in range(600):
              key = [{"a": i % 5, "b": [None, "ü"]}, {"b": [None, "ü"], "a": i % 5}, {"a": float(i % 5), "b": (None, "ü")}][i % 3]
              yield Message({"i": i}, key=key)
      def count(value):
          return Message([value["i"], process])
      """)
    let result = try project.run(["--chaos", "kill=1%"])
    #expect(result.status == 0, "\(result.errors)")
    try check(project.folder, count: 600, keys: 5, processes: 2, "named keys")
    #expect(project.folder.lines("all") == (0..<600).map { "{\"i\":\($0)}" }, "nobody else sees the key")
  }

  @Test func whatIsNoKeyIsTheFailureOfTheMessage() throws {
    let project = try project("""
      values: {PY:values"}}
      work: {PY:work"}, inputs: [values], on_error: {retries: 1}}
      count: {plugin: jq, inputs: [work], processes: 2, partition: {key: .k}, with: {filter: .}}
      free: {plugin: discard, inputs: [values]}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      letters: {plugin: file.write, inputs: [work.dead_letter], with: {path: letters.jsonl}}
      """, python: """
      def values():
          for i in range(3):
              yield Message(i, key=object())
      def work(value):
          return Message({"k": 1}, key=[3, object(), float("nan")][value])
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.folder.lines("out").count == 1, "where nobody shares by keys a key is not looked at")
    let errors = try project.objects("letters.jsonl").compactMap { $0["error"] as? String }
    #expect(errors.count == 2 && errors.allSatisfy { $0.hasPrefix("the key of a Message is no JSON value: ") }, "\(errors)")
  }

  /// None, several, an error, or no JSON at all: the stage that makes such a message has failed on it, with one process as with many.
  @Test(arguments: [1, 3]) func aMessageWithoutOneKeyFailsInTheStageThatMadeIt(processes: Int) throws {
    let project = try project("""
      lines: {PY:lines"}}
      work: {plugin: exec, with: {command: [cat]}, inputs: [lines], on_error: {retries: 0}}
      count: {plugin: jq, inputs: [work], processes: \(processes), partition: {key: 'if . == 1 then empty elif . == 2 then (1, 2) elif . == 3 then error("no") else . end'}, with: {filter: .}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      letters: {plugin: file.write, inputs: [work.dead_letter], with: {path: letters.jsonl}}
      """, python: """
      def lines():
          yield from ["0", "1", "2", "3", "four", "null", "[]"]
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.folder.lines("out").sorted() == ["0", "[]", "null"])
    let letters = try project.objects("letters.jsonl")
    let errors = Dictionary(uniqueKeysWithValues: letters.map { ($0["payload"] as? String ?? "", $0["error"] as? String ?? "") })
    let reason = "no key for \"count\" (`partition`): "
    #expect(errors["1"] == reason + "the filter gives no value" && errors["2"] == reason + "the filter gives several values", "\(errors)")
    #expect(errors["3"] == reason + "jq: no" && errors["four"]?.hasPrefix(reason + "the message is not JSON") == true && errors.count == 4, "\(errors)")
    #expect(letters.allSatisfy { $0.keys.contains("key") == false && $0["attempts"] as? Int == 1 }, "another try would find the same")
  }

  /// Text is a string to the filter, so any line has a key.
  @Test func aLineOfTextMayBeItsOwnKey() throws {
    let project = try project("""
      lines: {plugin: file.read, with: {path: words.txt}}
      count: {plugin: exec, with: {command: [cat]}, inputs: [lines], processes: 3, partition: {key: '.[:1]', input: text}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      """)
    let words = (0..<300).map { "\(["apple", "bee", "cat", "{no json"][$0 % 4]) \($0)" }
    _ = try project.folder.write("words.txt", words.map { $0 + "\n" }.joined())
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    let lines = project.folder.lines("out")
    #expect(lines.sorted() == words.sorted())
    for first in ["a", "b", "c", "{"] { #expect(lines.filter { $0.hasPrefix(first) } == words.filter { $0.hasPrefix(first) }) }
  }

  /// A dead letter says by which key its message came, and a replay sends it by that key; who reads letters may share them by keys as well.
  @Test func aDeadLetterNamesItsKeyAndGoesBackByIt() throws {
    let project = try project("""
      values: {PY:values"}}
      work: {PY:work"}, inputs: [values], processes: 3, partition: {key: '{n: .n, k: "own"}'}, on_error: {retries: 0}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      seen: {plugin: jq, inputs: [work.dead_letter], processes: 2, partition: {key: .key}, with: {filter: '.key'}}
      keys: {plugin: file.write, inputs: [seen], with: {path: keys}}
      letters: {plugin: file.write, inputs: [work.dead_letter], with: {path: letters.jsonl}}
      """, python: """
      import os
      def values():
          for i in range(60):
              yield Message({"n": i, "k": i % 4}, key="K%d" % (i % 4) if i % 2 else None)
      def work(value):
          if "MEND" in os.environ:
              return Message([value["n"], process])
          raise ValueError("no")
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    let letters = try project.objects("letters.jsonl")
    #expect(letters.count == 60 && project.folder.lines("out").isEmpty)
    for letter in letters {
      let value = try JSONSerialization.jsonObject(with: Data((letter["payload"] as? String ?? "").utf8)) as? [String: Int] ?? [:]
      let n = value["n"] ?? -1
      if n % 2 == 1 { #expect(letter["key"] as? String == "K\(n % 4)") } else {
        let key = letter["key"] as? [String: Any]
        #expect(key?["n"] as? Int == n && key?["k"] as? String == "own", "\(letter)")
      }
    }
    #expect(project.folder.lines("keys").count == 60 && Set(project.folder.lines("keys")).count == 32)
    try FileManager.default.moveItem(atPath: project.folder.path("letters.jsonl"), toPath: project.folder.path("again.jsonl"))
    let replayed = try Ringway.run(["replay", "again.jsonl", "--progress", "off"], in: project.folder.url, environment: ["MEND": "1"])
    #expect(replayed.status == 0, "\(replayed.errors)")
    let rows = try project.folder.lines("out").map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [Int] ?? [] }
    #expect(rows.map { $0[0] }.sorted() == Array(0..<60))
    for k in [1, 3] { #expect(Set(rows.filter { $0[0] % 4 == k }.map { $0[1] }).count == 1, "the named key K\(k)") }
  }

  /// One key has everything: the table, the report and the sentence say so.
  @Test func skewShowsInTheTable() throws {
    let project = try project("""
      numbers: {plugin: generate, with: {count: 3000}}
      work: {plugin: hash, inputs: [numbers], processes: 3, queue: {capacity: 64, message: 4KiB}, partition: {key: 'if .n % 30 == 0 then .n else "hot" end'}, with: {rounds: 3000}}
      even: {plugin: jq, inputs: [numbers], processes: 2, queue: {capacity: 64, message: 4KiB}, partition: {key: '.n % 256'}, with: {filter: .}}
      out: {plugin: discard, inputs: [work, even]}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(try project.skew("work") > 2.8 && project.skew("work") <= 3 && project.skew("even") < 1.3)
    #expect(try project.inByProcess("work").reduce(0, +) == 3000)
    let head = try #require(result.errors.split(separator: "\n").first { $0.hasPrefix("stage ") })
    #expect(head.contains("  skew  "), "\(result.errors)")
    let row = try #require(result.errors.split(separator: "\n").first { $0.hasPrefix("work ") })
    #expect(row.contains(" 2.9"), "\(row)")
    let hot = try #require(try project.inByProcess("work").enumerated().max { $0.element < $1.element }?.offset)
    #expect(result.errors.contains("work limits the run: its process work[\(hot)] got 9"), "\(result.errors)")
    #expect(result.errors.contains("the 2 others"), "\(result.errors)")
  }

  @Test func aQueueThatDropsDropsOfEachKeyInOrder() throws {
    let project = try project("""
      numbers: {plugin: generate, with: {count: 4000, rate: 4000/s}}
      slow: {plugin: jq, inputs: [numbers], processes: 2, queue: {capacity: 8, when_full: drop_oldest}, rate: 300/s, partition: {key: '.n % 5'}, with: {filter: .n}}
      out: {plugin: file.write, inputs: [slow], with: {path: out}}
      """)
    let result = try project.run(["--chaos", "kill=1%"])
    #expect(result.status == 0, "\(result.errors)")
    let lines = project.folder.lines("out").compactMap { Int($0) }
    let report = try project.report
    #expect(report.balances && report.stage("slow", "queue_dropped") + lines.count == 4000 && report.stage("slow", "queue_dropped") > 0, "\(result.errors)")
    for key in 0..<5 { #expect(zip(lines.filter { $0 % 5 == key }, lines.filter { $0 % 5 == key }.dropFirst()).allSatisfy(<)) }
  }

  /// What a source reserves in a ring is copied into the one that its key names.
  @Test func largeMessagesFindTheirProcess() throws {
    let project = try project("""
      big: {plugin: generate, with: {count: 200, size: 100KiB}}
      count: {plugin: hash, inputs: [big], processes: 2, partition: {key: '.[:2]', input: text}, queue: {capacity: 4, message: 128KiB}, with: {rounds: 1}}
      all: {plugin: hash, inputs: [big], with: {rounds: 1}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      same: {plugin: file.write, inputs: [all], with: {path: same}}
      """)
    let result = try project.run(["--chaos", "kill=1%"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.folder.lines("out").count == 200 && project.folder.lines("out").sorted() == project.folder.lines("same").sorted())
    #expect(try project.inByProcess("count").allSatisfy { $0 > 0 })
  }

  /// Nobody else has what a source has made: the letter of a message without a key holds it.
  @Test(arguments: ["PY:values\"}", "plugin: generate, with: {count: 10}"]) func aLetterOfASourceHoldsItsMessage(source: String) throws {
    let project = try project("""
      values: {\(source)}
      count: {plugin: jq, inputs: [values], processes: 2, partition: {key: 'if .n % 5 == 3 then error("no key") else .n end'}, with: {filter: .n}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      original: {plugin: jq, inputs: [values.dead_letter], with: {filter: '.payload | fromjson | .n'}}
      letters: {plugin: file.write, inputs: [original], with: {path: letters}}
      """, python: """
      def values():
          for n in range(10):
              yield {"n": n}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.folder.lines("letters") == ["3", "8"])
    #expect(project.folder.lines("out").compactMap { Int($0) }.sorted() == [0, 1, 2, 4, 5, 6, 7, 9])
  }
}

extension Project {
  fileprivate func inByProcess(_ stage: String) throws -> [Int] {
    ((try report.json["stages"] as? [String: [String: Any]])?[stage]?["in_by_process"] as? [Int]) ?? []
  }

  fileprivate func skew(_ stage: String) throws -> Double {
    ((try report.json["stages"] as? [String: [String: Any]])?[stage]?["skew"] as? NSNumber)?.doubleValue ?? -1
  }
}
