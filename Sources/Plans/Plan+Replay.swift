package import Specs

/// A plan that sends messages again into a stage of another one.
extension Plan {
  /// The part of this plan that a message of a stage can come to, with a source of its own in front. It is a part of a plan that has passed
  /// every check, so it would pass them too: whoever reads a stage that is kept is kept, and nothing asks for more than it did.
  ///
  /// Queues stay as large as they were, also where what made them so is left out. A setting that says how it stands in a replay
  /// (`Setting.replayed`) is given that value, so that nothing is lost which an earlier run has written.
  ///
  /// - Parameters:
  ///   - target: the stage that the messages go into, which is no source
  ///   - source: has no name yet
  package func replaying(into target: Int, from source: Stage, catalog: [PluginSpec], surroundings: Surroundings) -> Plan {
    let kept = reached(from: target)
    let names = Set(kept.map { stages[$0].name })
    var source = source
    source.name = Self.free("replay", names)
    let specs = Dictionary(catalog.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    var replay = self
    replay.stages = [source] + kept.map { i in
      var stage = stages[i]
      stage.inputs = i == target ? [source.name] : stage.inputs.filter { names.contains(StageInput($0).stage) }
      if let spec = specs[stage.plugin] { spec.setForReplay(&stage) }
      return stage
    }
    replay.link()
    replay.reserve(surroundings)
    return replay
  }

  /// A stage, and all that its messages can come to, in the order of the plan.
  package func reached(from stage: Int) -> [Int] {
    StageGraph(writers: stages.indices.map(writers(to:))).reached(from: [stage]).sorted()
  }

  private static func free(_ name: String, _ taken: Set<String>) -> String {
    if !taken.contains(name) { return name }
    return (2...taken.count + 2).lazy.map { "\(name)-\($0)" }.first { !taken.contains($0) } ?? name
  }
}

extension PluginSpec {
  fileprivate func setForReplay(_ stage: inout Stage) {
    var pairs = stage.settings.pairs ?? []
    for setting in settings {
      guard let value = setting.replayed else { continue }
      pairs.removeAll { $0.key == setting.name }
      pairs.append(Node.Pair(key: setting.name, value: .string(value)))
    }
    stage.settings = .mapping(pairs)
    stage.lasting = lasting(stage.settings)
  }
}
