/// What a plugin is, declared once: its name, kind, settings and an example. The schema, the docs, `ringway plugins` and
/// the decoding of `with:` read this declaration.
public struct PluginSpec: Sendable {
  public enum Kind: String, Sendable { case source, transform, sink }

  /// How many processes may run the plugin in one stage.
  public enum Processes: Sendable, Equatable { case one, many }

  public let name: String
  /// What a stage with this plugin may be. With more than one, its place in the graph decides: without inputs it is a source,
  /// read by nobody a sink, else a transform.
  public let kinds: [Kind]
  /// One sentence with a full stop.
  public let summary: String
  /// Paragraphs for the plugin's page: what it delivers, what it promises, when it fails.
  public let details: String
  public let processes: Processes
  public let settings: [SettingDeclaration]
  /// A complete pipeline file that shows the plugin at work; a test validates it.
  public let example: String
  /// What outside the pipeline the plugin will touch with these settings, so that conflicts and missing files are
  /// found before anything starts.
  public let resources: @Sendable (Given) -> [ExternalResource]
  /// What is wrong with the settings beyond their types: a filter that does not compile, for one. Asked before anything
  /// starts; it may compute, but not touch anything outside.
  public let check: @Sendable (Given) -> [SettingProblem]
  /// What it hands on by other ways than the main one.
  public let ports: Ports
  /// The setting by which the plugin answers several messages at once, so that no output belongs to one of them; nil when each does.
  public let joins: @Sendable (Given) -> String?
  /// The shared library that brings the plugin, absolute; nil for one of this program.
  package var library: String?
  /// The program that a stage's workers are; nil where they are this one.
  package var launch: @Sendable (Given) -> Launch? = { _ in nil }

  /// The ports of a plugin. A reader names one as `STAGE.PORT`; the main port is the stage's own name.
  public struct Ports: Sendable {
    /// Whether it hands on anything by the main port.
    public let hasMain: Bool
    /// The setting that names the others, for pointing at it; empty where they are always the same.
    public let setting: String
    /// Their names in the order of their numbers, 1 and up.
    public let names: @Sendable (Given) -> [String]

    public init(hasMain: Bool = true, setting: String = "", names: @escaping @Sendable (Given) -> [String]) {
      self.hasMain = hasMain
      self.setting = setting
      self.names = names
    }

    public static let main = Ports { _ in [] }

    /// The port by which every stage hands on what was given up there.
    package static let deadLetter = "dead_letter"
    /// How many a plugin may have beside the main one.
    package static let most = 62
  }

  public init(
    _ name: String, _ kinds: [Kind], _ summary: String, details: String = "", processes: Processes = .many,
    settings: [SettingDeclaration], example: String, resources: @escaping @Sendable (Given) -> [ExternalResource] = { _ in [] },
    check: @escaping @Sendable (Given) -> [SettingProblem] = { _ in [] }, ports: Ports = .main,
    joins: @escaping @Sendable (Given) -> String? = { _ in nil }
  ) {
    self.name = name
    self.kinds = kinds
    self.summary = summary
    self.details = details
    self.processes = processes
    self.settings = settings
    self.example = example
    self.resources = resources
    self.check = check
    self.ports = ports
    self.joins = joins
  }
}

extension PluginSpec {
  /// A plugin of one kind.
  public init(
    _ name: String, _ kind: Kind, _ summary: String, details: String = "", processes: Processes = .many,
    settings: [SettingDeclaration], example: String, resources: @escaping @Sendable (Given) -> [ExternalResource] = { _ in [] },
    check: @escaping @Sendable (Given) -> [SettingProblem] = { _ in [] }, ports: Ports = .main,
    joins: @escaping @Sendable (Given) -> String? = { _ in nil }
  ) {
    self.init(
      name, [kind], summary, details: details, processes: processes, settings: settings, example: example, resources: resources, check: check,
      ports: ports, joins: joins)
  }

  /// `a source`, `a source, a transform or a sink`
  package var kindText: String {
    let words = kinds.map { "a " + $0.rawValue }
    return words.count > 1 ? words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "") : words.joined()
  }
}

extension PluginSpec {
  /// The settings that decide what the messages are, in the order of their declaration, with the defaults of those that are not given:
  /// what must be the same when a run is resumed. Nothing secret is among them.
  package func lasting(_ given: Node?) -> [(name: String, value: JSON)] {
    settings.filter { !$0.isSecret && !$0.mayChange }.map { setting in
      (setting.name, given?[setting.name].map(Self.withoutSecrets) ?? setting.fallback ?? .null)
    }
  }

  private static func withoutSecrets(_ node: Node) -> JSON {
    if node.isSecret { return .null }
    if let pairs = node.pairs { return .object(pairs.map { ($0.key, withoutSecrets($0.value)) }) }
    if let items = node.items { return .array(items.map(withoutSecrets)) }
    guard let text = node.string, let scheme = text.utf8.firstRange(of: "://".utf8) else { return JSON(node) }
    // A URL may carry a user and a password.
    let rest = text[scheme.upperBound...]
    guard let at = rest.prefix(while: { !"/?#".contains($0) }).lastIndex(of: "@") else { return JSON(node) }
    return .string(String(text[..<scheme.upperBound]) + String(rest[rest.index(after: at)...]))
  }
}

