import Platform

@testable import Rings

// A worker that has run wild: what it may leave in the memory that it shares.
extension Line {
  /// A word, or many, as a worker leaves them that has run wild.
  func overwrite(_ program: inout Program, _ code: UInt8) {
    isSound = false
    let region = regions[Int(program.byte()) % regions.count]
    let words = region.count / 8
    switch code {
    case 10, 11:
      // One word, of those that mean something more often than not.
      let index = interesting(region, program.byte(), program.byte())
      region.set(index, value(program.byte(), &program, now: region.word(index)))
    case 12:
      // A slot's word, or a segment's, made of its fields.
      guard let shape = region.shape else { return region.set(interesting(region, program.byte(), program.byte()), program.word()) }
      let index = Int(program.byte())
      let (a, b, c, d) = (program.byte(), program.byte(), program.byte(), program.byte())
      if a & 128 == 0 {
        let laps: [UInt64] = [0, 1, 2, 3, 1 << 39, (1 << 40) - 1, (1 << 40) - 2, UInt64(b)]
        let slot = SlotWord(raw: laps[Int(a & 7)] << 24 | UInt64(c & 15) << 20 | UInt64(d) << 8 | UInt64(b))
        region.set((shape.slotsOffset + index % shape.capacity * RingShape.slotBytes) / 8, slot.raw)
      } else {
        let generations: [UInt64] = [0, 1, 2, (1 << 28) - 1]
        let counts: [UInt64] = [0, 1, SegmentWord.bias - 1, SegmentWord.bias, (1 << 20) - 1, UInt64(b), SegmentWord.bias + UInt64(b), 2]
        let upper = generations[Int(a & 3)] << 36 | UInt64(c & 15) << 32
        let segment = index % (shape.smallCount + shape.largeCount)
        region.set((shape.segmentsOffset + segment * RingShape.line) / 8, upper | UInt64(d) << 20 | counts[Int(a >> 2 & 7)])
      }
    case 13:
      // A run of words, all the same.
      let first = interesting(region, program.byte(), program.byte())
      let length = min(words - first, Int(program.byte()) + 1)
      let value = value(program.byte(), &program, now: region.word(first))
      for i in 0..<length { region.set(first + i, value) }
    case 14:
      // Whatever comes.
      let first = interesting(region, program.byte(), program.byte())
      for i in 0..<min(words - first, Int(program.byte() & 31) + 1) { region.set(first + i, program.word()) }
    default:
      // Everything, from one number.
      var state = program.word()
      for i in 0..<words {
        state = state &* 0x5851_f42d_4c95_7f2d &+ 0x1405_7b7e_f767_814f
        region.set(i, state ^ state >> 33)
      }
    }
  }

  /// A word's index: of the header, of a lane, of a slot, of a segment or of a cell.
  private func interesting(_ region: Region, _ kind: UInt8, _ which: UInt8) -> Int {
    let which = Int(which)
    guard let shape = region.shape else {
      let cell = Int(kind) / 5 % max(1, region.count / CellBlock.stride)
      return (cell * CellBlock.stride + [0, 128, 256, 512, 1024][Int(kind) % 5]) / 8 + which % 16
    }
    switch kind % 6 {
    case 0: return [0, 8, 16, 24, 32, 40, 48, 56, 128, 256, 384, 392, 640, 768, 1024, 1032, 1536, 1544][which % 18] / 8
    case 1: return (4096 + which * 64 % max(64, shape.slotsOffset - 4096)) / 8
    case 2: return (shape.slotsOffset + which / 8 % shape.capacity * 64) / 8 + which % 8
    case 3: return (shape.slotsOffset + which % shape.capacity * 64) / 8
    case 4: return (shape.segmentsOffset + which % (shape.smallCount + shape.largeCount) * 64) / 8
    default: return Int(kind) * 256 + which < region.count / 8 ? Int(kind) * 256 + which : which
    }
  }

  private func value(_ kind: UInt8, _ program: inout Program, now: UInt64) -> UInt64 {
    switch kind & 7 {
    case 0: return program.word()
    case 1: return UInt64(program.byte())
    case 2: return UInt64.max - UInt64(program.byte())
    case 3: return 1 << UInt64(program.byte() & 63)
    case 4: return (1 << UInt64(program.byte() & 63)) &- 1
    case 5: return now &+ UInt64(program.byte()) &- 128
    case 6: return now ^ 1 << UInt64(program.byte() & 63)
    default: return UInt64(program.byte()) << 24 | 0x20_0100
    }
  }
}

extension Line.Region {
  func word(_ index: Int) -> UInt64 { memory.base.load(fromByteOffset: index * 8, as: UInt64.self) }

  func set(_ index: Int, _ value: UInt64) {
    if index * 8 < count { memory.base.storeBytes(of: value, toByteOffset: index * 8, as: UInt64.self) }
  }
}

/// The input, read from front to back; zeros follow its end.
struct Program {
  private let bytes: [UInt8]
  private var at = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { at >= bytes.count }

  mutating func byte() -> UInt8 {
    defer { at += 1 }
    return at < bytes.count ? bytes[at] : 0
  }

  mutating func word() -> UInt64 { (0..<8).reduce(0) { word, i in word | UInt64(byte()) << UInt64(i * 8) } }
}
