/// The word that is the truth about one segment of a ring's arena:
///
///     63            36 35   32 31          20 19         0
///     +---------------+-------+-------------+------------+
///     | generation    | state | owner       | count      |
///     +---------------+-------+-------------+------------+
///
///     free     -> open(me)     a producer fills it with payloads           compare and swap
///     open     -> sealed       no more payloads will come; count = those not yet acknowledged
///     sealed   -> free         count reached 0; the generation moves on
///     open     -> orphan       its producer died; freed by the sweep once no slot refers to it
///
/// While a segment is open its count starts at `bias`, and every acknowledged payload takes one off, so that an
/// acknowledgement may come before its producer has counted the payload. A count may be too high after a death (the
/// segment then waits for the sweep), never too low: acknowledgements name the generation.
struct SegmentWord: BitwiseCopyable {
  enum State: UInt64 { case free, open, sealed, orphan }

  static let bias: UInt64 = 1 << 19

  let raw: UInt64

  @inline(__always) init(raw: UInt64) { self.raw = raw }

  @inline(__always)
  init(_ generation: UInt32, _ state: State, owner: WorkerNumber = 0, count: UInt64 = 0) {
    raw = UInt64(generation & 0xfff_ffff) << 36 | state.rawValue << 32 | UInt64(owner & 0xfff) << 20 | count & 0xf_ffff
  }

  @inline(__always) var generation: UInt32 { UInt32(truncatingIfNeeded: raw >> 36) }
  @inline(__always) var stateBits: UInt64 { raw >> 32 & 0xf }
  @inline(__always) var owner: WorkerNumber { WorkerNumber(truncatingIfNeeded: raw >> 20 & 0xfff) }
  @inline(__always) var count: UInt64 { raw & 0xf_ffff }
  @inline(__always) func isIn(_ state: State) -> Bool { stateBits == state.rawValue }

  /// Free again, in the next generation.
  var freed: SegmentWord { SegmentWord(generation &+ 1, .free) }
}
