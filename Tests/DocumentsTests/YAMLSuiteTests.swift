import Foundation
import Specs
import Testing

@testable import Documents

/// The YAML test suite (github.com/yaml/yaml-test-suite): nothing crashes or hangs, what is refused is known, and what is read
/// means what the suite says. The suite lies in `$RINGWAY_CORPORA/yaml-test-suite`.
@Suite struct YAMLSuiteTests {
  static let folder = ProcessInfo.processInfo.environment["RINGWAY_CORPORA"].flatMap { $0.isEmpty ? nil : URL(fileURLWithPath: $0 + "/yaml-test-suite") }

  /// Valid for the suite, refused by libyaml 0.2.5: it speaks YAML 1.1 in these places (tabs as separation, `?` and `:` in flow
  /// collections, empty keys, comments and documents in odd places, %-directives).
  static let libyamlRefuses: Set<String> = [
    "2JQS", "2LFX", "2SXE", "4ABK", "4MUZ/00", "4MUZ/01", "4MUZ/02", "58MP", "5MUD", "5T43", "6BCT", "6CA3", "6LVF", "6M2F", "7Z25", "8XYN", "96NN/00",
    "96NN/01", "9SA2", "A2M4", "BEC7", "CFD4", "DBG4", "DK3J", "DK95/00", "DK95/03", "DK95/04", "FP8R", "FRK4", "HM87/00", "HWV9", "K3WX", "M2N8/00",
    "M7A3", "MUS6/05", "MUS6/06", "NHX8", "NJ66", "NKF9", "Q5MG", "QT73", "R4YG", "S3PD", "SM9W/01", "UKK6/00", "UT92", "VJP3/01", "W4TN", "W5VH",
    "Y79Y/001", "Y79Y/010",
  ]
  /// Refused by the suite, accepted by libyaml 0.2.5.
  static let libyamlAccepts: Set<String> = [
    "9C9N", "9JBA", "CVW2", "DK95/01", "G5U8", "MUS6/00", "QB6E", "S98Z", "SU5Z", "X4QW", "Y79Y/003", "YJV2",
  ]
  /// Read, but not as the suite says.
  static let libyamlMeansOtherwise: Set<String> = [
    "652Z", "HM87/01", "JEF9/02", "L24T/01", "Y2GN",
  ]
  /// What our language leaves out, by the code of the diagnostic: several documents, tags of one's own, keys that are not strings,
  /// duplicate keys, and texts without a document.
  static let ours: Set<String> = ["several-documents", "unknown-tag", "key-not-string", "duplicate-key", "empty-document", "tag-mismatch", "alias-loop"]

  @Test(.enabled(if: folder != nil, "skipped: RINGWAY_CORPORA names no folder with test suites")) func theWholeSuite() throws {
    let root = try #require(Self.folder)
    var cases: [URL] = []
    let walk = try #require(FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil))
    for case let file as URL in walk where file.lastPathComponent == "in.yaml" { cases.append(file.deletingLastPathComponent()) }
    #expect(cases.count >= 400)
    // In a mapping the order of keys means nothing.
    func sorted(_ node: Node) -> String {
      if let pairs = node.pairs { return "{" + pairs.map { "\($0.key.debugDescription):\(sorted($0.value))" }.sorted().joined(separator: ",") + "}" }
      if let items = node.items { return "[" + items.map(sorted).joined(separator: ",") + "]" }
      return JSON(node).compact
    }
    var refuses: Set<String> = []
    var accepts: Set<String> = []
    var otherwise: Set<String> = []
    for folder in cases {
      let name = String(folder.path.dropFirst(root.path.count + 1))
      let bytes = [UInt8](try Data(contentsOf: folder.appendingPathComponent("in.yaml")))
      let mustFail = FileManager.default.fileExists(atPath: folder.appendingPathComponent("error").path)
      let (node, diagnostics) = YAMLText.compose(bytes)
      #expect((node == nil) == !diagnostics.isEmpty, "\(name): a node and a problem, or neither")
      if mustFail {
        if node != nil { accepts.insert(name) }
        continue
      }
      guard let node else {
        if diagnostics.contains(where: { !Self.ours.contains($0.code) }) { refuses.insert(name) }
        continue
      }
      if let expected = try? Data(contentsOf: folder.appendingPathComponent("in.json")) {
        let wanted = JSONText.parse([UInt8](expected), allowDuplicateKeys: true).node
        if wanted.map(sorted) != sorted(node) { otherwise.insert(name) }
      }
    }
    #expect(refuses == Self.libyamlRefuses, "refuses: \(refuses.sorted())")
    #expect(accepts == Self.libyamlAccepts, "accepts: \(accepts.sorted())")
    #expect(otherwise == Self.libyamlMeansOtherwise, "otherwise: \(otherwise.sorted())")
  }
}
