import Platform
package import PluginKit
import Specs

/// A line of a file of dead letters, as far as sending it again needs it.
package struct Letter {
  package let stage: String
  /// The pipeline file that the stage stands in, absolute.
  package let pipeline: String
  /// Nil for what a source could not make: there is nothing to send.
  package let message: (payload: [UInt8], format: MessageFormat)?
  /// The JSON text of the key by which the message came to its stage; nil where no keys decide.
  package let key: [UInt8]?

  package init(_ line: [UInt8]) throws(NoLetter) {
    let (node, problems) = JSONText.parse(line)
    guard let node else { throw NoLetter("it is not JSON: \(problems.first?.message ?? "")") }
    guard node.pairs != nil else { throw NoLetter("it is \(node.described), and a dead letter is an object") }
    func text(_ key: String) throws(NoLetter) -> String {
      guard let text = node[key]?.string else { throw NoLetter("it has no \"\(key)\" with a string, as dead letters have") }
      return text
    }
    stage = try text("stage")
    pipeline = try text("pipeline")
    _ = try text("error")
    key = node["key"].flatMap { $0.isNull ? nil : Array(JSON($0).compact.utf8) }
    if let value = node["payload"] ?? node["payload_base64"] {
      guard let written = value.string else { throw NoLetter("its payload is \(value.described), and no string") }
      guard let payload = node["payload"] == nil ? Base64.decode(written) : Array(written.utf8) else {
        throw NoLetter("its \"payload_base64\" is no base 64")
      }
      let name = try text("format")
      guard let format = MessageFormat(name: name) else { throw NoLetter("its format is \(JSON.string(name).compact); there are bytes, text and json") }
      message = (payload, format)
    } else {
      message = nil
    }
  }
}

/// Why a line is no dead letter.
package struct NoLetter: Error {
  package let text: String
  init(_ text: String) { self.text = text }
}

extension MessageFormat {
  fileprivate init?(name: String) {
    guard let format = [MessageFormat.bytes, .text, .json].first(where: { "\($0)" == name }) else { return nil }
    self = format
  }
}

/// A whole file of dead letters, looked through before any of them is sent again.
package struct LetterFile {
  /// How many letters of each stage can be sent again; the stages in the order in which they come up.
  package private(set) var stages: [(name: String, count: Int)] = []
  /// The pipeline files that they name, in the same order.
  package private(set) var pipelines: [String] = []
  /// The lines of letters without a message.
  package private(set) var empty: [Int] = []

  package enum Failure: Error {
    case unreadable(String)
    /// The number of a line that is no letter, from 1, and why.
    case noLetter(line: Int, String)
  }

  /// How many can be sent again.
  package var count: Int { stages.reduce(0) { $0 + $1.count } }

  package init(_ path: String) throws(Failure) {
    let descriptor: Int32
    do throws(SystemError) { descriptor = try Files.openForReading(path) } catch { throw .unreadable(error.reason) }
    defer { Descriptors.close(descriptor) }
    var reader = LineReader(longest: Replay.longest)
    defer { reader.close() }
    var number = 0
    var indexes: [String: Int] = [:]
    var known: Set<String> = []
    while true {
      let step: LineReader.Step
      do throws(SystemError) { step = try reader.next(from: descriptor) } catch { throw .unreadable(error.reason) }
      switch step {
      case .line(let line, _):
        number += 1
        if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
        let letter: Letter
        do throws(NoLetter) { letter = try Letter(Array(line)) } catch { throw .noLetter(line: number, error.text) }
        if letter.message == nil {
          empty.append(number)
          continue
        }
        if let index = indexes[letter.stage] { stages[index].count += 1 } else {
          indexes[letter.stage] = stages.count
          stages.append((letter.stage, 1))
        }
        if known.insert(letter.pipeline).inserted { pipelines.append(letter.pipeline) }
      case .tooLong(let bytes, _): throw .noLetter(line: number + 1, "it has \(bytes) bytes, more than any dead letter")
      case .later, .end: return
      }
    }
  }
}
