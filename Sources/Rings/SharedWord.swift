import Synchronization

/// A 64-bit word of shared memory. Every access is atomic: a plain load in a loop could be hoisted out of it.
struct SharedWord: BitwiseCopyable {
  private let pointer: UnsafeMutablePointer<Atomic<UInt64>>

  @inline(__always)
  init(_ address: UnsafeMutableRawPointer) { pointer = address.assumingMemoryBound(to: Atomic<UInt64>.self) }

  /// Without order: a hint, or a field that another word's acquire covers.
  @inline(__always) var relaxed: UInt64 { pointer.pointee.load(ordering: .relaxed) }
  @inline(__always) var acquired: UInt64 { pointer.pointee.load(ordering: .acquiring) }
  @inline(__always) func set(_ value: UInt64) { pointer.pointee.store(value, ordering: .relaxed) }
  @inline(__always) func release(_ value: UInt64) { pointer.pointee.store(value, ordering: .releasing) }

  /// - Returns: nil when it was exchanged, otherwise the value that was found
  @inline(__always)
  func exchange(_ expected: UInt64, _ desired: UInt64) -> UInt64? {
    let (done, original) = pointer.pointee.compareExchange(
      expected: expected, desired: desired, successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
    return done ? nil : original
  }

  /// Adds to a word that nobody else writes, which costs no more than two plain accesses.
  @inline(__always) func advance(by value: UInt64 = 1) { set(relaxed &+ value) }

  @inline(__always)
  func add(_ value: UInt64) -> UInt64 { pointer.pointee.wrappingAdd(value, ordering: .relaxed).newValue }

  @inline(__always)
  func setBits(_ bits: UInt64) { pointer.pointee.bitwiseOr(bits, ordering: .sequentiallyConsistent) }

  @inline(__always)
  func clearBits(_ bits: UInt64) { pointer.pointee.bitwiseAnd(~bits, ordering: .sequentiallyConsistent) }

  /// Moves a hint forward, never back.
  @inline(__always)
  func raise(to value: UInt64) {
    var current = relaxed
    while current < value {
      guard let found = exchange(current, value) else { return }
      current = found
    }
  }

  /// Orders everything before it against everything after it, for all processes.
  @inline(__always)
  static func fence() { atomicMemoryFence(ordering: .sequentiallyConsistent) }
}
