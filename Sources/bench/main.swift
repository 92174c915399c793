import Commands

// The program that measures Ringway and tries to break it: the runner itself with stages of its own beside the built-ins,
// and subcommands that measure one thing each. It is not installed.
switch CommandLine.arguments.dropFirst().first {
case "ring": RingCommand.main(Array(CommandLine.arguments.dropFirst(2)))
case "split": SplitCommand.main(Array(CommandLine.arguments.dropFirst(2)))
case "soak": Soak.main(Array(CommandLine.arguments.dropFirst(2)))
default:
  Soak.followParent()
  Commands.main(adding: Workload.plugins + TortureStages.all + SoakStages.all, ringStart: RingStartOption.given)
}
