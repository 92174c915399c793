import CYAML
import Specs

/// Turns libyaml's marks into ours. libyaml counts characters from 0, and its `index` is in characters too, so the byte
/// offset is found through the line's beginning.
struct MarkTable {
  private let bytes: [UInt8]
  /// Where each line begins, as libyaml ends lines: after LF, CR, CR LF, NEL, LS and PS.
  private var starts: [Int] = [0]

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    var i = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
    starts[0] = i
    last.offset = i
    while i < bytes.count {
      switch bytes[i] {
      case 0x0a: starts.append(i + 1)
      case 0x0d: if i + 1 >= bytes.count || bytes[i + 1] != 0x0a { starts.append(i + 1) }
      case 0xc2 where i + 1 < bytes.count && bytes[i + 1] == 0x85: starts.append(i + 2)
      case 0xe2 where i + 2 < bytes.count && bytes[i + 1] == 0x80 && (bytes[i + 2] == 0xa8 || bytes[i + 2] == 0xa9): starts.append(i + 3)
      default: break
      }
      i += 1
    }
  }

  /// The last place that was found: marks mostly go forward, and a line may be megabytes long.
  private var last = Mark.start

  mutating func mark(_ mark: yaml_mark_t) -> Mark {
    // libyaml ends a text without a newline on a line that is not there.
    if Int(clamping: mark.line) >= starts.count { return self.mark(offset: bytes.count) }
    let line = Int(clamping: mark.line)
    let column = Int(clamping: mark.column) + 1
    var found = last.line == line + 1 && last.column <= column ? last : Mark(line: line + 1, column: 1, offset: starts[line])
    while found.column < column, found.offset < bytes.count {
      found.offset += 1
      while found.offset < bytes.count, bytes[found.offset] & 0xc0 == 0x80 { found.offset += 1 }
      found.column += 1
    }
    last = found
    return Mark(line: line + 1, column: column, offset: found.offset)
  }

  func mark(offset: Int) -> Mark {
    var low = 0
    var high = starts.count
    while low + 1 < high {
      let middle = (low + high) / 2
      if starts[middle] <= offset { low = middle } else { high = middle }
    }
    let column = bytes[min(starts[low], offset)..<offset].reduce(0) { $0 + ($1 & 0xc0 == 0x80 ? 0 : 1) }
    return Mark(line: low + 1, column: column + 1, offset: offset)
  }
}

/// Counts flow brackets without parsing: libyaml's time grows with the square of their depth.
enum FlowDepth {
  /// The offset of the bracket that goes beyond the limit. Brackets inside quotes and comments are not counted; where
  /// quoting cannot be told without parsing, the count may be too low, and the depth of events decides.
  static func excess(_ bytes: [UInt8], limit: Int) -> Int? {
    var depth = 0
    var quote: UInt8 = 0
    var previous: UInt8 = 0x0a
    var isComment = false
    var i = 0
    while i < bytes.count {
      let byte = bytes[i]
      if byte == 0x0a { isComment = false }
      if isComment {
        // passed over
      } else if quote != 0 {
        if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") { i += 1 } else if byte == quote { quote = 0 }
      } else {
        switch byte {
        case UInt8(ascii: "#") where previous == 0x20 || previous == 0x0a || previous == 0x09: isComment = true
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
          // A quote opens a string only where a value begins; inside a word it is an apostrophe.
          if " \n\t[{,:".utf8.contains(previous) { quote = byte }
        case UInt8(ascii: "["), UInt8(ascii: "{"):
          depth += 1
          if depth > limit * 4 { return i }
        case UInt8(ascii: "]"), UInt8(ascii: "}"): depth = max(0, depth - 1)
        default: break
        }
      }
      previous = byte
      i += 1
    }
    return nil
  }
}
