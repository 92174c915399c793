/// Numbers that look random and are the same everywhere (Steele, Lea and Flood: Fast splittable pseudorandom number generators, 2014).
package enum SplitMix64 {
  /// What the state goes on by with each number.
  @inlinable @inline(__always)
  package static var step: UInt64 { 0x9e37_79b9_7f4a_7c15 }

  /// The number of a state.
  @inlinable @inline(__always)
  package static func number(_ state: UInt64) -> UInt64 {
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}
