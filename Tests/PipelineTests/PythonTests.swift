import Foundation
import Harness
import Testing

/// Python stages with real interpreters: values, failures, deaths.
@Suite struct PythonTests {
  private static let python = "/usr/bin/python3"

  /// A folder with `stages.py` and a pipeline beside it.
  private struct Project {
    let folder: TemporaryFolder
    let file: String

    /// - Parameters:
    ///   - stages: lines under `stages:`; `PY` is a Python stage's plugin, whose settings begin with `with: {`
    ///   - memory: more than any machine has where there are many large queues: what is reserved and not written takes none
    init(_ code: String, _ stages: String, python: String = PythonTests.python, memory: String? = nil) throws {
      folder = try TemporaryFolder()
      _ = try folder.write("stages.py", code)
      let text = stages.replacingOccurrences(of: "PY", with: "plugin: python").replacingOccurrences(
        of: "callable: ", with: "python: \"\(python)\", callable: ")
      file = try folder.write("p.yaml", "ringway: 1\n" + (memory.map { "memory: \($0)\n" } ?? "") + "stages:\n" + text.split(separator: "\n").map { "  \($0)\n" }.joined())
    }

    func run() throws -> Ringway.Result { try folder.run(file: file) }
    func start() throws -> Running { try folder.start(file: file) }
    var report: Report { get throws { try folder.report } }
    func lines(_ name: String = "out") -> [String] { folder.lines(name) }
  }

  // MARK: Values

