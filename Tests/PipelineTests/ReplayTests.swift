import Foundation
import Harness
import Testing

/// What was given up goes in again, as it was.
@Suite struct ReplayTests {
  private static let letters = "letters: {plugin: file.write, inputs: [work.dead_letter], with: {path: letters.jsonl}}"

  /// A run, a mended parameter, a replay: every message is there once, behind what was there, and what was given up again is a new letter.
  @Test func whatWasGivenUpComesThroughOnceItIsMended() throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 300}}
      also: {plugin: generate, with: {count: 20}}
      work: {plugin: jq, inputs: [numbers], processes: 2, with: {filter: 'if .n % ${MODULUS:-10} == 0 then error("no") else .n end'}, on_error: {retries: 0}}
      more: {plugin: jq, inputs: [also, work], with: {filter: .}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      both: {plugin: file.write, inputs: [more], with: {path: both}}
      \(Self.letters)
      """, memory: "64GiB")
    #expect(try project.run().status == 0)
    #expect(project.folder.lines("letters.jsonl").count == 30 && project.folder.lines("out").count == 270)
    let first = project.folder.lines("out")

    // The file that letters are written to would be read and written.
    let refused = try project.replay(letters: "letters.jsonl")
    #expect(refused.status == 64 && refused.errors.contains("stage \"letters\" writes letters.jsonl") && refused.errors.contains("rename it"), "\(refused.errors)")
    #expect(project.folder.lines("letters.jsonl").count == 30 && project.folder.lines("out") == first)

    try project.rename()
    let result = try project.replay("--set", "stages.work.with.filter=if .n % 100 == 0 then error(\"no\") else .n end")
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.contains("30 letters go into \"work\""), "\(result.errors)")
    #expect(project.folder.lines("out").prefix(270) == first[...])
    #expect(Set(project.folder.lines("out")) == Set((0..<300).filter { $0 % 100 != 0 }.map(String.init)) && project.folder.lines("out").count == 297)
    #expect(project.folder.lines("both").count == 20 + 297)
    #expect(project.folder.lines("letters.jsonl").count == 3)
    // Only what a message from there can come to has run.
    #expect(try project.stages == ["replay", "work", "more", "out", "both", "letters"])
    #expect(try project.report.balances && project.report.stage("replay", "out") == 30 && project.report.stage("work", "dead_letters") == 3)
  }

  /// Bytes, text and JSON come to the stage as they came the first time.
  @Test func bytesAndFormatsAreAsTheyWere() throws {
    let project = try Project("""
      values: {PY:values"}}
      work: {PY:work"}, inputs: [values], on_error: {retries: 0}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      \(Self.letters)
      """, python: """
      import os
      def values():
          yield bytes(range(256))
          yield "text ü\\n"
          yield {"a": [1, None]}
          yield b""
          yield b"\\x01" * 1000000
      def work(value):
          if not os.path.exists("mended"):
              raise ValueError("not yet")
          return repr(value) if len(value) < 1000 else f"{type(value).__name__} {len(value)}"
      """)
    let text = try String(contentsOfFile: project.file, encoding: .utf8).replacingOccurrences(of: "  work: {", with: "  work: {directory: ., ")
    _ = try project.folder.write("p.yaml", text)
    #expect(try project.run().status == 0)
    #expect(project.folder.lines("out") == [] && project.folder.lines("letters.jsonl").count == 5)
    try project.rename()
    _ = try project.folder.write("mended", "")
    let result = try project.replay()
    #expect(result.status == 0, "\(result.errors)")
    let out = project.folder.lines("out")
    #expect(out.count == 5 && out.first?.hasPrefix("b'\\x00\\x01") == true && out.first?.hasSuffix("\\xff'") == true, "\(out)")
    #expect(out.dropFirst() == ["'text ü\\n'", "{'a': [1, None]}", "b''", "bytes 1000000"])
  }

  /// With a state a replay survives the death of everything: the same command goes on, and each letter comes through once.
  @Test func aReplayThatIsKilledGoesOn() throws {
    let seed = testSeed()
    var random = Seeded(seed)
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 2000}}
      work: {plugin: jq, inputs: [numbers], processes: 2, with: {filter: 'error("no")'}, on_error: {retries: 0}}
      out: {plugin: file.write, inputs: [work], queue: {capacity: 16, message: 4KiB}, with: {path: out}}
      \(Self.letters)
      """)
    #expect(try project.run().status == 0)
    #expect(project.folder.lines("letters.jsonl").count == 2000)
    try project.rename()
    // At a rate, so that the end does not come before the first kill.
    let mended = ["--set", "stages.work.with.filter=.n", "--set", "stages.work.rate=500/s"]
    let arguments = ["replay", "again.jsonl", "--progress", "off", "--report", "report.json", "--state", "state"] + mended
    var kills = 0
    var result: Ringway.Result
    repeat {
      let before = project.folder.lines("out").count
      let running = try Running(arguments, in: project.folder.url)
      let wanted = before + Int.random(in: 1...500, using: &random)
      if kills < 6 {
        _ = eventually(every: 0.0002) { !running.process.isRunning || project.folder.lines("out").count >= wanted }
        kill(running.pid, SIGKILL)
      }
      result = try running.finish()
      if result.status == -SIGKILL { kills += 1 }
    } while result.status == -SIGKILL
    #expect(result.status == 0 && kills >= 1, "seed \(seed), \(kills) kills: \(result.errors)")
    #expect(project.folder.lines("out").compactMap { Int($0) }.sorted() == Array(0..<2000), "seed \(seed), \(kills) kills")
    #expect(project.folder.lines("letters.jsonl").isEmpty)
  }

  /// A message is named by its file and its place in it, so a receiver that knows keys takes it once however often it is sent.
  @Test func aSecondReplayNamesTheMessagesAsTheFirst() throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 3}}
      work: {plugin: jq, inputs: [numbers], with: {filter: 'error("no")'}, on_error: {retries: 0}}
      out: {plugin: discard, inputs: [work]}
      \(Self.letters)
      """)
    #expect(try project.run().status == 0)
    try project.rename()
    func ids() throws -> [String] {
      #expect(try project.replay().status == 0)
      let found = try project.folder.lines("letters.jsonl").suffix(3).map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
      return found.compactMap { $0?["id"] as? String }
    }
    let first = try ids()
    #expect(try Set(first).count == 3 && ids() == first)
    // The same letters in another file are other messages.
    _ = try project.folder.write("copy", project.folder.lines("again.jsonl").map { $0 + "\n" }.joined())
    try FileManager.default.removeItem(atPath: project.folder.path("again.jsonl"))
    try project.rename("copy")
    #expect(try Set(ids()).isDisjoint(with: first))
  }

  @Test(arguments: [
    ("{\"stage\":\"work\"", "it is not JSON"), ("[]", "it is a list"), ("{\"n\":1}", "no \"stage\""),
    ("{\"stage\":\"work\",\"pipeline\":\"p\",\"error\":\"e\",\"payload\":1,\"format\":\"text\"}", "its payload is the integer 1"),
    ("{\"stage\":\"work\",\"pipeline\":\"p\",\"error\":\"e\",\"payload_base64\":\"*\",\"format\":\"text\"}", "no base 64"),
    ("{\"stage\":\"work\",\"pipeline\":\"p\",\"error\":\"e\",\"payload\":\"x\",\"format\":\"xml\"}", "its format is \"xml\""),
  ]) func aLineThatIsNoLetterIsNamedBeforeAnythingStarts(line: String, why: String) throws {
    let project = try Project("numbers: {plugin: generate}\nwork: {plugin: file.write, inputs: [numbers], with: {path: out}}")
    _ = try project.folder.write("again.jsonl", try project.letter("work", "1") + "\n" + line + "\n" + project.letter("work", "2"))
    let result = try project.replay()
    #expect(result.status == 65 && result.errors.contains("again.jsonl:3 is no dead letter: ") && result.errors.contains(why), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: project.folder.path("out")))
  }

  /// Letters of several stages need to be told where to go, and then all of them go there.
  @Test func lettersOfSeveralStagesGoIntoTheOneThatIsNamed() throws {
    let project = try Project("""
      lines: {plugin: generate, with: {count: 1}}
      one: {plugin: jq, inputs: [lines], with: {filter: .}}
      two: {plugin: jq, inputs: [one], with: {filter: .}}
      out: {plugin: file.write, inputs: [two], with: {path: out, mode: append}}
      """)
    let source = "{\"stage\":\"lines\",\"pipeline\":\"\(project.file)\",\"error\":\"too long\"}\n"
    _ = try project.folder.write("again.jsonl", try project.letter("one", "1") + project.letter("two", "2") + source + project.letter("one", "3"))
    let refused = try project.replay()
    #expect(refused.status == 64 && refused.errors.contains("letters of 2 stages: one (2), two (1); --into"), "\(refused.errors)")
    let unknown = try project.replay("--into", "tow")
    #expect(unknown.status == 64 && unknown.errors.contains("there is no stage \"tow\"") && unknown.errors.contains("did you mean \"two\"?"), "\(unknown.errors)")
    let first = try project.replay("--into", "lines")
    #expect(first.status == 64 && first.errors.contains("\"lines\" is a source"), "\(first.errors)")
    let result = try project.replay("--into", "two")
    #expect(result.status == 0 && result.errors.contains("the letter in line 3 is without a message"), "\(result.errors)")
    #expect(project.folder.lines("out") == ["1", "2", "3"])
    #expect(try project.stages == ["replay", "two", "out"])
  }

  @Test func thePipelineMayBeAnother() throws {
    let project = try Project("numbers: {plugin: generate}\nwork: {plugin: file.write, inputs: [numbers], with: {path: out}}")
    let other = try Project("""
      replay: {plugin: generate}
      work: {plugin: jq, inputs: [replay], with: {filter: . + 1}}
      replay-2: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    _ = try project.folder.write("again.jsonl", project.letter("work", "1"))
    let result = try project.replay("--pipeline", other.file)
    #expect(result.status == 0 && other.folder.lines("out") == ["2"] && project.folder.lines("out") == [], "\(result.errors)")
    // A stage of the same name that is left out is in nobody's way.
    #expect(try project.stages == ["replay", "work", "replay-2"])
    let broken = try project.folder.write("broken.yaml", "ringway: 1\nstages: {work: {plugin: nothing}}\n")
    let refused = try project.replay("--pipeline", broken)
    #expect(refused.status == 78 && refused.errors.contains("expected the name of a plugin"), "\(refused.errors)")
    let second = try Project("work: {plugin: generate}")
    _ = try project.folder.write("again.jsonl", project.letter("work", "1") + second.letter("work", "2"))
    let ambiguous = try project.replay()
    #expect(ambiguous.status == 64 && ambiguous.errors.contains("2 pipelines") && ambiguous.errors.contains("--pipeline"), "\(ambiguous.errors)")
  }

  @Test func whatCannotBeReadIsSaid() throws {
    let project = try Project("numbers: {plugin: generate}")
    let missing = try project.replay(letters: "nothing.jsonl")
    #expect(missing.status == 66 && missing.errors.contains("nothing.jsonl cannot be read"), "\(missing.errors)")
    #expect(try project.replay(letters: ".").status == 66)
    _ = try project.folder.write("again.jsonl", "")
    let empty = try project.replay()
    #expect(empty.status == 0 && empty.errors.contains("no letter that can be sent again"), "\(empty.errors)")
    // Nobody's pipeline file can name the source of a replay.
    let named = try project.folder.write("named.yaml", "ringway: 1\nstages:\n  a: {plugin: replay, with: {file: again.jsonl}}\n  b: {plugin: discard, inputs: [a]}\n")
    #expect(try Ringway.run(["validate", named]).status == 78)
  }

  /// A letter of a letter is as large as a letter, also where the stage that made it is left out.
  @Test func lettersOfLettersGoInAgain() throws {
    let project = try Project("""
      values: {PY:values"}}
      work: {PY:fail"}, inputs: [values], on_error: {retries: 0}}
      again: {PY:again"}, inputs: [work.dead_letter], on_error: {retries: 0}}
      out: {plugin: file.write, inputs: [again], with: {path: out}}
      letters: {plugin: file.write, inputs: [again.dead_letter], with: {path: letters.jsonl}}
      """, python: """
      import os
      def values(): yield b"\\xff" * 1000000
      def fail(value): raise ValueError("no")
      def again(value):
          if not os.path.exists(os.environ["MENDED"]): raise ValueError("no")
          return value["stage"] + str(len(value["payload_base64"]))
      """)
    let environment = ["MENDED": project.folder.path("mended")]
    #expect(try Ringway.run(["run", project.file, "--progress", "off"], environment: environment).status == 0)
    try project.rename()
    _ = try project.folder.write("mended", "")
    let result = try Ringway.run(["replay", "again.jsonl", "--progress", "off"], in: project.folder.url, environment: environment)
    #expect(result.status == 0 && project.folder.lines("out") == ["work1333336"], "\(result.errors)")
  }

  /// The source dies, the stages die: what it sends is sent once.
  @Test func aReplayKeepsThePromiseToo() throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 1}}
      work: {PY:work"}, inputs: [numbers], rate: 400/s, queue: {capacity: 8}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """, python: "def work(value): return value\n")
    _ = try project.folder.write("again.jsonl", (0..<400).map { try project.letter("work", "\($0)") }.joined())
    let running = try Running(["replay", "again.jsonl", "--progress", "off"], in: project.folder.url)
    var killed = 0
    while running.process.isRunning, killed < 5 {
      let count = project.folder.lines("out").count
      guard let source = running.workers.first(where: { $0.stage == "replay" }) else { continue }
      kill(source.pid, SIGKILL)
      killed += 1
      _ = eventually { project.folder.lines("out").count > count + 20 || !running.process.isRunning }
    }
    let result = try running.finish()
    #expect(result.status == 0 && killed > 1, "\(result.errors)")
    #expect(project.folder.lines("out") == (0..<400).map(String.init))
  }
}

extension Project {
  fileprivate func replay(_ more: String..., letters: String = "again.jsonl") throws -> Ringway.Result {
    try Ringway.run(["replay", letters, "--progress", "off", "--report", "report.json"] + more, in: folder.url)
  }

  fileprivate func rename(_ from: String = "letters.jsonl", to: String = "again.jsonl") throws {
    try FileManager.default.moveItem(atPath: folder.path(from), toPath: folder.path(to))
  }

  fileprivate var stages: Set<String> { get throws { Set((try report.json["stages"] as? [String: Any] ?? [:]).keys) } }

  fileprivate func letter(_ stage: String, _ payload: String) throws -> String {
    let object = ["stage": stage, "error": "no", "pipeline": file, "format": "text", "payload": payload]
    return String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self) + "\n"
  }
}
