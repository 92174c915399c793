/// A message as a plugin sees it, read in place from shared memory.
///
/// The payload is valid until the call that received it returns (for a `DeliverySink`, until it has reported the
/// message's outcome). Keep a copy of what must live longer.
public struct Message {
  /// The bytes; at most the stage's `queue.message`. Empty messages exist.
  public let payload: UnsafeRawBufferPointer
  /// The same over retries, restarts and resume.
  public let id: MessageIdentity
  /// How often the message was tried before: failures and deaths of workers that had it in hand. 0 the first time.
  public let attempts: Int
  /// What the stage that made it says of the payload.
  public let format: MessageFormat

  public init(payload: UnsafeRawBufferPointer, id: MessageIdentity, attempts: Int = 0, format: MessageFormat = .bytes) {
    self.payload = payload
    self.id = id
    self.attempts = attempts
    self.format = format
  }

  /// The payload as text; ill-formed UTF-8 is repaired with U+FFFD.
  public var text: String { String(decoding: payload, as: UTF8.self) }
}

/// What a payload is, so that a language with types of its own can give its reader what was sent.
public enum MessageFormat: UInt8, Sendable {
  /// Bytes of any kind.
  case bytes = 0
  /// Text, in UTF-8 as far as its writer knows.
  case text = 1
  /// One JSON value.
  case json = 2
}

/// 128 bits that name a message for good: derived from its source, its position there and the path it took.
public struct MessageIdentity: Hashable, Sendable, CustomStringConvertible {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// 32 lowercase hexadecimal digits.
  public var description: String {
    func hex(_ value: UInt64) -> String {
      let digits = String(value, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
    return hex(high) + hex(low)
  }
}

/// Where a source stands: four words of its own choice, stored together with the messages they belong to. A source
/// that is started again gets the last committed one back, so nothing is made twice and nothing is skipped.
public struct Position: Hashable, Sendable {
  public var words: (UInt64, UInt64, UInt64, UInt64) { (a, b, c, d) }
  private let a, b, c, d: UInt64

  public init(_ a: UInt64, _ b: UInt64 = 0, _ c: UInt64 = 0, _ d: UInt64 = 0) {
    self.a = a
    self.b = b
    self.c = c
    self.d = d
  }
}
