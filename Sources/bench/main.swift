import Commands

// The program that measures Ringway and tries to break it: the runner itself with stages of its own beside the built-ins.
// It is not installed.
Soak.runIfAsked()
Commands.main(adding: TortureStages.all + SoakStages.all)
