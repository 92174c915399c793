import Specs

/// Finds the declaration of the key at a path of a document.
struct Declarations {
  private let plugins: [String: PluginSpec]

  init(_ catalog: [PluginSpec]) { plugins = Dictionary(catalog.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first }) }

  /// The keys that may stand in the mapping at a path; nil where any may, or none is known.
  func group(at path: [String], in document: Node) -> SettingGroup? {
    switch path.first {
    case nil: return PipelineKeys.group
    case PipelineKeys.parameters.declaration.name: return path.count == 2 ? ParameterKeys.group : nil
    case PipelineKeys.stages.declaration.name where path.count == 2: return StageKeys.group
    case PipelineKeys.stages.declaration.name where path.count == 3:
      switch path[2] {
      case StageKeys.queue.declaration.name: return QueueKeys.group
      case StageKeys.partition.declaration.name: return PartitionKeys.group
      case StageKeys.restart.declaration.name: return RestartKeys.group
      case StageKeys.limits.declaration.name: return LimitKeys.group
      case StageKeys.onError.declaration.name: return ErrorKeys.group
      case StageKeys.with.declaration.name:
        return document["stages"]?[path[1]]?["plugin"]?.string.flatMap { plugins[$0] }?.group
      default: return nil
      }
    default: return nil
    }
  }

  /// A text for the key at a path, in the type that its declaration asks for: `8` is a number of processes and also a
  /// password. Nobody but the declaration can tell.
  ///
  /// - Parameter prefersText: what to take where both would do, or where nothing is declared
  func value(of text: String, at path: [String], in document: Node, prefersText: Bool) -> Node {
    let asText = Node(.string(text), text: text, isQuoted: true)
    let asScalar = Node(CoreSchema.value(ofPlain: text), text: text)
    let (first, second) = prefersText ? (asText, asScalar) : (asScalar, asText)
    if let declared = setting(at: path, in: document) { return !declared.accepts(first) && declared.accepts(second) ? second : first }
    // Below a mapping of names to texts, such as `environment`.
    if !path.isEmpty, let above = setting(at: path.dropLast(), in: document), above.schema["additionalProperties"]?["type"] == "string" {
      return asText
    }
    return first
  }

  private func setting(at path: [String], in document: Node) -> SettingDeclaration? {
    guard let name = path.last else { return nil }
    return group(at: path.dropLast(), in: document)?.settings.first { $0.name == name }
  }
}
