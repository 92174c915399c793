import Filters
import PluginKit

/// Runs a jq filter over each message.
struct JQ: Transform {
  private static let filter = Setting.string("filter", "The filter, in the jq language (jq 1.6).", example: ".name | ascii_upcase")
  private static let raw = Setting.boolean(
    "raw", "Whether results that are strings are handed on without quotes and escapes.", default: false)

  static let spec = PluginSpec(
    "jq", .transform, "Runs a jq filter over each message.",
    details: """
      A message is one JSON text, unless `input: text` says that it is plain text; one that is not fails. Each result of the filter becomes a message of compact JSON text: several results become several messages, \
      and `empty` becomes none. An error in the filter is the message's failure; `error(null)` alone counts as `empty`, as in jq 1.6. Numbers are doubles, as in jq 1.6: whole numbers beyond 2^53 lose digits. \
      The filter sees the worker's environment as `env`; modules cannot be imported. `timeout:` of the stage ends a filter that never ends.
      """,
    settings: [filter.declaration, raw.declaration, JQFilter.input.declaration],
    example: """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 1000}
        large:
          plugin: jq
          inputs: [numbers]
          with:
            filter: 'select(.value > 500000) | {n, half: (.value / 2)}'
        show:
          plugin: stdout
          inputs: [large]
      """,
    check: { given in JQFilter.problem(with: given[filter], in: "filter").map { [$0] } ?? [] })

  private let filter: JQFilter
  private let isRaw: Bool
  private var reader: JQReader

  init(_ given: Given, _ context: Context) throws {
    filter = try JQFilter(given[Self.filter])
    isRaw = given[Self.raw]
    reader = JQReader(given[JQFilter.input])
  }

  mutating func process(_ message: Message, _ out: any Emitter) throws {
    try filter.run(try reader.value(of: message.payload)) { result in
      defer { result.free() }
      let isText = isRaw && result.isString
      try result.withText(asIs: isText) { try out.emit($0, as: isText ? .text : .json) }
      return true
    }
  }

  mutating func close() throws {
    filter.free()
    reader.free()
  }
}
