import CLinux
import Glibc

/// What this process may use of the machine.
package enum Machine {
  /// How many CPUs: as many as its affinity mask names (sched_getaffinity(2)), less where a cgroup's quota allows less
  /// (cpu.max of version 2, cpu.cfs_quota_us of version 1). At least 1.
  package static var usableCPUs: Int {
    var count = max(1, cpuNumbers.count)
    for directory in cgroups("cpu") {
      if let text = Files.text(directory + "/cpu.max") {
        let words = text.split(separator: " ")
        if words.count >= 2, let quota = Int(words[0]), let period = Int(words[1].filter { $0 != "\n" }), period > 0 {
          count = min(count, max(1, (quota + period - 1) / period))
        }
      } else if let quota = Files.text(directory + "/cpu.cfs_quota_us").flatMap(number), quota > 0,
        let period = Files.text(directory + "/cpu.cfs_period_us").flatMap(number), period > 0 {
        count = min(count, max(1, (quota + period - 1) / period))
      }
    }
    return count
  }

  /// Room for more CPUs than the kernel can be built for.
  static let affinityWords = 128

  /// The numbers of the CPUs that this process may run on, in order (sched_getaffinity(2)).
  package static var cpuNumbers: [Int] {
    var words = [UInt64](repeating: 0, count: affinityWords)
    if linux_affinity(&words, Int32(clamping: words.count)) != 0 { return [0] }
    return words.indices.flatMap { i in (0..<64).compactMap { words[i] >> UInt64($0) & 1 == 1 ? i * 64 + $0 : nil } }
  }

  /// Bytes of memory that can still be taken: what the kernel calls available (proc(5), MemAvailable), less where a
  /// cgroup's limit leaves less.
  package static var availableMemory: Int {
    var available = Int.max
    for line in (Files.text("/proc/meminfo") ?? "").split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      if let kib = Int(line.dropFirst(13).filter { $0.isNumber }) { available = kib * 1024 }
    }
    for directory in cgroups("memory") {
      for (limit, usage) in [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")] {
        if let most = Files.text(directory + "/" + limit).flatMap(number), let used = Files.text(directory + "/" + usage).flatMap(number) {
          available = min(available, max(0, most - used))
        }
      }
    }
    return available
  }

  /// How many descriptors this process may have; the soft limit is raised to the hard one first (getrlimit(2)).
  package static func raiseDescriptorLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
    if limit.rlim_cur < limit.rlim_max {
      limit.rlim_cur = limit.rlim_max
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
    return Int(clamping: limit.rlim_cur)
  }

  /// A crash loop must not fill the disk with core files.
  package static func forbidCoreFiles() {
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
  }

  /// Orphans of our children become ours, so that none is left behind (prctl(2), PR_SET_CHILD_SUBREAPER).
  package static func adoptOrphans() { _ = linux_child_subreaper(1) }

  package static func environment() -> [(name: String, value: String)] {
    var all: [(name: String, value: String)] = []
    var entry = environ
    while let text = entry.pointee {
      let pair = String(cString: text)
      if let equals = pair.firstIndex(of: "=") { all.append((String(pair[..<equals]), String(pair[pair.index(after: equals)...]))) }
      entry += 1
    }
    return all
  }

  package static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }
  package static func columns(_ descriptor: Int32) -> Int { Int(linux_window_columns(descriptor)) }

  private static func number(_ text: String) -> Int? { Int(text.filter { $0.isNumber || $0 == "-" }) }

  /// The directories of this process's cgroup and those above it (cgroups(7)); in a container the mount's root is enough.
  private static func cgroups(_ controller: String) -> [String] {
    var all = ["/sys/fs/cgroup", "/sys/fs/cgroup/\(controller)"]
    for line in (Files.text("/proc/self/cgroup") ?? "").split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3, parts[1].isEmpty || parts[1].split(separator: ",").contains(Substring(controller)) else { continue }
      let root = parts[1].isEmpty ? "/sys/fs/cgroup" : "/sys/fs/cgroup/\(controller)"
      var path = ""
      for part in parts[2].split(separator: "/") {
        path += "/" + part
        all.append(root + path)
      }
    }
    return all
  }

  /// A name for the time since this machine was started (random(4), boot_id); empty where there is none.
  package static var bootID: String {
    (Files.text("/proc/sys/kernel/random/boot_id") ?? "").split(separator: "\n").first.map(String.init) ?? ""
  }

  /// The time of day, in seconds since 1970.
  package static var timeOfDay: Int { time(nil) }

  /// `2026-11-26 09:05:00 UTC`
  package static func describe(timeOfDay seconds: Int) -> String {
    var seconds = time_t(seconds)
    var parts = tm()
    guard gmtime_r(&seconds, &parts) != nil else { return "an unknown time" }
    func two(_ n: Int32) -> String { n < 10 ? "0\(n)" : "\(n)" }
    return "\(Int(parts.tm_year) + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) UTC"
  }
}
