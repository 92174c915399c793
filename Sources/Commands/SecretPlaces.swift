import Specs

/// Where a pipeline file holds what nobody else should read: messages show these places as dots.
enum SecretPlaces {
  static func places(in document: Node, catalog: [PluginSpec]) -> [Span] {
    var all: [Span] = []
    for parameter in document["parameters"]?.pairs ?? [] where parameter.value["secret"]?.boolean == true {
      if let value = parameter.value["default"] { all.append(value.span) }
    }
    for stage in document["stages"]?.pairs ?? [] {
      let settings = catalog.first { $0.name == stage.value["plugin"]?.string }?.settings ?? []
      for pair in stage.value["with"]?.pairs ?? [] {
        if settings.contains(where: { $0.name == pair.key && $0.isSecret }) { all += values(pair.value) }
      }
    }
    credentials(document, &all)
    return all
  }

  /// The scalars under a node: a mapping's keys may be shown.
  private static func values(_ node: Node) -> [Span] {
    if let pairs = node.pairs { return pairs.flatMap { values($0.value) } }
    if let items = node.items { return items.flatMap(values) }
    return [node.span]
  }

  /// URLs with a user and a password.
  private static func credentials(_ node: Node, _ all: inout [Span]) {
    for pair in node.pairs ?? [] { credentials(pair.value, &all) }
    for item in node.items ?? [] { credentials(item, &all) }
    guard let text = node.string, let scheme = text.firstRange(of: "://") else { return }
    if text[scheme.upperBound...].prefix(while: { !"/?# ".contains($0) }).contains("@") { all.append(node.span) }
  }
}
