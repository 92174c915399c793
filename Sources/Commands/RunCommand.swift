import ArgumentParser

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Checks a pipeline file and runs it to its end.",
    discussion: """
      Ctrl-C or SIGTERM stops the sources and finishes what is under way (exit 0); a second one
      stops at once (exit 75). At the end one table says what happened, and one sentence which
      stage set the pace.

      Examples:
        ringway run frames.yaml
        ringway run frames.yaml --set count=50 --set stages.detect.processes=4
        ringway run frames.yaml --report report.json --progress off
        ringway run frames.yaml --state frames.state

      With --state the queues are files of a folder, and after a kill -9 of everything the same
      command goes on as if nothing had happened; `ringway state` shows what is in the folder.
      """)

  @Argument(help: "The pipeline file.", completion: .file(extensions: ["yaml", "yml", "json"])) var file: String
  @OptionGroup var overrides: OverrideOptions
  @OptionGroup var settings: RunSettings
  @OptionGroup var common: CommonOptions

  func run() throws { try settings.run(try Check.plan(file, overrides), common) }
}
