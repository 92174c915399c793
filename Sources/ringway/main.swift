import Commands

// A worker is this same program started again; it must be there in milliseconds, so it goes past the command line.
if CommandLine.arguments.count > 1, CommandLine.arguments[1] == "__worker" {
  Commands.worker(CommandLine.arguments)
} else {
  Commands.main()
}
