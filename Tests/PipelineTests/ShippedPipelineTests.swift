import Foundation
import Harness
import Testing

/// The pipelines that we ship, run on their real data; every result is computed again by other means.
@Suite struct ShippedPipelineTests {
  private func run(_ name: String, _ folder: TemporaryFolder, _ settings: [String]) throws -> [[String: Any]] {
    let file = Ringway.repository.appendingPathComponent("pipelines/\(name).yaml").path
    let output = folder.path("out.jsonl")
    let report = folder.path("report.json")
    let sets = (["output=\(output)"] + settings).flatMap { ["--set", $0] }
    let result = try Ringway.run(["run", file, "--progress", "off", "--report", report] + sets)
    #expect(result.status == 0, "\(result.errors)")
    return try folder.lines("out.jsonl").map { line in
      try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }
  }

  /// What the hand-written program would send, sent once each.
  @Test func blogDeliversWhatItsFunctionsMake() throws {
    let folder = try TemporaryFolder()
    let results = try run("blog/pipeline", folder, ["port=\(try Receiver.freePort())", "count=500"])
    let python = try Running(
      ["-B", "-c", "import json; from functions import *\nfor f in work(500): print(json.dumps(work2(f)))"],
      in: Ringway.repository.appendingPathComponent("pipelines/blog"), executable: URL(fileURLWithPath: "/usr/bin/python3"))
    let expected = try python.finish().output.split(separator: "\n")
    let digests = try expected.map { try #require((try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])?["digest"] as? String) }
    #expect(digests.count == 500 && results.count == 500)
    for result in results {
      let number = try #require(result["number"] as? Int)
      #expect(digests.indices.contains(number) && result["digest"] as? String == digests[number])
    }
    #expect(Set(results.compactMap { $0["number"] as? Int }).count == 500)
  }

  @Test func imagesMakesAThumbnailOfEveryPicture() throws {
    let pattern = "/usr/share/matplotlib/mpl-data/sample_data"
    guard FileManager.default.fileExists(atPath: pattern), FileManager.default.fileExists(atPath: "/usr/lib/python3/dist-packages/PIL") else {
      print("skipped: python3-pil and python-matplotlib-data are not installed")
      return
    }
    let folder = try TemporaryFolder()
    let results = try run(
      "images/pipeline", folder, ["turns=4"] + ["pictures", "thumbnail"].map { "stages.\($0).with.python=/usr/bin/python3" })
    let pictures = try FileManager.default.contentsOfDirectory(atPath: pattern).filter { $0.hasSuffix(".png") || $0.hasSuffix(".jpg") }
    #expect(pictures.count >= 2 && results.count == 4 * pictures.count)
    for result in results {
      let width = try #require(result["width"] as? Int), height = try #require(result["height"] as? Int)
      #expect(max(width, height) == 64 && min(width, height) > 0)
      // A JPEG begins with FF D8 FF.
      let jpeg = try #require((result["jpeg"] as? String).flatMap { Data(base64Encoded: $0) })
      #expect(jpeg.starts(with: [0xff, 0xd8, 0xff]))
    }
  }

  @Test func framesFindsTheEdgesOfEveryFrame() throws {
    let folder = try TemporaryFolder()
    let results = try run("frames", folder, ["port=\(try Receiver.freePort())"])
    let data = try String(contentsOf: Ringway.repository.appendingPathComponent("pipelines/data/portrait.jsonl"), encoding: .utf8)
    let frames = try data.split(separator: "\n").map { try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]) }
    #expect(frames.count == 1024)
    let byFrame = Dictionary(grouping: results) { $0["frame"] as? Int ?? -1 }
    #expect(results.count == 1024 && byFrame.count == 1024)
    for frame in frames {
      let number = try #require(frame["frame"] as? Int)
      let p = try #require(frame["pixels"] as? [Int])
      var strengths: [Int] = []
      for y in 1..<15 {
        for x in 1..<15 {
          func at(_ dx: Int, _ dy: Int) -> Int { p[(y + dy) * 16 + x + dx] }
          let gx = at(1, -1) + 2 * at(1, 0) + at(1, 1) - at(-1, -1) - 2 * at(-1, 0) - at(-1, 1)
          let gy = at(-1, 1) + 2 * at(0, 1) + at(1, 1) - at(-1, -1) - 2 * at(0, -1) - at(1, -1)
          strengths.append(gx * gx + gy * gy)
        }
      }
      let result = try #require(byFrame[number]?.first)
      #expect(result["light"] as? Int == p.reduce(0, +))
      #expect(result["edges"] as? Int == strengths.count { $0 > 10_000 })
      #expect(result["strongest"] as? Int == strengths.max())
    }
  }

  @Test func wordsCountsEveryText() throws {
    let folder = try TemporaryFolder()
    let results = try run("words", folder, [])
    let licenses = "/usr/share/common-licenses"
    let names = try FileManager.default.contentsOfDirectory(atPath: licenses).filter { $0.range(of: "-[0-9]", options: .regularExpression) != nil }
    #expect(results.count == names.count && !names.isEmpty)
    var expected: [String: Int] = [:]
    for name in names {
      let bytes = try Data(contentsOf: URL(fileURLWithPath: licenses + "/" + name))
      let words = bytes.split { !(65...90 ~= $0 || 97...122 ~= $0) }.map { String(decoding: $0, as: UTF8.self).lowercased() }
      let counts = Dictionary(words.map { ($0, 1) }, uniquingKeysWith: +)
      let top = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(10).map { "\($0.key) \($0.value)" }
      expected["\(words.count) \(counts.count) \(top)", default: 0] += 1
    }
    var found: [String: Int] = [:]
    for result in results {
      let top = try #require(result["top"] as? [[String: Any]]).map { "\($0["word"] ?? "") \($0["count"] ?? 0)" }
      found["\(result["words"] ?? 0) \(result["distinct"] ?? 0) \(top)", default: 0] += 1
    }
    #expect(found == expected)
  }

  @Test func eventsKeepsTheStormyDays() throws {
    let folder = try TemporaryFolder()
    let results = try run("events", folder, ["wind=5.5"])
    let data = try String(contentsOf: Ringway.repository.appendingPathComponent("pipelines/data/weather.jsonl"), encoding: .utf8)
    let days = try data.split(separator: "\n").map { try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]) }
    let stormy = days.filter { ($0["wind_ms"] as? Double ?? 0) >= 5.5 }
    #expect(stormy.count > 50)
    let found = Dictionary(results.map { ($0["date"] as? String ?? "", $0) }, uniquingKeysWith: { $1 })
    #expect(found.count == stormy.count && results.count == stormy.count)
    for day in stormy {
      let result = try #require(found[day["date"] as? String ?? ""])
      let high = try #require(day["high_c"] as? Double)
      let low = try #require(day["low_c"] as? Double)
      #expect(result["rain"] as? Bool == ((day["precipitation_mm"] as? Double ?? 0) > 0))
      #expect(abs((result["mean"] as? Double ?? 99) - (high + low) / 2) < 1e-9)
    }
  }
}
