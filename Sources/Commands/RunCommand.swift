import ArgumentParser
import Plans
import Supervision

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Checks a pipeline file and runs it to its end.",
    discussion: """
      Ctrl-C or SIGTERM stops the sources and finishes what is under way (exit 0); a second one,
      or one while the file is still checked, stops at once (exit 75). At the end one table says
      what happened, and one sentence which stage set the pace.

      Examples:
        ringway run frames.yaml
        ringway run frames.yaml --set count=50 --set stages.detect.processes=4
        ringway run frames.yaml --report report.json --progress off
        ringway run frames.yaml --state frames.state
        ringway run frames.yaml --chaos kill=1%,stop=0.1%,delay=1%

      With --state the queues are files of a folder, and after a kill -9 of everything the same
      command goes on as if nothing had happened; `ringway state` shows what is in the folder.

      With --chaos you see the promise kept on your own graph. The shares are of the messages that a
      worker begins: kill (SIGKILL), stop (SIGSTOP, for at most a second), delay (at most 20 ms).
      Such a death counts neither for the message nor for `restart`; a worker dies only once it has
      handed something over, and whoever reads standard input is not killed. The table says how often.
      """)

  @Argument(help: "The pipeline file.", completion: .file(extensions: ["yaml", "yml", "json"])) var file: String
  @OptionGroup var overrides: OverrideOptions
  @OptionGroup var settings: RunSettings
  @Option(
    name: .long,
    help: ArgumentHelp("Kills, stops and delays workers at random, such as kill=1%,stop=0.1%,delay=1% of the messages they begin.", valueName: "shares"),
    transform: { text in
      guard let chaos = Chaos(text) else { throw ValidationError("expected \(Chaos.expected)") }
      return chaos
    })
  var chaos: Chaos?
  @Option(name: .long, help: ArgumentHelp("Draws the same numbers again; without it they are new, and named at the beginning.", valueName: "number"))
  var chaosSeed: Int?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let chaosSeed, chaosSeed < 0 { throw ValidationError("--chaos-seed is a number from 0 on") }
    if chaosSeed != nil, chaos == nil { throw ValidationError("--chaos-seed chooses what --chaos draws: say with --chaos how often workers are disturbed") }
  }

  func run() throws {
    let prestarted = PrestartedWorkers()
    defer { prestarted.discard() }
    let plan = try Check.plan(file, overrides, prestarting: prestarted) { settings.reportRefusal(of: file, $0, $1) }
    var chaos = chaos
    if chaos != nil {
      let seed = chaosSeed ?? Int.random(in: 1...999_999)
      chaos?.seed = seed
      if !common.quiet { Output.say("ringway: chaos with --chaos-seed \(seed)\n") }
    }
    try settings.run(plan, common, chaos: chaos, prestarted: prestarted)
  }
}
