/// How the program, and each of its workers, ends. The numbers follow sysexits.h where it has one.
public enum ExitCode: Int32, Sendable, CaseIterable {
  /// End of input, or drained after one signal.
  case success = 0
  /// The command line is wrong (EX_USAGE).
  case usage = 64
  /// A message failed and `then: stop` decided (EX_DATAERR).
  case messageFailed = 65
  /// The pipeline file itself cannot be read (EX_NOINPUT).
  case noInput = 66
  /// A receiver stayed unavailable past its limit (EX_UNAVAILABLE).
  case unavailable = 69
  /// An invariant of ours broke (EX_SOFTWARE). Beats every other code.
  case invariantBroken = 70
  /// The system refused something: processes, memory, descriptors (EX_OSERR).
  case system = 71
  /// Something could not be created (EX_CANTCREAT).
  case cannotCreate = 73
  /// Reading or writing failed (EX_IOERR).
  case io = 74
  /// Stopped with work left; running again is safe (EX_TEMPFAIL).
  case stopped = 75
  /// A plugin broke its contract (EX_PROTOCOL).
  case pluginProtocol = 76
  /// Permission denied (EX_NOPERM).
  case permission = 77
  /// The pipeline file is invalid (EX_CONFIG).
  case invalidPipeline = 78
  /// A stage spent its restarts.
  case restartsSpent = 100
}
