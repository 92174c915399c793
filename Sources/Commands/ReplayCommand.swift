import ArgumentParser
import Platform
import Plans
import Plugins
import Specs

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Sends the messages of dead letters again.",
    discussion: """
      FILE holds what a stage has read from `STAGE.dead_letter`, one letter a line. Every line is
      looked at first: one that is no letter is named (exit 65), and nothing starts.

      What runs is the part of the pipeline from that stage down, with all that a message from there
      can come to; other stages and inputs are left out. The messages have the bytes and the format
      that they had. `file.write` adds to its file, whatever its mode. What is given up again becomes
      a new letter, so FILE cannot be the file that letters are written to: rename it first.

      Examples:
        mv rejected.jsonl again.jsonl && ringway replay again.jsonl
        ringway replay again.jsonl --into send --pipeline frames.yaml --set threshold=200

      A message is named by FILE and by its place there: sent twice from one file it has the same
      Idempotency-Key. What a letter calls `handed_on` went on before, and is made again.
      """)

  @Argument(help: "The file of dead letters.", completion: .file(extensions: ["jsonl"])) var file: String
  @Option(name: .long, help: ArgumentHelp("Sends all letters into this stage; without it, into the one that gave them up.", valueName: "stage"))
  var into: String?
  @Option(
    name: .long, help: ArgumentHelp("The pipeline file; without it, the one that the letters name.", valueName: "file"),
    completion: .file(extensions: ["yaml", "yml", "json"]))
  var pipeline: String?
  @OptionGroup var overrides: OverrideOptions
  @OptionGroup var settings: RunSettings
  @OptionGroup var common: CommonOptions

  func run() throws {
    let letters = try read()
    if !letters.empty.isEmpty { Output.say("ringway: \(Self.described(letters.empty)) without a message and cannot be sent again: a source could not make it\n") }
    guard letters.count > 0 else {
      if !common.quiet { Output.say("ringway: \(file) has no letter that can be sent again\n") }
      return
    }
    let target = try into ?? onlyStage(letters)
    let name = try pipeline ?? onlyPipeline(letters)
    let plan = try Check.plan(name, overrides) { settings.reportRefusal(of: name, $0, $1) }
    guard let index = plan.index(of: target) else {
      let remedy = Nearest.remedy(for: target, among: plan.stages.map(\.name), of: "stages").map { ": \($0)" } ?? ""
      throw refusal("there is no stage \"\(target)\" in \(plan.file)\(remedy)" + (into == nil ? "; --into names another" : ""))
    }
    if plan.stages[index].kind == .source { throw refusal("\"\(target)\" is a source and takes no messages: --into names the stage that does") }
    let path = Files.canonical(file) ?? file
    if let writer = writer(of: path, in: plan, from: index) {
      throw refusal("stage \"\(writer)\" writes \(file), and would while it is read: rename it first (mv \(file) again.jsonl) and replay that")
    }
    if !common.quiet { Output.say("ringway: \(letters.count) \(letters.count == 1 ? "letter goes" : "letters go") into \"\(target)\" of \(plan.file)\n") }
    let source = Stage(
      name: "", plugin: Replay.spec.name, kind: .source,
      settings: .mapping([
        Node.Pair(key: "file", value: .string(path)), Node.Pair(key: "stage", value: .string(into == nil ? target : "")),
        Node.Pair(key: "into", value: .string(target)),
      ]), resources: [.readsFiles(pattern: path, setting: "file")])
    try settings.run(
      plan.replaying(into: index, from: source, catalog: Commands.specs + [Replay.spec], surroundings: Check.surroundings()), common)
  }

  /// - Throws: what the command ends with, once it has been said why
  private func read() throws -> LetterFile {
    switch Files.status(file)?.kind {
    case .directory: throw refusal("\(file) is a folder; name a file in it", .noInput)
    case .other: throw refusal("\(file) is no file: letters are read twice, so copy them into one")
    case .file, nil: break
    }
    do throws(LetterFile.Failure) { return try LetterFile(file) } catch {
      switch error {
      case .unreadable(let reason): throw refusal("\(file) cannot be read: \(reason)", .noInput)
      case .noLetter(let line, let why): throw refusal("\(file):\(line) is no dead letter: \(why)", .messageFailed)
      }
    }
  }

  private func onlyStage(_ letters: LetterFile) throws -> String {
    if letters.stages.count == 1 { return letters.stages[0].name }
    let stages = letters.stages.prefix(12).map { "\($0.name) (\($0.count))" }.joined(separator: ", ") + (letters.stages.count > 12 ? ", …" : "")
    throw refusal("\(file) has letters of \(letters.stages.count) stages: \(stages); --into sends all of them into one, or make a file of each")
  }

  private func onlyPipeline(_ letters: LetterFile) throws -> String {
    if letters.pipelines.count == 1 { return letters.pipelines[0] }
    let files = letters.pipelines.prefix(6).joined(separator: ", ") + (letters.pipelines.count > 6 ? ", …" : "")
    throw refusal("the letters of \(file) come from \(letters.pipelines.count) pipelines: \(files); --pipeline names the one to use")
  }

  /// The stage that would write this file.
  private func writer(of path: String, in plan: Plan, from target: Int) -> String? {
    plan.reached(from: target).first { i in
      plan.stages[i].resources.contains { resource in
        guard case .writesFile(let written, _) = resource else { return false }
        return Files.areSame(path, written.hasPrefix("/") ? written : plan.directory + "/" + written)
      }
    }.map { plan.stages[$0].name }
  }

  /// `2 letters (lines 3 and 9) are`
  private static func described(_ lines: [Int]) -> String {
    let shown = lines.prefix(10).map(String.init).joined(separator: ", ") + (lines.count > 10 ? ", …" : "")
    return lines.count == 1 ? "the letter in line \(shown) is" : "\(lines.count) letters (lines \(shown)) are"
  }

  private func refusal(_ text: String, _ code: Specs.ExitCode = .usage) -> any Error {
    Output.say("ringway: \(text)\n")
    return code.end
  }
}
