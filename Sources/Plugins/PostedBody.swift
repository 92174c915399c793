import PluginKit

/// How the messages of a batch are put together.
enum PostBody: String, Choice { case array, lines, keyed }

/// What one request posts.
final class PostedBody {
  /// Valid as long as this is.
  let bytes: UnsafeRawBufferPointer
  /// Where they are put together; nil for a message in its place.
  private let composed: UnsafeMutableRawBufferPointer?

  /// - Parameter form: nil for one message as it is
  /// - Throws: `MessageFailure` for a message that has no place in such a body
  init(_ messages: [Message], _ form: PostBody?) throws(MessageFailure) {
    guard let form else {
      composed = nil
      bytes = messages.first?.payload ?? UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    var text: [UInt8] = []
    text.reserveCapacity(messages.reduce(2) { $0 + $1.payload.count + 64 })
    if form != .lines { text.append(UInt8(ascii: "[")) }
    for (i, message) in messages.enumerated() {
      if form == .lines {
        if message.payload.contains(UInt8(ascii: "\n")) {
          throw MessageFailure("a message with a newline in it is no line: `body: array` takes it", isPermanent: true)
        }
        text += message.payload
        text.append(UInt8(ascii: "\n"))
        continue
      }
      if message.format != .json, JSONText.parse(Array(message.payload)).node == nil {
        throw MessageFailure("a message that is not JSON has no place in a JSON array: `body: lines` takes it", isPermanent: true)
      }
      if i > 0 { text.append(UInt8(ascii: ",")) }
      if form == .keyed { text += Array("{\"key\":\"\(message.id)\",\"value\":".utf8) }
      text += message.payload
      if form == .keyed { text.append(UInt8(ascii: "}")) }
    }
    if form != .lines { text.append(UInt8(ascii: "]")) }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, text.count), alignment: 1)
    memory.copyBytes(from: text)
    composed = memory
    bytes = UnsafeRawBufferPointer(rebasing: memory[..<text.count])
  }

  deinit { composed?.deallocate() }

  /// The key of a request: a message's own, or one that follows from those of several, in their order.
  static func key(_ ids: [MessageIdentity]) -> String {
    guard let first = ids.first else { return "" }
    func mix(_ a: UInt64, _ b: UInt64) -> UInt64 { SplitMix64.number(a &+ SplitMix64.step ^ b) }
    let key = ids.dropFirst().reduce(first) { MessageIdentity(high: mix($0.high, $1.high), low: mix($0.low &+ 1, $1.low)) }
    return "\(key)"
  }
}
