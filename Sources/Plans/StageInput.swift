import Specs

/// One of a stage's `inputs`: another stage's main port by its name, or a port as `STAGE.PORT`.
struct StageInput: Equatable {
  let stage: String
  /// Nil for the main port.
  let port: String?

  init(_ text: String) {
    let dot = text.firstIndex(of: ".")
    stage = String(text[..<(dot ?? text.endIndex)])
    port = dot.map { String(text[text.index(after: $0)...]) }
  }
}

extension Stage {
  /// The number of a port: 0 for the main one, then those of the plugin, then the dead letters.
  ///
  /// - Parameter name: nil for the main port
  /// - Returns: nil when there is none of that name
  func port(_ name: String?) -> Int? {
    guard let name else { return 0 }
    if name == PluginSpec.Ports.deadLetter { return deadLetterPort }
    return ports.firstIndex(of: name).map { $0 + 1 }
  }

  package var deadLetterPort: Int { ports.count + 1 }

  /// What is written in `inputs` for a port.
  func portName(_ number: Int) -> String {
    if number == 0 { return name }
    return name + "." + (ports.indices.contains(number - 1) ? ports[number - 1] : PluginSpec.Ports.deadLetter)
  }
}

extension Plan {
  /// The ports of a stage that another one reads, by number.
  package func ports(from writer: Int, to reader: Int) -> [Int] {
    stages[reader].inputs.map(StageInput.init).filter { $0.stage == stages[writer].name }.compactMap { stages[writer].port($0.port) }.sorted()
  }

  /// Whether every reader of a stage gets all that it hands on, through one queue. Where not, the cells of its workers count each reader's share apart.
  package func isUniform(_ writer: Int) -> Bool {
    readers(of: writer).allSatisfy { ports(from: writer, to: $0) == [0] && stages[$0].queue?.whenFull ?? .block == .block && stages[$0].partition == nil }
  }

  /// How many readers are counted apart: a cell has room for so many.
  package static let mostCountedReaders = 47

  /// The readers of a port, by number.
  func readers(of stage: Int, port: Int) -> [Int] { readers(of: stage).filter { ports(from: stage, to: $0).contains(port) } }
}
