package import Specs

/// What a worker tells the runner over its control socket: one JSON object on a line.
package enum WorkerMessage: Sendable, Equatable {
  /// The plugin is open and the rings are attached. Sources wait for `go` after it.
  case ready
  /// A message was given up and `then: stop` decided; the worker exits with 65 next.
  case messageFailed(id: String, error: String, errors: Int, deaths: Int)
  /// A message was given up and dropped; counted in the cell, told here for the log.
  case messageDropped(id: String, error: String, errors: Int, deaths: Int)
  /// A message was given up and handed on as a dead letter; counted in the cell, told here for the log.
  case messageDeadLettered(id: String, error: String, errors: Int, deaths: Int)
  /// What the worker is about to do on the way to `ready`, for when it does not come to an end: `import frames`.
  case opening(String)
  /// The plugin could not be opened, and the worker ends as a crash: in one line, and all that is to be said of it.
  case openingFailed(String, details: String)
  /// Everything has been handed over, and the plugin is about to be closed.
  case closing
  /// The plugin cannot go on; the worker exits with this code next.
  case failed(code: ExitCode, text: String)
  /// `--chaos` is to strike this worker, or has delayed it.
  case chaos(Chaos.Deed)

  /// One line with its newline.
  package var line: String {
    let json: JSON =
      switch self {
      case .ready: ["ready": true]
      case .opening(let text): ["opening": .string(text)]
      case .openingFailed(let error, let details): ["opening_failed": .string(error), "details": .string(details)]
      case .closing: ["closing": true]
      case .messageFailed(let id, let error, let errors, let deaths):
        ["message_failed": .string(id), "error": .string(error), "errors": .integer(errors), "deaths": .integer(deaths)]
      case .messageDropped(let id, let error, let errors, let deaths):
        ["message_dropped": .string(id), "error": .string(error), "errors": .integer(errors), "deaths": .integer(deaths)]
      case .messageDeadLettered(let id, let error, let errors, let deaths):
        ["message_dead_lettered": .string(id), "error": .string(error), "errors": .integer(errors), "deaths": .integer(deaths)]
      case .chaos(let deed): ["chaos": .string(deed.rawValue)]
      case .failed(let code, let text): ["failed": .integer(Int(code.rawValue)), "error": .string(text)]
      }
    return json.compact + "\n"
  }

  /// The message of a parsed line; nil for anything else, which a broken worker may well write.
  package init?(_ node: Node) {
    func count(_ key: String) -> Int { max(0, node[key]?.integer ?? 0) }
    let error = node["error"]?.string ?? ""
    if node["ready"]?.boolean == true {
      self = .ready
    } else if let text = node["opening"]?.string {
      self = .opening(text)
    } else if let error = node["opening_failed"]?.string {
      self = .openingFailed(error, details: node["details"]?.string ?? "")
    } else if node["closing"]?.boolean == true {
      self = .closing
    } else if let id = node["message_failed"]?.string {
      self = .messageFailed(id: id, error: error, errors: count("errors"), deaths: count("deaths"))
    } else if let id = node["message_dropped"]?.string {
      self = .messageDropped(id: id, error: error, errors: count("errors"), deaths: count("deaths"))
    } else if let id = node["message_dead_lettered"]?.string {
      self = .messageDeadLettered(id: id, error: error, errors: count("errors"), deaths: count("deaths"))
    } else if let number = node["failed"]?.integer, let raw = Int32(exactly: number), let code = ExitCode(rawValue: raw) {
      self = .failed(code: code, text: error)
    } else if let deed = node["chaos"]?.string.flatMap(Chaos.Deed.init(rawValue:)) {
      self = .chaos(deed)
    } else {
      return nil
    }
  }
}

/// What the runner tells a worker over the same socket: one word on a line.
package enum RunnerMessage: String, Sendable, CaseIterable {
  /// Every stage is ready: a source may start.
  case go
  /// A source is to end: the run is being drained.
  case stop
}
