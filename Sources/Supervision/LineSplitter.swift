import Plans

/// Cuts what a worker writes into lines: bounded in length, and in number when it floods.
struct LineSplitter {
  static let longest = 4096
  static let mostPerSecond = 500

  private var partial: [UInt8] = []
  private var second: Int64 = 0
  private var inSecond = 0
  private(set) var suppressed = 0
  /// The last lines, for saying what a worker wrote before it died.
  private(set) var lastLines: [String] = []

  /// - Parameter second: any clock's second, to count the lines in it
  mutating func take(_ bytes: UnsafeRawBufferPointer, second now: Int64, _ line: (String) -> Void) {
    for byte in bytes {
      if byte == UInt8(ascii: "\n") {
        flush(now, line)
      } else {
        partial.append(byte)
        if partial.count >= Self.longest { flush(now, line) }
      }
    }
  }

  /// Keeps a line that came another way.
  mutating func remember(_ text: String) {
    lastLines.append(text)
    if lastLines.count > 5 { lastLines.removeFirst() }
  }

  mutating func finish(second now: Int64, _ line: (String) -> Void) {
    if !partial.isEmpty { flush(now, line) }
    reportSuppressed(line)
  }

  private mutating func flush(_ now: Int64, _ line: (String) -> Void) {
    if partial.last == UInt8(ascii: "\r") { partial.removeLast() }
    let text = Self.printable(partial)
    partial.removeAll(keepingCapacity: true)
    remember(text)
    if now != second {
      second = now
      inSecond = 0
      reportSuppressed(line)
    }
    inSecond += 1
    if inSecond > Self.mostPerSecond { suppressed += 1 } else { line(text) }
  }

  private mutating func reportSuppressed(_ line: (String) -> Void) {
    if suppressed > 0 { line("… \(suppressed) more lines (only \(Self.mostPerSecond) a second are shown)") }
    suppressed = 0
  }

  private static func printable(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self).printable }
}

extension String {
  /// A worker's words must not play with the terminal.
  fileprivate var printable: String {
    var out = UnicodeScalarView()
    for scalar in unicodeScalars {
      out.append(scalar.value < 0x20 && scalar != "\t" || 0x7f..<0xa0 ~= scalar.value ? "\u{fffd}" : scalar)
    }
    return String(out)
  }
}

extension WorkerMessage {
  /// The same, fit for a terminal; line ends become spaces.
  var printable: WorkerMessage {
    func clean(_ text: String) -> String { String(text.map { $0.isNewline ? " " : $0 }).printable }
    return switch self {
    case .ready: .ready
    case .opening(let text): .opening(clean(text))
    case .openingFailed(let error, let details):
      .openingFailed(clean(error), details: details.split(separator: "\n").map { clean(String($0)) }.joined(separator: "\n"))
    case .closing: .closing
    case .messageFailed(let id, let error, let errors, let deaths):
      .messageFailed(id: clean(id), error: clean(error), errors: errors, deaths: deaths)
    case .messageDropped(let id, let error, let errors, let deaths):
      .messageDropped(id: clean(id), error: clean(error), errors: errors, deaths: deaths)
    case .messageDeadLettered(let id, let error, let errors, let deaths):
      .messageDeadLettered(id: clean(id), error: clean(error), errors: errors, deaths: deaths)
    case .failed(let code, let text): .failed(code: code, text: clean(text))
    case .chaos(let deed): .chaos(deed)
    }
  }
}
