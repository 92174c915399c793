import Specs

extension Planner {
  /// What the stages need from outside: whether it is there, and whether two want it for themselves.
  mutating func checkResources() {
    var files = Files()
    /// By port.
    var addresses: [String: [(address: ListenAddress, draft: Draft, setting: String)]] = [:]
    var single: [String: Draft] = [:]
    var inspections = Inspections()
    for draft in drafts {
      for resource in draft.stage.resources {
        switch resource {
        case .writesFile(let path, let setting): checkWritten(path, Use(draft: draft, setting: setting, path: path), &files)
        case .readsFiles(let pattern, let setting): files.read.append(Use(draft: draft, setting: setting, path: pattern))
        case .listens(let address, let setting): checkAddress(address, draft, setting, &addresses)
        case .runsProgram(let name, let setting): checkProgram(name, Use(draft: draft, setting: setting, path: name))
        case .inspected(let inspection): inspections.add(inspection, draft, program(inspection.program, draft))
        case .standardInput: checkSingle("standard input", draft, &single)
        case .standardOutput: checkSingle("standard output", draft, &single)
        }
      }
    }
    for use in files.read { checkRead(use, files) }
    self.inspections = inspections
  }

  /// A file as one stage's setting names it.
  private struct Use {
    var draft: Draft
    var setting: String
    /// As it is written.
    var path: String
    var node: Node? { draft.node["with"]?[setting] }
    var span: Span { draft.place("with", setting) }
    var at: String { draft.path + ".with." + setting }
  }

  private struct Files {
    var read: [Use] = []
    /// By the name that is left when links are resolved, and by what the file is.
    var writtenNames: [String: Use] = [:]
    var writtenIdentities: [Surroundings.Identity: Use] = [:]
  }

