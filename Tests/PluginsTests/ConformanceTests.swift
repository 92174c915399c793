import Foundation
import Harness
import PluginTesting
import Synchronization
import Testing

@testable import Plugins

/// The conformance suite over every built-in, and what is special about each.
@Suite struct ConformanceTests {
  private let temporary: TemporaryFolder
  private let folder: URL

  init() throws {
    temporary = try TemporaryFolder()
    folder = temporary.url
  }

  private func given(_ settings: JSON) -> Given {
    guard case .object(let pairs) = settings else { return Given([:], directory: folder.path) }
    return Given(Dictionary(pairs.map { ($0.0, Self.node($0.1)) }, uniquingKeysWith: { $1 }), directory: folder.path)
  }

  private static func node(_ json: JSON) -> Node {
    switch json {
    case .integer(let i): .integer(i)
    case .boolean(let b): Node(.boolean(b))
    case .string(let s): .string(s)
    case .array(let items): Node(.sequence(items.map(node)))
    default: Node(.null)
    }
  }

  private let context = Context(stage: "test")

  private func write(_ name: String, _ text: String) throws { try text.write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8) }

  private func call<T: Transform>(_ transform: inout T, _ text: String) throws -> [String] {
    let out = CollectingEmitter()
    try Array(text.utf8).withUnsafeBytes { try transform.process(Message(payload: $0, id: MessageIdentity(high: 0, low: 0)), out) }
    return out.take().map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func everySpecHolds() {
    for plugin in Catalog.all { #expect(Conformance.check(plugin.spec) == []) }
    #expect(Set(Catalog.specs.map(\.name)).count == 12)
  }

  // MARK: Sources

  @Test func generateResumesEverywhere() throws {
    #expect(try Conformance.check(source: { try Generate(given(["count": 20, "seed": 3]), context) }) == [])
    #expect(try Conformance.check(source: { try Generate(given(["count": 5, "size": "100KiB"]), context) }) == [])
    for size in [0, 1, 7, 8, 9, 65_537] {
      var source = try Generate(given(["count": 2, "size": .string("\(size)B")]), context)
      let out = CollectingEmitter()
      _ = try source.next(out)
      #expect(out.take().map(\.count) == [size])
    }
  }

  @Test(arguments: ["lines", "jsonl", "whole"]) func fileReadResumesEverywhere(format: String) throws {
    try write("a.txt", "{\"a\":1}\r\n\n  \n{\"b\":2}\nlast without newline")
    try write("b.txt", "")
    try write("c.txt", String(repeating: "x", count: 300_000) + "\n" + "end\n")
    let settings: JSON = ["path": "*.txt", "format": .string(format)]
    #expect(try Conformance.check(source: { try FileRead(given(settings), context) }) == [])
    var source = try FileRead(given(settings), context)
    let out = CollectingEmitter()
    var messages: [String] = []
    loop: while true {
      switch try source.next(out) {
      case .end: break loop
      default: messages += out.take().map { String(decoding: $0, as: UTF8.self) }
      }
    }
    let long = String(repeating: "x", count: 300_000)
    switch format {
    case "lines": #expect(messages == ["{\"a\":1}", "", "  ", "{\"b\":2}", "last without newline", long, "end"])
    case "jsonl": #expect(messages == ["{\"a\":1}", "{\"b\":2}", "last without newline", long, "end"])
    default: #expect(messages.count == 3 && messages[1] == "")
    }
  }

  @Test func fileReadNoticesThatAFileWasReplacedOrCut() throws {
    try write("log.txt", "one\ntwo\nthree\n")
    var source = try FileRead(given(["path": "log.txt"]), context)
    let out = CollectingEmitter()
    guard case .emitted(let position) = try source.next(out) else { throw Failed() }
    var cut = try FileRead(given(["path": "log.txt"]), context)
    try FileHandle(forWritingTo: folder.appendingPathComponent("log.txt")).truncate(atOffset: 2)
    #expect(throws: WorkerFailure.self) { try cut.resume(at: position) }
    try FileManager.default.removeItem(at: folder.appendingPathComponent("log.txt"))
    try write("other.txt", "another file\nof the same name\n")
    try FileManager.default.moveItem(at: folder.appendingPathComponent("other.txt"), to: folder.appendingPathComponent("log.txt"))
    var replaced = try FileRead(given(["path": "log.txt"]), context)
    #expect(throws: WorkerFailure.self) { try replaced.resume(at: position) }
  }

  /// The same file, as long as it was or longer, and yet not what was read; and the same file that has only grown.
  @Test(arguments: ["\n", "\r\n"], [3, 31, 32, 33, 40, 200]) func fileReadNoticesThatAFileWasWrittenAnew(lineEnd: String, length: Int) throws {
    func line(_ letter: Character) -> String { String(repeating: letter, count: length) + lineEnd }
    try write("log.txt", line("a") + line("b") + line("c"))
    var source = try FileRead(given(["path": "log.txt"]), context)
    let out = CollectingEmitter()
    _ = try source.next(out)
    guard case .emitted(let position) = try source.next(out) else { throw Failed() }
    func overwrite(_ text: String) throws {
      let file = try FileHandle(forWritingTo: folder.appendingPathComponent("log.txt"))
      try file.truncate(atOffset: 0)
      try file.write(contentsOf: Data(text.utf8))
      try file.close()
    }
    try overwrite(line("a") + line("b") + line("d") + line("e"))
    var grown = try FileRead(given(["path": "log.txt"]), context)
    try grown.resume(at: position)
    _ = out.take()
    _ = try grown.next(out)
    #expect(out.take() == [Array(line("d").utf8.prefix(length))])
    for text in [line("a") + line("x") + line("c"), String(repeating: "y", count: 4 * length + 8)] {
      try overwrite(text)
      var anew = try FileRead(given(["path": "log.txt"]), context)
      let failure = #expect(throws: WorkerFailure.self) { try anew.resume(at: position) }
      #expect(failure?.description.contains("written anew") == true)
    }
  }

  /// A pattern that finds another file first would count files wrong: one would be read twice and the other never.
  @Test(arguments: ["lines", "whole"]) func fileReadNoticesThatAPatternFindsOthers(format: String) throws {
    for name in ["b.log", "c.log"] { try write(name, "one\n") }
    let settings: JSON = ["path": "*.log", "format": .string(format)]
    var source = try FileRead(given(settings), context)
    let out = CollectingEmitter()
    _ = try source.next(out)
    var position: Position
    if format == "whole" {
      var again = try FileRead(given(settings), context)
      guard case .emitted(let reached) = try again.next(out) else { throw Failed() }
      position = reached
    } else {
      guard case .moved(let reached) = try source.next(out) else { throw Failed() }
      position = reached
    }
    // Behind what was read, more may come.
    try write("d.log", "four\n")
    var longer = try FileRead(given(settings), context)
    try longer.resume(at: position)
    try write("a.log", "early\n")
    var shifted = try FileRead(given(settings), context)
    #expect(throws: WorkerFailure.self) { try shifted.resume(at: position) }
  }

  /// The line end does not count, whatever it is, and wherever the reader's buffer ends.
  @Test(arguments: ["\n", "\r\n", ""], [10, 262_143, 262_144, 262_145]) func theLongestLineIsExact(lineEnd: String, longest: Int) throws {
    for more in [-1, 0, 1, 2] {
      try write("line.txt", String(repeating: "x", count: longest + more) + lineEnd)
      var source = try FileRead(given(["path": "line.txt", "longest": .string("\(longest)B")]), context)
      let out = CollectingEmitter()
      if more <= 0 {
        _ = try source.next(out)
        #expect(out.take().map(\.count) == [longest + more])
      } else {
        let failure = #expect(throws: MessageFailure.self) { try source.next(out) }
        #expect(failure?.description.contains("has \(longest + more) bytes") ?? false, "\(failure?.description ?? "")")
      }
      try source.close()
    }
  }

  /// Their size is 0, and they have lines.
  @Test func fileReadTakesFilesOfTheKernel() throws {
    var source = try FileRead(given(["path": "/proc/self/limits"]), context)
    let out = CollectingEmitter()
    var positions: [Position] = []
    while case .emitted(let position) = try source.next(out) { positions.append(position) }
    let lines = out.take()
    guard case .end = try source.next(out), lines.count > 10 else { throw Failed() }
    var second = try FileRead(given(["path": "/proc/self/limits"]), context)
    try second.resume(at: positions[4])
    _ = try second.next(out)
    #expect(out.take() == [lines[5]])
    try source.close()
    try second.close()
  }

  @Test func fileReadNamesAFileWhoseNameIsNoText() throws {
    try write("good.txt", "one\n")
    let made = (Array((folder.path + "/bad").utf8) + [0xff] + Array(".txt".utf8)).map(CChar.init(bitPattern:)) + [0]
    close(open(made, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600))
    let failure = #expect(throws: WorkerFailure.self) { try FileRead(given(["path": "*.txt"]), context) }
    #expect(failure?.description.contains("bad\\xff.txt is no UTF-8") ?? false, "\(failure?.description ?? "")")
  }

  @Test func aLineThatIsTooLongFailsAndTheNextOneIsRead() throws {
    try write("long.txt", "short\n" + String(repeating: "y", count: 2_000_000) + "\nafter\n")
    var source = try FileRead(given(["path": "long.txt", "longest": "1KiB"]), context)
    let out = CollectingEmitter()
    _ = try source.next(out)
    #expect(throws: MessageFailure.self) { try source.next(out) }
    _ = try source.next(out)
    #expect(out.take().map { String(decoding: $0, as: UTF8.self) } == ["short", "after"])
  }

  @Test(arguments: [("lines", ["seq", "1", "30"]), ("length", ["printf", "\\001\\000\\000\\000a\\000\\000\\000\\000\\001\\000\\000\\000b"]), ("message", ["seq", "3"])])
  func execResumesEverywhere(framing: String, command: [String]) throws {
    let settings: JSON = ["command": .array(command.map(JSON.string)), "framing": .string(framing)]
    #expect(try Conformance.check(source: { try ExecSource(given(settings), context) }) == [])
  }

  // MARK: Transforms

  @Test(arguments: ["lines", "length", "message"]) func execHolds(framing: String) throws {
    let inputs = [Array("one".utf8), [], Array(repeating: UInt8(ascii: "x"), count: 300_000)]
    for answers in framing == "message" ? ["one"] : ["one", "any"] {
      let settings: JSON = ["command": ["cat"], "framing": .string(framing), "answers": .string(answers)]
      #expect(try Conformance.check(transform: { try ExecTransform(given(settings), context) }, inputs: inputs) == [])
      var echo = try ExecTransform(given(settings), context)
      for input in inputs { #expect(try call(&echo, String(decoding: input, as: UTF8.self)) == [String(decoding: input, as: UTF8.self)]) }
      try echo.close()
    }
  }

  @Test func execSaysHowAProgramIsMadeToAnswerAtOnce() throws {
    let remedies = [
      "/usr/bin/sed": "run it with -u", "jq": "run it with --unbuffered", "mawk": "run it with -W interactive", "tr": "run it with -u or --line-buffered if it has them, or else under `stdbuf -oL`",
    ]
    for (program, remedy) in remedies { #expect(try Exec(given(["command": [.string(program)]])).silence.contains("; \(remedy), or use `answers: any`")) }
    for command: JSON in [["sed", "-u", "p"], ["sed", "-nu", "p"], ["jq", "-c", "--unbuffered", "."], ["mawk", "-W", "interactive", "1"]] {
      #expect(try Exec(given(["command": command])).silence.hasPrefix("it does not answer every input with one output"))
    }
    #expect(try !Exec(given(["command": ["sed", "-n", "s/u/v/p"]])).silence.hasPrefix("it does not"))
    for (program, remedy) in ["mawk": "run it with -W interactive", "busybox": "run it with -u or --line-buffered if it has them, or else under `stdbuf -oL`", "gawk": "call fflush() after each print"] {
      let folder = "\(NSTemporaryDirectory())ringway-awk-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: folder) }
      try "".write(toFile: folder + "/" + program, atomically: true, encoding: .utf8)
      chmod(folder + "/" + program, 0o755)
      try FileManager.default.createSymbolicLink(atPath: folder + "/awk", withDestinationPath: program)
      #expect(try Exec(given(["command": [.string(folder + "/awk")]])).silence.contains("; \(remedy), or use `answers: any`"))
    }
    #expect(throws: WorkerFailure.self) { try Exec(given(["command": ["/nonexistent/program"]])) }
  }

  @Test func hashHoldsAndKnowsItsVectors() throws {
    #expect(try Conformance.check(transform: { try Hash(given(["rounds": 3]), context) }, inputs: [[], Array("abc".utf8)]) == [])
    var once = try Hash(given([:]), context)
    // FIPS 180-4, and twice over the raw bytes.
    #expect(try call(&once, "abc") == ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"])
    #expect(try call(&once, "") == ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"])
    var twice = try Hash(given(["rounds": 2]), context)
    #expect(try call(&twice, "abc") == ["4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358"])
  }

  @Test func jqHolds() throws {
    let filter: JSON = ["filter": "., (.a? // empty)"]
    #expect(try Conformance.check(transform: { try JQ(given(filter), context) }, inputs: [Array("{\"a\":[1,2]}".utf8), Array("7".utf8)]) == [])
  }

  @Test(arguments: [
    (".a", "{\"a\":1}", ["1"]), (".[]", "[1,\"b\",null]", ["1", "\"b\"", "null"]), ("empty", "1", []), ("{b: .a}", "{\"a\":\"é€\"}", ["{\"b\":\"é€\"}"]),
    ("select(. > 2)", "1", []), ("., .", " 5 ", ["5", "5"]), ("nan", "1", ["null"]),
    ("1, error(null), 2", "1", ["1", "2"]),
  ]) func jqFilters(filter: String, input: String, outputs: [String]) throws {
    var jq = try JQ(given(["filter": .string(filter)]), context)
    #expect(try call(&jq, input) == outputs)
    #expect(try call(&jq, input) == outputs)
  }

  @Test func jqFailsOnWhatItCannotDoAndGoesOn() throws {
    var jq = try JQ(given(["filter": ".a + 1"]), context)
    for (input, words) in [("{", "not JSON"), ("", "not JSON"), ("1 2", "not JSON"), ("{\"a\":[]}", "cannot be added"), ("\"x\"", "Cannot index")] {
      let failure = #expect(throws: MessageFailure.self) { try call(&jq, input) }
      #expect(failure?.description.contains(words) ?? false, "\(input): \(failure?.description ?? "")")
      #expect(try call(&jq, "{\"a\":1}") == ["2"])
    }
    for filter in ["input", "[inputs], input"] {
      var input = try JQ(given(["filter": .string(filter)]), context)
      #expect(throws: MessageFailure.self) { try call(&input, "1") }
    }
    var debug = try JQ(given(["filter": "debug"]), context)
    #expect(try call(&debug, "1") == ["1"])
    var halt = try JQ(given(["filter": "1, halt"]), context)
    #expect(throws: MessageFailure.self) { try call(&halt, "1") }
    #expect(throws: WorkerFailure.self) { try JQ(given(["filter": ".a | foo("]), context) }
    #expect(throws: WorkerFailure.self) { try JQ(given(["filter": "import \"x\" as x; ."]), context) }
  }

  /// While the source is held up with one request, the others may still be sent away.
  @Test func whatWasNotTakenCanBeGivenUp() throws {
    let intake = try #require(ListenIntake())
    let answers = Mutex<[Int]>([])
    let requests = (0..<3).compactMap { n -> ListenRequest? in
      guard case .accepted(let request) = intake.arrive([UInt8(n)], key: nil, answer: { status, _ in answers.withLock { $0.append(n * 1000 + status) } }) else { return nil }
      return request
    }
    let taken = try #require(intake.take())
    #expect(taken === requests.first)
    for request in requests { intake.giveUp(request) }
    #expect(answers.withLock { $0 } == [1503, 2503])
    intake.emitted(taken, count: 1)
    intake.committed(upTo: 1)
    #expect(answers.withLock { $0 } == [1503, 2503, 200] && intake.take() == nil)
  }

  /// One parser reads all messages: what one leaves open, or behind its value, must not reach the next.
  @Test func jqReadsEachMessageForItself() throws {
    var jq = try JQ(given(["filter": "."]), context)
    let bom = "\u{feff}"
    for (text, result) in [
      ("{\"a\":[1,2]}", "{\"a\":[1,2]}"), ("5", "5"), ("5 ", "5"), (" \t5\r\n", "5"), ("true", "true"), ("null", "null"), ("\"x\"", "\"x\""), ("[]\n\n", "[]"),
      ("1e3", "1000"), ("-0.5", "-0.5"), (bom + "[7]", "[7]"), ("nan", "null"),
      ("", nil), (" ", nil), ("{", nil), ("{}{", nil), ("{} {", nil), ("[1", nil), ("[1]]", nil), ("1 2", nil), ("1,", nil), ("\"x", nil), ("tru", nil), ("{\"a\"", nil),
      ("]", nil), ("{} x", nil), ("[1] \"", nil), ("5x", nil), ("'a'", nil), ("{a:1}", nil), ("[,]", nil), ("\u{1e}1", nil),
    ] as [(String, String?)] {
      if let result {
        #expect(try call(&jq, text) == [result], "\(text)")
      } else {
        #expect(throws: MessageFailure.self, "\(text)") { try call(&jq, text) }
      }
      #expect(try call(&jq, "{\"next\":1}") == ["{\"next\":1}"], "after \(text)")
    }
  }

  @Test func jqReadsTextAndWritesRaw() throws {
    var jq = try JQ(given(["filter": "ascii_upcase, length", "input": "text", "raw": true]), context)
    #expect(try call(&jq, "no {json}") == ["NO {JSON}", "9"])
    #expect(try call(&jq, "") == ["", "0"])
  }

  /// In a process of its own: what the tests beside it take is not jq's.
  @Test func jqFreesWhatItTakes() async {
    await #expect(processExitsWith: .success) {
      let tests = try ConformanceTests()
      var jq = try JQ(tests.given(["filter": "[range(50)] | map(tostring)"]), tests.context)
      func residentKiB() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        return status.split(separator: "\n").first { $0.hasPrefix("VmRSS") }.flatMap { Int($0.filter(\.isNumber)) } ?? 0
      }
      for _ in 0..<2_000 { _ = try tests.call(&jq, "1") }
      let before = try residentKiB()
      for _ in 0..<20_000 { _ = try tests.call(&jq, "1") }
      // A leak of one value a call would be 20 MB.
      #expect(try residentKiB() - before < 16_000)
    }
  }

  // MARK: Sinks

  @Test(arguments: ["replace", "append"]) func fileWriteHolds(mode: String) throws {
    let file = folder.appendingPathComponent("out.txt")
    if mode == "append" { try write("out.txt", "before\n") }
    let settings: JSON = ["path": "out.txt", "mode": .string(mode)]
    let problems = try Conformance.check(
      sink: { try FileWrite(given(settings), context) },
      content: {
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
        return mode == "append" ? Array(lines.dropFirst()) : lines
      })
    #expect(problems == [])
    if mode == "append" { #expect(try String(contentsOf: file, encoding: .utf8).hasPrefix("before\n")) }
  }

  @Test(arguments: [("torn", "torn\nnext\n"), ("whole\n", "whole\nnext\n"), ("", "next\n")]) func fileWriteAppendsLinesToLines(before: String, after: String) throws {
    try write("out.txt", before)
    var sink = try FileWrite(given(["path": "out.txt", "mode": "append"]), context)
    try sink.resume(atLength: nil)
    #expect(try sink.flush().map(Int.init) == after.utf8.count - 5, "the length to go back to lies behind the newline")
    try Array("next".utf8).withUnsafeBytes { try sink.write(Message(payload: $0, id: MessageIdentity(high: 0, low: 0))) }
    _ = try sink.flush()
    try sink.close()
    #expect(try String(contentsOf: folder.appendingPathComponent("out.txt"), encoding: .utf8) == after)
  }

  @Test func fileWriteMakesFilesForTheirOwnerAlone() throws {
    let sink = try FileWrite(given(["path": "private.txt"]), context)
    _ = sink
    let mode = try FileManager.default.attributesOfItem(atPath: folder.appendingPathComponent("private.txt").path)[.posixPermissions] as? Int
    #expect(mode.map { $0 & 0o077 } == 0)
  }

  @Test func fileWriteRefusesNewlinesAndATruncatedFile() throws {
    var sink = try FileWrite(given(["path": "out.txt"]), context)
    try sink.resume(atLength: nil)
    let bytes = Array("two\nlines".utf8)
    #expect(throws: MessageFailure.self) { try bytes.withUnsafeBytes { try sink.write(Message(payload: $0, id: MessageIdentity(high: 0, low: 0))) } }
    var other = try FileWrite(given(["path": "out.txt"]), context)
    #expect(throws: WorkerFailure.self) { try other.resume(atLength: 100) }
  }

  @Test(arguments: [("missing/out.txt", ExitCode.cannotCreate), ("/proc/none/out.txt", .cannotCreate)]) func fileWriteSaysWhyItCannotOpen(path: String, code: ExitCode) throws {
    let failure = #expect(throws: WorkerFailure.self) {
      var sink = try FileWrite(given(["path": .string(path)]), context)
      try sink.resume(atLength: nil)
    }
    #expect(failure?.code == code || failure?.code == .permission)
    #expect(failure?.description.contains(path) ?? false)
  }

  private struct Failed: Error {}
}
