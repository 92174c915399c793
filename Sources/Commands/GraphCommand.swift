import ArgumentParser
import Plans

struct GraphCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "graph", abstract: "Draws the graph of a pipeline file. Nothing is started.",
    discussion: """
      Examples:
        ringway graph frames.yaml
        ringway graph frames.yaml --format dot | dot -Tsvg > frames.svg
      """)

  @Argument(help: "The pipeline file.", completion: .file(extensions: ["yaml", "yml", "json"])) var file: String
  @Option(name: .long, help: ArgumentHelp("tree, dot, mermaid or json.", valueName: "format")) var format = Drawing.tree
  @OptionGroup var overrides: OverrideOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    Output.answer(try Check.plan(file, overrides).drawn(as: format))
  }
}

extension Drawing: ExpressibleByArgument {}
