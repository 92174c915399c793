/// What surrounds a plugin in its worker.
public struct Context: Sendable {
  /// The stage's name in the pipeline file.
  public let stage: String
  /// What the stage is, for a plugin that may be several things.
  public let kind: PluginSpec.Kind
  /// Which process of the stage this is, from 0.
  public let process: Int
  /// The most messages of a batch, for a stage with `batch`; nil for one without.
  public let batch: Int?
  /// Listening sockets that the runner bound for this stage, one for each `listens` resource of the spec, in its order.
  /// They outlive the worker, so connections that arrive during a restart wait instead of being refused.
  public let sockets: [Int32]
  /// The runner's own standard output, for a stage whose spec asks for it; the worker's own goes to the log.
  public let standardOutput: Int32?

  public init(stage: String, kind: PluginSpec.Kind = .transform, process: Int = 0, batch: Int? = nil, sockets: [Int32] = [], standardOutput: Int32? = nil) {
    self.stage = stage
    self.kind = kind
    self.process = process
    self.batch = batch
    self.sockets = sockets
    self.standardOutput = standardOutput
  }
}

/// A built-in or linked plugin, by kind.
public enum AnyPlugin: Sendable {
  case source(any Source.Type)
  case transform(any Transform.Type)
  case sink(any Sink.Type)
  case delivery(any DeliverySink.Type)
  /// One name for all kinds; what a stage is follows from its place in the graph.
  case versatile(source: any Source.Type, transform: any Transform.Type, sink: any Sink.Type)

  public var spec: PluginSpec {
    switch self {
    case .source(let type): type.spec
    case .transform(let type): type.spec
    case .sink(let type): type.spec
    case .delivery(let type): type.spec
    case .versatile(let source, _, _): source.spec
    }
  }
}
