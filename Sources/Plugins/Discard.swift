import PluginKit

/// Takes messages and forgets them. They are counted, as everywhere.
struct Discard: Sink {
  static let spec = PluginSpec(
    "discard", .sink, "Takes messages and forgets them.",
    details: "For measuring what comes before it, and for outputs that nobody needs. The messages are counted.",
    settings: [],
    example: """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 100000, size: 64B}
        nowhere:
          plugin: discard
          inputs: [numbers]
      """)

  init(_ given: Given, _ context: Context) throws {}
  mutating func write(_ message: Message) throws {}
  mutating func flush() throws -> UInt64? { nil }
}
