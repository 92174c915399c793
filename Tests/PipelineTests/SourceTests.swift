import Foundation
import Harness
import Testing

/// What a source may do, and what becomes of its messages then.
@Suite struct SourceTests {
  /// It makes twenty at once, and then waits until all of them have arrived.
  @Test func aSourceThatWaitsKeepsNothing() throws {
    let project = try Project("""
      numbers: {PY:values"}}
      out: {plugin: file.write, inputs: [numbers], with: {path: out}}
      """, python: """
      import os
      out = os.path.dirname(__file__) + "/out"
      def values():
          for round in range(1, 6):
              for n in range(20):
                  yield str(n)
              while not os.path.exists(out) or sum(1 for _ in open(out)) < 20 * round:
                  os.sched_yield()
      """)
    let result = try project.run()
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.folder.lines("out").count == 100)
  }

  /// The source dies when it has made 60 messages, and makes all of them anew, which takes longer than one message may.
  @Test(arguments: ["PY:values\"}", "plugin: exec, with: {command: [python3, -u, stages.py]}, directory: ."])
  func toPassOverWhatWasMadeIsNoMessage(source: String) throws {
    let project = try Project("""
      numbers: {\(source), timeout: 2s, restart: {max: 3}}
      out: {plugin: file.write, inputs: [numbers], with: {path: out}}
      """, python: """
      import time
      def values():
          for n in range(80):
              until = time.monotonic() + 0.05
              while time.monotonic() < until:
                  pass
              yield str(n)
      if __name__ == "__main__":
          for value in values():
              print(value)
      """)
    let running = try project.start()
    #expect(eventually { project.folder.lines("out").count >= 60 }, "\(running.errors)")
    for worker in running.workers where worker.stage == "numbers" { kill(worker.pid, SIGKILL) }
    let result = try running.finish()
    #expect(result.status == 0 && !result.errors.contains("took longer"), "\(result.errors)")
    #expect(project.folder.lines("out") == (0..<80).map(String.init))
  }
}
