import ArgumentParser
import Plans
import Specs

struct SchemaCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schema", abstract: "Prints the JSON Schema of pipeline files.",
    discussion: """
      Editors complete and check pipeline files with it: begin a file with
        # yaml-language-server: $schema=pipeline.schema.json
      """)

  @OptionGroup var common: CommonOptions

  func run() throws { Output.answer(Commands.schemaText) }
}

extension Commands {
  /// What `ringway schema` prints and `schemas/pipeline.schema.json` holds.
  package static var schemaText: String { PipelineSchema.json(catalog: Commands.specs).pretty + "\n" }
}
