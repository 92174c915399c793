import Foundation
import Harness
import Testing

/// What the fuzzer found is taken again, and a little more is made up; `make fuzz` takes a million. In a process of its
/// own: a finding that comes back ends it, and a failpoint's handler is one for the whole process.
@Suite struct FindingsTests {
  @Test func whatTheFuzzerFoundIsTaken() async {
    await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      for target in Target.allCases {
        for file in try Findings.files(of: target) where !Findings.unrepaired.contains(file.lastPathComponent) {
          say("\(target.rawValue)/\(file.lastPathComponent)")
          target.take([UInt8](try Data(contentsOf: file)))
        }
      }
    }
  }

  @Test func whatIsMadeUpIsTaken() async {
    await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      let seed = testSeed()
      print("findings: RINGWAY_SEED=\(seed)")
      var random = Seeded(seed)
      // What workers make of garbage is the fuzzer's alone: one that waits for room that will never come takes long.
      for target in Target.allCases where target != .handoff {
        for round in 0..<150 {
          say("\(target.rawValue), RINGWAY_SEED=\(seed), round \(round)")
          target.take(Findings.madeUp(target, &random))
        }
      }
    }
  }

  @Test func everyFindingBelongsToATarget() throws {
    let folders = try FileManager.default.contentsOfDirectory(atPath: Findings.folder.path)
    #expect(folders.allSatisfy { Target(rawValue: $0) != nil }, "\(folders)")
    let names = try Target.allCases.flatMap { try Findings.files(of: $0) }.map(\.lastPathComponent)
    #expect(Findings.unrepaired.isSubset(of: names))
  }
}

enum Findings {
  static let folder = Ringway.repository.appendingPathComponent("Tests/Fuzz/Findings")

  /// Found, and not repaired yet; `make fuzz` passes over them as well.
  static let unrepaired: Set<String> = []

  static func files(of target: Target) throws -> [URL] {
    let folder = folder.appendingPathComponent(target.rawValue)
    guard FileManager.default.fileExists(atPath: folder.path) else { return [] }
    return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).sorted { $0.path < $1.path }
  }

  /// Something that is nearly right: a sound input with bytes of it changed, left out and doubled.
  static func madeUp(_ target: Target, _ random: inout Seeded) -> [UInt8] {
    var bytes: [UInt8] = switch target {
    case .composer, .validator: Array(pipeline.utf8)
    case .order: Array("{\"message_failed\":\"00ff\",\"error\":\"a \\u00e9 \\\"b\\\"\",\"errors\":3,\"deaths\":1}\n{\"ready\":true}\ngo\n".utf8)
    case .recovery, .handoff: (0..<80).map { _ in UInt8.random(in: 0...255, using: &random) }
    }
    for _ in 0..<Int.random(in: 0...6, using: &random) {
      let first = Int.random(in: bytes.indices, using: &random)
      let last = min(bytes.count, first + Int.random(in: 1...12, using: &random))
      switch Int.random(in: 0..<4, using: &random) {
      case 0: bytes[first] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes.removeSubrange(first..<last)
      case 2: bytes.insert(contentsOf: bytes[first..<last], at: Int.random(in: 0...bytes.count, using: &random))
      default: bytes[first] = Array("[]{}:,-&*!|>'\"#%@ \n\t0".utf8).randomElement(using: &random) ?? 0
      }
      if bytes.isEmpty { return bytes }
    }
    return bytes
  }

  private static let pipeline = """
    #set count=8
    type: object
    properties: {stages: {type: object, minProperties: 1}, ringway: {const: 1}}
    ---
    ringway: 1
    parameters: {count: {type: integer, default: 7}}
    stages:
      numbers: &a {plugin: numbers, with: {count: "${count}", size: 1KiB}}
      more: {plugin: add, inputs: [numbers], queue: {capacity: 8}, with: {text: "a ${count} $${x}"}}
      keep: {plugin: write, inputs: [more], with: {path: "${OUT:-a.txt}", mode: append}}
    """
}

/// What is at hand, for the message of a test whose process has ended.
func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
