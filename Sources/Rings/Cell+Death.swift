extension CommitCell {
  /// How a worker died, for who gives up a message that it had in hand. Written by the runner before the message is back in its queue;
  /// the next death of the same worker takes its place.
  package struct Death: Sendable, Equatable {
    /// The signal that ended it; 0 when it ended by itself.
    package var signal: Int
    /// The last lines that it wrote.
    package var lastLines: [String]

    package init(signal: Int, lastLines: [String]) {
      self.signal = signal
      self.lastLines = lastLines
    }
  }

  // How many messages | length of the text | signal | their ids from 64 on | text from 1024 on
  private var deathWords: UnsafeMutableRawPointer { base + 4096 }
  private static let mostIDs = 60
  private static let textOffset = 1024
  private static let mostText = 3072

  /// The messages are named one by one as they are found (`addDeath`).
  func begin(_ death: Death) {
    SharedWord(deathWords).set(0)
    SharedWord(deathWords + 16).set(UInt64(clamping: death.signal))
    var text = Array(death.lastLines.joined(separator: "\n").utf8.suffix(Self.mostText))
    // No half a character at its beginning.
    text.removeFirst(text.prefix { $0 & 0xc0 == 0x80 }.count)
    UnsafeMutableRawBufferPointer(start: deathWords + Self.textOffset, count: Self.mostText).copyBytes(from: text)
    SharedWord(deathWords + 8).set(UInt64(text.count))
  }

  func addDeath(of id: MessageID) {
    let count = Int(clamping: SharedWord(deathWords).relaxed)
    guard count < Self.mostIDs else { return }
    SharedWord(deathWords + 64 + count * 16).set(id.high)
    SharedWord(deathWords + 72 + count * 16).set(id.low)
    SharedWord(deathWords).set(UInt64(count) + 1)
  }

  /// - Returns: nil when the worker's last death was not with this message in hand
  package func death(of id: MessageID) -> Death? {
    let count = min(Self.mostIDs, Int(clamping: SharedWord(deathWords).relaxed))
    guard (0..<count).contains(where: { i in
      SharedWord(deathWords + 64 + i * 16).relaxed == id.high && SharedWord(deathWords + 72 + i * 16).relaxed == id.low
    }) else { return nil }
    let length = min(Self.mostText, Int(clamping: SharedWord(deathWords + 8).relaxed))
    let text = String(decoding: UnsafeRawBufferPointer(start: deathWords + Self.textOffset, count: length), as: UTF8.self)
    return Death(
      signal: Int(clamping: SharedWord(deathWords + 16).relaxed), lastLines: text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
  }
}
