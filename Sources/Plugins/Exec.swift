import Platform
import PluginKit

/// Runs any program as a stage: its input and output are messages in one of three framings.
///
/// `ExecSource`, `ExecTransform` and `ExecSink` do the work; this is what they share, the declaration and the program itself.
struct Exec {
  enum Framing: String, Choice { case lines, length, message }
  enum Answers: String, Choice { case one, any }
  enum OnRestart: String, Choice { case replay, `continue` }

  enum Command: Sendable, Equatable {
    case words([String])
    case line(String)
  }

  private static let command = Setting<Command>(
    "command", "The program and its arguments, as a list; no shell is involved. With `shell: true` one string, which /bin/sh reads.",
    schema: ["type": ["array", "string"], "items": ["type": "string"], "minItems": 1, "minLength": 1],
    expected: "a list with a program and its arguments, such as [jq, -c, --unbuffered, .name]", default: nil, defaultJSON: nil,
    example: ["jq", "-c", "--unbuffered", ".name"],
    decode: { node in
      // The system ends each word at a NUL.
      if let line = node.string { return line.isEmpty || line.utf8.contains(0) ? nil : .line(line) }
      guard let words = node.strings, words.first?.isEmpty == false, !words.contains(where: { $0.utf8.contains(0) }) else { return nil }
      return .words(words)
    })
  private static let shell = Setting.boolean("shell", "Whether the command is one string for /bin/sh -c, with pipes and redirections.", default: false)
  private static let framing = Setting<Framing>.choice(
    "framing",
    "lines: each message is a line; length: four bytes, little endian, before each message say how long it is; message: the program runs once for each message.",
    default: .lines)
  private static let answers = Setting<Answers>.choice(
    "answers", "one: the program answers each input with exactly one output; any: it may answer a batch of inputs with any number, and is run once for each batch.",
    default: .one)
  private static let batch = Setting.integer(
    "batch", "How many inputs the program may have at once; never more than half the stage's queue.", in: 1...65_536, default: 128).changeable
  private static let onRestart = Setting<OnRestart>.choice(
    "on_restart",
    "What a source does when it is started again: replay runs the program anew and skips as many outputs as were handed over; continue takes all that it writes then.",
    default: .replay)
  private static let longest = Setting.size("longest", "A longer output fails.", in: 1...(1 << 30), default: "1MiB")

  static let spec = PluginSpec(
    "exec", [.source, .transform, .sink], "Runs any program: messages go to its standard input, and come from its standard output.",
    details: """
      The program runs in the stage's `directory` with its `environment`, one for each process of the stage, and dies with it. What it writes to standard error goes to the log. \
      Under `lines` a message that holds a newline fails, and so does an output whose last line has no newline; a carriage return stays.

      As a transform with `answers: one` the program runs as long as the stage, and must write one output for each input, in their order, as soon as it has it: many programs hold back what they \
      write into a pipe until they are told not to (`jq --unbuffered`, `sed -u`, `grep --line-buffered`, `mawk -W interactive`, `python3 -u`, else `stdbuf -oL`). \
      When it ends with inputs unanswered, a new one gets them; one that ends with a single input in hand has failed on it. A line that answers no input ends the run with 76. \
      With `answers: any` it gets the inputs that are there, at most `batch`, and the end of its input; when it exits with 0 all that it wrote is handed on together, at most as much as the queue of a reader holds. \
      `framing: message` runs it for each message: exit status 0, and what it wrote is the result; otherwise the message fails with the last of its standard error.

      As a sink it gets a batch and the end of its input too (a message, with `framing: message`), and its output goes to the log. A batch counts as delivered when the program has read all of it and has \
      exited with 0; otherwise all of it is given again, each message by itself, so every message is delivered at least once. Append to files (`>>`): each batch starts the program anew.

      As a source it hands on what the program writes, until it exits with 0. Any other end is a crash: it is started again, as `on_restart` says, and `restart` limits how often. \
      `replay` asks for a program that writes the same each time. `timeout` of the stage ends a program that does not answer.
      """,
    settings: [
      command.declaration, shell.declaration, framing.declaration, answers.declaration, batch.declaration, onRestart.declaration, longest.declaration,
    ],
    example: """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 1000}
        halves:
          plugin: exec
          inputs: [numbers]
          with:
            command: [sed, -u, 's/value/half/']
        show:
          plugin: stdout
          inputs: [halves]
      """,
    resources: { given in
      switch given[command] {
      case .words(let words): given[shell] ? [] : [.runsProgram(name: words.first ?? "", setting: "command")]
      case .line: given[shell] ? [.runsProgram(name: "/bin/sh", setting: "command")] : []
      }
    },
    check: { given in
      var problems: [SettingProblem] = []
      switch given[command] {
      case .words where given[shell]:
        problems.append(SettingProblem("command", "a shell takes one string, not a list", remedy: "write the command as one string, or leave out `shell: true`"))
      case .line where !given[shell]:
        problems.append(
          SettingProblem("command", "one string is only for a shell", remedy: "write a list, such as [sed, -u, 's/a/b/'], or add `shell: true`"))
      default: break
      }
      if given[framing] == .message, given[answers] == .any {
        problems.append(
          SettingProblem("answers", "with `framing: message` what the program writes is one message", remedy: "use `framing: lines` for any number of outputs"))
      }
      if given[framing] == .message, given.has(batch.declaration.name) {
        problems.append(
          SettingProblem("batch", "with `framing: message` the program gets one message at a time", remedy: "remove `batch`, or use `framing: lines` or `length`"))
      }
      return problems
    }, joins: { $0[answers] == .any ? "answers" : nil })

