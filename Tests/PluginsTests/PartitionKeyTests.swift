import Filters
import PluginKit
import Testing

/// The keys of messages, as they are compared.
struct PartitionKeyTests {
  private func key(_ filter: String, _ message: String, isText: Bool = false) throws -> String {
    let key = try PartitionKey(filter, isText: isText)
    return String(decoding: try Array(message.utf8).withUnsafeBytes { try key.read($0, isNamed: false) }, as: UTF8.self)
  }

  @Test(arguments: [
    (".user", "{\"user\":\"ü\"}", "\"ü\""), (".user", "{}", "null"), (".", " {\"b\":[1, 2],\"a\":{\"d\":1,\"c\":null}} ", "{\"a\":{\"c\":null,\"d\":1},\"b\":[1,2]}"),
    (".n", "{\"n\":1.0}", "1"), (".n", "{\"n\":1e0}", "1"), (".n", "{\"n\":-0}", "0"), (".n", "{\"n\":0.1}", "0.1"), ("[.a, .b]", "{\"b\":false,\"a\":\"\\n\"}", "[\"\\n\",false]"),
  ])
  func equalValuesAreEqualTexts(filter: String, message: String, expected: String) throws { #expect(try key(filter, message) == expected) }

  @Test func textIsAString() throws { #expect(try key(".[:2]", "not \"JSON\"", isText: true) == "\"no\"") }

  @Test(arguments: [
    ("empty", "1", "the filter gives no value"), (".[]", "[1,2]", "the filter gives several values"), ("error(\"no\")", "1", "jq: no"),
    (".", "{", "the message is not JSON"), (".", "", "the message is not JSON"),
  ])
  func whatIsNoKeyIsAFailure(filter: String, message: String, expected: String) throws {
    do {
      let found = try key(filter, message)
      Issue.record("\(found) was found")
    } catch let failure as MessageFailure { #expect(failure.description.hasPrefix(expected), "\(failure)") }
  }

  /// What was wrong with a message says nothing about the next one.
  @Test func aFailureLeavesNothingBehind() throws {
    let key = try PartitionKey(".k", isText: false)
    func read(_ text: String, isNamed: Bool = false) -> String? {
      (try? Array(text.utf8).withUnsafeBytes { try key.read($0, isNamed: isNamed) }).map { String(decoding: $0, as: UTF8.self) }
    }
    for _ in 0..<3 {
      #expect(read("{\"k\":1}") == "1" && read("[1") == nil && read("{\"k\":2} {\"k\":3}") == nil && read("5") == nil)
      #expect(read(" {\"b\":1.0, \"a\":2}", isNamed: true) == "{\"a\":2,\"b\":1}" && read("nonsense", isNamed: true) == nil)
    }
  }

  @Test func aFilterThatDoesNotCompileIsRefused() { #expect(throws: WorkerFailure.self) { try PartitionKey(".[", isText: false) } }
}
