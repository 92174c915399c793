import Plans
import PluginKit
import Platform
import Rings
import Specs

/// A message that was given up, with what is known of why: what comes out of `STAGE.dead_letter`, one JSON object.
struct DeadLetter {
  var stage: String
  var plugin: String
  var file: String
  /// What the plugin said at the last try, or how often workers have died.
  var error: String
  /// A traceback, say.
  var details: String
  /// How often the plugin has failed on it.
  var errors: Int
  var deaths: Int
  var death: CommitCell.Death?
  var id: String
  /// The key that decided which process got it; nil in a stage without `partition`, null where there is none or it is too long to repeat.
  var key: JSON?
  /// How many of its outputs have gone on before it was given up.
  var handedOn: UInt64

  /// Longer texts lose their middle, so that a letter is never much longer than its message (`Plan.letterBytes`).
  private static let mostText = 8 << 10

  /// A longer key is left out, for the same reason.
  static let mostKey = 4 << 10

  /// - Parameter message: nil where a source could not make one
  func encoded(_ message: (payload: UnsafeRawBufferPointer, format: UInt8)?) -> [UInt8] {
    func text(_ string: String) -> JSON { .string(Self.shortened(string)) }
    var pairs: [(String, JSON)] = [
      ("stage", .string(stage)), ("plugin", .string(plugin)), ("error", text(error)), ("attempts", .integer(errors + deaths)),
      ("errors", .integer(errors)), ("deaths", .integer(deaths)),
      ("signal", death.flatMap { $0.signal > 0 ? .integer($0.signal) : nil } ?? .null), ("id", id.isEmpty ? .null : .string(id)),
    ]
    if let key { pairs.append(("key", key)) }
    pairs += [
      ("time", .string(WallClock.utc)), ("handed_on", .integer(Int(clamping: handedOn))),
    ]
    if !details.isEmpty { pairs.append(("details", text(details))) }
    if let death { pairs.append(("last_lines", .array(death.lastLines.map(JSON.string)))) }
    pairs.append(("pipeline", .string(file)))
    if let message {
      pairs.append(("format", .string(MessageFormat(rawValue: message.format).map { "\($0)" } ?? "bytes")))
      pairs.append(Self.payload(message.payload))
    }
    return Array(JSON.object(pairs).compact.utf8)
  }

  /// As text where it is text that needs few escapes, else in base 64, which is never longer by more than a third.
  private static func payload(_ bytes: UnsafeRawBufferPointer) -> (String, JSON) {
    let escaped = bytes.reduce(0) { $0 + ($1 < 0x20 ? 6 : $1 == UInt8(ascii: "\"") || $1 == UInt8(ascii: "\\") ? 2 : 1) }
    if escaped <= bytes.count / 3 * 4 + 64, let text = String(validating: bytes, as: UTF8.self) { return ("payload", .string(text)) }
    return ("payload_base64", .string(Base64.encode(bytes)))
  }

  private static func shortened(_ text: String) -> String {
    let bytes = Array(text.utf8)
    if bytes.count <= mostText { return text }
    return String(decoding: bytes.prefix(mostText / 2), as: UTF8.self) + " … " + String(decoding: bytes.suffix(mostText / 2), as: UTF8.self)
  }
}
