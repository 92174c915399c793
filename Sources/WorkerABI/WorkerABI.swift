// WorkerABI: the worker's loop for interpreters of other languages. It is linked into a shared library that holds everything it
// needs, Swift's own libraries too; worker.py imports it.

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
func runPython(_ python: CPython, _ host: Object, under runner: Int32, _ kind: Int32) -> Int32 {
  python.retain(host)
  PythonStage.host = (python, host)
  Handoff.waits = Handoff.Waits(begin: { python.saveThread() }, end: { python.restoreThread($0) })
  let plugin: AnyPlugin = kind == 0 ? .source(PythonSource.self) : kind == 1 ? .transform(PythonTransform.self) : .transform(PythonBatch.self)
  return runWorker(under: runner, plugins: [plugin], keys: keys)
}

/// The keys of partitions are jq filters.
private func keys(_ rule: PartitionRule) throws -> Partition.KeyReader { try PartitionKey(rule.key, isText: rule.input == .text).read }

