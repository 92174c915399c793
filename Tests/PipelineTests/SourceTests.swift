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
    let result = try project.run(deadline: 60)
    #expect(result.status == 0, "\(result.errors)")
    #expect(project.folder.lines("out").count == 100)
  }
}
