import Specs

/// What `--set` changes in a document, before anything in it is expanded.
struct Overrides {
  private let declarations: Declarations
  private(set) var document: Node
  /// Parameters, which take their value by name.
  private(set) var parameters: [(name: String, value: String)] = []
  /// The paths that were set, so that what is wrong with their values can be blamed on the command line.
  private(set) var paths: [String] = []
  private(set) var diagnostics: [Diagnostic] = []

  /// - Parameter all: a parameter's name or a dotted path, and the text of the value
  init(_ all: [(path: String, value: String)], _ document: Node, _ declarations: Declarations) {
    self.document = document
    self.declarations = declarations
    for (path, value) in all {
      if document["parameters"]?.pair(path) != nil {
        parameters.append((path, value))
        continue
      }
      let parts = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      do throws(Flaw) {
        let node = try self.value(value, at: parts)
        let before = self.document
        self.document = try set(parts[...], under: [], in: before, to: node)
        paths.append(Self.shown(parts, in: before))
      } catch {
        diagnostics.append(Diagnostic("set-path", "--set \(path): \(error.message)", at: .none, remedy: error.remedy, path: path))
      }
    }
  }

  /// The path as diagnostics write it: `stages.merge.inputs[0]`.
  private static func shown(_ path: [String], in document: Node) -> String {
    var out = ""
    var node: Node? = document
    for part in path {
      if let items = node?.items {
        out += "[\(part)]"
        node = Int(part).flatMap { items.indices.contains($0) ? items[$0] : nil }
      } else {
        out += (out.isEmpty ? "" : ".") + part
        node = node?[part]
      }
    }
    return out
  }

  private struct Flaw: Error {
    var message: String
    var remedy: String?
  }

  /// A value is read as YAML reads a scalar; a list, a mapping or a text in quotes as JSON.
  private func value(_ text: String, at path: [String]) throws(Flaw) -> Node {
    if let first = text.first, "[{\"".contains(first) {
      let (node, problems) = JSONText.parse(Array(text.utf8))
      if let node { return node.withoutPlaces }
      throw Flaw(
        message: problems.first?.message ?? "the value is not JSON",
        remedy: "a value that begins with \(first) is read as JSON, such as " + (first == "{" ? "{\"capacity\": 64}" : first == "[" ? "[\"camera\"]" : "\"text\""))
    }
    return declarations.value(of: text, at: path, in: document, prefersText: false)
  }

  private func set(_ rest: ArraySlice<String>, under above: [String], in node: Node, to value: Node) throws(Flaw) -> Node {
    guard let key = rest.first else { return value }
    let shown = above.joined(separator: ".")
    if key.isEmpty { throw Flaw(message: "a part of the path is empty", remedy: "a path is such as stages.detect.processes") }
    var changed = node
    if var items = node.items {
      guard let index = Int(key), items.indices.contains(index) else {
        throw Flaw(
          message: "\"\(key)\" is no place in the list \"\(shown)\"",
          remedy: items.isEmpty ? "the list is empty; set it whole, as [\"…\"]" : "its places are 0 to \(items.count - 1)")
      }
      items[index] = try set(rest.dropFirst(), under: above + [key], in: items[index], to: value)
      changed.value = .sequence(items)
      return changed
    }
    guard var pairs = node.pairs ?? (node.isNull ? [] : nil) else {
      throw Flaw(message: "\"\(shown)\" is no mapping and has no \"\(key)\"", remedy: "set \"\(shown)\" itself")
    }
    try check(key, above, pairs)
    let i = pairs.firstIndex { $0.key == key }
    let old = i.map { pairs[$0].value } ?? Node(.mapping([]))
    let new = Node.Pair(key: key, keySpan: i.map { pairs[$0].keySpan } ?? .none, value: try set(rest.dropFirst(), under: above + [key], in: old, to: value))
    if let i { pairs[i] = new } else { pairs.append(new) }
    changed.value = .mapping(pairs)
    return changed
  }

  /// Whether a key may stand in the mapping at a path.
  private func check(_ key: String, _ above: [String], _ pairs: [Node.Pair]) throws(Flaw) {
    let present = pairs.map(\.key)
    switch above {
    case []:
      let names = PipelineKeys.group.settings.map(\.name)
      if names.contains(key) { return }
      let parameters = (document["parameters"]?.pairs ?? []).map(\.key)
      let near = Nearest.name(to: key, among: parameters + names).map { "did you mean \"\($0)\"?" }
      throw Flaw(
        message: "there is no parameter and no key \"\(key)\"",
        remedy: near ?? (parameters.isEmpty
          ? "declare it under `parameters`, or give a path such as stages.detect.processes"
          : "parameters: " + parameters.prefix(12).joined(separator: ", ")))
    case ["stages"]:
      if present.contains(key) { return }
      throw Flaw(message: "there is no stage \"\(key)\"", remedy: Nearest.remedy(for: key, among: present, of: "stages"))
    case ["parameters"]:
      if present.contains(key) { return }
      throw Flaw(message: "there is no parameter \"\(key)\"", remedy: Nearest.remedy(for: key, among: present, of: "parameters"))
    default:
      guard let group = declarations.group(at: above, in: document) else { return }
      let names = group.settings.map(\.name)
      if names.contains(key) { return }
      throw Flaw(message: "\(group.title) has no key \"\(key)\"", remedy: Nearest.remedy(for: key, among: names, of: "valid keys"))
    }
  }
}

extension Node {
  /// The same value standing nowhere: what came from the command line has no place in the file.
  fileprivate var withoutPlaces: Node {
    var node = self
    node.span = .none
    switch node.value {
    case .sequence(let items): node.value = .sequence(items.map(\.withoutPlaces))
    case .mapping(let pairs): node.value = .mapping(pairs.map { Pair(key: $0.key, value: $0.value.withoutPlaces) })
    default: break
    }
    return node
  }
}