/// What a plugin finds wrong with one of its settings.
public struct SettingProblem: Sendable {
  public let setting: String
  /// One sentence, lower case, without a full stop.
  public let message: String
  public let remedy: String?

  public init(_ setting: String, _ message: String, remedy: String? = nil) {
    self.setting = setting
    self.message = message
    self.remedy = remedy
  }
}

/// Something outside the pipeline that a stage needs.
public enum ExternalResource: Sendable, Equatable {
  /// Reads files: a path or a glob, relative to the pipeline file's folder. `setting` names the setting at fault when nothing is there.
  case readsFiles(pattern: String, setting: String)
  /// Writes one file, alone: two stages may not name the same one.
  case writesFile(path: String, setting: String)
  /// Listens on `host:port`; the runner binds it and keeps it over restarts of the worker.
  case listens(address: String, setting: String)
  /// Starts a program: a path relative to the pipeline file's folder when it has a slash, else a name that is looked up in the
  /// stage's PATH.
  case runsProgram(name: String, setting: String)
  /// Has something that only another program can tell about: whether a module can be imported, say.
  case inspected(Inspection)
  /// Takes the runner's own standard input; one stage may.
  case standardInput
  /// Writes to the runner's own standard output; one stage may.
  case standardOutput
}

/// A program that is a stage's worker itself: it finds control line and work order at their descriptors and runs the same loop.
package struct Launch: Sendable, Equatable {
  /// A path or a name, as in `ExternalResource.runsProgram`, which reports one that is not there; in a plan it is absolute.
  package let program: String
  /// Without the program's own name; `__worker STAGE PROCESS RUNNER` follows them.
  package let arguments: [String]
  /// Whether it is known to do nothing before it has its work order, so that it may be started before the file is found to be right.
  package let isInert: Bool

  package init(program: String, arguments: [String], isInert: Bool) {
    self.program = program
    self.arguments = arguments
    self.isInert = isInert
  }
}

/// A question to a program that knows a plugin's language. Before anything starts, the program is run once for all stages that ask the
/// same one in the same surroundings: it reads a JSON array of the requests, each with the stage's `kind` added, from its standard
/// input, and writes a JSON array with an answer for each: an array of `{setting, message, remedy}`, empty when nothing is wrong.
public struct Inspection: Sendable, Equatable {
  /// A path or a name, as in `ExternalResource.runsProgram`; when it is not there, that is reported and this is not asked.
  public let program: String
  public let arguments: [String]
  /// An object.
  public let request: JSON

  public init(program: String, arguments: [String], request: JSON) {
    self.program = program
    self.arguments = arguments
    self.request = request
  }
}

/// The settings of one stage's plugin, decoded and with defaults filled in.
public struct Given: Sendable {
  private let nodes: [String: Node]
  /// The folder that relative paths start from, absolute.
  public let directory: String

  /// The defaults of settings that the file does not give, for who reads them as JSON.
  private let fallbacks: [(name: String, value: JSON)]

  public init(_ nodes: [String: Node], directory: String) { self.init(nodes, directory: directory, fallbacks: []) }

  package init(_ nodes: [String: Node], directory: String, fallbacks: [(name: String, value: JSON)]) {
    self.nodes = nodes
    self.directory = directory
    self.fallbacks = fallbacks
  }

  /// All settings as one object, defaults filled in.
  package var settingsJSON: JSON {
    var pairs = nodes.sorted { $0.key < $1.key }.map { ($0.key, JSON($0.value)) }
    pairs += fallbacks.filter { nodes[$0.name] == nil }.map { ($0.name, $0.value) }
    return .object(pairs)
  }

  /// The setting's value: what the file says, or its default.
  ///
  /// The schema has been checked before a `Given` is made and every required setting is there, so a value that cannot
  /// be decoded is a mistake of ours and stops the process.
  public subscript<Value>(setting: Setting<Value>) -> Value {
    if let node = nodes[setting.declaration.name], let value = setting.decode(node) { return value }
    guard let fallback = setting.fallback else {
      preconditionFailure("the setting \(setting.declaration.name) was not checked before it was read")
    }
    return fallback
  }

  /// Whether the file names the setting.
  public func has(_ name: String) -> Bool { nodes[name] != nil }

  /// The node of a setting as the file gives it, or nil.
  public func node(_ name: String) -> Node? { nodes[name] }

  /// An absolute path for one that may be relative to the pipeline file's folder.
  public func resolve(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    return directory.hasSuffix("/") ? directory + path : directory + "/" + path
  }
}

extension PluginSpec {
  package var group: SettingGroup { SettingGroup(title: "the plugin \"\(name)\"", settings: settings) }

  /// Reads `with:` after the schema has passed, and finds what no schema says (a size beyond its range, for one).
  ///
  /// - Parameters:
  ///   - node: the mapping under `with:`, or nil when the stage has none
  ///   - place: where to point when a setting is missing
  ///   - path: the dotted path of `with:` in the document
  package func decode(_ node: Node?, directory: String, place: Span, path: String) -> (given: Given?, diagnostics: [Diagnostic]) {
    group.decode(node, directory: directory, place: place, path: path)
  }

  /// JSON Schema of `with:`.
  package var schema: JSON { group.schema(description: summary) }
}
