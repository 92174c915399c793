// Commands: the command line. One file for each subcommand; the only room that prints, and the only one that knows every
// other. Answers go to standard output, everything else to standard error.

import ArgumentParser
import Filters
import Plans
package import PluginKit
import Platform
import Plugins
import Python
package import Rings
import Specs
import Stages

package enum Commands {
  package static let version = "0.1.0"

  /// What this program can run: the built-ins, and what a program with plugins of its own has added before anything else.
  // Unsafe: written by the first lines of main alone, while there is one thread.
  nonisolated(unsafe) private(set) static var plugins = Catalog.all
  nonisolated(unsafe) private(set) static var ringStart = RingStart.zero

  /// The keys of partitions are jq filters.
  private static func keys(_ rule: PartitionRule) throws -> Partition.KeyReader { try PartitionKey(rule.key, isText: rule.input == .text).read }

  static var specs: [PluginSpec] { plugins.map(\.spec) + [Python.spec] }

  /// Runs the command line that this process was started with: a worker's, or a person's.
  ///
  /// - Parameters:
  ///   - more: plugins beside the built-ins
  ///   - ringStart: where the counters of the rings begin
  package static func main(adding more: [AnyPlugin] = [], ringStart start: RingStart = .zero) {
    plugins += more
    ringStart = start
    // A worker is this same program started again; it must be there in milliseconds, so it goes past the command line.
    if CommandLine.arguments.count > 1, CommandLine.arguments[1] == "__worker" {
      runWorker(arguments: CommandLine.arguments, plugins: plugins + [.source(Replay.self)], load: NativeCatalog.load, keys: keys)
    }
    if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "__plugin" { NativeCatalog.describe(CommandLine.arguments[2]) }
    CurrentProcess.fillStandardStreams()
    RootCommand.main()
  }
}

struct RootCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ringway",
    abstract: "Runs a dataflow that one YAML file describes: processes joined by bounded queues in shared memory.",
    discussion: """
      Examples:
        ringway validate frames.yaml
        ringway graph frames.yaml
        ringway run frames.yaml --set count=50 --report report.json

      Exit codes: 0 finished or drained, 64 usage, 65 a message failed, 66 file unreadable,
      69 receiver unavailable, 70 an invariant broke, 71 system, 73 cannot create,
      74 input or output, 75 stopped with work left, 76 plugin protocol, 77 permission,
      78 pipeline invalid, 100 a stage spent its restarts.
      """,
    version: Commands.version,
    subcommands: [
      RunCommand.self, ValidateCommand.self, GraphCommand.self, ReplayCommand.self, StateCommand.self, InitCommand.self, PluginsCommand.self,
      SchemaCommand.self,
    ])
}

/// What every subcommand takes.
struct CommonOptions: ParsableArguments {
  @Flag(name: .shortAndLong, help: "Say more.") var verbose = false
  @Flag(name: .shortAndLong, help: "Say only what is wrong, and the answer.") var quiet = false
  @Option(name: .long, help: ArgumentHelp("How log lines are written: text or json.", valueName: "format")) var logFormat = LogFormat.text
}

enum LogFormat: String, ExpressibleByArgument, CaseIterable { case text, json }

/// `--set PATH=VALUE`.
struct Override: ExpressibleByArgument {
  let path: String
  let value: String

  init?(argument: String) {
    guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else { return nil }
    path = String(argument[..<equals])
    value = String(argument[argument.index(after: equals)...])
  }
}

struct OverrideOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp("Sets a parameter (count=50) or any value by its path (stages.detect.processes=4). May be repeated.", valueName: "path=value"))
  var set: [Override] = []
}

extension Specs.ExitCode {
  /// Ends the command with this code.
  var end: ArgumentParser.ExitCode { ArgumentParser.ExitCode(rawValue) }
}
