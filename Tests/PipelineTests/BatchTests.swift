import Foundation
import Harness
import Testing

/// The stage key `batch`: messages that are gathered, worked on and settled together.
@Suite struct BatchTests {
  /// The time would never be over: a batch ends with its count, and the last with its input.
  @Test(arguments: [1, 2]) func aBatchIsFullOrTheLast(processes: Int) throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 95}}
      work: {PY:work"}, inputs: [numbers], processes: \(processes), batch: {count: 10, within: 1h}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """, python: """
      def work(values):
          return [f"{value['n']} {len(values)}" for value in values]
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    let lines = project.folder.lines("out").map { $0.split(separator: " ").compactMap { Int($0) } }
    #expect(lines.map { $0[0] }.sorted() == Array(0..<95))
    // Each message says how many its batch had.
    let batches = Dictionary(grouping: lines.map { $0[1] }) { $0 }.mapValues(\.count)
    #expect(batches.allSatisfy { $0.value % $0.key == 0 } && batches.keys.count { $0 != 10 } <= processes, "\(batches)")
  }

  /// Where a program takes one message at a time, a batch is no use; it is named where it stands.
  @Test(arguments: ["batch: {count: 5, within: 1s}, with: {command: [cat], framing: message}", "with: {command: [cat], framing: message, batch: 5}"])
  func aBatchOfOneIsRefused(keys: String) throws {
    let project = try Project("""
      numbers: {plugin: generate}
      work: {plugin: exec, inputs: [numbers], \(keys)}
      out: {plugin: discard, inputs: [work]}
      """)
    let result = try project.run()
    let column = try "  work: {plugin: exec, inputs: [numbers], ".count + #require(keys.range(of: "batch: ")).upperBound.utf16Offset(in: keys) + 1
    #expect(result.status == 78 && result.errors.contains("with `framing: message` the program gets one message at a time"), "\(result.errors)")
    #expect(result.errors.contains("remove `batch`") && result.errors.contains("p.yaml:4:\(column): "), "\(result.errors)")
  }

  /// A program gets each batch on its standard input.
  @Test func aSinkGetsWholeBatches() throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 95}}
      out: {plugin: exec, inputs: [numbers], batch: {count: 10, within: 1h}, with: {command: 'wc -l >> counts', shell: true}, directory: .}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.folder.lines("counts") == [String](repeating: "10", count: 9) + ["5"])
  }

  /// The next message comes long after the time is over.
  @Test func theFirstMessageWaitsNoLongerThanItsTime() throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 3, rate: 2/s}}
      out: {plugin: exec, inputs: [numbers], batch: {count: 10, within: 20ms}, with: {command: 'wc -l >> counts', shell: true}, directory: .}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    let counts = project.folder.lines("counts").compactMap { Int($0) }
    // A busy machine may bring two together.
    #expect(counts.reduce(0, +) == 3 && counts.count >= 2, "\(counts)")
  }

  /// There is no memory for a batch of 64: what is there goes on when the writer waits, not after an hour.
  @Test(arguments: ["exec, inputs: [numbers], with: {command: 'wc -l >> counts', shell: true}", "discard, inputs: [numbers]"])
  func aBatchEndsWhenAWriterWaits(plugin: String) throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 40, size: 100KB}}
      out: {plugin: \(plugin), queue: {capacity: 64, message: 128KiB, bytes: 1MiB}, batch: {count: 64, within: 1h}, directory: .}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(try project.report.stage("out", "in") == 40)
  }

  @Test func aBatchOfSoManyBytesIsComplete() throws {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: 30, size: 1KB}}
      out: {plugin: exec, inputs: [numbers], batch: {count: 100, bytes: 2500B, within: 1h}, with: {command: 'wc -l >> counts', shell: true}, directory: .}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.folder.lines("counts") == [String](repeating: "3", count: 10))
  }

  @Test func everyLineIsThereOnceWhateverIsKilled() throws {
    let seed = testSeed()
    let project = try Project("""
      numbers: {plugin: generate, rate: 3000/s, with: {count: 3000}}
      work: {PY:all"}, inputs: [numbers], processes: 2, batch: {count: 20, within: 20ms}, on_error: {deaths: 1}, restart: {max: 0}}
      out: {plugin: file.write, inputs: [work], batch: {count: 50, within: 10ms}, with: {path: out}, on_error: {deaths: 1}, restart: {max: 0}}
      """, python: """
      def all(values):
          return [str(value["n"]) for value in values]
      """)
    let result = try project.run(["--chaos", "kill=0.5%,stop=0.1%", "--chaos-seed", "\(seed)"])
    #expect(result.status == 0, "seed \(seed): \(result.errors)")
    let lines = project.folder.lines("out")
    #expect(lines.count == 3000 && Set(lines) == Set((0..<3000).map(String.init)), "seed \(seed): \(lines.count) lines")
    #expect(try project.report.balances && project.report.stage("work", "restarts") + project.report.stage("out", "restarts") >= 2, "seed \(seed)")
  }

  // MARK: Posts

  private func post(_ receiver: Receiver, _ more: String, count: Int = 40, then: String = "") throws -> (Ringway.Result, Project) {
    let project = try Project("""
      numbers: {plugin: generate, with: {count: \(count)}}
      send: {plugin: http.post, inputs: [numbers], batch: {count: 7, within: 1h}, with: {url: "http://127.0.0.1:\(receiver.port)/"\(more)}}
      \(then)
      """)
    return (try project.run(), project)
  }

  private func numbers(_ objects: [Any]) -> [Int] { objects.compactMap { ($0 as? [String: Any])?["n"] as? Int } }

  @Test func aBatchIsOneRequest() throws {
    let receiver = try Receiver { _, _ in .status(200) }
    defer { receiver.close() }
    let (result, _) = try post(receiver, "")
    #expect(result.status == 0, "\(result.errors)")
    let bodies = try receiver.requests.map { try JSONSerialization.jsonObject(with: Data($0.body.utf8)) as? [Any] ?? [] }
    #expect(bodies.flatMap(numbers).sorted() == Array(0..<40))
    #expect(bodies.map(\.count).sorted() == [5, 7, 7, 7, 7, 7])
    let keys = receiver.requests.map(\.key)
    #expect(keys.count == 6 && Set(keys).count == 6)
  }

  @Test func linesAreLinesAndKeysAreThere() throws {
    let receiver = try Receiver { _, _ in .status(200) }
    defer { receiver.close() }
    let (result, _) = try post(receiver, ", body: lines")
    #expect(result.status == 0, "\(result.errors)")
    #expect(receiver.requests.allSatisfy { $0.headers["content-type"] == "application/x-ndjson" && $0.body.hasSuffix("}\n") })
    #expect(receiver.requests.flatMap { $0.body.split(separator: "\n") }.count == 40)

    let keyed = try Receiver { _, _ in .status(200) }
    defer { keyed.close() }
    let (second, _) = try post(keyed, ", body: keyed, concurrency: 2")
    #expect(second.status == 0, "\(second.errors)")
    let objects = try keyed.requests.flatMap { try JSONSerialization.jsonObject(with: Data($0.body.utf8)) as? [[String: Any]] ?? [] }
    #expect(Set(objects.compactMap { $0["key"] as? String }).count == 40)
    #expect(numbers(objects.compactMap { $0["value"] }).sorted() == Array(0..<40))
  }

  /// One message that the receiver refuses takes no other with it.
  @Test func aBatchThatIsRefusedIsTakenApart() throws {
    let receiver = try Receiver { request, _ in .status(request.body.contains("\"n\":13,") || request.body.contains("\"n\":13}") ? 400 : 200) }
    defer { receiver.close() }
    let (result, project) = try post(receiver, "", then: "letters: {plugin: file.write, inputs: [send.dead_letter], with: {path: letters}}")
    #expect(result.status == 0, "\(result.errors)")
    let letters = project.folder.lines("letters")
    #expect(letters.count == 1 && letters[0].contains("answered 400") && letters[0].contains("13"))
    #expect(try project.report.stage("send", "in") == 40 && project.report.stage("send", "dead_letters") == 1 && project.report.balances)
    let taken = try receiver.requests.map { try JSONSerialization.jsonObject(with: Data($0.body.utf8)) as? [Any] ?? [] }.map(numbers)
    // Those that were refused with it came again alone.
    #expect(taken.filter { !$0.contains(13) }.flatMap { $0 }.sorted() == (0..<40).filter { $0 != 13 })
  }
}
