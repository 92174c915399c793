/// A growing array of plain values for the hot path: no reference counts, no copies on write, no shared storage. Whoever holds
/// it frees it.
struct PlainBuffer<Element: BitwiseCopyable> {
  private var base: UnsafeMutablePointer<Element>
  private var capacity: Int
  private(set) var count = 0

  init(capacity: Int = 64) {
    self.capacity = max(1, capacity)
    base = .allocate(capacity: self.capacity)
  }

  func deallocate() { base.deallocate() }

  @inline(__always) var isEmpty: Bool { count == 0 }
  @inline(__always) var last: Element? { count == 0 ? nil : base[count - 1] }

  @inline(__always)
  subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count)
      return base[index]
    }
    nonmutating _modify {
      precondition(index >= 0 && index < count)
      yield &base[index]
    }
  }

  @inline(__always)
  mutating func append(_ element: Element) {
    if count == capacity { grow() }
    base[count] = element
    count += 1
  }

  /// Room for one more element behind the last, to be filled field by field: a structure that is put together elsewhere and copied
  /// is read again before its stores have left the processor.
  @inline(__always)
  mutating func spare() -> UnsafeMutablePointer<Element> {
    if count == capacity { grow() }
    return base + count
  }

  /// The same, for those who have asked for it before.
  @inline(__always)
  var spareInPlace: UnsafeMutablePointer<Element> {
    precondition(count < capacity)
    return base + count
  }

  /// The spare element becomes the last.
  @inline(__always)
  mutating func takeSpare() {
    precondition(count < capacity)
    count += 1
  }

  /// The last element, in place; valid until something is appended.
  @inline(__always)
  var lastInPlace: UnsafeMutablePointer<Element>? { count == 0 ? nil : base + (count - 1) }

  private mutating func grow() {
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
    larger.update(from: base, count: count)
    base.deallocate()
    base = larger
    capacity *= 2
  }

  /// Forgets the first `n` elements.
  @inline(__always)
  mutating func removeFirst(_ n: Int) {
    precondition(n >= 0 && n <= count)
    if n < count { base.update(from: base + n, count: count - n) }
    count -= n
  }

  /// Forgets all but the first `n` elements.
  @inline(__always)
  mutating func truncate(to n: Int) { count = max(0, min(count, n)) }

  /// Moves the last `n` elements to the place before the one at `index`.
  func moveLast(_ n: Int, to index: Int) {
    precondition(n >= 0 && index >= 0 && n <= count && index <= count - n)
    if n == 0 || index == count - n { return }
    let moved = UnsafeMutablePointer<Element>.allocate(capacity: n)
    moved.update(from: base + (count - n), count: n)
    (base + index + n).update(from: base + index, count: count - n - index)
    (base + index).update(from: moved, count: n)
    moved.deallocate()
  }

  mutating func remove(at index: Int) {
    precondition(index >= 0 && index < count)
    (base + index).update(from: base + index + 1, count: count - index - 1)
    count -= 1
  }
}
