import CBench
import Platform
import Specs

/// `--name value`, `--name` for a switch, and words. The driver is the only reader, so there is no help.
struct Options {
  private(set) var words: [String] = []
  private var values: [String: [String]] = [:]

  init(_ arguments: [String], switches: Set<String> = []) {
    var i = 0
    while i < arguments.count {
      if arguments[i].hasPrefix("--") {
        let name = String(arguments[i].dropFirst(2))
        if switches.contains(name) {
          values[name, default: []].append("")
        } else if i + 1 < arguments.count {
          i += 1
          values[name, default: []].append(arguments[i])
        } else {
          fail("--\(name) needs a value")
        }
      } else {
        words.append(arguments[i])
      }
      i += 1
    }
  }

  func has(_ name: String) -> Bool { values[name] != nil }
  func all(_ name: String) -> [String] { values[name] ?? [] }

  func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>) -> Int {
    guard let text = values[name]?.last else { return fallback }
    guard let value = Int(text), range.contains(value) else { fail("--\(name) takes a number from \(range.lowerBound) to \(range.upperBound)") }
    return value
  }

  func seconds(_ name: String, default fallback: Double) -> Double {
    guard let text = values[name]?.last else { return fallback }
    guard let value = Double(text), 0.001...60 ~= value else { fail("--\(name) takes seconds from 0.001 to 60") }
    return value
  }
}

func fail(_ text: String) -> Never {
  try? Descriptors.writeAll(2, "bench: \(text)\n")
  CurrentProcess.exit(ExitCode.usage.rawValue)
}

/// The answer of a subcommand: one line of JSON.
func answer(_ pairs: [(String, JSON)]) {
  try? Descriptors.writeAll(1, JSON.object(pairs).compact + "\n")
}

/// Why a measurement cannot be believed.
struct Invalid: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
