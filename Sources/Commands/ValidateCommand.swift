import ArgumentParser
import Documents
import Plans
import Schemas
import Specs

struct ValidateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "validate", abstract: "Checks pipeline files without running them.",
    discussion: """
      Every problem is reported at once, each with its line and what to write instead; `run` makes
      the same checks. With --schema, any YAML or JSON file is checked against any JSON Schema
      (draft 2020-12).

      Exit codes: 0 all valid, 66 a file cannot be read, 76 a library of `plugins` cannot be used,
      78 something is invalid.

      Examples:
        ringway validate frames.yaml words.yaml
        ringway validate frames.yaml --format github
        ringway validate data.json --schema data.schema.json
      """)

  @Argument(help: "The files.", completion: .file(extensions: ["yaml", "yml", "json"])) var files: [String]
  @Option(name: .long, help: ArgumentHelp("How problems are written: text, json or github.", valueName: "format")) var format = Format.text
  @Option(name: .long, help: ArgumentHelp("Checks against this JSON Schema instead.", valueName: "file")) var schema: String?
  @OptionGroup var overrides: OverrideOptions
  @OptionGroup var common: CommonOptions

  enum Format: String, ExpressibleByArgument, CaseIterable { case text, json, github }

  func run() throws {
    var code = Specs.ExitCode.success
    let loaded = try schema.map(loadSchema)
    for file in files {
      do throws(Check.Unreadable) {
        let (source, diagnostics, praise) = try check(file, loaded)
        show(source, Diagnostic.sorted(diagnostics), praise)
        if diagnostics.contains(where: { $0.severity == .error }), code == .success { code = diagnostics.contains { $0.code == NativeCatalog.pluginProtocol } ? .pluginProtocol : .invalidPipeline }
      } catch {
        Output.say("ringway: \(error.text)\n")
        if code == .success { code = .noInput }
      }
    }
    if code != .success { throw code.end }
  }

  private func check(_ file: String, _ schema: Schema?) throws(Check.Unreadable) -> (Source, [Diagnostic], String) {
    guard let schema else {
      let check = try Check(file, overrides: overrides.set)
      guard let plan = check.plan else { return (check.source, check.diagnostics, "") }
      return (check.source, check.diagnostics, "valid: \(plan.totals)")
    }
    let source = try Check.read(file)
    let (node, syntax) = source.document()
    return (source, node.map { schema.validate($0) } ?? syntax, "valid")
  }

  /// The answer of this command is what is wrong, so in the formats for machines it goes to standard output; the text goes
  /// where `run` puts it.
  private func show(_ source: Source, _ diagnostics: [Diagnostic], _ praise: String) {
    let errors = diagnostics.count { $0.severity == .error }
    switch format {
    case .text:
      Output.say(source.render(diagnostics))
      if errors > 0 {
        Output.say("\(errors) \(errors == 1 ? "error" : "errors") in \(source.name)\n")
      } else if !common.quiet {
        Output.answer("\(source.name): \(praise)\n")
      }
    case .json: for diagnostic in diagnostics { Output.answer(diagnostic.json(file: source.name).compact + "\n") }
    case .github: for diagnostic in diagnostics { Output.answer(diagnostic.github(file: source.name) + "\n") }
    }
  }

  private func loadSchema(_ file: String) throws -> Schema {
    let source: Source
    do throws(Check.Unreadable) { source = try Check.read(file) } catch {
      Output.say("ringway: \(error.text)\n")
      throw Specs.ExitCode.noInput.end
    }
    let (node, syntax) = source.document()
    var problems = syntax
    if let node {
      let (compiled, found) = Schema.compile(node)
      if let compiled { return compiled }
      problems = found
    }
    show(source, Diagnostic.sorted(problems), "")
    throw Specs.ExitCode.invalidPipeline.end
  }
}
