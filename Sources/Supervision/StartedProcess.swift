import Plans
import Platform
import Specs

/// A process that has been started as a worker: itself, our end of its control line, and the pipe that carries what it writes.
struct StartedProcess {
  let child: ChildProcess
  let control: Int32
  let output: Int32
}

extension StartedProcess {
  /// Starts one process of a stage: this program once more, or the one that the stage's workers are.
  ///
  /// - Parameters:
  ///   - environment: what the runner has; the stage's own is added
  ///   - descriptors: by their numbers in the worker; the places of its output and control line are filled in here
  ///   - more: arguments after the usual ones
  init(_ stage: Stage, _ process: Int, _ environment: [(name: String, value: String)], _ descriptors: [Int32], _ more: String...) throws(SystemError) {
    let output = try Channel.pipe()
    defer { Descriptors.close(output.write) }
    var opened = [output.read]
    defer { for fd in opened { Descriptors.close(fd) } }
    let control = try Channel.socketPair()
    defer { Descriptors.close(control.theirs) }
    opened.append(control.ours)
    var descriptors = descriptors
    descriptors[1] = output.write
    descriptors[2] = output.write
    descriptors[Int(WorkOrder.Descriptor.control)] = control.theirs
    let program = stage.launch.map { [$0.program] + $0.arguments } ?? ["ringway"]
    var order = ChildProcess.Order(
      arguments: program + ["__worker", stage.name, String(process), String(CurrentProcess.id)] + more,
      environment: Self.environment(of: stage, environment), directory: stage.directory, descriptors: descriptors)
    if let launch = stage.launch { order.program = launch.program }
    child = try ChildProcess.spawn(order)
    (self.control, self.output) = (control.ours, output.read)
    opened = []
  }

  private static func environment(of stage: Stage, _ inherited: [(name: String, value: String)]) -> [String] {
    // A worker that crashes must not print pages of backtrace for each try.
    let added = [(name: "SWIFT_BACKTRACE", value: "enable=no")] + stage.environment
    return (inherited.filter { old in !added.contains { $0.name == old.name } } + added).map { "\($0.name)=\($0.value)" }
  }

  /// Ends it and all that it has started, and waits until it has gone.
  ///
  /// - Parameter beforeItIsFree: as for `ChildProcess.reap`
  func discard(beforeItIsFree: () -> Void) {
    child.killNow(beforeItIsFree: beforeItIsFree)
    Descriptors.close(control)
    Descriptors.close(output)
  }
}
