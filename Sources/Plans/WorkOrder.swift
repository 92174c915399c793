package import Specs

/// All that a worker is told. The runner writes it as JSON into a memfd that the worker reads at start: settings may
/// hold secrets, which must never stand in argv or in the environment.
package struct WorkOrder: Sendable {
  /// Descriptors that every worker finds in the same place.
  package enum Descriptor {
    /// A socket pair to the runner: it carries `WorkerMessage`s up and `stop` down, and its end tells of the runner's death.
    package static let control: Int32 = 3
    /// This order.
    package static let order: Int32 = 4
    /// The first of those that the order names.
    package static let first: Int32 = 5
  }

  /// An argument of a worker that has been started before its run, and gets the order and what comes after it over its control line. The next one says
  /// how many numbers are kept free for these descriptors, the order's first.
  package static let prestarted = "prestarted"

  /// A ring's descriptor and the worker's waiting place in it.
  package struct Attachment: Sendable, Equatable {
    package var descriptor: Int
    package var lane: Int
    /// The ports of the stage that an output reads, by number.
    package var ports: [Int]
    /// What an output does without room.
    package var whenFull: Queue.WhenFull

    package init(descriptor: Int, lane: Int, ports: [Int] = [0], whenFull: Queue.WhenFull = .block) {
      self.descriptor = descriptor
      self.lane = lane
      self.ports = ports
      self.whenFull = whenFull
    }
  }

  /// Outputs that share messages by their keys: the queues of one reader.
  package struct Partition: Sendable, Equatable {
    package var reader: String
    package var outputs: Range<Int>
    package var rule: PartitionRule

    package init(reader: String, outputs: Range<Int>, rule: PartitionRule) {
      self.reader = reader
      self.outputs = outputs
      self.rule = rule
    }
  }

  package var stage: String
  package var plugin: String
  /// The shared library that brings the plugin, absolute; nil for one of this program.
  package var library: String?
  package var kind: PluginSpec.Kind
  /// Unique over the pipeline, 1...4095; the owner in the slots.
  package var worker: Int
  /// Which process of the stage, from 0: its cell.
  package var process: Int
  package var directory: String
  package var settings: Node
  package var retries: Int
  package var deaths: Int
  package var then: ErrorPolicy.Then
  package var maxDeadLetters: Int?
  /// How many messages are worked on together; nil for as plugin and pace would have it.
  package var batch: Batch?
  /// Whether outputs follow the order of the inputs.
  package var isOrdered = false
  /// By which port dead letters go.
  package var deadLetterPort = 1
  /// The names of the plugin's ports beside the main one.
  package var ports: [String] = []
  /// The pipeline file, absolute.
  package var file = ""
  package var cells: Int
  package var input: Attachment?
  package var outputs: [Attachment]
  package var partitions: [Partition] = []
  /// The stage's own: how the key of a message was found that comes here.
  package var partition: PartitionRule?
  package var sockets: [Int]
  package var standardOutput: Int?
  /// The descriptor of the file that this worker locks for as long as it lives; nil when the run ends with its runner.
  package var lock: Int?
  /// The descriptor of the file in which a worker enters its process group, for the run's guard.
  package var groups: Int?
  /// How many messages a second may begin, over all processes of the stage; nil for no limit.
  package var rate: Double?
  package var limits = ProcessLimits()
  package var nice: Int?
  /// Numbers of CPUs; empty for all.
  package var affinity: [Int] = []
  /// How the worker is disturbed on purpose; nil for not at all.
  package var chaos: Chaos?

  package init(
    stage: String, plugin: String, kind: PluginSpec.Kind, worker: Int, process: Int, directory: String, settings: Node, retries: Int, deaths: Int,
    then: ErrorPolicy.Then, cells: Int, input: Attachment?, outputs: [Attachment], sockets: [Int] = [], standardOutput: Int? = nil
  ) {
    self.stage = stage
    self.plugin = plugin
    self.kind = kind
    self.worker = worker
    self.process = process
    self.directory = directory
    self.settings = settings
    self.retries = retries
    self.deaths = deaths
    self.then = then
    self.cells = cells
    self.input = input
    self.outputs = outputs
    self.sockets = sockets
    self.standardOutput = standardOutput
  }
}
