/// 128 bits that name a message for good. They derive from the source's name, the position there, and for everything
/// made from it the stage and the ordinal among what the stage made: the same over retries, restarts and runs.
package struct MessageID: Hashable, Sendable, BitwiseCopyable {
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
  @inline(__always)
  package static func source(stage: UInt64, position: (UInt64, UInt64, UInt64, UInt64)) -> MessageID {
    let (a, b, c, d) = position
    // Two sums with different odd factors, so that positions which meet in one differ in the other.
    let high = a &* 0x9e37_79b9_7f4a_7c15 &+ b &* 0xd1b5_4a32_d192_ed03 &+ c &* 0xaef1_7502_108e_f2d9 &+ d &* 0xf135_7aea_2e62_a9c5
    let low = a &* 0xe703_7ed1_a0b4_28db &+ b &* 0xa24b_aed4_963e_e407 &+ c &* 0x9fb2_1c65_1e98_df25 &+ d &* 0x8ebc_6af0_9c88_c6e3
    return MessageID(high: mix(stage &+ high), low: mix(stage ^ 0x6a09_e667_f3bc_c908 &+ low))
  }

  /// The identity of the ordinal-th message that a stage makes from this one.
  @inline(__always)
  package func child(stage: UInt64, ordinal: UInt64) -> MessageID {
    let word = stage &+ ordinal &* 0x9e37_79b9_7f4a_7c15
    let a = Self.mix(high ^ word)
    return MessageID(high: a, low: Self.mix(low &+ word ^ a &* 0xd1b5_4a32_d192_ed03))
  }

  /// A stage's name as a number: FNV-1a, 64 bits (draft-eastlake-fnv), then mixed.
  package static func hash(_ name: String) -> UInt64 { hash(name.utf8) }

  static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    var h: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { h = (h ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return mix(h)
  }

  /// Every bit of the input moves half the bits of the output: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
  @inline(__always)
  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9e37_79b9_7f4a_7c15
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}
