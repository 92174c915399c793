import Specs

/// What a plan has to know of the world it will run in. A test gives values; the program asks the machine.
package struct Surroundings: Sendable {
  package var usableCPUs = 1
  /// The numbers of the CPUs that this process may run on, in order.
  package var cpuNumbers = [0]
  /// Bytes.
  package var availableMemory = Int.max
  /// How many descriptors a process may have.
  package var descriptorLimit = 1024
  package enum Kind: Sendable { case file, directory, other }
  /// What is at a path; nil for nothing.
  package var kind: @Sendable (String) -> Kind? = { _ in nil }
  package var glob: @Sendable (String) -> [String] = { _ in [] }
  /// A path without links, or the path itself.
  package var canonical: @Sendable (String) -> String = { $0 }
  /// What a symbolic link names, as it is written in it; nil for what is no link.
  package var linkTarget: @Sendable (String) -> String? = { _ in nil }
  /// Tells a file from every other, whatever it is called: two names with one identity are hard links. Nil when there is
  /// no such file.
  package var identity: @Sendable (String) -> Identity? = { _ in nil }
  /// Bytes that the ring of such a queue reserves, and the least that it can do with.
  package var ringBytes: @Sendable (_ queue: Queue, _ producers: Int, _ consumers: Int) -> (reserved: Int, least: Int) = { _, _, _ in (0, 0) }

  /// What is wrong with a filter in the jq language, in a sentence; nil when it compiles.
  package var filterProblem: @Sendable (String) -> String? = { _ in nil }

  /// The file of a program, absolute: a name is looked up in the stage's PATH, a path is relative to the pipeline file's folder.
  package var program: @Sendable (_ name: String, _ environment: [(name: String, value: String)], _ directory: String) -> String? = { _, _, _ in nil }
  package struct Identity: Sendable, Hashable {
    package var device: UInt64
    package var inode: UInt64

    package init(device: UInt64, inode: UInt64) {
      self.device = device
      self.inode = inode
    }
  }

  package init() {}
}
