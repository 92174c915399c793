/// 128 bits that name a message for good. They derive from the source's name, the position there, and for everything
/// made from it the stage and the ordinal among what the stage made: the same over retries, restarts and runs.
package struct MessageID: Hashable, Sendable {
  package let high: UInt64
  package let low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// 32 lowercase hexadecimal digits.
  package var hex: String {
    func digits(_ value: UInt64) -> String {
      let text = String(value, radix: 16)
      return String(repeating: "0", count: 16 - text.count) + text
    }
    return digits(high) + digits(low)
  }

  /// The identity of a source's message: where the source stood after it.
  package static func source(stage: UInt64, position: (UInt64, UInt64, UInt64, UInt64)) -> MessageID {
    var id = MessageID(high: mix(stage), low: mix(stage ^ 0x6a09_e667_f3bc_c908))
    for word in [position.0, position.1, position.2, position.3] { id = id.absorbing(word) }
    return id
  }

  /// The identity of the ordinal-th message that a stage makes from this one.
  package func child(stage: UInt64, ordinal: UInt64) -> MessageID { absorbing(stage).absorbing(ordinal) }

  /// A stage's name as a number: FNV-1a, 64 bits (draft-eastlake-fnv), then mixed.
  package static func hash(_ name: String) -> UInt64 {
    var h: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in name.utf8 { h = (h ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return mix(h)
  }

  private func absorbing(_ word: UInt64) -> MessageID {
    let a = Self.mix(high ^ word &* 0x9e37_79b9_7f4a_7c15)
    let b = Self.mix(low &+ word ^ 0xd1b5_4a32_d192_ed03)
    return MessageID(high: a &+ b << 1 | b >> 63, low: Self.mix(b ^ a))
  }

  /// Every bit of the input moves half the bits of the output: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9e37_79b9_7f4a_7c15
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}
