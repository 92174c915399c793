import Plans
import Platform

extension Supervisor.WorkerEnd {
  /// How a process ended, with the limit of its stage that it ran into, as far as that can be told.
  ///
  /// - Parameter cpuMicroseconds: the processor time that it had used
  init(_ end: ChildProcess.End, cpuMicroseconds: Int64, limits: ProcessLimits) {
    switch end {
    case .exited(let status): self = .exited(status)
    case .signalled(let signal):
      if let seconds = limits.cpuSeconds, let limit = limits.describedCPU,
        signal == Signal.cpuTime || signal == Signal.kill && cpuMicroseconds / 1_000_000 >= seconds {
        self = .killed("it used its \(limit)")
      } else if let limit = limits.describedMemory, Signal.crashes.contains(signal) {
        // A library that gets no memory ends the process in one of these ways, but so does many another mistake.
        self = .crashed("\(end.description), with a \(limit)")
      } else {
        self = Signal.crashes.contains(signal) ? .crashed(end.description) : .killed(end.description)
      }
    }
  }

  /// Numbers of signal(7), the same on every machine that Swift runs on.
  private enum Signal {
    static let kill: Int32 = 9
    static let cpuTime: Int32 = 24
    /// SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV
    static let crashes: Set<Int32> = [4, 5, 6, 7, 8, 11]
  }
}
