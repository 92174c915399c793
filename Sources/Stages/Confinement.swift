import Platform
import Plans
import PluginKit

extension WorkOrder {
  /// Puts this process under what the stage's file says of its processes, before anything of the plugin runs. What the worker
  /// starts inherits it.
  func confine() throws {
    do throws(SystemError) {
      if let bytes = limits.memoryBytes { try CurrentProcess.limit(.privateMemory, to: bytes) }
      if let files = limits.files { try CurrentProcess.limit(.descriptors, to: files) }
      if let seconds = limits.cpuSeconds { try CurrentProcess.limit(.processorTime, to: seconds) }
    } catch {
      throw WorkerFailure(.system, "the limits of the stage cannot be set: \(error)")
    }
    if !affinity.isEmpty {
      do throws(SystemError) { try CurrentProcess.setAffinity(affinity) } catch {
        throw WorkerFailure(.system, "the stage's `affinity` cannot be had any more: \(error)")
      }
    }
    if let nice { try setNice(nice) }
  }

  private func setNice(_ value: Int) throws {
    do throws(SystemError) { try CurrentProcess.setNice(value) } catch {
      // EPERM, EACCES
      guard error.errno == 1 || error.errno == 13 else { throw WorkerFailure(.system, "\(error)") }
      throw WorkerFailure(
        .permission,
        "`nice: \(value)` is refused (\(error.reason)): write at least \(CurrentProcess.nice), which the runner has, or run it as root, with CAP_SYS_NICE, or under `ulimit -e \(20 - value)`")
    }
  }
}
