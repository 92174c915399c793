/// The items or keys of one value that some schema has looked at, by index.
struct Evaluated {
  private var all = false
  private var members: Set<Int> = []

  mutating func insertAll() { all = true }
  mutating func insert(_ index: Int) { members.insert(index) }

  mutating func merge(_ other: Evaluated) {
    all = all || other.all
    members.formUnion(other.members)
  }

  func contains(_ index: Int) -> Bool { all || members.contains(index) }
}
