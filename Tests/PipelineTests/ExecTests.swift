import Foundation
import Harness
import Testing

/// Programs that others wrote, as stages, and what they do wrong.
@Suite struct ExecTests {
  /// Whether a program is installed; says so when it is not.
  private func isInstalled(_ program: String) -> Bool {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    if path.split(separator: ":").contains(where: { FileManager.default.isExecutableFile(atPath: "\($0)/\(program)") }) { return true }
    print("skipped: \(program) is not installed")
    return false
  }

  /// `file.read` of in.txt, the stage under test, `file.write` to out.txt.
  private func pipeline(_ folder: TemporaryFolder, _ lines: [String], stage: String = "", with: String) throws -> String {
    try folder.write("in.txt", lines.map { $0 + "\n" }.joined())
    return try folder.write("p.yaml", """
      ringway: 1
      stages:
        lines: {plugin: file.read, with: {path: in.txt}}
        work:
          plugin: exec
          inputs: [lines]
          \(stage.split(separator: "\n").joined(separator: "\n    "))
          with:
            \(with.split(separator: "\n").joined(separator: "\n      "))
        results: {plugin: file.write, inputs: [work], with: {path: out.txt}}
      """)
  }

  private func run(_ file: String, _ folder: TemporaryFolder) throws -> (result: Ringway.Result, report: Report) {
    let result = try folder.run(file: file)
    return (result, try folder.report)
  }

  // MARK: Real programs

