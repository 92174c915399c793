package import Specs

/// A pipeline that has passed every check and can be run.
package struct Plan: Sendable {
  package var name: String
  package var description: String
  /// The pipeline file as it was named on the command line.
  package var file: String
  /// Its folder, absolute: relative paths of settings start here.
  package var directory: String
  /// In topological order: a stage stands after all of its inputs; otherwise in the order of the file.
  package var stages: [Stage]
  /// How long a drain may take before the run is stopped with work left.
  package var drain: Duration

  package init(name: String, description: String, file: String, directory: String, stages: [Stage], drain: Duration) {
    self.name = name
    self.description = description
    self.file = file
    self.directory = directory
    self.stages = stages
    self.drain = drain
    link()
  }

  private var links: (readers: [[Int]], writers: [[Int]], indexes: [String: Int]) = ([], [], [:])

  /// Works out who reads whom. Called once the stages are complete.
  package mutating func link() {
    let indexes = Dictionary(stages.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    let graph = StageGraph(writers: stages.map { $0.inputs.compactMap { indexes[StageInput($0).stage] } })
    links = (graph.readers, graph.writers.map { $0.sorted() }, indexes)
  }

  /// The pipeline file, absolute.
  package var absoluteFile: String {
    if file.hasPrefix("/") { return file }
    let name = file.split(separator: "/").last.map(String.init) ?? file
    return directory + (directory.hasSuffix("/") ? "" : "/") + name
  }

  package func index(of stage: String) -> Int? { links.indexes[stage] }

  /// The stages that read this one, by index, in the order of `stages`; each has a ring of its own, or one for each of its processes.
  package func readers(of stage: Int) -> [Int] { links.readers[stage] }

  /// The stages that this one reads, by index.
  package func writers(to stage: Int) -> [Int] { links.writers[stage] }

  /// Groups of stages that are joined, each in the order of the plan.
  package var components: [[Int]] { StageGraph(writers: links.writers).components }

  package var processes: Int { stages.reduce(0) { $0 + $1.processes } }

  // MARK: Memory

  /// Asks what the rings in front of each stage reserve.
  mutating func reserve(_ surroundings: Surroundings) {
    for i in stages.indices {
      guard let queue = stages[i].queue else { continue }
      let producers = writers(to: i).reduce(0) { $0 + stages[$1].processes }
      let bytes = surroundings.ringBytes(queue, producers, stages[i].processesOfAQueue)
      let (all, isTooMuch) = bytes.reserved.multipliedReportingOverflow(by: stages[i].queues)
      stages[i].queue?.reservedBytes = isTooMuch ? Int.max : all
      stages[i].queue?.leastBytes = bytes.least
    }
  }

  /// Bytes of address space that the queues in front of a stage reserve; memory is taken only as it is touched.
  package func reservedBytes(ofStage index: Int) -> Int { stages[index].queue?.reservedBytes ?? 0 }

  /// Bytes that all queues reserve together.
  package var reservedBytes: Int {
    stages.indices.reduce(0) { total, i in
      let (sum, isTooMuch) = total.addingReportingOverflow(reservedBytes(ofStage: i))
      return isTooMuch ? Int.max : sum
    }
  }
}

/// One stage: a plugin, in so many processes, behind one queue.
package struct Stage: Sendable {
  package var name: String
  package var plugin: String
  /// The shared library that brings the plugin, absolute; nil for one of this program.
  package var library: String?
  /// The program that its workers are; nil where they are this one.
  package var launch: Launch?
  package var kind: PluginSpec.Kind
  /// What it reads, in the order of the file, each once: stages, or their ports as `STAGE.PORT`. Empty for a source.
  package var inputs: [String]
  /// The names of the plugin's ports beside the main one.
  package var ports: [String] = []
  package var processes: Int
  /// Nil for a source.
  package var queue: Queue?
  /// How its processes share its messages; nil where each takes what comes next.
  package var partition: PartitionRule?
  /// The mapping under `with:`, expanded; `.mapping([])` when there is none. May hold secrets.
  package var settings: Node
  /// What of the settings must be the same when a run is resumed, without anything secret; the planner fills it in.
  package var lasting: [(name: String, value: JSON)] = []
  package var resources: [ExternalResource]
  package var restart: RestartLimits
  package var onError: ErrorPolicy
  /// How long one message may take; nil for no limit.
  package var timeout: Duration?
  /// How long a worker may take from its start until it is ready; nil for no limit.
  package var startupTimeout: Duration?
  /// How many messages a second may begin, over all processes; nil for no limit.
  package var rate: Double?
  /// How many messages it works on together; nil for as its plugin and the pace of the work would have it.
  package var batch: Batch?
  /// Whether its outputs follow the order of its inputs, over all processes.
  package var isOrdered = false
  package var limits = ProcessLimits()
  /// The nice value of its processes, -20...19; nil keeps the runner's.
  package var nice: Int?
  /// The numbers of the CPUs that its processes may use, in order; empty for all that the runner may.
  package var affinity: [Int] = []
  /// Added to what the worker inherits.
  package var environment: [(name: String, value: String)]
  /// The worker's working directory, absolute; nil keeps the runner's.
  package var directory: String?

  package init(
    name: String, plugin: String, kind: PluginSpec.Kind, inputs: [String] = [], processes: Int = 1, queue: Queue? = nil,
    settings: Node = .mapping([]), resources: [ExternalResource] = [], restart: RestartLimits = RestartLimits(),
    onError: ErrorPolicy = ErrorPolicy(), timeout: Duration? = nil, environment: [(name: String, value: String)] = [],
    directory: String? = nil
  ) {
    self.name = name
    self.plugin = plugin
    self.kind = kind
    self.inputs = inputs
    self.processes = processes
    self.queue = queue
    self.settings = settings
    self.resources = resources
    self.restart = restart
    self.onError = onError
    self.timeout = timeout
    self.environment = environment
    self.directory = directory
  }
}

/// The queue in front of a stage; one of several alike where the stage has a `partition`.
package struct Queue: Sendable, Equatable {
  /// Messages waiting or being worked on.
  package var capacity: Int
  /// The largest message, in bytes.
  package var messageBytes: Int
  /// The most memory that it may reserve; nil for as much as its messages can need.
  package var bytes: Int?
  package var whenFull = WhenFull.block
  /// What all rings of the stage reserve, in bytes, and the least that one can do with; the planner fills it in.
  package var reservedBytes = 0
  package var leastBytes = 0

  /// What happens to a message that finds no room: its writer waits, or something is dropped and counted.
  package enum WhenFull: String, Sendable, CaseIterable {
    case block
    case dropNewest = "drop_newest"
    case dropOldest = "drop_oldest"
  }

  package init(capacity: Int = 256, messageBytes: Int = 1 << 20, bytes: Int? = nil, whenFull: WhenFull = .block) {
    self.capacity = capacity
    self.messageBytes = messageBytes
    self.bytes = bytes
    self.whenFull = whenFull
  }
}

/// Messages that are worked on together, and settled together.
package struct Batch: Sendable, Equatable {
  package var count: Int
  /// A batch that has so many bytes is complete, however few its messages.
  package var bytes: Int?
  /// How long the first message may wait for others, in nanoseconds; 0 takes what is there.
  package var within: UInt64

  package init(count: Int, bytes: Int? = nil, within: UInt64 = 0) {
    self.count = count
    self.bytes = bytes
    self.within = within
  }
}

/// How often a worker may die without having made progress.
package struct RestartLimits: Sendable, Equatable {
  package var max: Int
  package var within: Duration
  /// The pause before the first restart; it doubles with each one that made no progress.
  package var backoff: Duration

  package init(max: Int = 5, within: Duration = .seconds(10), backoff: Duration = .milliseconds(100)) {
    self.max = max
    self.within = within
    self.backoff = backoff
  }
}

/// What each process of a stage may use; nil leaves what it inherits. A worker puts itself under them before it opens its
/// plugin, and the programs that it starts inherit them, each with a count of its own.
package struct ProcessLimits: Sendable, Equatable {
  /// Private memory (getrlimit(2), RLIMIT_DATA): heap, stacks and other writable memory that is not shared. Not the address space
  /// (RLIMIT_AS), since the queues are mapped there as large as they may become, whether anybody touches them or not: the limit
  /// would have to be a number that has little to do with what the plugin uses, and changes with the queues.
  package var memoryBytes: Int?
  /// Open descriptors (RLIMIT_NOFILE).
  package var files: Int?
  /// Processor time (RLIMIT_CPU), which counts whole seconds.
  package var cpuSeconds: Int?

  package init(memoryBytes: Int? = nil, files: Int? = nil, cpuSeconds: Int? = nil) {
    self.memoryBytes = memoryBytes
    self.files = files
    self.cpuSeconds = cpuSeconds
  }

  /// `limits.cpu of 1h`
  package var describedCPU: String? { cpuSeconds.map { "limits.cpu of \(Quantity.describe(.seconds($0)))" } }
  package var describedMemory: String? { memoryBytes.map { "limits.memory of \(Quantity.describe(bytes: $0))" } }
}

/// What happens to a message that failed.
package struct ErrorPolicy: Sendable, Equatable {
  package enum Then: String, Sendable, CaseIterable {
    case stop, drop
    case deadLetter = "dead_letter"
  }

  /// How often the plugin may fail on it before it is given up; 0 gives up at the first failure.
  package var retries: Int
  /// How many workers may die with it in hand before it is given up.
  package var deaths: Int
  package var then: Then
  /// How many dead letters the stage may make; one more ends the run. Nil for any number.
  package var maxDeadLetters: Int?

  package init(retries: Int = 2, deaths: Int = 3, then: Then = .stop, maxDeadLetters: Int? = nil) {
    self.retries = retries
    self.deaths = deaths
    self.then = then
    self.maxDeadLetters = maxDeadLetters
  }
}
