import Foundation
import Harness
import Testing

/// What `make bench` measures with is right: contenders and workloads deliver every message. How fast is not asked here.
@Suite(.serialized) struct BenchTests {
  private static let program = Ringway.binary.deletingLastPathComponent().appendingPathComponent("bench")
  private static let folder = Ringway.repository.appendingPathComponent("Tests/Bench")

  private func bench(_ arguments: [String], environment: [String: String] = [:]) throws -> Ringway.Result {
    try Running(arguments, environment: environment, executable: Self.program).finish()
  }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
  }

  private func json(file: String) throws -> [String: Any] { try json(String(contentsOfFile: file, encoding: .utf8)) }

  /// The program itself compares what arrived with what was sent, and fails.
  @Test(arguments: [
    "ringway", "ringway --in-place", "ringway --batch 1", "ringway --producers 4", "ringway --consumers 4", "ringway --beside lease",
    "ringway --beside nobody", "spsc", "pipe", "sockets",
  ], [64, 1024, 1 << 20])
  func contendersDeliverWhatWasSent(contender: String, size: Int) throws {
    let result = try bench(["ring"] + contender.split(separator: " ").map(String.init) + ["--size", "\(size)", "--seconds", "0.03"])
    #expect(result.status == 0, "\(result.errors)")
    let answer = try json(result.output)
    // A system may not allow a socket buffer of this size.
    if contender == "sockets", answer["unavailable"] != nil { return }
    #expect(answer["checked"] as? Int ?? 0 > 0 && answer["rate"] is Double)
  }

  @Test(arguments: ["ringway", "spsc", "pipe", "sockets"]) func roundTripsBringBackWhatWasSent(contender: String) throws {
    let result = try bench(["ring", contender, "--round-trip", "--size", "4096", "--seconds", "0.03"])
    #expect(result.status == 0, "\(result.errors)")
    let answer = try json(result.output)
    let (p50, p99) = (answer["p50_ns"] as? Int ?? 0, answer["p99_ns"] as? Int ?? 0)
    #expect(p50 > 0 && p99 >= p50)
  }

  @Test(arguments: [("W1", 20_000), ("W2", 200), ("W3", 20)]) func workloadsEndWithEveryMessage(workload: String, count: Int) throws {
    let place = try TemporaryFolder()
    let file = Self.folder.appendingPathComponent("pipelines/\(workload).yaml").path
    let result = try bench(["run", file, "--set", "count=\(count)", "--set", "directory=\(place.path("."))", "--progress", "off"])
    #expect(result.status == 0, "\(result.errors)")
    let found = try json(file: place.path("result.json"))
    #expect(found["received"] as? Int == count && found["seq_sum"] as? Int == count * (count - 1) / 2 && found["wrong"] as? Int == 0)
    let started = try #require(Int(String(contentsOfFile: place.path("t0"), encoding: .utf8)))
    let (first, last) = (found["first"] as? Int ?? 0, found["last"] as? Int ?? 0)
    #expect(started < first && first <= last)
    let counted = try Data(contentsOf: URL(fileURLWithPath: place.path("count")))
    #expect(counted.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) } == UInt64(count))
  }

  /// The bodies are those of the Python peers: `hashlib` gave the digest of message 3.
  @Test func w4PostsEveryMessage() throws {
    let receiver = try Receiver { _, _ in .status(200) }
    defer { receiver.close() }
    let place = try TemporaryFolder()
    let file = Self.folder.appendingPathComponent("pipelines/W4.yaml").path
    let result = try bench([
      "run", file, "--set", "count=50", "--set", "directory=\(place.path("."))", "--set", "url=http://127.0.0.1:\(receiver.port)/post", "--progress", "off",
    ])
    #expect(result.status == 0, "\(result.errors)")
    let bodies = try receiver.requests.map { try json($0.body) }
    #expect(bodies.compactMap { $0["seq"] as? Int }.sorted() == Array(0..<50))
    #expect(bodies.first { $0["seq"] as? Int == 3 }?["digest"] as? String == "0300d8fda5c6b24baf28637f9c643e8e9d8218b6d1246010e99d5b2f81ff2fa1")
  }

  @Test func w5KeepsTheErrors() throws {
    let place = try TemporaryFolder()
    let lines = (0..<2_000).map { "{\"id\":\($0),\"level\":\"\($0 % 10 == 3 ? "error" : "info")\",\"msg\":\"text \($0)\",\"host\":\"h\"}" }
    let data = try place.write("in.jsonl", lines.joined(separator: "\n") + "\n")
    let file = Self.folder.appendingPathComponent("pipelines/W5.yaml").path
    let result = try bench(["run", file, "--set", "data=\(data)", "--set", "directory=\(place.path("."))", "--progress", "off"])
    #expect(result.status == 0, "\(result.errors)")
    let expected = stride(from: 3, to: 2_000, by: 10).map { "{\"id\":\($0),\"msg\":\"text \($0)\"}" }
    #expect(place.lines("out.jsonl").sorted() == expected.sorted())
  }

  @Test func theSplitDoesTheWork() throws {
    let result = try bench(["split", "20"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(try json(result.output)["n"] as? Int == 20)
  }

  /// Python is part of `make bench` alone.
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/env")))
  func theDriverComparesInsideARound() throws {
    let place = try TemporaryFolder()
    let driver = try Running(
      ["python3", Self.folder.appendingPathComponent("bench.py").path],
      environment: [
        "BENCH_QUICK": "1", "BENCH_ONLY": "W3", "BENCH_BINARY": Self.program.path, "PEERS_DIR": "", "ROUNDS": "3",
        "BENCH_JSON": place.path("bench.json"),
      ], executable: URL(fileURLWithPath: "/usr/bin/env"))
    let result = try driver.finish()
    if result.status == 127 { return }
    #expect(result.status == 0, "\(result.errors)")
    let rows = try #require(try json(file: place.path("bench.json"))["rows"] as? [[String: Any]])
    let row = try #require(rows.first { ($0["what"] as? String)?.contains("split by hand") == true })
    let rounds = try #require(row["rounds"] as? [String: [Double]])
    let ratios = zip(try #require(rounds["ringway"]), try #require(rounds["split by hand"])).map { $0 / $1 }.sorted()
    // Two readers of the same decimal digits may differ in the last bit.
    let ratio = try #require(row["ratio"] as? Double)
    #expect(ratios.count == 3 && abs(ratio / ratios[1] - 1) < 1e-12 && row["met"] as? Bool == (ratio >= 0.97))
    #expect(result.output.contains("split by hand") && result.output.contains("≥ 0.97"))
  }
}