  @Test(arguments: [
    ("jq", "[jq, -c, --unbuffered, '[., .]']", "[%,%]"),
    ("sed", "[sed, -u, 's/$/ ok/']", "% ok"),
    ("mawk", "[mawk, -W, interactive, '{print $0, $0 + 1}']", "% +"),
    ("perl", "[perl, -ne, '$|=1; chomp; print qq($_ seen\\n)']", "% seen"),
    ("python3", "[python3, -u, -c, 'import sys; [print(n[:-1], len(n) - 1) for n in sys.stdin]']", "% #"),
    ("cat", "[cat]", "%"),
    ("stdbuf", "[stdbuf, -oL, tr, '0-9', 'a-j']", "@"),
  ])
  func aProgramAnswersLineByLine(program: String, command: String, expected: String) throws {
    guard isInstalled(program) else { return }
    let folder = try TemporaryFolder()
    let numbers = (0..<3000).map(String.init)
    let (result, report) = try run(try pipeline(folder, numbers, with: "command: \(command)"), folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt") == numbers.map { n in
      expected.replacingOccurrences(of: "%", with: n).replacingOccurrences(of: "+", with: String((Int(n) ?? 0) + 1))
        .replacingOccurrences(of: "#", with: String(n.count))
        .replacingOccurrences(of: "@", with: String(n.map { Character(UnicodeScalar(UInt8(ascii: "a") + UInt8($0.wholeNumberValue ?? 0))) }))
    })
    #expect(report.balances && report.stage("work", "errors") == 0)
  }

  @Test(arguments: [
    ("sort", "[sort, -n]", false, 2000), ("tr", "[tr, -d, x]", false, 2000), ("cat", "[cat]", false, 2000),
    ("grep", "'grep --line-buffered 7 || [ $? = 1 ]'", true, 542),
  ])
  func aProgramAnswersABatchWithAnyNumber(program: String, command: String, isShell: Bool, count: Int) throws {
    guard isInstalled(program) else { return }
    let folder = try TemporaryFolder()
    let (result, report) = try run(
      try pipeline(folder, (0..<2000).map(String.init), with: "command: \(command)\nshell: \(isShell)\nanswers: any"), folder)
    #expect(result.status == 0, "\(result.errors)")
    let numbers = folder.lines("out.txt").compactMap { Int($0) }
    #expect(numbers.count == count && Set(numbers).count == count)
    #expect(report.stage("work", "in") == 2000 && report.stage("work", "out") == count && report.balances)
  }

  @Test func anImageIsConverted() throws {
    guard isInstalled("convert") else { return }
    let folder = try TemporaryFolder()
    let version = try Running(["convert", "-version"], executable: URL(fileURLWithPath: "/usr/bin/env")).finish()
    guard version.output.contains("ImageMagick") else { return print("skipped: convert is not ImageMagick's") }
    for i in 1...3 { try folder.write("\(i).ppm", "P3 2 1 255 255 0 0 0 0 \(i)\n") }
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        images: {plugin: file.read, with: {path: "*.ppm", format: whole}}
        convert: {plugin: exec, inputs: [images], with: {command: [convert, "ppm:-", "-compress", "none", "pgm:-"], framing: message}}
        hash: {plugin: hash, inputs: [convert]}
        results: {plugin: file.write, inputs: [hash], with: {path: out.txt}}
      """)
    let (result, report) = try run(file, folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(report.stage("convert", "out") == 3 && folder.lines("out.txt").count == 3)
  }

  /// Frames with a length carry any bytes, and what a child is slow to take does not keep us from reading what it writes.
  @Test(arguments: ["lines", "length", "message"]) func largeMessagesPassBothWaysAtOnce(framing: String) throws {
    let folder = try TemporaryFolder()
    let sizes = [0, 1, 65_535, 65_536, 1_048_576, 1_048_576, 1_048_576, 3, 1_048_576]
    for (i, size) in sizes.enumerated() { try folder.write("in\(i).bin", String(repeating: Character(UnicodeScalar(UInt8(97 + i))), count: size)) }
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        files: {plugin: file.read, with: {path: "in*.bin", format: whole}}
        first: {plugin: exec, inputs: [files], with: {command: [cat], framing: \(framing)}}
        any: {plugin: exec, inputs: [first], with: {command: [cat], framing: \(framing == "message" ? "length" : framing), answers: any}}
        results: {plugin: file.write, inputs: [any], with: {path: out.txt}}
      """)
    let (result, _) = try run(file, folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt").map(\.count) == sizes)
    #expect(folder.lines("out.txt").map(\.first) == sizes.indices.map { sizes[$0] == 0 ? nil : Character(UnicodeScalar(UInt8(97 + $0))) })
  }

  @Test func lengthsCarryLineEndsAndLinesRefuseThem() throws {
    let folder = try TemporaryFolder()
    try folder.write("in.bin", "two\nlines\r")
    let text = """
      ringway: 1
      stages:
        files: {plugin: file.read, with: {path: in.bin, format: whole}}
        work: {plugin: exec, inputs: [files], on_error: {retries: 5}, with: {command: [cat], framing: length}}
        last: {plugin: exec, inputs: [work], with: {command: "cat > out.bin", shell: true, framing: message}, directory: .}
      """
    let (result, _) = try run(try folder.write("p.yaml", text), folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(try String(contentsOfFile: folder.path("out.bin"), encoding: .utf8) == "two\nlines\r")
    let (lines, report) = try run(try folder.write("q.yaml", text.replacingOccurrences(of: "framing: length", with: "framing: lines")), folder)
    #expect(lines.status == 65 && lines.errors.contains("the message holds a newline"), "\(lines.errors)")
    #expect(report.stage("work", "errors") == 1, "another try would not help")
    let any = text.replacingOccurrences(of: "framing: length", with: "answers: any")
    #expect(try run(try folder.write("r.yaml", any), folder).result.errors.contains("the message holds a newline"))
  }

  // MARK: Deaths

  /// Kills workers of the stage and programs under them until the run has ended: the next one once something more has come out, or
  /// as soon as the one before has a successor, which may be half way up.
  private func killAtRandom(_ running: Running, stage: String, output: String) -> Int {
    func size() -> off_t {
      var status = stat()
      return stat(output, &status) == 0 ? status.st_size : 0
    }
    let seed = testSeed()
    print("seed \(seed)")
    var random = Seeded(seed)
    var kills = 0
    let deadline = Date().addingTimeInterval(50)
    while running.process.isRunning, Date() < deadline {
      let ofWorkers = Bool.random(using: &random)
      func candidates() -> [Int32] {
        let workers = running.workers.filter { $0.stage == stage }.map(\.pid)
        return ofWorkers ? workers : workers.flatMap { Running.pids(childrenOf: $0) }
      }
      let (before, known) = (size(), Set(candidates()))
      guard let victim = known.sorted().randomElement(using: &random), kill(victim, SIGKILL) == 0 else { continue }
      kills += 1
      let awaitsOutput = Bool.random(using: &random)
      _ = eventually {
        !running.process.isRunning || (awaitsOutput ? size() > before : !known.isSuperset(of: candidates()))
      }
    }
    return kills
  }

  private static let patient = "processes: 2\non_error: {retries: 250, deaths: 250}\nrestart: {max: 100000, backoff: 1ms}"

  @Test(arguments: [
    "command: [cat]", "command: [cat]\nframing: length", "command: [cat]\nframing: message", "command: [sort]\nanswers: any",
  ])
  func nothingIsLostOrDoubledWhenWorkersAndProgramsAreKilled(with: String) throws {
    let folder = try TemporaryFolder()
    // Slow enough that there is something to kill, by the rate of the source.
    let running = try folder.start("""
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 3000, rate: 1000/s}}
        ids: {plugin: jq, inputs: [numbers], with: {filter: .n}}
        work:
          plugin: exec
          inputs: [ids]
          \(Self.patient.split(separator: "\n").joined(separator: "\n    "))
          with:
            \(with.split(separator: "\n").joined(separator: "\n      "))
        results: {plugin: file.write, inputs: [work], with: {path: out.txt}}
      """)
    let kills = killAtRandom(running, stage: "work", output: folder.path("out.txt"))
    let result = try running.finish()
    #expect(result.status == 0, "\(result.errors.suffix(3000))")
    #expect(kills > 10)
    let numbers = folder.lines("out.txt").compactMap { Int($0) }
    #expect(numbers.sorted() == Array(0..<3000), "\(numbers.count) lines")
    #expect(try folder.report.balances)
  }

  @Test func aSinkLosesNothingWhenItsProgramsAreKilled() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 2000, rate: 1000/s}}
        ids: {plugin: jq, inputs: [numbers], with: {filter: .n}}
        work:
          plugin: exec
          inputs: [ids]
          directory: .
          \(Self.patient.split(separator: "\n").joined(separator: "\n    "))
          with: {command: "cat >> out.txt", shell: true}
      """)
    let running = try Running(["run", file, "--progress", "off"], in: folder.url)
    let kills = killAtRandom(running, stage: "work", output: folder.path("out.txt"))
    let result = try running.finish()
    #expect(result.status == 0 && kills > 10, "\(result.errors.suffix(3000))")
    #expect(Set(folder.lines("out.txt").compactMap { Int($0) }).isSuperset(of: 0..<2000))
  }

  /// The program would not notice the end of its input: only the kernel can end it.
  @Test(arguments: ["runner", "worker"]) func aProgramDiesWithItsWorker(victim: String) throws {
    let folder = try TemporaryFolder()
    let stubborn = "[perl, -e, '$|=1; while (1) { my $l = <STDIN>; if (defined $l) { print $l } else { sleep 1 } }']"
    let running = try folder.start("""
      ringway: 1
      stages:
        ticks: {plugin: exec, with: {command: [perl, -e, '$|=1; print "$_\\n" for 1..5; sleep 1 while 1']}}
        echo: {plugin: exec, inputs: [ticks], with: {command: \(stubborn)}}
        out: {plugin: file.write, inputs: [echo], with: {path: out.txt}}
      """)
    #expect(eventually { folder.lines("out.txt").count == 5 }, "\(running.errors)")
    let worker = try #require(running.workers.first { $0.stage == "echo" })
    let programs = Running.pids(childrenOf: worker.pid)
    #expect(programs.count == 1)
    let all = victim == "runner" ? running.workers.flatMap { Running.pids(childrenOf: $0.pid) } + running.workers.map(\.pid) : programs
    #expect(all.count == (victim == "runner" ? 5 : 1))
    kill(victim == "runner" ? running.pid : worker.pid, SIGKILL)
    #expect(eventually { !all.contains(where: Running.isAlive) })
    if victim == "worker" {
      kill(running.pid, SIGINT)
      // The echo holds nothing, but it does not end by itself either: it is killed in the end.
      #expect(try running.finish().status == 0, "\(running.errors)")
    }
  }

  /// A shell's children stay in the worker's group, which ends with the worker.
  @Test func whatAProgramHasStartedEndsWithTheWorker() throws {
    let folder = try TemporaryFolder()
    let running = try folder.start("""
      ringway: 1
      stages:
        ticks: {plugin: exec, with: {command: "sleep 1000 & echo $!; wait", shell: true}}
        out: {plugin: file.write, inputs: [ticks], with: {path: out.txt}}
      """)
    #expect(eventually { folder.lines("out.txt").count == 1 }, "\(running.errors)")
    let grandchild = try #require(folder.lines("out.txt").first.flatMap { Int32($0) })
    #expect(Running.isAlive(grandchild))
    kill(running.pid, SIGINT)
    #expect(try running.finish().status == 0)
    #expect(eventually { !Running.isAlive(grandchild) })
  }

  @Test func aProgramHasNoSignalsBlockedAndNoDescriptorsOfOurs() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        status: {plugin: exec, with: {command: [cat, /proc/self/status]}}
        files: {plugin: exec, with: {command: [ls, /proc/self/fd]}}
        out: {plugin: file.write, inputs: [status], with: {path: status.txt}}
        more: {plugin: file.write, inputs: [files], with: {path: files.txt}}
      """)
    #expect(try run(file, folder).result.status == 0)
    for name in ["SigBlk", "SigIgn"] { #expect(folder.lines("status.txt").contains("\(name):\t0000000000000000")) }
    // The fourth is the folder that ls reads.
    #expect(folder.lines("files.txt") == ["0", "1", "2", "3"])
  }

  @Test func aProgramThatExitsEarlyIsReplacedAndNothingFails() throws {
    let folder = try TemporaryFolder()
    let numbers = (0..<60).map(String.init)
    let (result, report) = try run(
      try pipeline(folder, numbers, stage: "on_error: {retries: 0}", with: "command: [perl, -ne, 'print; exit']\nbatch: 1"), folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt") == numbers && report.stage("work", "errors") == 0)
  }

  @Test(arguments: [("[\"true\"]", "lines", "exit status 0"), ("[sh, -c, 'head -c 1 > /dev/null; kill -9 $$']", "length", "signal 9"),
    // It closes its output, and takes its time to end.
    ("[perl, -e, 'sysread STDIN, my $b, 1; close STDOUT; select(undef, undef, undef, 0.1); exit 2']", "lines", "exit status 2")])
  func aProgramThatNeverAnswersFailsItsMessage(command: String, framing: String, end: String) throws {
    let folder = try TemporaryFolder()
    let (result, report) = try run(try pipeline(folder, ["a", "b"], with: "command: \(command)\nframing: \(framing)"), folder)
    #expect(result.status == 65 && result.errors.contains("ended (\(end)"), "\(result.errors)")
    #expect(report.stage("work", "errors") == 3 && report.balances, "two retries")
  }

  /// It takes what is there at once, and dies with all of it unanswered: which one it was is found out, and the others count no error.
  @Test func onlyTheMessageThatKillsTheProgramIsGivenUp() throws {
    let folder = try TemporaryFolder()
    let numbers = (0..<500).map(String.init)
    let (result, report) = try run(
      try pipeline(
        folder, numbers, stage: "on_error: {retries: 1, then: drop}",
        with: "command: [perl, -e, '$|=1; while (sysread STDIN, my $b, 65536) { exit 3 if $b =~ /^333$/m; print $b }']"), folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt") == numbers.filter { $0 != "333" })
    #expect(report.stage("work", "dropped") == 1 && report.stage("work", "errors") == 2)
    #expect(result.errors.contains("dropped a message: perl ended (exit status 3) before it had answered"))
  }

  /// A batch that failed is tried message by message; what waits for its turn is not in hand when another one stalls.
  @Test func onlyTheMessageThatStallsCountsADeath() throws {
    let folder = try TemporaryFolder()
    let numbers = (0..<40).map(String.init)
    let script = "my @l = <STDIN>; exit 1 if @l > 1; sleep 1000 if $l[0] == 9; print @l"
    let (result, report) = try run(
      try pipeline(
        folder, numbers, stage: "timeout: 5s\non_error: {deaths: 1, then: drop}\nrestart: {backoff: 1ms}",
        with: "command: [perl, -e, '\(script)']\nanswers: any"), folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt").sorted() == numbers.filter { $0 != "9" }.sorted())
    #expect(report.stage("work", "dropped") == 1 && report.stage("work", "errors") == 0, "nobody knows whose failure a batch's is")
  }

  @Test func halfALineIsNoOutput() throws {
    let folder = try TemporaryFolder()
    let numbers = (0..<100).map(String.init)
    // The first time it dies in the middle of its answer to 50.
    let script = "$|=1; chomp; if ($_ == 50 && !-e q(seen)) { open F, q(>seen); print 5; exit 0 } print qq($_\\n)"
    let file = try pipeline(folder, numbers, stage: "directory: .", with: "command: [perl, -ne, '\(script)']")
    let (result, _) = try run(file, folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt") == numbers)

    for (answers, framing, command) in [
      ("any", "lines", "cat >&2; printf 1"), ("any", "length", "cat >&2; printf '\\\\005\\\\000\\\\000\\\\000abc'"), ("one", "length", "head -c 4 >&2; printf 12"),
    ] {
      let file = try pipeline(folder, ["a"], with: "command: \"\(command)\"\nshell: true\nanswers: \(answers)\nframing: \(framing)")
      let (result, _) = try run(file, folder)
      #expect(result.status == 65 && result.errors.contains("ended in the middle of an output"), "\(answers) \(framing): \(result.errors)")
      #expect(folder.lines("out.txt") == [])
    }
  }

  @Test func aStalledProgramIsKilledByTheTimeoutAndNamed() throws {
    let folder = try TemporaryFolder()
    let numbers = (0..<20).map(String.init)
    let script = "$|=1; chomp; if ($_ == 7 && !-e q(seen)) { open F, q(>seen); print F $$; close F; sleep 1000 } print qq($_\\n)"
    let file = try pipeline(
      folder, numbers, stage: "directory: .\ntimeout: 5s\nrestart: {backoff: 1ms}", with: "command: [perl, -ne, '\(script)']")
    let (result, report) = try run(file, folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt") == numbers && report.stage("work", "restarts") >= 1)
    #expect(result.errors.contains("perl has read its input and answers nothing: it probably holds its output back; set $| = 1 in it"))
    let stalled = try #require(Int32(try String(contentsOfFile: folder.path("seen"), encoding: .utf8)))
    #expect(!Running.isAlive(stalled))
  }

  /// One that has the flag already does not hold anything back.
  @Test(arguments: ["[grep, --line-buffered, '7$']", "[sed, -nu, '/7$/p']"]) func aProgramThatAnswersOnlySomeInputsIsNamed(command: String) throws {
    let folder = try TemporaryFolder()
    let stage = "timeout: 5s\non_error: {deaths: 1, then: drop}\nrestart: {backoff: 1ms}"
    let (result, _) = try run(try pipeline(folder, ["1", "7"], stage: stage, with: "command: \(command)"), folder)
    #expect(result.errors.contains("it does not answer every input with one output; use `answers: any` for such a program"), "\(result.errors)")
    #expect(command.contains("grep") == result.errors.contains("since grep ends with 1 when nothing matches"), "\(result.errors)")
    // Both in one batch: alone, the first would have grep end with 1.
    let together = "batch: {count: 2, within: 1h}"
    let (all, _) = try run(try pipeline(folder, ["1", "7"], stage: together, with: "command: \(command)\nanswers: any"), folder)
    #expect(all.status == 0 && folder.lines("out.txt") == ["7"], "\(all.errors)")
  }

  /// A length that is none, with its bytes in the other order: what it announces never comes.
  @Test(arguments: ["source", "transform"]) func aLengthThatIsTooLargeIsToldAtOnce(kind: String) throws {
    let folder = try TemporaryFolder()
    let program = "with: {command: [perl, -e, '$|=1; \(kind == "source" ? "" : "read STDIN, my $x, 4; ")print pack(qw(N), 23), q(x) x 23; sleep 1000'], framing: length}"
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: \(kind == "source" ? "exec, \(program)" : "generate, with: {count: 3}")}
      \(kind == "source" ? "" : "  work: {plugin: exec, inputs: [numbers], \(program)}\n")
        out: {plugin: file.write, inputs: [\(kind == "source" ? "numbers" : "work")], with: {path: out}}
      """)
    let result = try folder.run(file: file)
    #expect(result.status == 65 && result.errors.contains("385875968 bytes, more than the 1 MiB of `longest`; lengths are four bytes, the lowest first"), "\(result.errors)")
  }

  /// The bytes of an output that was too long are no answers to what comes after it.
  @Test func whatIsLeftOfALengthThatIsTooLargeIsPassedOver() throws {
    let folder = try TemporaryFolder()
    let script = "$|=1; while (read STDIN, my $x, 4) { read STDIN, my $y, unpack(q(V), $x); $y = q(x) x 500000 if $y == 3; print pack(q(V), length $y), $y }"
    let file = try pipeline(
      folder, (0..<10).map(String.init), stage: "on_error: {then: drop}", with: "command: [perl, -e, '\(script)']\nframing: length\nlongest: 1KiB")
    let (result, report) = try run(file, folder)
    #expect(result.status == 0 && result.errors.contains("500000 bytes, more than the 1 KiB of `longest`"), "\(result.errors)")
    #expect(folder.lines("out.txt") == (0..<10).filter { $0 != 3 }.map(String.init) && report.stage("work", "restarts") == 0, "\(result.errors)")
  }

  /// One that ends now and then costs nothing, but is told of.
  @Test func aProgramThatEndsInTheMiddleIsToldOf() throws {
    let folder = try TemporaryFolder()
    let numbers = (0..<1000).map(String.init)
    let (result, _) = try run(try pipeline(folder, numbers, with: "command: [awk, '{print; fflush()} NR==200 {exit 3}']"), folder)
    #expect(result.status == 0 && folder.lines("out.txt") == numbers, "\(result.errors)")
    #expect(result.errors.contains("ended (exit status 3); it is started again"), "\(result.errors)")
  }

  @Test func aFloodOfErrorsHoldsNothingUp() throws {
    let folder = try TemporaryFolder()
    let numbers = (0..<20).map(String.init)
    for framing in ["lines", "message"] {
      let (result, _) = try run(
        try pipeline(folder, numbers, with: "command: [perl, -ne, '$|=1; print STDERR (q(x) x 200000, qq(\\n)); print']\nframing: \(framing)"), folder)
      #expect(result.status == 0, "\(result.errors.suffix(2000))")
      #expect(folder.lines("out.txt").filter { !$0.isEmpty } == numbers)
      #expect(result.errors.contains("xxxx"))
    }
  }

  // MARK: Failures

  @Test func anExitStatusIsTheMessagesFailure() throws {
    let folder = try TemporaryFolder()
    let numbers = (0..<10).map(String.init)
    let (result, report) = try run(
      try pipeline(
        folder, numbers, stage: "on_error: {retries: 1, then: drop}",
        with: "command: \"x=`cat`; if [ $x = 3 ]; then echo no >&2; echo three >&2; exit 4; fi; printf %s $x\"\nshell: true\nframing: message"), folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt") == numbers.filter { $0 != "3" })
    #expect(result.errors.contains("dropped a message: the command: exit status 4: no | three"), "\(result.errors)")
    #expect(report.stage("work", "errors") == 2 && report.stage("work", "dropped") == 1)
  }

  @Test func anOutputThatIsTooLongFailsAloneAndTheProgramGoesOn() throws {
    let folder = try TemporaryFolder()
    let script = "$|=1; chomp; print $_ == 5 ? q(y) x 300000 : $_, qq(\\n); print STDERR qq(started\\n) if $. == 1"
    for (limit, queue) in [("longest: 1KiB", "1MiB"), ("longest: 1MiB", "64KiB")] {
      let file = try pipeline(folder, (0..<10).map(String.init), stage: "on_error: {then: drop}", with: "command: [perl, -ne, '\(script)']\n\(limit)")
      let text = try String(contentsOfFile: file, encoding: .utf8)
        .replacingOccurrences(of: "inputs: [work]", with: "inputs: [work], queue: {message: \(queue)}")
      let (result, report) = try run(try folder.write("p.yaml", text), folder)
      #expect(result.status == 0, "\(result.errors)")
      #expect(folder.lines("out.txt") == ["0", "1", "2", "3", "4", "6", "7", "8", "9"])
      #expect(report.stage("work", "dropped") == 1 && report.stage("work", "errors") == 1)
      #expect(result.errors.components(separatedBy: "started").count == 2, "one program did it all")
    }
  }

  @Test func aProgramThatCannotBeOneIsNamed() throws {
    let folder = try TemporaryFolder()
    try folder.write("plain.sh", "#!/bin/sh\ncat\n")
    let script = try folder.write("script.sh", "#!/bin/sh\ncat\n")
    #expect(chmod(script, 0o755) == 0)
    for (name, words) in [
      ("./plain.sh", "may not be executed: allow it with chmod +x"), ("script.sh", "is not on the PATH: a program of the pipeline file's folder is named by its path: ./script.sh"),
      ("/tmp", "is a folder: name a program in it"), ("nothing-like-it", "on the PATH"),
    ] {
      let file = try pipeline(folder, ["1"], with: "command: [\(name)]")
      let result = try Ringway.run(["validate", file])
      let said = result.errors.replacingOccurrences(of: "\n", with: " ")
      #expect(result.status == 78 && words.components(separatedBy: ": ").allSatisfy(said.contains), "\(result.errors)")
    }
  }

  /// Its end may never come, so that is not waited for.
  @Test(arguments: ["one", "any", "message", "source", "whole source"]) func anOutputWithoutEndFailsWhenItIsTooLong(kind: String) throws {
    let folder = try TemporaryFolder()
    let endless = "command: [perl, -e, 'my $l = <STDIN>; print q(x) x 65536 while 1']\nlongest: 1MiB"
    let file: String
    switch kind {
    case "source", "whole source":
      file = try folder.write("p.yaml", """
        ringway: 1
        stages:
          work: {plugin: exec, with: {command: [perl, -e, 'print q(x) x 65536 while 1'], longest: 1MiB\(kind == "source" ? "" : ", framing: message")}}
          out: {plugin: file.write, inputs: [work], with: {path: out.txt}}
        """)
    case "message": file = try pipeline(folder, ["1"], with: endless + "\nframing: message")
    default: file = try pipeline(folder, ["1"], with: endless + "\nanswers: \(kind)")
    }
    let (result, _) = try run(file, folder)
    #expect(result.status == 65 && result.errors.contains("wrote an output of more than the 1 MiB of `longest`"), "\(result.errors)")
  }

  /// What is left of a line that was too long answers nothing, whenever it comes.
  @Test func theRestOfALineThatIsTooLongIsPassedOver() throws {
    let folder = try TemporaryFolder()
    // The end of the long line comes only with the next message.
    let script = "$|=1; chomp; if ($_ == 5) { print q(y) x 300000; $open = 1; next } print qq(zzz\\n) if $open; $open = 0; print qq($_\\n)"
    let (result, report) = try run(
      try pipeline(folder, (0..<10).map(String.init), stage: "on_error: {then: drop}", with: "command: [perl, -ne, '\(script)']\nlongest: 1KiB"), folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt") == ["0", "1", "2", "3", "4", "6", "7", "8", "9"])
    #expect(report.stage("work", "dropped") == 1)
  }

  @Test func aLineThatAnswersNoInputEndsTheRun() throws {
    let folder = try TemporaryFolder()
    for script in ["$|=1; print; print", "$|=1; print; END { print qq(total\\n) }"] {
      let (result, _) = try run(try pipeline(folder, (0..<50).map(String.init), with: "command: [perl, -ne, '\(script)']"), folder)
      #expect(result.status == 76 && result.errors.contains("wrote an output that answers no input"), "\(script): \(result.errors)")
    }
  }

  /// All of a batch goes on in one instant, so it must fit.
  @Test func aBatchThatMakesMoreThanAQueueHoldsIsRefused() throws {
    let folder = try TemporaryFolder()
    let file = try pipeline(folder, ["1", "2"], with: "command: [perl, -ne, 'print for 1..300; print qq(\\n) for 1..300']\nanswers: any")
    let (result, report) = try run(file, folder)
    #expect(result.status == 65 && result.errors.contains("raise `queue.capacity`"), "\(result.errors)")
    #expect(folder.lines("out.txt") == [] && report.balances)
  }

  @Test func aProgramThatIsNotThereIsReportedAtItsLine() throws {
    let folder = try TemporaryFolder()
    let file = try pipeline(folder, ["1"], with: "command: [no-such-program, -x]")
    let result = try Ringway.run(["validate", file])
    #expect(result.status == 78 && result.errors.contains("p.yaml:9:16: error: there is no program \"no-such-program\" on the PATH"), "\(result.errors)")
    let shell = try Ringway.run(["validate", try pipeline(folder, ["1"], with: "command: cat\nshell: false")])
    #expect(shell.status == 78 && shell.errors.contains("one string is only for a shell"))
  }

  // MARK: Sources and sinks

  /// It dies at 500 the first time.
  private func source(_ folder: TemporaryFolder, _ command: String, more: String = "") throws -> String {
    try folder.write("p.yaml", """
      ringway: 1
      stages:
        source:
          plugin: exec
          directory: .
          restart: {backoff: 1ms}
          with:
            command: \(command)
            \(more)
        results: {plugin: file.write, inputs: [source], with: {path: out.txt}}
      """)
  }

  @Test func aSourceThatDiesIsRunAgainAndGoesOnWhereItWas() throws {
    let folder = try TemporaryFolder()
    let script = "for (0..999) { print qq($_\\n); if ($_ == 500 && !-e q(seen)) { open F, q(>seen); exit 3 } }"
    let (result, report) = try run(try source(folder, "[perl, -e, '\(script)']"), folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out.txt") == (0..<1000).map(String.init))
    #expect(report.stage("source", "restarts") == 1 && result.errors.contains("perl ended (exit status 3)"))
  }

  @Test(arguments: [("replay", 74, ["first", "second"]), ("continue", 0, ["first", "second", "third"])])
  func aSourceThatDoesNotRepeatItself(mode: String, status: Int32, lines: [String]) throws {
    let folder = try TemporaryFolder()
    let script = "if (-e q(seen)) { print qq(third\\n) } else { open F, q(>seen); print qq(first\\nsecond\\n); exit 1 }"
    let (result, _) = try run(try source(folder, "[perl, -e, '\(script)']", more: "on_restart: \(mode)"), folder)
    #expect(result.status == status, "\(result.errors)")
    #expect(folder.lines("out.txt") == lines)
    if mode == "replay" { #expect(result.errors.contains("wrote 1 messages less") && result.errors.contains("on_restart: continue")) }
  }

  @Test func aSourcesWorkerIsKilledAndNothingIsLostOrDoubled() throws {
    let folder = try TemporaryFolder()
    // It ends when it may, so that there is somebody to kill.
    let script = "$|=1; for (0..1999) { print qq($_\\n); select undef, undef, undef, 0.0005 } select undef, undef, undef, 0.01 until -e q(go)"
    let file = try source(folder, "[perl, -e, '\(script)']")
    let text = try String(contentsOfFile: file, encoding: .utf8).replacingOccurrences(of: "restart: {backoff: 1ms}", with: "restart: {backoff: 1ms, max: 1000}")
    let running = try folder.start(text)
    var seen = 0
    for goal in [100, 500, 1200] {
      #expect(eventually { folder.lines("out.txt").count > goal && running.workers.contains { $0.stage == "source" } }, "\(running.errors)")
      for worker in running.workers where worker.stage == "source" {
        let victim = goal == 500 ? Running.pids(childrenOf: worker.pid).first ?? worker.pid : worker.pid
        if kill(victim, SIGKILL) == 0 { seen += 1 }
      }
    }
    try folder.write("go", "")
    let result = try running.finish()
    #expect(result.status == 0 && seen == 3, "\(result.errors)")
    #expect(folder.lines("out.txt") == (0..<2000).map(String.init))
  }

  @Test func aSourcesOutputIsCutAsItsFramingSays() throws {
    let folder = try TemporaryFolder()
    #expect(try run(try source(folder, "[printf, 'a\\nb\\r\\n\\n']"), folder).result.status == 0)
    #expect(try Data(contentsOf: URL(fileURLWithPath: folder.path("out.txt"))) == Data("a\nb\r\n\n".utf8))
    let half = try run(try source(folder, "[printf, 'a\\nb']"), folder).result
    #expect(half.status == 65 && half.errors.contains("its last line has no newline"), "\(half.errors)")
    let text = try String(contentsOfFile: folder.path("p.yaml"), encoding: .utf8).replacingOccurrences(of: "directory: .", with: "on_error: {then: drop}")
    let (dropped, report) = try run(try folder.write("p.yaml", text), folder)
    #expect(dropped.status == 0 && report.stage("source", "dropped") == 1, "\(dropped.errors)")
    #expect(folder.lines("out.txt") == ["a"])
    #expect(try run(try source(folder, "[printf, 'whole']", more: "framing: message"), folder).result.status == 0)
    #expect(folder.lines("out.txt") == ["whole"])
    #expect(try run(try source(folder, "[printf, '\\003\\000\\000\\000abc\\000\\000\\000\\000']", more: "framing: length"), folder).result.status == 0)
    #expect(folder.lines("out.txt") == ["abc", ""])
  }

  @Test func aSourceThatNeverEndsIsDrained() throws {
    let folder = try TemporaryFolder()
    let running = try folder.start(file: try source(folder, "[\"yes\"]"))
    #expect(eventually { folder.lines("out.txt").count > 1000 }, "\(running.errors)")
    kill(running.pid, SIGINT)
    #expect(try running.finish().status == 0, "\(running.errors)")
    #expect(try folder.report.balances)
  }

  private func sink(_ folder: TemporaryFolder, _ command: String) throws -> String {
    try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: exec, with: {command: [seq, "1", "300"]}}
        sink:
          plugin: exec
          inputs: [numbers]
          directory: .
          with: {command: \(command), shell: true}
      """)
  }

  /// A batch counts when the program has exited with 0: the first one fails after it has written all of it, and all is given again.
  @Test func aSinkGivesAgainWhatAFailedProgramMayNotHaveKept() throws {
    let folder = try TemporaryFolder()
    let (result, report) = try run(try sink(folder, "\"cat >> out.txt; [ -e seen ] || { touch seen; exit 1; }\""), folder)
    #expect(result.status == 0, "\(result.errors)")
    let numbers = folder.lines("out.txt").compactMap { Int($0) }
    #expect(Set(numbers) == Set(1...300) && numbers.count > 300)
    #expect(report.stage("sink", "out") == 300 && report.balances)
  }

  @Test func aSinkThatDoesNotReadFailsAndWhatItSaysIsLogged() throws {
    let folder = try TemporaryFolder()
    let (result, report) = try run(try sink(folder, "'echo hello from the sink'"), folder)
    #expect(result.status == 65 && result.errors.contains("exited with 0 before it had read its whole input"), "\(result.errors)")
    #expect(result.errors.contains("hello from the sink") && report.stage("sink", "out") == 0 && report.balances)
  }
}
