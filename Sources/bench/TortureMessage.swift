/// What a message of the torture must look like. Everything follows from the seed, the source's number, the message's
/// number n there, and the ordinals that the transforms gave it, so a program that knows these can make it again.
/// `Tests/Oracle` does, and shares no code with this: a change here needs its counterpart there.
///
///     SS NNNNNNNNNN AAAA BBBB LLLLLLL HHHHHHHHHHHHHHHH body
///
/// In hexadecimal: the source; n; the ordinal + 1 that the transform of level 1 gave, 0 when none did; the same of level
/// 2; the length of the whole; a hash of all that. The body holds no newline, for the messages become lines.
struct TortureMessage: Equatable {
  static let headLength = 49
  /// Where the hash begins; what it covers is everything else.
  private static let hashAt = 32

  var source: UInt64
  var n: UInt64
  /// Of level 1 and level 2.
  var ordinals: (UInt64, UInt64) = (0, 0)

  static func == (a: TortureMessage, b: TortureMessage) -> Bool {
    a.source == b.source && a.n == b.n && a.ordinals == b.ordinals
  }

  /// What all its properties are drawn from.
  func key(seed: UInt64) -> UInt64 {
    var key = mix(mix(seed ^ (source &+ 1) &* 0x9e37_79b9_7f4a_7c15) ^ n)
    if ordinals.0 > 0 { key = mix(key ^ mix(1 << 32 | ordinals.0)) }
    if ordinals.1 > 0 { key = mix(key ^ mix(2 << 32 | ordinals.1)) }
    return key
  }

  func child(level: Int, ordinal: UInt64) -> TortureMessage {
    var child = self
    if level == 1 { child.ordinals.0 = ordinal + 1 } else { child.ordinals.1 = ordinal + 1 }
    return child
  }

  /// From nothing but a head to the limit, small ones more often; the two ends are often hit exactly.
  static func length(_ key: UInt64, limit: Int) -> Int {
    let u = mix(key ^ 1)
    switch u & 15 {
    case 0: return limit
    case 1: return headLength
    default: return headLength + Int(((u >> 16) % UInt64(limit - headLength + 1)) >> ((u >> 4) & 7))
    }
  }

  // MARK: Bytes

  func write(to bytes: UnsafeMutableRawBufferPointer, key: UInt64) {
    let head = self.head(length: bytes.count)
    head.withUnsafeBytes { bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<Self.headLength])) }
    Self.fill(UnsafeMutableRawBufferPointer(rebasing: bytes[Self.headLength...]), key: key)
    var hash = hexadecimal(Self.hash(self, UnsafeRawBufferPointer(bytes)), digits: 16)
    hash.withUTF8 { UnsafeMutableRawBufferPointer(rebasing: bytes[Self.hashAt...]).copyMemory(from: UnsafeRawBufferPointer($0)) }
  }

  private func head(length: Int) -> [UInt8] {
    let text =
      hexadecimal(source, digits: 2) + " " + hexadecimal(n, digits: 10) + " " + hexadecimal(ordinals.0, digits: 4) + " "
      + hexadecimal(ordinals.1, digits: 4) + " " + hexadecimal(UInt64(length), digits: 7) + " 0000000000000000 "
    return Array(text.utf8)
  }

  /// Reads a message and compares all that it says of itself.
  ///
  /// - Returns: nil with what is wrong when it has been damaged
  static func read(_ bytes: UnsafeRawBufferPointer, seed: UInt64, limit: Int) -> (message: TortureMessage?, fault: String) {
    func field(_ at: Int, _ count: Int) -> UInt64? {
      var value: UInt64 = 0
      for byte in bytes[at..<(at + count)] {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
        default: return nil
        }
      }
      return value
    }
    guard bytes.count >= headLength else { return (nil, "it has only \(bytes.count) bytes") }
    guard let source = field(0, 2), let n = field(3, 10), let a = field(14, 4), let b = field(19, 4), let length = field(24, 7),
      let hash = field(hashAt, 16)
    else { return (nil, "its head cannot be read") }
    let message = TortureMessage(source: source, n: n, ordinals: (a, b))
    guard length == UInt64(bytes.count), bytes.count == self.length(message.key(seed: seed), limit: limit) else {
      return (nil, "it has \(bytes.count) bytes, says that it has \(length), and message \(message) has another length")
    }
    guard hash == self.hash(message, bytes) else { return (nil, "the hash of message \(message) does not fit its \(length) bytes") }
    return (message, "")
  }

  /// Bytes from 0x40 on, so never a newline.
  private static func fill(_ body: UnsafeMutableRawBufferPointer, key: UInt64) {
    var state = key
    var at = 0
    while at + 8 <= body.count {
      state &+= 0x9e37_79b9_7f4a_7c15
      body.storeBytes(of: finalized(state) | 0x4040_4040_4040_4040, toByteOffset: at, as: UInt64.self)
      at += 8
    }
    var last = finalized(state &+ 0x9e37_79b9_7f4a_7c15) | 0x4040_4040_4040_4040
    while at < body.count {
      body[at] = UInt8(truncatingIfNeeded: last)
      last >>= 8
      at += 1
    }
  }

  private static func hash(_ message: TortureMessage, _ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var h: UInt64 = 0x6a09_e667_f3bc_c908
    func absorb(_ word: UInt64) {
      h = (h ^ word) &* 0x9e37_79b9_7f4a_7c15
      h ^= h >> 32
    }
    for word in [message.source, message.n, message.ordinals.0, message.ordinals.1, UInt64(bytes.count)] { absorb(word) }
    var at = headLength
    while at + 8 <= bytes.count {
      absorb(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      at += 8
    }
    var last: UInt64 = 0
    for (i, byte) in bytes[at...].enumerated() { last |= UInt64(byte) << UInt64(8 * i) }
    absorb(last)
    return mix(h)
  }
}

extension TortureMessage: CustomStringConvertible {
  /// `00/12.1.0`: source, n, ordinals as they stand in the head.
  var description: String { "\(hexadecimal(source, digits: 2))/\(n).\(ordinals.0).\(ordinals.1)" }
}

/// Every bit of the input moves half the bits of the output: SplitMix64 (Steele, Lea and Flood, 2014).
func mix(_ value: UInt64) -> UInt64 { finalized(value &+ 0x9e37_79b9_7f4a_7c15) }

private func finalized(_ value: UInt64) -> UInt64 {
  var z = value
  z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
  z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
  return z ^ z >> 31
}

private func hexadecimal(_ value: UInt64, digits: Int) -> String {
  let text = String(value, radix: 16)
  return String(repeating: "0", count: max(0, digits - text.count)) + text
}
