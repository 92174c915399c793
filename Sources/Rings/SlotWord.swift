/// The word that is the truth about one slot:
///
///     63                    24 23   20 19          8 7        0
///     +-----------------------+-------+-------------+----------+
///     | lap                   | state | owner       | deaths   |
///     +-----------------------+-------+-------------+----------+
///
/// A slot at index i in lap k stands at position k * capacity + i of the endless line of messages.
///
///     free(k)     -> writing(k, me)    a producer takes it; the payload is complete already     compare and swap
///     writing(k)  -> ready(k)          published                                                release store
///     writing(k)  -> free(k+1)         voided; never free(k), for readers may have passed k      release store
///     ready(k)    -> leased(k, me)     a consumer claims it                                     compare and swap
///     leased(k)   -> leased(k+1)       a producer that meets it a lap later moves it along       compare and swap
///     leased      -> settling          its owner is about to commit                             compare and swap
///     settling    -> free(k+1)         acknowledged                                             compare and swap
///
/// 40 bits of lap last 34 years at 1,000 laps a second, but two weeks at the million laps of a ring of one slot. So laps are
/// never compared as numbers: `laps(from:)` says how far a word is from a lap that is counted in 64 bits, the short way round.
/// Deaths stop counting at 254.
package struct SlotWord: Equatable, Sendable, BitwiseCopyable {
  package enum State: UInt64, Sendable { case free, writing, ready, leased, settling }

  package let raw: UInt64

  @inline(__always)
  init(raw: UInt64) { self.raw = raw }

  @inline(__always)
  init(_ lap: UInt64, _ state: State, owner: WorkerNumber = 0, deaths: UInt64 = 0) {
    raw = lap << 24 | state.rawValue << 20 | UInt64(owner & 0xfff) << 8 | min(deaths, 254)
  }

  /// The lower 40 bits of the lap.
  @inline(__always) var lap: UInt64 { raw >> 24 }

  /// How many laps this word is ahead of the given one; negative behind it.
  @inline(__always)
  func laps(from lap: UInt64) -> Int64 { Int64(bitPattern: raw &- lap << 24) >> 24 }

  @inline(__always) var stateBits: UInt64 { raw >> 20 & 0xf }
  @inline(__always) var owner: WorkerNumber { WorkerNumber(truncatingIfNeeded: raw >> 8 & 0xfff) }
  @inline(__always) var deaths: UInt64 { raw & 0xff }

  @inline(__always)
  func isIn(_ state: State) -> Bool { stateBits == state.rawValue }

  /// Whether a worker works on it.
  @inline(__always) var isHeld: Bool { isIn(.leased) || isIn(.settling) }

  /// Whether it has a message that has not been acknowledged.
  @inline(__always) var isOpen: Bool { isIn(.ready) || isHeld }

  /// The same, in another lap or state.
  @inline(__always)
  func with(lap: UInt64? = nil, _ state: State) -> SlotWord {
    SlotWord(raw: (lap ?? self.lap) << 24 | state.rawValue << 20 | raw & 0xf_ffff)
  }
}

/// 1...4095, unique over all workers of a pipeline; 0 is nobody.
package typealias WorkerNumber = UInt16