  @Test func valuesArriveAsTheyWereSent() throws {
    let project = try Project("""
      from ringway import Message
      def values():
        yield {"a": [1, 2.5, None, True, "ü"]}
        yield "text ü"
        yield b"bytes\\xff"
        yield None
        yield [1, 2]
        yield 7
        yield Message("in a message")
        yield bytearray(b"array")
        yield "not UTF-8 \\udcff"
        yield {"lone": "\\udcff"}
        yield ""
        yield b""
      def show(value): return repr(value)
      """, """
      values: {PY, with: {callable: "stages:values"}}
      show: {PY, inputs: [values], with: {callable: "stages:show"}}
      out: {plugin: file.write, inputs: [show], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.lines() == [
      "{'a': [1, 2.5, None, True, 'ü']}", "'text ü'", "b'bytes\\xff'", "[1, 2]", "7", "'in a message'", "b'array'", "'not UTF-8 \\udcff'", "{'lone': '\\udcff'}", "''", "b''",
    ])
  }

  /// A surrogate that stands for no byte cannot be written as UTF-8: it is that message's failure, and the next one goes on.
  @Test func whatCannotBeEncodedIsTheMessagesFailure() throws {
    let project = try Project("""
      def values():
        yield "one"
        yield "lone \\ud800 surrogate"
        yield {"not": float("nan")}
        yield {1, 2}
        yield "two"
      """, """
      values: {PY, with: {callable: "stages:values"}, on_error: {then: drop}}
      out: {plugin: file.write, inputs: [values], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && project.lines() == ["one", "two"], "\(result.errors)")
    for error in ["surrogates not allowed", "Out of range float values are not JSON compliant", "Object of type set is not JSON serializable"] {
      #expect(result.errors.contains(error), "\(result.errors)")
    }
  }

  @Test func oneCallMayHandOnNothingOrMuch() throws {
    let project = try Project("""
      from ringway import Message
      def count(n): yield from range(n)
      def many(n):
        if n == 0: return None
        if n == 1: return [10, None, "11"]
        if n == 2: return (x for x in (20, 21))
        if n == 3: return (30, 31)
        if n == 4: return Message([40, 41])
        def inner():
          yield 50
          yield [51]
        return inner()
      """, """
      count: {PY, with: {callable: "stages:count", arguments: {n: 6}}}
      many: {PY, inputs: [count], with: {callable: "stages:many"}}
      out: {plugin: file.write, inputs: [many], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.lines() == ["10", "11", "20", "21", "[30,31]", "[40,41]", "50", "[51]"])
  }

  /// What built-in plugins send: lines are str, what jq makes is a value; bytes that are no UTF-8 survive.
  @Test func valuesOfBuiltInPluginsHaveTheirTypes() throws {
    let project = try Project("""
      def kind(value): return type(value).__name__
      def same(value): return value
      """, """
      lines: {plugin: file.read, with: {path: in}}
      same: {PY, inputs: [lines], with: {callable: "stages:same"}}
      out: {plugin: file.write, inputs: [same], with: {path: out}}
      kind: {PY, inputs: [lines], with: {callable: "stages:kind"}}
      kinds: {plugin: file.write, inputs: [kind], with: {path: kinds}}
      size: {plugin: jq, inputs: [lines], with: {filter: "length, {}", input: text}}
      jq: {PY, inputs: [size], with: {callable: "stages:kind"}}
      values: {plugin: file.write, inputs: [jq], with: {path: values}}
      raw: {PY, inputs: [size], with: {callable: "stages:kind", decode: bytes}}
      raws: {plugin: file.write, inputs: [raw], with: {path: raws}}
      """, memory: "64GiB")
    let bytes = Data([0x61, 0xff, 0xfe, 0x0a, 0xc3, 0xbc, 0x0a])
    try bytes.write(to: project.folder.url.appendingPathComponent("in"))
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(try Data(contentsOf: project.folder.url.appendingPathComponent("out")) == bytes)
    #expect(project.lines("kinds") == ["str", "str"] && project.lines("values") == ["int", "dict", "int", "dict"])
    #expect(project.lines("raws") == ["bytes", "bytes", "bytes", "bytes"])
  }

  @Test func aClassIsMadeOnceAndClosed() throws {
    let project = try Project("""
      class Source:
        def __init__(self, n): self.n = n
        def __iter__(self): return iter(range(self.n))
        def close(self): print("source closed")
      class Sum:
        made = 0
        def __init__(self, factor=1): Sum.made += 1; self.factor = factor; self.sum = 0
        def __call__(self, n): self.sum += n * self.factor
        def close(self): print("made", Sum.made, "sum", self.sum)
      class Tool:
        def __call__(self, n, plus): return n + plus
      tool = Tool()
      """, """
      count: {PY, with: {callable: "stages:Source", arguments: {n: 5}}}
      plus: {PY, inputs: [count], with: {callable: "stages:tool", arguments: {plus: 1}}}
      sum: {PY, inputs: [plus], with: {callable: "stages:Sum", arguments: {factor: 2}}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && result.errors.contains("sum | made 1 sum 30\n") && result.errors.contains("count | source closed\n"), "\(result.errors)")
  }

  // MARK: Batches

  @Test func aBatchIsOneCallWithAResultForEach() throws {
    let project = try Project("""
      def count(n): yield from range(n)
      def work(values):
        assert isinstance(values, list)
        if 13 in values: raise ValueError("unlucky")
        return [None if v % 10 == 0 else [v, -v] if v % 10 == 1 else v for v in values]
      """, """
      count: {PY, with: {callable: "stages:count", arguments: {n: 1000}}}
      work: {PY, inputs: [count], with: {callable: "stages:work", batch: 64}, on_error: {retries: 0, then: drop}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && result.errors.contains("dropped a message: ValueError: unlucky"), "\(result.errors)")
    var expected: [String] = []
    for n in 0..<1000 where n != 13 && n % 10 != 0 { expected += n % 10 == 1 ? ["\(n)", "-\(n)"] : ["\(n)"] }
    #expect(project.lines() == expected)
    #expect(try project.report.stage("work", "dropped") == 1 && project.report.balances)
  }

  @Test(arguments: [("return values[1:]", "work returned 0 results for a batch of 1"), ("pass", "work returned None for a batch of")])
  func aBatchWithoutAResultForEachFails(body: String, error: String) throws {
    let project = try Project("""
      def work(values):
        \(body)
      """, """
      count: {plugin: generate, with: {count: 3}}
      work: {PY, inputs: [count], with: {callable: "stages:work", batch: 64}}
      out: {plugin: discard, inputs: [work]}
      """)
    let result = try project.run()
    #expect(result.status == 65 && result.errors.contains(error), "\(result.errors)")
  }

  // MARK: Views

  @Test func aViewReadsInPlace() throws {
    let project = try Project("""
      def total(view):
        assert view.readonly and type(view) is memoryview
        return {"sum": sum(view), "bytes": len(view[2:])}
      """, """
      lines: {plugin: generate, with: {count: 100, size: 1000B}}
      total: {PY, inputs: [lines], processes: 2, with: {callable: "stages:total", decode: view}}
      out: {plugin: file.write, inputs: [total], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.lines().count == 100 && project.lines().allSatisfy { $0.hasSuffix(",\"bytes\":998}") })
  }

  /// A view, a part of it, or something made of it that is kept would show another message later.
  @Test(arguments: ["kept.append(view)", "kept.append(view[3:])", "kept.append(memoryview(view).cast('H'))", "kept.append(lambda: view)"])
  func aViewThatOutlivesItsMessageIsNamed(body: String) throws {
    let project = try Project("""
      kept = []
      def keep(view):
        \(body)
      """, """
      lines: {plugin: generate, with: {count: 100, size: 1000B}}
      keep: {PY, inputs: [lines], with: {callable: "stages:keep", decode: view}}
      """)
    let result = try project.run()
    #expect(result.status == 76 && result.errors.contains("stages:keep keeps a view of message") && result.errors.contains("bytes(view)"), "\(result.errors)")
  }

  @Test func aViewInACycleOrAnExceptionIsLetGo() throws {
    let project = try Project("""
      def cycle(view):
        a = [view]
        a.append(a)
        if view[0] == ord("5"): raise ValueError(view)
      """, """
      lines: {plugin: generate, with: {count: 20, size: 1000B}}
      cycle: {PY, inputs: [lines], with: {callable: "stages:cycle", decode: view}, on_error: {retries: 0, then: drop}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && result.errors.contains("ValueError"), "\(result.errors)")
    #expect(try project.report.stage("cycle", "dropped") == 1)
  }

  // MARK: Failures

  @Test func anExceptionIsTheMessagesFailureAndNotTheWorkers() throws {
    let project = try Project("""
      import sys
      def work(value):
        if value["n"] == 3: raise ValueError("no threes")
        if value["n"] == 5: sys.exit(1)
        if value["n"] == 7: return object()
        return value["n"]
      """, """
      count: {plugin: generate, with: {count: 10}}
      work: {PY, inputs: [count], with: {callable: "stages:work"}, on_error: {retries: 1, then: drop}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && project.lines() == ["0", "1", "2", "4", "6", "8", "9"], "\(result.errors)")
    let report = try project.report
    #expect(report.stage("work", "dropped") == 3 && report.stage("work", "restarts") == 0 && report.stage("work", "errors") == 6)
    #expect(result.errors.contains("dropped a message: ValueError: no threes (tried 2 times)"), "\(result.errors)")
    // The traceback names the line and begins with the user's own code.
    #expect(result.errors.contains("stages.py\", line 3, in work") && !result.errors.contains("worker.py"), "\(result.errors)")
  }

  @Test func aSourceThatRaisesEndsTheRunAfterWhatItMade() throws {
    let project = try Project("""
      def count():
        yield from range(100)
        raise OSError("camera gone")
      """, """
      count: {PY, with: {callable: "stages:count"}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 65 && result.errors.contains("OSError: camera gone") && project.lines() == (0..<100).map(String.init), "\(result.errors)")
  }

  @Test func whatIsPrintedGoesToTheLogLineByLine() throws {
    let project = try Project("""
      import sys
      print("imported")
      def work(value):
        print("on", value["n"], end="!\\n")
        print("error", file=sys.stderr)
      """, """
      count: {plugin: generate, with: {count: 2}}
      work: {PY, inputs: [count], with: {callable: "stages:work"}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && result.output.isEmpty, "\(result.errors)")
    for line in ["work | imported", "work | on 0!", "work | on 1!", "work | error"] { #expect(result.errors.contains(line + "\n"), "\(result.errors)") }
  }

  // MARK: Deaths

  /// The queues are mapped by then, and what the worker would say to the runner it says no more: its messages go on, and its successor speaks again.
  @Test func aStageThatClosesOurDescriptorsLosesNothing() throws {
    let project = try Project("""
      import os
      def work(n):
        if n == 50: os.closerange(3, 1000)
        if n == 250 and not os.path.exists("died"):
          open("died", "w").close()
          os._exit(1)
        return n
      """, """
      numbers: {plugin: exec, with: {command: [seq, "0", "499"]}}
      ids: {plugin: jq, inputs: [numbers], with: {filter: .}}
      work: {PY, inputs: [ids], directory: ., with: {callable: "stages:work"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.lines().compactMap { Int($0) } == Array(0..<500), "\(result.errors)")
    #expect(try project.report.balances && project.report.stage("work", "restarts") == 1)
  }

  /// Each way to die, once at several messages: nothing is lost and nothing doubled.
  @Test(arguments: [
    "os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)", "os._exit(0)", "ctypes.string_at(0)", "os.abort()", "os.kill(os.getpid(), signal.SIGINT)",
  ])
  func aDeathLosesAndDoublesNothing(way: String) throws {
    let project = try Project("""
      import ctypes, os, signal
      def die(at):
        name = f"died-{at}"
        if os.path.exists(name): return
        open(name, "w").close()
        \(way)
      def count(n):
        for i in range(n):
          if i in (0, 700): die(f"source-{i}")
          yield i
      def work(n):
        if n % 500 == 250: die(f"work-{n}")
        return n
      def many(values):
        if 1234 in values: die("many")
        return values
      """, """
      count: {PY, with: {callable: "stages:count", arguments: {n: 2000}}, directory: .}
      work: {PY, inputs: [count], processes: 2, with: {callable: "stages:work"}, directory: .}
      many: {PY, inputs: [work], with: {callable: "stages:many", batch: 100}, directory: .}
      out: {plugin: file.write, inputs: [many], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.lines().compactMap { Int($0) }.sorted() == Array(0..<2000), "\(result.errors)")
    let report = try project.report
    // The last one that dies of a stage's two may need no successor.
    #expect(report.stage("work", "restarts") >= 3, "\(result.errors)")
    #expect(report.balances && report.stage("count", "restarts") == 2 && report.stage("many", "restarts") == 1, "\(result.errors)")
  }

  @Test func aSourceMayGoOnInsteadOfRepeating() throws {
    let project = try Project("""
      import os
      def count():
        start = 100 if os.path.exists("died") else 0
        for i in range(start, start + 50):
          if i == 20:
            open("died", "w").close()
            os._exit(1)
          yield i
      """, """
      count: {PY, with: {callable: "stages:count", on_restart: continue}, directory: .}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      """)
    let result = try project.run()
    let lines = project.lines().compactMap { Int($0) }
    // What was made and not handed over is gone with the worker.
    #expect(result.status == 0 && Array(lines.suffix(50)) == Array(100..<150) && lines.count <= 70, "\(lines) \(result.errors)")
  }

  @Test func theRunnersDeathLeavesNobody() throws {
    let project = try Project("""
      import itertools
      def count(): yield from itertools.count()
      def work(n): return n
      """, """
      count: {PY, with: {callable: "stages:count"}}
      work: {PY, inputs: [count], processes: 2, with: {callable: "stages:work"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let running = try project.start()
    #expect(eventually { project.lines().count > 20 })
    let pids = running.workers.map(\.pid)
    #expect(pids.count == 4)
    kill(running.pid, SIGKILL)
    _ = try running.finish()
    #expect(eventually { pids.allSatisfy { kill($0, 0) != 0 || (try? String(contentsOfFile: "/proc/\($0)/stat", encoding: .utf8))?.contains(") Z ") != false } })
  }

  // MARK: Ending

  /// Ctrl-C reaches every process of a terminal's group; the runner alone decides.
  @Test func ctrlCDrainsWithoutATraceback() throws {
    let project = try Project("""
      import itertools
      def count(): yield from itertools.count()
      def work(n): return n
      """, """
      count: {PY, with: {callable: "stages:count"}}
      work: {PY, inputs: [count], processes: 2, with: {callable: "stages:work"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let running = try project.start()
    #expect(eventually { project.lines().count > 1000 })
    kill(running.pid, SIGINT)
    let result = try running.finish()
    #expect(result.status == 0 && !result.errors.contains("KeyboardInterrupt") && !result.errors.contains("Traceback"), "\(result.errors)")
    #expect(project.lines().compactMap { Int($0) }.sorted() == Array(0..<project.lines().count))
    #expect(try project.report.outcome == "drained")
  }

  /// It has a second to come to its next value; then it is asked where it waits, and may clean up.
  @Test func aSourceThatWaitsForEverCanBeStopped() throws {
    let project = try Project("""
      import time
      def count():
        try:
          yield 1
          time.sleep(10000)
        finally:
          print("cleaned up")
      """, """
      count: {PY, with: {callable: "stages:count"}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      """)
    let running = try project.start()
    #expect(eventually { project.lines() == ["1"] })
    kill(running.pid, SIGTERM)
    let result = try running.finish()
    #expect(result.status == 0 && result.errors.contains("count | cleaned up\n") && !result.errors.contains("Traceback"), "\(result.errors)")
  }

  // MARK: Processes and threads of the user's

  @Test(arguments: ["fork", "spawn"]) func poolsAndThreadsOfTheUsersWork(method: String) throws {
    let project = try Project("""
      import multiprocessing, threading
      def double(n): return n * 2
      ticks = []
      class Work:
        def __init__(self):
          self.pool = multiprocessing.get_context("\(method)").Pool(2)
          self.wake = threading.Event()
          self.done = threading.Event()
          threading.Thread(target=self.tick, daemon=True).start()
        def tick(self):
          while self.wake.wait():
            self.wake.clear()
            self.done.set()
        def __call__(self, value):
          self.done.clear()
          self.wake.set()
          assert self.done.wait(30)
          return sum(self.pool.map(double, range(value["n"])))
        def close(self): self.pool.terminate()
      """, """
      count: {plugin: generate, with: {count: 20}}
      work: {PY, inputs: [count], with: {callable: "stages:Work"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && project.lines() == (0..<20).map { String($0 * ($0 - 1)) }, "\(result.errors)")
  }

  /// An interpreter ends executors and waits for threads that are no daemons: so does a stage, or their work would be lost without a word.
  @Test(arguments: ["fork", "spawn"]) func executorsAndThreadsComeToTheirEnd(method: String) throws {
    let project = try Project("""
      import concurrent.futures, multiprocessing, threading
      def double(n): return n * 2
      later = threading.Event()
      def write(n):
        later.wait()
        with open("late", "a") as file: print(n, file=file)
      class Work:
        def __init__(self):
          self.pool = concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("\(method)"))
          self.threads = concurrent.futures.ThreadPoolExecutor(1)
        def __call__(self, value):
          self.threads.submit(write, value["n"])
          threading.Thread(target=write, args=[-value["n"]]).start()
          return self.pool.submit(double, value["n"]).result()
        def close(self): threading.Timer(0.2, later.set).start()
      """, """
      count: {plugin: generate, with: {count: 3}}
      work: {PY, inputs: [count], with: {callable: "stages:Work"}, directory: .}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && project.lines() == ["0", "2", "4"], "\(result.errors)")
    #expect(project.lines("late").sorted() == ["-1", "-2", "0", "0", "1", "2"])
  }

  /// A thread of the user's runs while the stage waits for messages: the lock is free then.
  @Test func threadsRunWhileTheStageWaits() throws {
    let project = try Project("""
      import threading
      def start():
        def run():
          for i in range(200000): pass
          open("ran", "w").close()
        threading.Thread(target=run).start()
      started = False
      def work(value):
        global started
        if not started: start()
        started = True
        return value
      """, """
      lines: {plugin: file.read, with: {path: pipe}}
      work: {PY, inputs: [lines], with: {callable: "stages:work"}, directory: .}
      out: {plugin: discard, inputs: [work]}
      """)
    #expect(mkfifo(project.folder.path("pipe"), 0o600) == 0)
    let running = try project.start()
    let pipe = try FileHandle(forUpdating: project.folder.url.appendingPathComponent("pipe"))
    try pipe.write(contentsOf: Data("x\n".utf8))
    #expect(eventually { FileManager.default.fileExists(atPath: project.folder.path("ran")) }, "\(running.errors)")
    kill(running.pid, SIGTERM)
    try pipe.close()
    #expect(try running.finish().status == 0)
  }

  @Test func aForkedChildDoesNotGoOnInTheLoop() throws {
    let project = try Project("""
      import os
      def work(value):
        pid = os.fork()
        if pid: os.waitpid(pid, 0)
        return value["n"]
      """, """
      count: {plugin: generate, with: {count: 5}}
      work: {PY, inputs: [count], with: {callable: "stages:work"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && project.lines() == (0..<5).map(String.init), "\(result.errors)")
    #expect(result.errors.contains("stages:work has returned in a process that it had forked"), "\(result.errors)")
  }

  /// As numpy's numbers are, which is not there on every machine.
  @Test func aNumberWithBytesIsANumber() throws {
    let project = try Project("""
      class Scalar:
        shape = ()
        __array_interface__ = {}
        def item(self): return 1.5
      def values(): yield Scalar()
      """, """
      values: {PY, with: {callable: "stages:values"}}
      out: {plugin: file.write, inputs: [values], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && project.lines() == ["1.5"], "\(result.errors)")
  }

  /// Arrays and numbers of numpy's inside of other values; its times have no bytes that others would understand.
  @Test func whatStandsInAnotherValueIsPlain() throws {
    let project = try Project("""
      class Made:
        dtype = "int64"
        def __init__(self, value): self.value = value
        def tolist(self): return self.value
      def values():
        yield {"n": Made(3), "all": [Made([1, 2.5]), Made(True)]}
        yield {"set": {1}}
      """, """
      values: {PY, with: {callable: "stages:values"}, on_error: {then: drop}}
      out: {plugin: file.write, inputs: [values], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && project.lines() == [#"{"n":3,"all":[[1,2.5],true]}"#], "\(result.errors)")
    #expect(result.errors.contains("Object of type set is not JSON serializable") && !result.errors.contains("_host.py"), "\(result.errors)")
  }

  @Test func theExampleOfItsPageRuns() throws {
    let page = try Ringway.run(["plugins", "python"])
    let lines = page.output.split(separator: "\n", omittingEmptySubsequences: false)
    let first = try #require(lines.firstIndex { $0.contains("ringway: 1") })
    let indent = lines[first].prefix { $0 == " " }.count
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", lines[first...].map { $0.dropFirst(indent) }.joined(separator: "\n"))
    let result = try folder.run(file: file)
    #expect(result.status == 0 && result.output.split(separator: "\n").count == 1000, "\(result.errors)")
  }

  // MARK: The end

  /// A sink that leaves its file to the interpreter, as programs do.
  @Test(arguments: ["opened = open('rows', 'w')\ndef sink(value): opened.write(f'{value[\"n\"]}\\n')", """
    class sink:
      def __init__(self): self.file = open("rows", "wb")
      def __call__(self, value): self.file.write(b"%d\\n" % value["n"])
    """])
  func whatLiesInBuffersAtTheEndIsWritten(code: String) throws {
    let project = try Project(code, """
      count: {plugin: generate, with: {count: 1000}}
      sink: {PY, directory: ., inputs: [count], with: {callable: "stages:sink", decode: json}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && project.lines("rows") == (0..<1000).map(String.init), "\(result.errors)")
  }

  @Test(arguments: [
    ("raise OSError(28, 'no room')", 74, "its plugin could not be closed, and what it had not put away is lost: OSError: [Errno 28] no room"),
    ("import os; os._exit(3)", 76, "did not close in order (exit status 3)"), ("import ctypes; ctypes.string_at(0)", 76, "did not close in order (signal 11"),
  ])
  func aCloseThatFailsEndsTheRun(body: String, status: Int32, words: String) throws {
    let project = try Project("""
      class Keep:
        def __call__(self, value): return None
        def close(self):
          \(body)
      """, """
      count: {plugin: generate, with: {count: 10}}
      keep: {PY, inputs: [count], with: {callable: "stages:Keep"}}
      """)
    let result = try project.run()
    #expect(result.status == status && result.errors.contains(words), "\(result.status): \(result.errors)")
  }

  @Test(arguments: ["{'sum': 1}", "'text'", "b'bytes'", "7"]) func oneValueForABatchIsRefused(value: String) throws {
    let project = try Project("def total(values): return \(value)", """
      count: {plugin: generate, with: {count: 300}}
      total: {PY, inputs: [count], with: {callable: "stages:total", batch: 64}, on_error: {then: drop}}
      out: {plugin: file.write, inputs: [total], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && project.lines() == [] && result.errors.contains("returned one value for a batch"), "\(result.errors)")
    #expect(try project.report.stage("total", "dropped") == 300)
  }

  @Test(arguments: ["{'a': 1}", "'text'"]) func aSourceThatReturnsOneValueIsRefused(value: String) throws {
    let project = try Project("def values(): return \(value)", """
      values: {PY, with: {callable: "stages:values"}, restart: {max: 0}}
      out: {plugin: file.write, inputs: [values], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status != 0 && project.lines() == [] && result.errors.contains("a source returns an iterator"), "\(result.errors)")
  }

  /// Stages in different surroundings are looked at by different programs, of which some fail.
  @Test func eachOfSeveralChecksHasItsAnswer() throws {
    let project = try Project("import os\nif os.environ['N'] == '2': os.abort()\ndef work(value): return value\ndef other(value, a): return value\n", """
      count: {plugin: generate, with: {count: 5}}
      one: {PY, inputs: [count], environment: {N: "1"}, with: {callable: "stages:work"}}
      two: {PY, inputs: [count], environment: {N: "2"}, with: {callable: "stages:work"}}
      three: {PY, inputs: [count], environment: {N: "3"}, with: {callable: "stages:other"}}
      four: {PY, inputs: [count], environment: {N: "4"}, with: {callable: "stages:nobody"}}
      five: {PY, inputs: [count], environment: {N: "5"}, with: {callable: "stages:work"}}
      """, memory: "64GiB")
    let result = try Ringway.run(["validate", project.file])
    let lines = result.errors.split(separator: "\n").filter { $0.contains("error") }
    #expect(result.status == 78 && lines.count == 4 && lines.last == "3 errors in \(project.file)", "\(result.errors)")
    for (line, text) in [(6, "could not check the stage at `import stages`: signal 6"), (7, "other"), (8, "has no 'nobody'")] {
      #expect(lines.contains { $0.contains("p.yaml:\(line):") && $0.contains(text) }, "\(line) \(text): \(result.errors)")
    }
  }

  /// Signals are those that a run takes, however they were inherited.
  @Test(arguments: ["SIG_BLOCK", "ignored"]) func aCheckIsInterruptedByWhatWasInheritedAsBlockedOrIgnored(how: String) throws {
    let project = try Project("import time\nopen('begun', 'w').close()\ntime.sleep(100000)\n", """
      count: {PY, directory: ., with: {callable: "stages:values"}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      """)
    let change = how == "ignored" ? "signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGCHLD, signal.SIG_IGN)" : "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])"
    let running = try Running(
      ["-c", "import os, signal, sys; \(change); os.execv(sys.argv[1], sys.argv[1:])", Ringway.binary.path, "validate", project.file],
      executable: URL(fileURLWithPath: "/usr/bin/python3"))
    #expect(eventually { FileManager.default.fileExists(atPath: project.folder.path("begun")) }, "\(running.errors)")
    kill(running.pid, SIGTERM)
    #expect(try running.finish().status == -SIGTERM, "\(running.errors)")
  }

  /// Who has SIGCHLD ignored has no children to wait for.
  @Test func anIgnoredSIGCHLDIsNoHindrance() throws {
    let project = try Project("def work(value): return value\n", """
      count: {plugin: generate, with: {count: 5}}
      work: {PY, inputs: [count], with: {callable: "stages:work"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let running = try Running(
      ["-c", "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])", Ringway.binary.path, "run", project.file],
      executable: URL(fileURLWithPath: "/usr/bin/python3"))
    #expect(try running.finish().status == 0 && project.lines().count == 5, "\(running.errors)")
  }

  @Test func anInterpreterThatIsGoneIsNamed() throws {
    let project = try Project("def work(value): return value\n", """
      count: {plugin: generate, with: {rate: 100/s}}
      work: {PY, inputs: [count], restart: {max: 1, backoff: 1ms}, with: {callable: "stages:work"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    try project.folder.write("p.yaml", String(contentsOfFile: project.file, encoding: .utf8).replacing("/usr/bin/python3", with: "bin/python"))
    try FileManager.default.createDirectory(atPath: project.folder.path("bin"), withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(atPath: project.folder.path("bin/python"), withDestinationPath: "/usr/bin/python3")
    let running = try project.start()
    #expect(eventually { !project.lines().isEmpty }, "\(running.errors)")
    try FileManager.default.removeItem(atPath: project.folder.path("bin/python"))
    kill(try #require(running.workers.first { $0.stage == "work" }).pid, SIGKILL)
    let result = try running.finish()
    #expect(result.status == 71 && result.errors.contains("execve \(project.folder.url.resolvingSymlinksInPath().path)/bin/python: No such file or directory"), "\(result.errors)")
  }

  /// A signal to the program alone, while a module is being imported.
  @Test(arguments: [SIGINT, SIGTERM]) func aCheckThatIsInterruptedLeavesNobodyBehind(signal: Int32) throws {
    let project = try Project("""
      import os, subprocess
      child = subprocess.Popen(["sleep", "211"])
      with open("pids.new", "w") as file: file.write(f"{os.getpid()}\\n{child.pid}\\n")
      os.rename("pids.new", "pids")
      child.wait()
      """, """
      count: {PY, directory: ., with: {callable: "stages:values"}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      """)
    let running = try Running(["run", project.file, "--report", project.folder.path("report.json")])
    #expect(eventually { !project.lines("pids").isEmpty })
    kill(running.pid, signal)
    #expect(try running.finish().status == 75, "\(running.errors)")
    let report = try String(contentsOfFile: project.folder.path("report.json"), encoding: .utf8)
    #expect(report.contains("stopped while the file was checked"), "that of an earlier run stays: \(report)")
    let pids = project.lines("pids").compactMap { Int32($0) }
    #expect(pids.count == 2 && eventually { pids.allSatisfy { !Running.isAlive($0) } })
  }

  /// Where nobody but the kernel's own rules end it: those pass over a signal that would end the first process of a namespace.
  @Test(.enabled(if: Injection.ends("/usr/bin/unshare", ["-Urpf", "--mount-proc", "true"]), "this machine allows no process namespace of one's own (unshare -Urpf)"))
  func theFirstProcessOfAContainerIsEndedToo() throws {
    let project = try Project("""
      import time
      open("begun", "w").close()
      time.sleep(100000)
      """, """
      count: {PY, directory: ., with: {callable: "stages:values"}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      """)
    for (command, status) in [("validate", Int32(143)), ("run", 75)] {
      let running = try Running(["-Urpf", "--mount-proc", Ringway.binary.path, command, project.file], executable: URL(fileURLWithPath: "/usr/bin/unshare"))
      #expect(eventually { FileManager.default.fileExists(atPath: project.folder.path("begun")) }, "\(running.errors)")
      for child in Running.pids(childrenOf: running.pid) { kill(child, SIGTERM) }
      let result = try running.finish()
      #expect(result.status == status && !result.errors.contains("60 s"), "\(command): \(result.status) \(result.errors)")
      try FileManager.default.removeItem(atPath: project.folder.path("begun"))
    }
  }

  /// With that variable CPython 3.11 and later leave out the folder of the program that they start.
  @Test func anInterpreterWithASafePathFindsThePythonSide() throws {
    let project = try Project("def values(): return range(3)\n", """
      count: {PY, with: {callable: "stages:values"}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      """)
    let result = try Running(["run", project.file, "--progress", "off"], environment: ["PYTHONSAFEPATH": "1"]).finish()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.lines() == ["0", "1", "2"])
  }

  // MARK: Beginnings and ends that take too long

  /// What cannot begin has made no message that could be given up: it would begin again and again.
  @Test(arguments: ["5", "None"]) func aSourceThatIsNoneEndsTheRun(value: String) throws {
    let project = try Project("def values(): return \(value)\n", """
      count: {PY, with: {callable: "stages:values"}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      letters: {plugin: file.write, inputs: [count.dead_letter], with: {path: letters}}
      """)
    let result = try project.run()
    #expect(result.status == 65 && result.errors.contains("stages:values returned "), "\(result.errors)")
    #expect(result.errors.contains(": a source returns an iterator, or yields its values") && project.lines("letters").isEmpty, "\(result.errors)")
  }

  /// It would never run, and what it makes would be lost.
  @Test(arguments: ["yield 5", "yield", "pass"]) func aCloseThatHandsOnSomethingIsNamed(body: String) throws {
    let project = try Project("""
      class Sum:
        def __call__(self, value): return value
        \(body == "pass" ? "async " : "")def close(self): \(body)
      """, """
      count: {plugin: generate, with: {count: 3}}
      work: {PY, inputs: [count], with: {callable: "stages:Sum"}, restart: {max: 0}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status != 0 && result.errors.contains("close() of stages:Sum returned a "), "\(result.status) \(result.errors)")
    #expect(result.errors.contains(": nothing is handed on once the input has ended"), "\(result.errors)")
  }

  /// What had been handed over cannot be told from what is made anew.
  @Test func aSourceThatMakesLessTheSecondTimeIsNamed() throws {
    let project = try Project("""
      import os, signal, time
      def values():
        if os.path.exists("again"): return
        yield from range(100)
        open("again", "w").close()
        while True: yield None
      """, """
      count: {PY, directory: ., with: {callable: "stages:values"}, restart: {backoff: 1ms}}
      out: {plugin: file.write, inputs: [count], with: {path: out}}
      """)
    let running = try project.start()
    #expect(eventually { project.lines().count == 100 && FileManager.default.fileExists(atPath: project.folder.path("again")) }, "\(running.errors)")
    kill(try #require(running.workers.first { $0.stage == "count" }).pid, SIGKILL)
    let result = try running.finish()
    #expect(result.status == 74, "\(result.errors)")
    #expect(result.errors.contains("stages:values was called again and made ") && result.errors.contains("values less than were handed over before"), "\(result.errors)")
  }

  /// Who is ready sooner than others waits for them.
  @Test func aSourceThatWaitsForSlowStagesIsNotBusy() throws {
    let project = try Project("""
      import time
      class Slow:
        def __init__(self): time.sleep(1)
        def __call__(self, value): return value
      """, """
      count: {plugin: generate, with: {count: 10}}
      work: {PY, inputs: [count], with: {callable: "stages:Slow"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    let source = try (project.report.json["stages"] as? [String: [String: Any]])?["count"]
    #expect(source?["busy"] as? Double ?? 1 < 0.5 && source?["waiting_input"] as? Double ?? 0 > 0.5, "\(String(describing: source))")
  }

  private static let slow = """
    import os, time
    def begun(): open("begun", "w").close()
    class Work:
      def __init__(self, at="", model=""):
        self.at = at
        if at == "start": time.sleep(100000)
      def __call__(self, value): return value
      def close(self):
        begun()
        if self.at == "close": time.sleep(100000)
    """

  private func slow(_ callable: String, _ arguments: String, _ stage: String, source: String = "with: {count: 5}") throws -> Project {
    let project = try Project(Self.slow, """
      count: {plugin: generate, \(source)}
      work: {PY, inputs: [count], \(stage), directory: ., with: {callable: "\(callable)", arguments: {\(arguments)}}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    // It hangs in a worker, and not where it is checked.
    _ = try project.folder.write("hangs.py", "import sys, time\nif 'ringway._worker' in sys.modules: time.sleep(100000)\nfrom stages import Work\n")
    return project
  }

  @Test func aCloseThatTakesLongerThanTheTimeoutEndsTheRun() throws {
    let result = try slow("stages:Work", "at: close", "timeout: 300ms").run()
    #expect(result.status == 76, "\(result.errors)")
    #expect(result.errors.contains("work * the plugin took longer than the timeout of 300ms to close in work: the worker is killed"), "\(result.errors)")
    #expect(result.errors.contains("stage \"work\" did not close in order (its plugin took longer than the timeout of 300ms to close)"), "\(result.errors)")
  }

  @Test func aDrainBoundsAClose() throws {
    let project = try slow("stages:Work", "at: close", "nice: 0")
    let file = try project.folder.write("p.yaml", "drain: 200ms\n" + String(contentsOfFile: project.file, encoding: .utf8))
    let running = try project.folder.start(file: file)
    #expect(eventually { FileManager.default.fileExists(atPath: project.folder.path("begun")) }, "\(running.errors)")
    kill(running.pid, SIGTERM)
    let result = try running.finish()
    #expect(result.status == 76 && result.errors.contains("the drain took longer than 200ms: work did not close in order"), "\(result.errors)")
  }

  @Test(arguments: [("hangs:Work", "import hangs"), ("stages:Work", "stages.Work(at=…, model=…)")])
  func aStartThatTakesTooLongIsNamed(callable: String, doing: String) throws {
    let result = try slow(callable, "at: start, model: m", "startup_timeout: 5s, restart: {max: 0}").run()
    #expect(result.status == 100, "\(result.errors)")
    #expect(result.errors.contains("work was not ready within the startup_timeout of 5s, and was at `\(doing)`: the worker is killed"), "\(result.errors)")
  }

  /// Nobody waits for long without being told for what, first while the file is checked and then in the run.
  @Test func whatTakesLongToStartIsNamed() throws {
    let project = try Project("""
      import sys
      # A pipe opens when the other end does.
      open("worker" if "ringway._worker" in sys.modules else "check").close()
      def work(value): return value
      """, """
      count: {plugin: generate, with: {count: 5}}
      work: {PY, inputs: [count], directory: ., with: {callable: "stages:work"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    for gate in ["check", "worker"] { #expect(mkfifo(project.folder.path(gate), 0o600) == 0) }
    func open(_ gate: String) { try? FileHandle(forWritingAtPath: project.folder.path(gate))?.close() }
    let running = try project.start()
    #expect(eventually { running.errors.contains("still checks the file, and is at `import stages`") }, "\(running.errors)")
    open("check")
    #expect(eventually { running.errors.contains("work * has not been ready for 10s, and is at `import stages`") }, "\(running.errors)")
    open("worker")
    #expect(try running.finish().status == 0 && project.lines().count == 5, "\(running.errors)")
  }

  /// What a check does not survive is named, and where it stands.
  @Test func aModuleThatEndsTheCheckIsNamed() throws {
    let project = try Project("def work(value): pass\n", """
      count: {plugin: generate, with: {count: 1}}
      first: {PY, inputs: [count], with: {callable: "stages:work"}}
      other: {PY, inputs: [count], with: {callable: "crash:work"}}
      """)
    _ = try project.folder.write("crash.py", "import os\nos.kill(os.getpid(), 11)\n")
    let result = try Ringway.run(["validate", project.file])
    #expect(result.status == 78 && result.errors.contains("p.yaml:5:") && result.errors.contains("could not check the stage at `import crash`: signal 11"), "\(result.errors)")
  }

  /// A constructor that raises each time says the same once.
  @Test func aConstructorThatRaisesIsToldInFullOnce() throws {
    let project = try Project("""
      class Work:
        def __init__(self): self.connect("db")
        def connect(self, name): raise OSError(f"no {name} here")
        def __call__(self, value): return value
      """, """
      count: {plugin: generate, with: {count: 5}}
      work: {PY, inputs: [count], restart: {max: 3, backoff: 1ms}, with: {callable: "stages:Work"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 100 && result.errors.contains(", after it wrote: OSError: no db here"), "\(result.errors)")
    #expect(result.errors.components(separatedBy: "Traceback").count == 2 && result.errors.contains("in connect\n"), "\(result.errors)")
    #expect(!result.errors.contains("_worker.py"), "\(result.errors)")
    #expect(result.errors.components(separatedBy: "work | OSError: no db here (as before)\n").count == 4, "\(result.errors)")
  }

  /// User code may do with its streams what it likes.
  @Test(arguments: ["sys.stderr = None", "sys.stdout = sys.stderr = None", "sys.stderr.close()", "sys.stdout = open(os.devnull, 'w'); sys.stdout.close()"])
  func streamsOfTheUsersAreTheirOwn(code: String) throws {
    let project = try Project("""
      import os, sys
      \(code)
      def work(value):
        if value["n"] == 1: raise ValueError("one")
        return value["n"]
      """, """
      count: {plugin: generate, with: {count: 3}}
      work: {PY, inputs: [count], on_error: {retries: 0, then: drop}, with: {callable: "stages:work"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    let result = try project.run()
    #expect(result.status == 0 && project.lines() == ["0", "2"], "\(result.errors)")
    #expect(result.errors.contains("dropped a message: ValueError: one") && result.errors.contains("work | Traceback"), "\(result.errors)")
  }

  @Test func aWrongInterpreterIsNamed() throws {
    let stages = """
      count: {plugin: generate, with: {count: 1}}
      take: {PY, inputs: [count], with: {callable: "stages:work"}}
      """
    func check(_ python: String, _ prepare: (TemporaryFolder) throws -> Void = { _ in }) throws -> String {
      let project = try Project("def work(value): pass\n", stages, python: python)
      try prepare(project.folder)
      let result = try Ringway.run(["validate", project.file])
      #expect(result.status == 78)
      return result.errors
    }
    let wrong = try check("/bin/ls")
    #expect(wrong.contains("/bin/ls could not check the stage: it ended without an answer") && wrong.contains("is it the right program?"), "\(wrong)")
    for name in [".venv", "./.venv"] {
      let folder = try check(name) {
        try FileManager.default.createDirectory(atPath: $0.path(".venv/bin"), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: $0.path(".venv/bin/python"), withDestinationPath: Self.python)
      }
      #expect(folder.contains("\"\(name)\" is a folder") && folder.contains("name the program in it: \(name)/bin/python"), "\(folder)")
    }
  }

  // MARK: Where things come from

  /// The interpreter of a version; nil, and says so, where there is none.
  private func interpreter(_ version: String) -> String? {
    let versions = URL(fileURLWithPath: NSHomeDirectory()).appendingPathComponent(".pyenv/versions")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: versions.path)) ?? []
    let found = names.first { $0.hasPrefix(version + ".") }.map { versions.appendingPathComponent("\($0)/bin/python3").path }
      ?? ["/usr/bin/python\(version)", "/usr/local/bin/python\(version)"].first { FileManager.default.isExecutableFile(atPath: $0) }
    if found == nil { print("skipped: there is no Python \(version)") }
    return found
  }

  /// Plain functions and classes are compared with their arguments without `inspect`; both must say the same.
  @Test(arguments: ["3.9", "3.10", "3.11", "3.12", "3.13"]) func argumentsAreComparedAsInspectDoes(version: String) throws {
    guard let python = interpreter(version) else { return }
    let tests = Ringway.repository.appendingPathComponent("Tests/Python/binding.py").path
    let side = Ringway.repository.appendingPathComponent("Sources/WorkerABI/python").path
    let result = try Running([tests, side], executable: URL(fileURLWithPath: python)).finish()
    #expect(result.status == 0 && result.output == "990\n", "\(result.errors)")
  }

  @Test(arguments: ["3.9", "3.10", "3.11", "3.12", "3.13"]) func everyVersionWorks(version: String) throws {
    guard let found = interpreter(version) else { return }
    let project = try Project("""
      import sys
      def count(n): yield from range(n)
      def work(n): return {"n": n, "version": "%d.%d" % sys.version_info[:2]}
      def view(v): return len(v)
      """, """
      count: {PY, with: {callable: "stages:count", arguments: {n: 3000}}}
      work: {PY, inputs: [count], processes: 2, with: {callable: "stages:work"}}
      view: {PY, inputs: [count], with: {callable: "stages:view", decode: view}}
      lengths: {plugin: file.write, inputs: [view], with: {path: lengths}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """, python: found)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.lines().count == 3000 && project.lines().allSatisfy { $0.hasSuffix("\"version\":\"\(version)\"}") }, "\(project.lines().prefix(2))")
    #expect(project.lines("lengths").count == 3000)
  }

  @Test func nothingIsImportedFromTheCurrentFolder() throws {
    let project = try Project("""
      import helper, json
      def work(value): return helper.name
      """, """
      count: {plugin: generate, with: {count: 1}}
      work: {PY, inputs: [count], with: {callable: "stages:work"}}
      out: {plugin: file.write, inputs: [work], with: {path: out}}
      """)
    _ = try project.folder.write("helper.py", "name = 'beside the pipeline'")
    let elsewhere = try TemporaryFolder()
    for name in ["json.py", "helper.py", "ctypes.py", "ringway.py"] { _ = try elsewhere.write(name, "raise SystemExit('planted')") }
    // An empty element is what `$PYTHONPATH:/more` leaves where there was none.
    for path in [nil, ":/nowhere", "/nowhere:"] {
      let result = try Ringway.run(["run", project.file, "--progress", "off"], in: elsewhere.url, environment: path.map { ["PYTHONPATH": $0] } ?? [:])
      #expect(result.status == 0 && project.lines() == ["beside the pipeline"], "\(path ?? "without"): \(result.errors)")
    }
  }

  /// From 3.11 on an interpreter itself refuses to start so.
  @Test(arguments: ["3.9", "3.10"]) func aCurrentFolderThatIsGoneDoesNoHarm(version: String) throws {
    guard let found = interpreter(version) else { return }
    let project = try Project("def work(value): return value\n", """
      count: {plugin: generate, with: {count: 1}}
      work: {PY, inputs: [count], with: {callable: "stages:work"}}
      """, python: found)
    let gone = try TemporaryFolder()
    let command = "rmdir \"$PWD\" && exec \"$0\" validate \"$1\""
    let running = try Running(
      ["-c", command, Ringway.binary.path, project.file], in: gone.url, environment: ["PYTHONPATH": ":/nowhere"], executable: URL(fileURLWithPath: "/bin/sh"))
    let result = try running.finish()
    #expect(!result.errors.contains("FileNotFoundError") && !result.errors.contains("could not check the stage"), "\(result.errors)")
  }

  @Test func theActiveVirtualEnvironmentIsUsed() throws {
    let folder = try TemporaryFolder()
    let make = try Running(["-m", "venv", "--without-pip", folder.path("venv")], executable: URL(fileURLWithPath: Self.python))
    guard try make.finish().status == 0 else {
      print("skipped: there is no module venv")
      return
    }
    _ = try folder.write("stages.py", "import sys\ndef work(value): return sys.prefix\n")
    let result = try folder.run("""
      ringway: 1
      stages:
        count: {plugin: generate, with: {count: 1}}
        work: {plugin: python, inputs: [count], with: {callable: "stages:work"}}
        out: {plugin: file.write, inputs: [work], with: {path: out}}
      """, environment: ["VIRTUAL_ENV": folder.path("venv")])
    #expect(result.status == 0 && folder.lines("out").first?.hasSuffix("/venv") == true, "\(result.errors)")
  }

  // MARK: Checks before a run

  @Test(arguments: [
    ("stages:wrok", "", "the module stages has no 'wrok'", "did you mean 'work'?"),
    ("nowhere:work", "", "ModuleNotFoundError: No module named 'nowhere'", "modules are looked for in"),
    ("stage:work", "", "ModuleNotFoundError: No module named 'stage'", "did you mean stages:work?"),
    ("stages.py:work", "", "ModuleNotFoundError: No module named 'stages.py'", "a module is named without its ending: stages:work"),
    ("ends:work", "", "could not check the stage at `import ends`: it ended without an answer", "it must end, and crash neither"),
    ("broken:work", "", "the module broken cannot be imported: SyntaxError: ", "broken.py:2"),
    ("raises:work", "", "the module raises cannot be imported: KeyError: 'x'", "raises.py:1"),
    ("leaves:work", "", "the module leaves cannot be imported: SystemExit: 3", ""),
    ("stages:number", "", "stages:number is a int, which cannot be called", ""),
    ("stages:work", "arguments: {facter: 2}", "work has no argument 'facter'", "did you mean 'factor'?"),
    ("stages:needy", "", "needy(value): missing a required argument: 'path'", "needy(value, path)"),
    ("stages:Plain", "", "instances of Plain cannot be called", "__call__(self, value)"),
    ("stages:Two", "", "Two.__call__(self, value): missing a required argument: 'other'", "Two.__call__(self, value, other)"),
    ("needs:work", "", "ModuleNotFoundError: No module named 'nowhere'", "needs.py:2)"),
    ("stages:coroutine", "", "coroutine is a coroutine function", "asyncio.run"),
    ("stages:stream", "", "stream is an asynchronous generator function", "make it a plain generator"),
    ("stages:work", "batch: 8, decode: view", "a view is of one message", "leave out `batch`"),
  ])
  func mistakesAreNamedAtTheirLine(callable: String, more: String, error: String, remedy: String) throws {
    let project = try Project("""
      number = 5
      def work(value, factor=1): return value
      def needy(value, path): return value
      class Plain: pass
      class Two:
        def __call__(self, value, other): pass
      async def coroutine(value): return value
      async def stream(value): yield value
      """, """
      count: {plugin: generate, with: {count: 1}}
      work: {PY, inputs: [count], with: {callable: "\(callable)"\(more.isEmpty ? "" : ", " + more)}}
      out: {plugin: discard, inputs: [work]}
      """)
    _ = try project.folder.write("broken.py", "def work(value):\n  return )\n")
    _ = try project.folder.write("raises.py", "{}['x']\n")
    _ = try project.folder.write("needs.py", "import sys\nimport nowhere\n")
    _ = try project.folder.write("leaves.py", "raise SystemExit(3)\n")
    _ = try project.folder.write("ends.py", "import os\nos._exit(0)\n")
    let result = try Ringway.run(["validate", project.file])
    #expect(result.status == 78 && result.errors.contains(error) && (remedy.isEmpty || result.errors.contains(remedy)), "\(result.errors)")
    #expect(result.errors.contains("p.yaml:4:") && !result.errors.contains("Traceback"), "\(result.errors)")
  }

  @Test func aPortThatWasNotDeclaredIsAddedByItsSetting() throws {
    let project = try Project("def work(value): return value\n", """
      count: {plugin: generate, with: {count: 1}}
      work: {PY, inputs: [count], with: {callable: "stages:work"}}
      out: {plugin: discard, inputs: [work.large]}
      """)
    let result = try Ringway.run(["validate", project.file])
    #expect(result.status == 78 && result.errors.contains("= write \"work\" for its messages, or add `ports: [large]` to its `with`"), "\(result.errors)")
  }

  @Test func aSinkThatIsAGeneratorIsAMistake() throws {
    let project = try Project("""
      def take(value): yield value
      """, """
      count: {plugin: generate, with: {count: 1}}
      take: {PY, inputs: [count], with: {callable: "stages:take"}}
      """)
    let result = try Ringway.run(["validate", project.file])
    #expect(result.status == 78 && result.errors.contains("take is a generator function"), "\(result.errors)")
  }

  @Test func anInterpreterThatIsNotThereIsNamed() throws {
    let project = try Project("def work(value): pass\n", """
      count: {plugin: generate, with: {count: 1}}
      take: {PY, inputs: [count], with: {callable: "stages:work"}}
      """, python: "venv/bin/python")
    let result = try Ringway.run(["validate", project.file])
    #expect(result.status == 78 && result.errors.contains("there is no program \"venv/bin/python\""), "\(result.errors)")
  }
}
