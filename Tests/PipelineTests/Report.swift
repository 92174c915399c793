import Foundation
import Testing

/// What `--report` wrote.
struct Report {
  let json: [String: Any]

  init(_ path: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    json = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  var outcome: String { json["outcome"] as? String ?? "" }

  func stage(_ name: String, _ key: String) -> Int {
    ((json["stages"] as? [String: Any])?[name] as? [String: Any])?[key] as? Int ?? -1
  }

  /// Whether in = out + dropped + left everywhere.
  var balances: Bool {
    let ledger = json["ledger"] as? [String: [String: Any]] ?? [:]
    return !ledger.isEmpty && ledger.values.allSatisfy { line in
      func n(_ key: String) -> Int { line[key] as? Int ?? -1 }
      return n("in") == n("out") + n("dropped") + n("dead_letters") + n("left")
    }
  }
}
