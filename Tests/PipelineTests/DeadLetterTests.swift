import Foundation
import Harness
import Testing

/// What becomes of messages that are given up, and of messages that go by ports.
@Suite struct DeadLetterTests {
  private let letters = "letters: {plugin: file.write, inputs: [work.dead_letter], with: {path: letters.jsonl}}"

  @Test func aMessageThatFailsGoesOnAsADeadLetter() throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 300}}
      work: {plugin: jq, inputs: [numbers], processes: 3, with: {filter: 'if .n % 10 == 0 then error("no tens") else .n end'}, on_error: {retries: 1}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      \(letters)
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(Set(project.folder.lines("out")) == Set((0..<300).filter { $0 % 10 != 0 }.map(String.init)))
    let found = try project.letters()
    let originals = found.compactMap { $0["payload"] as? String }.compactMap { text in
      (try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])?["n"] as? Int
    }
    #expect(originals.sorted() == (0..<30).map { $0 * 10 })
    for letter in found {
      #expect(letter["stage"] as? String == "work" && letter["plugin"] as? String == "jq" && letter["error"] as? String == "jq: no tens")
      #expect(letter["attempts"] as? Int == 2 && letter["errors"] as? Int == 2 && letter["deaths"] as? Int == 0 && letter["format"] as? String == "json")
      #expect((letter["id"] as? String)?.count == 32 && (letter["time"] as? String)?.hasSuffix("Z") == true)
      #expect(letter["pipeline"] as? String == project.file)
    }
    #expect(Set(found.compactMap { $0["id"] as? String }).count == 30)
    #expect(try project.report.balances && project.report.stage("work", "dead_letters") == 30 && project.report.stage("work", "out") == 270)
    #expect(result.errors.contains("30 dead letters"), "\(result.errors)")
  }

  /// The bytes come back as they were, whatever they are.
  @Test func aLetterHoldsAnyBytes() throws {
    let project = try Project("""
      values: {PY:values"}}
      work: {PY:fail", decode: bytes}, inputs: [values], on_error: {retries: 0}}
      \(letters)
      """, python: """
      def values():
          yield bytes(range(256))
          yield "text ü\\n"
          yield b""
          yield b"\\x01" * 1000000
      def fail(value):
          raise ValueError("never")
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    let found = try project.letters()
    let payloads = found.compactMap { letter -> [UInt8]? in
      if let text = letter["payload"] as? String { return Array(text.utf8) }
      return (letter["payload_base64"] as? String).flatMap { Data(base64Encoded: $0) }.map(Array.init)
    }
    #expect(payloads == [Array(0...255), Array("text ü\n".utf8), [], [UInt8](repeating: 1, count: 1_000_000)])
    #expect(found.map { $0["format"] as? String } == ["bytes", "text", "bytes", "bytes"])
    for letter in found {
      #expect(letter["error"] as? String == "ValueError: never")
      #expect((letter["details"] as? String)?.contains("line 7, in fail") == true, "\(letter)")
    }
  }

  @Test func aMessageThatKillsItsWorkersBecomesALetterWithTheSignalAndTheLastLines() throws {
    let project = try Project("""
      values: {PY:values"}}
      work: {PY:work"}, inputs: [values], processes: 2, on_error: {deaths: 2}, restart: {max: 100, backoff: 1ms}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      \(letters)
      """, python: """
      import os, signal
      def values():
          yield from range(200)
      def work(n):
          if n == 77:
              print("about to die of", n, flush=True)
              os.kill(os.getpid(), signal.SIGSEGV)
          return n
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(Set(project.folder.lines("out")) == Set((0..<200).filter { $0 != 77 }.map(String.init)))
    let found = try project.letters()
    #expect(found.count == 1)
    let letter = try #require(found.first)
    #expect(letter["payload"] as? String == "77" && letter["deaths"] as? Int == 2 && letter["signal"] as? Int == 11 && letter["attempts"] as? Int == 2)
    #expect((letter["last_lines"] as? [String])?.contains("about to die of 77") == true, "\(letter)")
    #expect(try project.report.balances)
  }

  /// A source has no message to give back, but what it could not make is told.
  @Test func whatASourceCouldNotMakeIsALetterToo() throws {
    let project = try Project("""
      lines: {plugin: file.read, with: {path: in.txt}}
      out: {plugin: file.write, inputs: [lines], queue: {message: 100B}, with: {path: out}}
      letters: {plugin: file.write, inputs: [lines.dead_letter], with: {path: letters.jsonl}}
      """)
    _ = try project.folder.write("in.txt", "one\n\(String(repeating: "x", count: 200))\ntwo\n\(String(repeating: "y", count: 300))\n")
    let result = try project.run()
    #expect(result.status == 0 && project.folder.lines("out") == ["one", "two"], "\(result.errors)")
    let found = try project.letters()
    #expect(found.count == 2 && found.allSatisfy { ($0["error"] as? String)?.contains("bytes") == true && $0["payload"] == nil }, "\(found)")
  }

  @Test func oneLetterTooManyStopsTheRunAndItsMessageStaysInItsQueue() throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 50}}
      work: {plugin: jq, inputs: [numbers], with: {filter: 'error("no")'}, on_error: {retries: 0, max_dead_letters: 10}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      \(letters)
      """)
    let result = try project.run()
    #expect(result.status == 65 && result.errors.contains("10 dead letters already"), "\(result.errors)")
    #expect(try project.report.balances && project.report.stage("work", "dead_letters") == 10)
  }

  @Test func aSinksLettersAndLettersOfLetters() throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 40}}
      work: {PY:fail"}, inputs: [numbers], on_error: {retries: 0}}
      again: {PY:fail"}, inputs: [work.dead_letter], on_error: {retries: 0}}
      \(letters.replacingOccurrences(of: "work.", with: "again."))
      """, python: "def fail(value): raise ValueError('no')\n")
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    let found = try project.letters()
    #expect(found.count == 40)
    let inner = try found.map { try JSONSerialization.jsonObject(with: Data(($0["payload"] as? String ?? "").utf8)) as? [String: Any] }
    #expect(inner.allSatisfy { $0?["stage"] as? String == "work" } && found.allSatisfy { $0["stage"] as? String == "again" })
    #expect(try project.report.balances)
  }

  // MARK: Ports

  @Test(arguments: ["first", "all"]) func messagesGoByTheConditionsTheyMeet(match: String) throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 1000}}
      split: {plugin: route, inputs: [numbers], processes: 2, with: {match: \(match), routes: {even: .n % 2 == 0, third: .n % 3 == 0}}}
      even: {plugin: jq, inputs: [split.even], with: {filter: .n}}
      third: {plugin: jq, inputs: [split.third], with: {filter: .n}}
      both: {plugin: jq, inputs: [split.third, split.else], with: {filter: .n}}
      a: {plugin: file.write, inputs: [even], with: {path: even}}
      b: {plugin: file.write, inputs: [third], with: {path: third}}
      c: {plugin: file.write, inputs: [both], with: {path: both}}
      """, memory: "64GiB")
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    func numbers(_ name: String) -> [Int] { project.folder.lines(name).compactMap { Int($0) }.sorted() }
    let isThird = { (n: Int) in n % 3 == 0 && (match == "all" || n % 2 != 0) }
    #expect(numbers("even") == (0..<1000).filter { $0 % 2 == 0 })
    #expect(numbers("third") == (0..<1000).filter(isThird))
    #expect(numbers("both") == (0..<1000).filter { isThird($0) || $0 % 2 != 0 && $0 % 3 != 0 })
    #expect(try project.report.balances)
  }

  @Test func aMessageOfPythonNamesItsPort() throws {
    let project = try Project("""
      numbers: {PY:numbers", ports: [odd]}, ignore: [odd]}
      work: {PY:work", ports: [large, huge]}, inputs: [numbers], on_error: {retries: 0}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      large: {plugin: file.write, inputs: [work.large, work.huge], with: {path: large}}
      \(letters)
      """, python: """
      from ringway import Message
      def numbers():
          for n in range(100):
              yield Message(n, port="odd") if n % 2 else n
      def work(n):
          if n == 0: return Message(n, port="nowhere")
          if n > 90: return [Message(n, port="huge"), n]
          return Message(n, port="large") if n > 50 else n
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.folder.lines("out").compactMap { Int($0) } == Array(stride(from: 2, through: 50, by: 2)) + Array(stride(from: 92, through: 98, by: 2)))
    #expect(project.folder.lines("large").compactMap { Int($0) } == Array(stride(from: 52, through: 98, by: 2)))
    #expect(try project.letters().first?["error"] as? String == "a message for the port \"nowhere\", which `ports` of work does not name")
    #expect(try project.report.balances)
  }

  /// More than the rings hold, by two ports in turn, with a worker that dies in the middle of it.
  @Test func aBurstOverSeveralPortsIsHandedOverOnceWhateverDies() throws {
    let project = try Project("""
      one: {plugin: generate, with: {count: 3}}
      burst: {PY:burst", ports: [odd]}, inputs: [one], restart: {max: 100, backoff: 1ms}, on_error: {deaths: 200}}
      even: {plugin: file.write, inputs: [burst], queue: {capacity: 8}, with: {path: even}}
      odd: {plugin: file.write, inputs: [burst.odd], queue: {capacity: 3}, with: {path: odd}}
      """, python: """
      import os
      from ringway import Message
      def burst(message):
          start = int(message["n"]) * 1000
          for n in range(start, start + 1000):
              if n % 100 == 50:
                  mark = f"died-{n}"
                  if not os.path.exists(mark):
                      open(mark, "w").close()
                      os._exit(9)
              yield Message(n, port="odd") if n % 2 else n
      """)
    let text = try String(contentsOfFile: project.file, encoding: .utf8).replacingOccurrences(of: "burst: {", with: "burst: {directory: ., ")
    _ = try project.folder.write("p.yaml", text)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.folder.lines("even").compactMap { Int($0) } == Array(stride(from: 0, to: 3000, by: 2)))
    #expect(project.folder.lines("odd").compactMap { Int($0) } == Array(stride(from: 1, to: 3000, by: 2)))
    #expect(try project.report.balances && project.report.stage("burst", "restarts") == 30)
  }

  /// What went on in parts before a call failed is there, and the letter says how much.
  @Test func aLetterSaysWhatHasGoneOn() throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 3}}
      work: {PY:work"}, inputs: [numbers], on_error: {retries: 0}}
      out: {plugin: file.write, inputs: [work], queue: {capacity: 2}, with: {path: out}}
      \(letters)
      """, python: """
      def work(value):
          for i in range(5):
              if i == 3 and value["n"] == 1:
                  raise ValueError("mid")
              yield f'{value["n"]}.{i}'
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    let gone = project.folder.lines("out").count { $0.hasPrefix("1.") }
    let said = try project.letters().map { $0["handed_on"] as? Int }
    #expect(gone == 2 && said == [gone])
  }
}

extension Project {
  fileprivate func letters(_ name: String = "letters.jsonl") throws -> [[String: Any]] { try objects(name) }
}