  let framing: Framing
  let answers: Answers
  let batch: Int
  let onRestart: OnRestart
  let longest: Int
  /// What messages and the log call it.
  let name: String
  private let file: String
  private let arguments: [String]

  init(_ given: Given) throws {
    framing = given[Self.framing]
    answers = given[Self.answers]
    batch = given[Self.batch]
    onRestart = given[Self.onRestart]
    longest = given[Self.longest]
    switch given[Self.command] {
    case .line(let line):
      name = "the command"
      file = "/bin/sh"
      arguments = ["sh", "-c", line]
    case .words(let words):
      let program = words.first ?? ""
      name = program.split(separator: "/").last.map(String.init) ?? program
      let path = Machine.environment().first { $0.name == "PATH" }?.value
      guard let found = Programs.find(program, path: path, directory: given.directory) else {
        throw WorkerFailure(.noInput, "there is no program \(program): install it, or give its path")
      }
      file = found
      arguments = words
    }
  }

  /// What the outputs are.
  var format: MessageFormat { framing == .lines ? .text : .bytes }

  func start(input: Companion.Input, output: Companion.Output, errors: Companion.Output) throws -> Companion {
    do throws(SystemError) {
      return try Companion(program: file, arguments: arguments, input: input, output: output, errors: errors)
    } catch {
      // EAGAIN, ENOMEM, ENFILE, EMFILE and ETXTBSY pass.
      if [11, 12, 23, 24, 26].contains(error.errno) {
        let remedy = error.errno == 12 ? " (there is no memory left, or `limits.memory` of the stage allows no more)" : ""
        throw MessageFailure("\(name) cannot be started: \(error.reason)\(remedy)")
      }
      throw WorkerFailure(error, file, error.errno == 8 ? "a script needs a first line such as #!/bin/sh" : "")
    }
  }

  /// A sentence for the log.
  func note(_ text: String) { try? Descriptors.writeAll(2, text + "\n") }

  /// Why a program that has read its input may be silent, and what to do about that.
  var silence: String {
    let remedies: [(program: String, flags: [String], text: String)] = [
      ("python", ["-u"], "run it with -u"), ("sed", ["-u", "--unbuffered"], "run it with -u"), ("jq", ["--unbuffered"], "run it with --unbuffered"),
      ("grep", ["--line-buffered"], "run it with --line-buffered"),
      // It holds back its input too, so fflush() is not enough.
      ("mawk", ["interactive"], "run it with -W interactive"), ("gawk", [], "call fflush() after each print"), ("awk", [], "call fflush() after each print"),
      ("perl", [], "set $| = 1 in it"),
    ]
    // Under this name it is another one on each system.
    let real = name == "awk" ? Files.canonical(file)?.split(separator: "/").last.map(String.init) ?? name : name
    let known = remedies.first { real.hasPrefix($0.program) }
    let any = "use `answers: any`"
    if let known, known.flags.contains(where: has) {
      // grep(1): 1 is nothing that matches, which would be a failure.
      let status = known.program == "grep" ? ", with `shell: true` and `|| [ $? = 1 ]` behind the command, since grep ends with 1 when nothing matches" : ""
      return "it does not answer every input with one output; \(any) for such a program\(status)"
    }
    return "it probably holds its output back; " + (known?.text ?? "run it with -u or --line-buffered if it has them, or else under `stdbuf -oL`")
      + ", or \(any) if it does not answer every input"
  }

  /// Whether the program was given this flag, also together with other letters: `-nu`.
  private func has(_ flag: String) -> Bool {
    arguments.dropFirst().contains { argument in
      if argument == flag { return true }
      guard flag.count == 2, argument.hasPrefix("-"), !argument.hasPrefix("--"), let letter = flag.last else { return false }
      return argument.contains(letter)
    }
  }
}
