import Platform
import Plans
import PluginKit

extension WorkOrder {
  /// Puts this process under what the stage's file says of its processes, before anything of the plugin runs. What the worker becomes
  /// or starts inherits it; an interpreter does it once more, which changes nothing.
  func confine() throws {
    do throws(SystemError) {
      if let bytes = limits.memoryBytes { try CurrentProcess.limit(.privateMemory, to: bytes) }
      if let files = limits.files { try CurrentProcess.limit(.descriptors, to: files) }
      if let seconds = limits.cpuSeconds { try CurrentProcess.limit(.processorTime, to: seconds) }
    } catch {
      throw WorkerFailure(.system, "the limits of the stage cannot be set: \(error)")
    }
  }
}
