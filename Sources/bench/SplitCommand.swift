import CBench
import Platform
import Specs

/// `bench split COUNT [--processes 2] [--rounds 6500]`: the work of W3 split by hand between forked processes that share no more than the
/// number of the next message: what the cores allow when nothing has to be handed over.
///
/// Each process is kept on a core of its own: left alone on a busy machine, both were on the same one in half of all looks.
/// Nobody has a fixed share, for then the slower core would decide.
enum SplitCommand {
  static func main(_ arguments: [String]) -> Never {
    let options = Options(arguments)
    guard let count = options.words.first.flatMap({ Int($0) }), count > 0 else { fail("split: how many messages?") }
    let processes = options.integer("processes", default: 2, in: 1...64)
    let rounds = options.integer("rounds", default: Workload.roundsOfW3, in: 1...1_000_000)
    guard let page = cbench_page_make() else { fail("split: no shared memory") }
    let cpus = Machine.usableCPUs
    let start = Clock.now
    let pids = (0..<processes).map { k in
      let pid = cbench_fork(120)
      if pid == 0 {
        cbench_pin(Int32(k % cpus))
        cbench_exit(work(page, UInt64(count), rounds) ? 0 : 1)
      }
      return pid
    }
    let done = pids.map { $0 > 0 && cbench_wait($0, nil) == 0 }.allSatisfy { $0 }
    let seconds = Double(Clock.now - start) / 1e9
    guard done else { fail("split: a process failed") }
    answer([("n", .integer(count)), ("seconds", .number(seconds)), ("rate", .number(Double(count) / seconds))])
    CurrentProcess.exit(ExitCode.success.rawValue)
  }

  private static func work(_ page: OpaquePointer, _ count: UInt64, _ rounds: Int) -> Bool {
    guard let hash = Digester() else { return false }
    var digest: Digester.Digest = (0, 0, 0, 0)
    while true {
      let n = cbench_next(page)
      if n >= count { return true }
      let isDone = Workload.withMessage(n, bytes: 32) { bytes in hash.digest(bytes, rounds: rounds, into: &digest) }
      if !isDone { return false }
    }
  }
}

/// SHA-256 over and over, as the Python peers' `hashlib` does it: libcrypto.
final class Digester {
  typealias Digest = (UInt64, UInt64, UInt64, UInt64)
  private let hash: OpaquePointer

  init?() {
    guard let hash = cbench_hash_make() else { return nil }
    self.hash = hash
  }

  deinit { cbench_hash_free(hash) }

  func digest(_ message: UnsafeRawBufferPointer, rounds: Int, into digest: inout Digest) -> Bool {
    withUnsafeMutableBytes(of: &digest) { bytes in
      cbench_hash_rounds(hash, message.baseAddress, message.count, Int32(clamping: rounds), bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)) == 0
    }
  }
}
