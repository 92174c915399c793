// WorkerABI: the worker's loop as C functions, for interpreters of other languages. It is linked into a shared library that holds
// everything it needs, Swift's own libraries too; worker.py loads it.

import Filters
import Plans
import PluginKit
import Platform
import Python
import Rings
import Stages

/// Runs a worker to its end in the process that has loaded this library. The caller holds the interpreter's lock.
///
/// - Parameters:
///   - host: the object `Host` of worker.py
///   - runner: the process number of the runner
///   - kind: 0 for a source, 1 for a stage that is called with a message, 2 for one that is called with many
/// - Returns: the exit status of the process
@c(ringway_worker_run) public func ringwayWorkerRun(_ host: UnsafeMutableRawPointer?, _ runner: Int32, _ kind: Int32) -> Int32 {
  guard let host else { return 70 }
  let python: CPython
  do { python = try CPython() } catch {
    try? Descriptors.writeAll(2, "this interpreter cannot be used: \(error)\n")
    return 76
  }
  python.retain(host)
  PythonStage.host = (python, host)
  Handoff.waits = Handoff.Waits(begin: { python.saveThread() }, end: { python.restoreThread($0) })
  let plugin: AnyPlugin = kind == 0 ? .source(PythonSource.self) : kind == 1 ? .transform(PythonTransform.self) : .transform(PythonBatch.self)
  return runWorker(under: runner, plugins: [plugin], keys: keys)
}

/// The keys of partitions are jq filters.
private func keys(_ rule: PartitionRule) throws -> Partition.KeyReader { try PartitionKey(rule.key, isText: rule.input == .text).read }

/// Tells the runner why the worker cannot run, or did not end in order, before it exits with this code.
@c(ringway_worker_fail) public func ringwayWorkerFail(_ text: UnsafePointer<CChar>?, _ code: Int32) {
  reportFailure(ExitCode(rawValue: code) ?? .pluginProtocol, text.map { String(cString: $0) } ?? "")
}

/// Tells the runner what the worker is about to do on the way to its first message.
@c(ringway_worker_opening) public func ringwayWorkerOpening(_ text: UnsafePointer<CChar>?) {
  if let text { reportOpening(String(cString: text)) }
}

/// Tells the runner why the stage's class could not be constructed, before the worker ends as a crash.
@c(ringway_worker_not_opened) public func ringwayWorkerNotOpened(_ error: UnsafePointer<CChar>?, _ details: UnsafePointer<CChar>?) {
  if let error, let details { reportOpeningFailure(String(cString: error), String(cString: details)) }
}

/// Called in a process that user code has forked: no call of the loop may return there.
@c(ringway_worker_forked) public func ringwayWorkerForked() { PythonStage.isForked = true }
