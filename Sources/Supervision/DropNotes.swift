/// Names dropped messages one by one as long as they are few; of a flood, the first of each second are named and the rest counted.
struct DropNotes {
  static let most = 20
  private var second: Int64 = -1
  private var count = 0

  /// - Returns: whether this one is named, and how many of an earlier second were not
  mutating func isShown(in now: Int64) -> (isShown: Bool, unnamed: Int?) {
    let unnamed = second == now ? nil : finish()
    second = now
    count += 1
    return (count <= Self.most, unnamed)
  }

  /// - Returns: how many have not been named since the last one that was
  mutating func finish() -> Int? {
    defer { count = 0 }
    return count > Self.most ? count - Self.most : nil
  }
}
