// WorkerABI: the worker's loop for interpreters of other languages. It is linked into a shared library that holds everything it
// needs, Swift's own libraries too; worker.py imports it.

import Filters
import Plans
import PluginKit
import Platform
import Python
import Rings
import Stages

/// Makes the process that has loaded this library a worker. The caller holds the interpreter's lock, which is free meanwhile.
///
/// - Parameters:
///   - runner: the process number of the runner
///   - reserved: how many numbers are kept free for what is still to be handed over; 0 for a process that has everything
/// - Returns: 0, or the exit status that the process is to end with
func enlistPython(_ python: CPython, under runner: Int32, reserved: Int32) -> Int32 {
  // An interpreter's own site may have started threads.
  let waiting = python.saveThread()
  defer { python.restoreThread(waiting) }
  switch enlist(under: runner, reserved: reserved > 0 ? reserved : nil) {
  case .ended(let status): return status
  case .worker(let order):
    PythonStage.order = order
    return 0
  }
}

/// Runs a worker that has enlisted to its end. The caller holds the interpreter's lock.
///
/// - Parameters:
///   - host: the object `Host` of worker.py
///   - kind: 0 for a source, 1 for a stage that is called with a message, 2 for one that is called with many
/// - Returns: the exit status of the process
func runPython(_ python: CPython, _ host: Object, _ kind: Int32) -> Int32 {
  guard let order = PythonStage.order else {
    reportFailure(.invariantBroken, "the worker runs before it has enlisted")
    return ExitCode.invariantBroken.rawValue
  }
  python.retain(host)
  PythonStage.host = (python, host)
  Handoff.waits = Handoff.Waits(begin: { python.saveThread() }, end: { python.restoreThread($0) })
  let plugin: AnyPlugin = kind == 0 ? .source(PythonSource.self) : kind == 1 ? .transform(PythonTransform.self) : .transform(PythonBatch.self)
  return runWorker(order, plugins: [plugin], keys: keys)
}

/// The keys of partitions are jq filters.
private func keys(_ rule: PartitionRule) throws -> Partition.KeyReader { try PartitionKey(rule.key, isText: rule.input == .text).read }

