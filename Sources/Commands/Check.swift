import Documents
import Filters
import Platform
import Plans
import Rings
import Schemas
import Specs
import Supervision

/// The one way from a file to a plan. `run`, `validate` and `graph` all take it, so they say the same and end with the
/// same code.
struct Check {
  let source: Source
  let plan: Plan?
  /// In order of place.
  let diagnostics: [Diagnostic]

  /// What a command ends with when something is wrong.
  var code: Specs.ExitCode { diagnostics.contains { $0.code == NativeCatalog.pluginProtocol } ? .pluginProtocol : .invalidPipeline }

  var errors: Int { diagnostics.count { $0.severity == .error } }

  /// - Parameters:
  ///   - prestarted: starts workers while other programs still look at their part of the file, as soon as nothing else is wrong; signals that end this process
  ///     stay put off then
  ///   - interrupted: called when such a signal has come meanwhile
  /// - Throws: `Unreadable` when there is no file to check
  init(
    _ file: String, overrides: [Override], prestarting prestarted: PrestartedWorkers? = nil,
    interrupted: @escaping (PostponedSignals) -> Never = { $0.end() }
  ) throws(Unreadable) {
    let text = try Check.read(file)
    let folder = Check.directory(of: file)
    let (document, syntax) = text.document()
    guard let document else {
      source = text
      plan = nil
      diagnostics = Diagnostic.sorted(syntax)
      return
    }
    // Of programs that are asked, and of what is started meanwhile.
    Machine.forbidCoreFiles()
    let signals = PostponedSignals()
    let stop: () -> Never = {
      prestarted?.discard()
      interrupted(signals)
    }
    var keeper: RunGuard?
    /// What programs are asked under; only a file that has some needs a guard.
    func watch() -> Programs.Watch {
      if keeper == nil { keeper = try? RunGuard() }
      prestarted?.keeper = keeper
      return Programs.Watch(signals, keeper, interrupted: stop)
    }
    let environment = Dictionary(Machine.environment().map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    func expand(_ catalog: [PluginSpec]) -> Expansion.Result {
      Expansion.expand(document, overrides: overrides.map { ($0.path, $0.value) }, catalog: catalog, environment: { environment[$0] })
    }
    var catalog = Commands.specs
    var expanded = expand(catalog)
    var native: [Diagnostic] = []
    if expanded.node["plugins"] != nil {
      let (specs, found) = NativeCatalog.read(expanded.node, directory: folder, builtIn: catalog, watch())
      catalog += specs
      native = expanded.attributed(found)
      // Now the types of their settings are known.
      expanded = expand(catalog)
    }
    let shown = expanded.secrets.isEmpty ? text : text.masked(expanded.secrets.masked)
    source = shown.masking(SecretPlaces.places(in: document, catalog: catalog))
    let planning = Planner.plan(expanded.node, file: file, directory: folder, catalog: catalog, surroundings: Check.surroundings())
    var invalid: [Diagnostic] = []
    func lookMeanwhile() {
      invalid = Schema.trusted(PipelineSchema.json(catalog: catalog)).validate(expanded.node)
      if invalid.isEmpty, expanded.diagnostics.isEmpty, native.isEmpty, let plan = planning.plan { prestarted?.start(plan) }
    }
    var answers: [Planning.Answer] = []
    if planning.questions.isEmpty { lookMeanwhile() } else { answers = Check.ask(planning.questions, watch(), meanwhile: lookMeanwhile) }
    let planned = planning.diagnostics + planning.problems(answers)
    let all = Check.joined(expanded, expanded.attributed(invalid), expanded.attributed(planned))
    // A library that cannot be used explains every plugin that is not there.
    diagnostics = Diagnostic.sorted(native + (native.isEmpty ? all : all.filter { $0.code != "unknown-plugin" && !$0.path.hasSuffix(".plugin") }))
    plan = diagnostics.contains { $0.severity == .error } ? nil : planning.plan
    if signals.hasCome { stop() }
    if plan != nil, prestarted != nil {
      signals.handOn()
    } else {
      prestarted?.discard()
      keeper?.end()
      signals.release()
    }
  }

  /// What three looks at one file have found, each thing once.
  private static func joined(_ expanded: Expansion.Result, _ schema: [Diagnostic], _ planned: [Diagnostic]) -> [Diagnostic] {
    // A value that could not be put in is no reason to complain of its type.
    let failed = expanded.failures
    let typed = schema.filter { $0.span.isNone || !failed.contains($0.span.start.offset) }
    // Of what is missing, the plan knows more: which plugin needs it.
    let missing = Set(planned.filter { $0.code == "missing-key" }.map(\.span.start.offset))
    let first = typed.filter { !($0.code == "missing-key" && missing.contains($0.span.start.offset)) }
    let places = Set(first.filter { !$0.span.isNone }.map(\.span.start.offset)).union(failed)
    let paths = Set(first.map(\.path))
    let rest = planned.filter { problem in
      if problem.span.isNone { return !paths.contains(problem.path) }
      if places.contains(problem.span.start.offset) { return false }
      return !(problem.code == "wrong-value"
        && paths.contains { $0 == problem.path || $0.hasPrefix(problem.path + ".") || $0.hasPrefix(problem.path + "[") })
    }
    return expanded.diagnostics + first + rest
  }

  /// What is wrong, for a person, and how much of it.
  var text: String {
    if diagnostics.isEmpty { return "" }
    return source.render(diagnostics) + "\(summary)\n"
  }

  private var summary: String { "\(errors) \(errors == 1 ? "error" : "errors") in \(source.name)" }

  /// The plan of a file, for a command that goes no further without one: what is wrong has been said when this throws.
  ///
  /// - Parameter refused: told in one sentence why there is none. A command with it that is interrupted ends as a run that is stopped does, and
  ///   others by the signal
  static func plan(
    _ file: String, _ overrides: OverrideOptions, prestarting prestarted: PrestartedWorkers? = nil,
    refused: ((Specs.ExitCode, String) -> Void)? = nil
  ) throws -> Plan {
    let check: Check
    do throws(Unreadable) {
      check = try Check(file, overrides: overrides.set, prestarting: prestarted) { signals in
        guard let refused else { signals.end() }
        let cause = "stopped while the file was checked"
        Output.say("ringway: \(cause)\n")
        refused(.stopped, cause)
        CurrentProcess.exit(Specs.ExitCode.stopped.rawValue)
      }
    } catch {
      Output.say("ringway: \(error.text)\n")
      refused?(.noInput, error.text)
      throw Specs.ExitCode.noInput.end
    }
    Output.say(check.text)
    guard let plan = check.plan else {
      refused?(check.code, check.summary)
      throw check.code.end
    }
    return plan
  }

  struct Unreadable: Error {
    let text: String
  }

  static func read(_ file: String) throws(Unreadable) -> Source {
    if Files.status(file)?.kind == .directory { throw Unreadable(text: "\(file) is a folder; name a file in it") }
    do throws(SystemError) {
      return Source(name: file, bytes: try Files.readAll(file, limit: 64 << 20))
    } catch {
      throw Unreadable(text: "\(file) cannot be read: \(error.reason)")
    }
  }

  private static func directory(of file: String) -> String {
    let folder = file.lastIndex(of: "/").map { $0 == file.startIndex ? "/" : String(file[..<$0]) } ?? "."
    return Files.canonical(folder) ?? Files.currentDirectory
  }

  /// A check that takes long says what it is at.
  private static func sayOfSlow(_ question: Planning.Question, _ said: [UInt8]) {
    let doing = Planning.Answer.doing(said)?.text
    Output.say("ringway: \(question.program) still checks the file" + (doing.map { ", and is at `\($0)`" } ?? "") + "\n")
  }

  /// Asks other programs.
  private static func ask(_ questions: [Planning.Question], _ watch: Programs.Watch, meanwhile: () -> Void) -> [Planning.Answer] {
    let orders = questions.map { question in
      var environment = Machine.environment()
      environment.removeAll { old in question.environment.contains { $0.name == old.name } }
      var order = ChildProcess.Order(
        arguments: [question.program] + question.arguments, environment: (environment + question.environment).map { "\($0.name)=\($0.value)" },
        directory: question.directory, descriptors: [])
      order.program = question.program
      return (order, Array(question.input.utf8))
    }
    let outcomes = Programs.ask(
      orders, atOnce: Machine.usableCPUs, within: .seconds(60), limit: 4 << 20, watch,
      slow: (.seconds(5), { sayOfSlow(questions[$0], $1) }), meanwhile: meanwhile)
    return outcomes.map { outcome in
      switch outcome {
      case .answered(let bytes): .answered(bytes)
      case .failed(let reason, let said): .failed(reason, said: said)
      }
    }
  }

  static func surroundings() -> Surroundings {
    var all = Surroundings()
    all.usableCPUs = Machine.usableCPUs
    all.cpuNumbers = Machine.cpuNumbers
    all.availableMemory = Machine.availableMemory
    all.descriptorLimit = Machine.raiseDescriptorLimit()
    all.kind = { path in
      switch Files.status(path)?.kind {
      case .file: .file
      case .directory: .directory
      case .other: .other
      case nil: nil
      }
    }
    all.glob = { Files.glob($0) }
    all.canonical = { Files.canonical($0) ?? $0 }
    all.linkTarget = { Files.linkTarget($0) }
    all.identity = { Files.status($0).map { Surroundings.Identity(device: $0.device, inode: $0.inode) } }
    all.program = { name, environment, directory in
      let path = environment.last { $0.name == "PATH" }?.value ?? Machine.environment().first { $0.name == "PATH" }?.value
      return Programs.find(name, path: path, directory: directory)
    }
    all.filterProblem = { JQFilter.problem(with: $0, in: "key")?.message }
    all.ringBytes = { queue, producers, consumers in
      let least = RingShape.leastBytes(capacity: queue.capacity, messageBytes: queue.messageBytes, producers: producers, consumers: consumers) ?? 0
      let shape = RingShape(
        capacity: queue.capacity, messageBytes: queue.messageBytes, producers: producers, consumers: consumers, bytes: queue.bytes.map { max($0, least) })
      return (shape?.bytes ?? 0, least)
    }
    return all
  }
}