  private func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : Path.joined(directory, path) }

  // MARK: Files

  private mutating func checkWritten(_ path: String, _ use: Use, _ files: inout Files) {
    let full = absolute(path)
    let (folder, last) = Path.split(full)
    if last.isEmpty || last == "." || last == ".." || surroundings.kind(full) == .directory {
      report("is-directory", "\(shown(use.node, path)) is a folder", use.span, use.at, "name a file in it")
      return
    }
    if surroundings.kind(folder) != .directory {
      report(
        "missing-directory", "there is no folder \(use.node?.isSecret == true ? "" : JSON.string(Path.normal(folder)).compact + " ")to write into", use.span, use.at,
        "make it first" + (fromHere(path).map { "; \($0)" } ?? ""))
    }
    // A pipe or a device may be shared.
    if surroundings.kind(full) == .other { return }
    let name = fileName(full)
    let identity = surroundings.identity(full)
    let pipeline = absolute(Path.split(file).name)
    if name == fileName(pipeline) || identity != nil && identity == surroundings.identity(pipeline) {
      report("writes-pipeline", "this is the pipeline file", use.span, use.at, "name another one")
      return
    }
    if let other = files.writtenNames[name] ?? identity.flatMap({ files.writtenIdentities[$0] }) {
      report(
        "written-twice", "\"\(other.draft.name)\" writes to this file too", use.span, use.at,
        "give each stage a file of its own, or let one stage read both inputs", notes: [(other.span, "it is written here first")])
      return
    }
    files.writtenNames[name] = use
    if let identity { files.writtenIdentities[identity] = use }
  }

  /// The one name of a file, whether it is there yet or not: writing through a link that leads nowhere makes what the
  /// link names.
  private func fileName(_ full: String) -> String {
    var path = full
    // The kernel follows no more either (path_resolution(7)).
    for _ in 0..<40 {
      if surroundings.kind(path) != nil { return surroundings.canonical(path) }
      guard let target = surroundings.linkTarget(path) else { break }
      path = target.hasPrefix("/") ? target : Path.joined(Path.split(path).folder, target)
    }
    let (folder, last) = Path.split(path)
    return Path.joined(surroundings.kind(folder) == nil ? Path.normal(folder) : surroundings.canonical(folder), last)
  }

  private mutating func checkRead(_ use: Use, _ files: Files) {
    let full = absolute(use.path)
    let kind = surroundings.kind(full)
    let found = kind == nil ? surroundings.glob(full) : [full]
    if kind == .directory {
      report(
        "is-directory", "\(shown(use.node, use.path)) is a folder", use.span, use.at,
        "name its files with a pattern such as \(use.path.hasSuffix("/") ? use.path : use.path + "/")*")
      return
    }
    if found.allSatisfy({ surroundings.kind($0) == .directory }) {
      if let writer = files.writtenNames[fileName(full)] {
        reportReadAndWritten(use, writer)
      } else {
        let what = use.path.contains { "*?[".contains($0) } ? "no file matches" : "there is no file"
        report("missing-file", "\(what) \(shown(use.node, use.path))", use.span, use.at, fromHere(use.path))
      }
      return
    }
    if files.writtenNames.isEmpty { return }
    for path in found {
      let writer = files.writtenNames[surroundings.canonical(path)] ?? surroundings.identity(path).flatMap { files.writtenIdentities[$0] }
      if let writer { return reportReadAndWritten(use, writer) }
    }
  }

  private mutating func reportReadAndWritten(_ use: Use, _ writer: Use) {
    report(
      "read-and-written", "\"\(writer.draft.name)\" writes a file that \"\(use.draft.name)\" reads", use.span, use.at,
      "let it write another file", notes: [(writer.span, "it is written here")])
  }

  // MARK: Addresses and streams

  private mutating func checkAddress(
    _ text: String, _ draft: Draft, _ setting: String, _ all: inout [String: [(address: ListenAddress, draft: Draft, setting: String)]]
  ) {
    let address = ListenAddress(text)
    if let other = all[address.port]?.first(where: { $0.address.collides(with: address) }) {
      report(
        "listens-twice", "\"\(other.draft.name)\" listens on port \(address.port) too", draft.place("with", setting),
        draft.path + ".with." + setting, "choose another port", notes: [(other.draft.place("with", other.setting), "it is taken here first")])
      return
    }
    all[address.port, default: []].append((address, draft, setting))
  }

  // MARK: Programs

  func program(_ name: String, _ draft: Draft) -> String? { surroundings.program(name, draft.stage.environment, directory) }

  private mutating func checkProgram(_ name: String, _ use: Use) {
    if program(name, use.draft) != nil { return }
    let isPath = name.contains("/")
    // A name without a slash is looked for on the PATH alone; what lies here by that name is meant all the same.
    let there = use.node?.isSecret == true ? nil : surroundings.kind(absolute(name))
    let here = isPath ? name : "./" + name
    func report(_ code: String, _ message: String, _ remedy: String?) {
      self.report(code, "\(shown(use.node, name)) \(message)", use.span, use.at, remedy)
    }
    switch there {
    case .directory:
      let inside = ["bin/python", "bin/python3"].first { surroundings.kind(absolute(name + "/" + $0)) != nil }
      report("is-directory", "is a folder", inside.map { "name the program in it: \(Path.joined(name, $0))" } ?? "name a program in it")
    case .file where surroundings.program(here, use.draft.stage.environment, directory) != nil:
      report("missing-program", "is not on the PATH", "a program of the pipeline file's folder is named by its path: \(here)")
    case .file: report("not-executable", "may not be executed", "allow it with chmod +x, or name the program that reads it")
    case .other, nil:
      self.report(
        "missing-program", isPath ? "there is no program \(shown(use.node, name))" : "there is no program \(shown(use.node, name)) on the PATH",
        use.span, use.at, isPath ? fromHere(name) : "install it, or give its path")
    }
  }

  private mutating func checkSingle(_ what: String, _ draft: Draft, _ taken: inout [String: Draft]) {
    if let other = taken[what] {
      report(
        "taken-twice", "\"\(other.name)\" uses \(what) too", draft.place("plugin"), draft.path + ".plugin", "only one stage can",
        notes: [(other.place("plugin"), "it is taken here first")])
    } else {
      taken[what] = draft
    }
  }
}

/// `host:port` of a listener, so far as two of them can be compared without asking a resolver.
struct ListenAddress: Equatable {
  let host: String
  let port: String

  init(_ text: String) {
    let colon = text.lastIndex(of: ":")
    let digits = colon.map { String(text[text.index(after: $0)...]) } ?? text
    port = Int(digits).map(String.init) ?? digits
    let name = colon.map { text[..<$0] } ?? ""
    host = name == "localhost" ? "127.0.0.1" : name.filter { $0 != "[" && $0 != "]" }.lowercased()
  }

  private var isEverywhere: Bool { ["", "*", "0.0.0.0", "::"].contains(host) }

  /// Port 0 is another one each time.
  func collides(with other: ListenAddress) -> Bool {
    port == other.port && port != "0" && (host == other.host || isEverywhere || other.isEverywhere)
  }
}
