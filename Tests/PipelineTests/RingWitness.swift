import Foundation
import Platform
@testable import Rings

/// The rings of a run, seen from outside: the runner's memory files, or the files of its state, opened through /proc. The mapping outlives the run, so
/// that what it left can be looked at afterwards.
final class RingWitness {
  let rings: [(stage: String, ring: Ring)]

  /// - Parameter stages: how many rings there must be; nil when they are not all there yet
  init?(runner: Int32, rings count: Int) {
    var found: [(stage: String, ring: Ring)] = []
    let folder = "/proc/\(runner)/fd/"
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
      guard let target = Files.linkTarget(folder + name), let stage = Self.stage(target), let descriptor = try? Files.open(folder + name, O_RDWR), let ring = try? Ring(attaching: descriptor) else { continue }
      found.append((stage, ring))
    }
    rings = found.sorted { $0.stage < $1.stage }
    if rings.count != count {
      close()
      return nil
    }
  }

  /// The stage before which a ring is, as "/memfd:ringway-work (deleted)" or "/tmp/state/work.queue" name it.
  private static func stage(_ target: String) -> String? {
    if target.hasSuffix(".queue") { return target.split(separator: "/").last.map { String($0.dropLast(6)) } }
    guard target.hasPrefix("/memfd:ringway-"), let end = target.firstIndex(of: " ") else { return nil }
    let stage = String(target[target.index(target.startIndex, offsetBy: 15)..<end])
    return stage.hasSuffix("-cells") || stage == "order" ? nil : stage
  }

  /// Sleeps that the clock ended although there was work.
  var lateWakes: Int { rings.reduce(0) { $0 + $1.ring.lateWakes } }
  var openSlots: Int { rings.reduce(0) { $0 + $1.ring.openSlots } }

  func close() { for (_, ring) in rings { ring.unmap() } }

  /// For finding out why nothing moves: the hints of each ring and all its slots that hold something.
  var dump: String {
    var lines: [String] = []
    for (stage, ring) in rings {
      let hints = (0..<512).compactMap { i -> String? in
        let value = ring.word(i * 8).relaxed
        return i >= 16 && value != 0 ? "\(i * 8): \(String(value, radix: 16))" : nil
      }
      let open = (0..<ring.shape.capacity).filter { !ring.slot($0).state.isIn(.free) }
      lines.append("\(stage): capacity \(ring.shape.capacity), \(open.count) open, late wakes \(ring.lateWakes), header words {\(hints.joined(separator: ", "))}")
      for i in ring.shape.capacity > 64 ? Array(open.prefix(64)) : Array(0..<ring.shape.capacity) {
        let slot = ring.slot(i)
        let state = slot.state
        let name = SlotWord.State(rawValue: state.stateBits).map { "\($0)" } ?? "state \(state.stateBits)"
        lines.append("  slot \(i): lap \(state.lap) \(name) owner \(state.owner) deaths \(state.deaths), sequence \(slot.sequence.relaxed)")
      }
      var kinds: [String: Int] = [:]
      for i in 0..<(ring.shape.smallCount + ring.shape.largeCount) {
        let word = SegmentWord(raw: SharedWord(ring.memory.base + ring.shape.segmentsOffset + i * RingShape.line).acquired)
        if word.isIn(.free) { continue }
        let size = i < ring.shape.smallCount ? "small" : "large"
        kinds["\(size) \(SegmentWord.State(rawValue: word.stateBits).map { "\($0)" } ?? "?") of \(word.owner)", default: 0] += 1
      }
      lines.append("  segments: " + kinds.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", "))
    }
    return lines.joined(separator: "\n")
  }
}

/// What /proc says of a process (proc_pid_status(5)).
enum ProcessStatus {
  /// Without those that a worker has only until it is ready: libraries that are being loaded, and the guard's list of groups.
  static func descriptors(_ pid: Int32) -> Int? {
    let folder = "/proc/\(pid)/fd"
    guard let all = try? FileManager.default.contentsOfDirectory(atPath: folder) else { return nil }
    return all.count { name in
      let target = (try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/" + name)) ?? ""
      return !target.contains(".so") && !target.hasPrefix("/memfd:rw-guard")
    }
  }

  /// Private memory in KiB, without what is shared with others.
  static func anonymousMemory(_ pid: Int32) -> Int? { field("RssAnon:", pid).flatMap { Int($0.split(separator: " ").first ?? "") } }

  /// The kernel's function that it sleeps in (proc_pid_wchan(5)).
  static func waitsIn(_ pid: Int32) -> String { (try? String(contentsOfFile: "/proc/\(pid)/wchan", encoding: .utf8)) ?? "" }

  static func state(_ pid: Int32) -> String? { field("State:", pid) }

  private static func field(_ name: String, _ pid: Int32) -> String? {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8) else { return nil }
    return text.split(separator: "\n").first { $0.hasPrefix(name) }.map { $0.dropFirst(name.count).trimmingCharacters(in: .whitespaces) }
  }
}
