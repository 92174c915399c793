import Foundation
import Harness
import Testing

/// What the file says of a stage's processes, as the processes have it.
@Suite struct LimitTests {
  private static let python = "/usr/bin/python3"

  /// One line of a file of /proc/PID, without its name.
  private static func line(_ pid: Int32, _ file: String, _ name: String) -> String {
    let text = (try? String(contentsOfFile: "/proc/\(pid)/\(file)", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
    return line.dropFirst(name.count).split(whereSeparator: { $0 == " " || $0 == "\t" }).joined(separator: " ")
  }

  /// Of a worker, of an interpreter that a worker has become, and of a program that one has started.
  @Test func everyProcessOfAStageIsUnderItsLimits() throws {
    let folder = try TemporaryFolder()
    try folder.write("stages.py", "def same(value): return value\n")
    let limits = "limits: {memory: 1GiB, files: 100, cpu: 1h}"
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {rate: 100/s}}
        digest: {plugin: hash, inputs: [numbers], \(limits)}
        same: {plugin: python, inputs: [digest], \(limits), with: {python: \(Self.python), callable: "stages:same"}}
        program: {plugin: exec, inputs: [same], \(limits), with: {command: [cat]}}
        out: {plugin: file.write, inputs: [program], with: {path: out}}
      """)
    let running = try Running(["run", file, "--progress", "off"])
    #expect(eventually { folder.lines("out").count > 10 }, "\(running.errors)")
    for stage in ["digest", "same", "program"] {
      let worker = try #require(running.workers.first { $0.stage == stage })
      let pids = [worker.pid] + (stage == "program" ? Running.pids(childrenOf: worker.pid) : [])
      #expect(pids.count == (stage == "program" ? 2 : 1))
      for pid in pids {
        #expect(Self.line(pid, "limits", "Max data size") == "1073741824 1073741824 bytes", "\(stage)")
        #expect(Self.line(pid, "limits", "Max open files") == "100 100 files", "\(stage)")
        #expect(Self.line(pid, "limits", "Max cpu time") == "3600 3605 seconds", "\(stage)")
      }
    }
    let other = try #require(running.workers.first { $0.stage == "numbers" })
    #expect(Self.line(other.pid, "limits", "Max cpu time").hasPrefix("unlimited"))
    kill(running.pid, SIGTERM)
    #expect(try running.finish().status == 0)
  }

  /// The nice value is the 19th field of proc_pid_stat(5); two stand before the state.
  private static func nice(_ pid: Int32) -> Int? {
    let stat = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
    let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
    return fields.count > 16 ? Int(fields[16]) : nil
  }

  @Test func everyProcessOfAStageIsAsNiceAndWhereItIsToBe() throws {
    let folder = try TemporaryFolder()
    try folder.write("stages.py", "def same(value): return value\n")
    let own = Self.line(getpid(), "status", "Cpus_allowed_list:")
    let cpu = try #require(own.split(whereSeparator: { "-,".contains($0) }).last.map(String.init))
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {rate: 100/s}}
        same: {plugin: python, inputs: [numbers], nice: 3, affinity: [\(cpu)], processes: auto, with: {python: \(Self.python), callable: "stages:same"}}
        program: {plugin: exec, inputs: [same], nice: 3, affinity: [\(cpu)], processes: auto, with: {command: [cat]}}
        out: {plugin: file.write, inputs: [program], with: {path: out}}
      """)
    let running = try Running(["run", file, "--progress", "off"])
    #expect(eventually { folder.lines("out").count > 10 }, "\(running.errors)")
    for stage in ["same", "program"] {
      let workers = running.workers.filter { $0.stage == stage }
      #expect(workers.count == 1, "one for the one CPU")
      for pid in workers.flatMap({ [$0.pid] + Running.pids(childrenOf: $0.pid) }) {
        #expect(Self.nice(pid) == 3 && Self.line(pid, "status", "Cpus_allowed_list:") == cpu, "\(stage)")
      }
    }
    let other = try #require(running.workers.first { $0.stage == "numbers" })
    #expect(Self.nice(other.pid) == Self.nice(running.pid) && Self.line(other.pid, "status", "Cpus_allowed_list:") == own)
    kill(running.pid, SIGTERM)
    #expect(try running.finish().status == 0)
  }

  @Test func beingLessNiceThanTheRunnerTakesAPrivilege() throws {
    guard getuid() == 0 else { return print("skipped: only root can become somebody without privileges for certain") }
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 10}}
        end: {plugin: discard, inputs: [numbers], nice: -20}
      """)
    chmod(folder.url.path, 0o755)
    chmod(file, 0o644)
    let script = "ulimit -e 0; exec /proc/self/fd/3 run '\(file)' --progress off"
    let running = try Running(
      ["-c", "exec 3< '\(Ringway.binary.path)'; exec setpriv --reuid 54398 --regid 54398 --clear-groups bash -c \"\(script)\""],
      executable: URL(fileURLWithPath: "/bin/bash"))
    let result = try running.finish()
    #expect(result.status == 77 && result.errors.contains("stage \"end\": `nice: -20` is refused (Permission denied): write at least"), "\(result.status) \(result.errors)")
    #expect(result.errors.contains("`ulimit -e 40`"), "\(result.errors)")
  }

  @Test func aWorkerThatHasUsedItsTimeIsKilledAndTheLogSaysWhy() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 1}}
        digest: {plugin: hash, inputs: [numbers], limits: {cpu: 1s}, on_error: {deaths: 1, then: drop}, with: {rounds: 900000000}}
        out: {plugin: file.write, inputs: [digest], with: {path: out}}
      """)
    let result = try Ringway.run(["run", file, "--progress", "off", "--report", folder.path("report.json")])
    #expect(result.status == 0 && result.errors.contains("digest died: it used its limits.cpu of 1s"), "\(result.errors)")
    #expect(try Report(folder.path("report.json")).stage("digest", "dropped") == 1)
  }

  /// More than the limit, and less than any machine has; the queue's mapping, which is larger, does not count.
  @Test func memoryBeyondTheLimitIsRefused() throws {
    let folder = try TemporaryFolder()
    try folder.write("stages.py", "def take(value): return len(bytes(value))\n")
    let file = try folder.write("p.yaml", """
      ringway: 1
      memory: 4GiB
      stages:
        numbers: {plugin: exec, with: {command: [bash, -c, "echo 1000; echo 300000000"]}}
        take:
          plugin: python
          inputs: [numbers]
          queue: {capacity: 16, message: 32MiB}
          limits: {memory: 128MiB}
          on_error: {retries: 0, then: drop}
          with: {python: \(Self.python), callable: "stages:take", decode: json}
        out: {plugin: file.write, inputs: [take], with: {path: out}}
      """)
    let result = try Ringway.run(["run", file, "--progress", "off"])
    #expect(result.status == 0 && result.errors.contains("MemoryError"), "\(result.errors)")
    #expect(folder.lines("out") == ["1000"])
  }

  /// Swift ends a process that gets no memory.
  @Test func aCrashUnderALimitOfMemoryNamesIt() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", """
      ringway: 1
      stages:
        numbers: {plugin: generate, with: {count: 1}}
        more: {plugin: jq, inputs: [numbers], limits: {memory: 64MiB}, on_error: {deaths: 1, then: drop}, with: {filter: "[range(1e9)] | length"}}
        out: {plugin: file.write, inputs: [more], with: {path: out}}
      """)
    let result = try Ringway.run(["run", file, "--progress", "off"])
    #expect(result.status == 0 && result.errors.contains("with a limits.memory of 64 MiB"), "\(result.errors)")
  }
}
