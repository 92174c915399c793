import Plans
import Specs
import Testing

@testable import Plans

struct ResourceTests {
  static let broken: [Broken] = [
    Broken(
      "a file that is not there, and a pattern that matches nothing",
      """
        a: {plugin: read, with: {path: none.txt}}
        b: {plugin: read, with: {path: "/data/*.txt"}}
        c: {plugin: drop, inputs: [a, b]}
      """,
      "3:34 missing-file: there is no file \"none.txt\"; relative paths start from the pipeline file's folder, /here",
      "4:34 missing-file: no file matches \"/data/*.txt\""),
    Broken(
      "a folder in place of a file",
      """
        a: {plugin: read, with: {path: /tmp}}
        b: {plugin: write, inputs: [a], with: {path: ../tmp}}
      """,
      "3:34 is-directory: \"/tmp\" is a folder; name its files with a pattern such as /tmp/*",
      "4:48 is-directory: \"../tmp\" is a folder; name a file in it"),
    Broken(
      "a file to be written where no folder is",
      """
        a: {plugin: numbers}
        b: {plugin: write, inputs: [a], with: {path: out/./b.txt}}
        c: {plugin: write, inputs: [a], with: {path: /none/c.txt}}
      """,
      "4:48 missing-directory: there is no folder \"/here/out\" to write into; make it first; relative paths start from the pipeline file's folder, /here",
      "5:48 missing-directory: there is no folder \"/none\" to write into; make it first"),
    Broken(
      "the pipeline file, by its name and through a link",
      """
        a: {plugin: numbers}
        b: {plugin: write, inputs: [a], with: {path: ./test.yaml}}
        c: {plugin: write, inputs: [a], with: {path: alias}}
      """,
      "4:48 writes-pipeline: this is the pipeline file; name another one",
      "5:48 writes-pipeline: this is the pipeline file; name another one",
      world: World(files: ["/here/test.yaml"], links: ["/here/alias": "/here/test.yaml"])),
    Broken(
      "one file by two names, not there yet",
      """
        a: {plugin: numbers}
        b: {plugin: write, inputs: [a], with: {path: x.txt}}
        c: {plugin: write, inputs: [a], with: {path: /here/../here/./x.txt}}
      """,
      "5:48 written-twice: \"b\" writes to this file too; give each stage a file of its own, or let one stage read both inputs"),
    Broken(
      "one file through a link to its folder",
      """
        a: {plugin: numbers}
        b: {plugin: write, inputs: [a], with: {path: /tmp/x.txt}}
        c: {plugin: write, inputs: [a], with: {path: there/x.txt}}
      """,
      "5:48 written-twice: \"b\" writes to this file too; give each stage a file of its own, or let one stage read both inputs",
      world: World(links: ["/here/there": "/tmp"])),
    Broken(
      "one file through a link to it",
      """
        a: {plugin: numbers}
        b: {plugin: write, inputs: [a], with: {path: /tmp/x.txt}}
        c: {plugin: write, inputs: [a], with: {path: alias}}
      """,
      "5:48 written-twice: \"b\" writes to this file too; give each stage a file of its own, or let one stage read both inputs",
      world: World(files: ["/tmp/x.txt"], links: ["/here/alias": "/tmp/x.txt"])),
    Broken(
      "one file through a link to what is not there yet",
      """
        a: {plugin: numbers}
        b: {plugin: write, inputs: [a], with: {path: new}}
        c: {plugin: write, inputs: [a], with: {path: alias}}
      """,
      "5:48 written-twice: \"b\" writes to this file too; give each stage a file of its own, or let one stage read both inputs",
      world: World(links: ["/here/alias": "other", "/here/other": "new"])),
    Broken(
      "two hard links to one file",
      """
        a: {plugin: numbers}
        b: {plugin: write, inputs: [a], with: {path: x}}
        c: {plugin: write, inputs: [a], with: {path: y}}
        d: {plugin: write, inputs: [a], with: {path: z}}
      """,
      "5:48 written-twice: \"b\" writes to this file too; give each stage a file of its own, or let one stage read both inputs",
      world: World(files: ["/here/x", "/here/y", "/here/z"], hardLinks: [["/here/x", "/here/y"]])),
    Broken(
      "a file that is read and written",
      """
        a: {plugin: read, with: {path: "*.txt"}}
        b: {plugin: write, inputs: [a], with: {path: b.txt}}
      """,
      "3:34 read-and-written: \"b\" writes a file that \"a\" reads; let it write another file",
      world: World(files: ["/here/a.txt", "/here/b.txt"])),
    Broken(
      "a file that is to be read before it is written",
      """
        a: {plugin: read, with: {path: b.txt}}
        b: {plugin: write, inputs: [a], with: {path: ./b.txt}}
      """,
      "3:34 read-and-written: \"b\" writes a file that \"a\" reads; let it write another file"),
    Broken(
      "two that take a standard stream",
      """
        a: {plugin: keyboard}
        b: {plugin: keyboard}
        c: {plugin: show, inputs: [a]}
        d: {plugin: show, inputs: [b]}
      """,
      "4:15 taken-twice: \"a\" uses standard input too; only one stage can",
      "6:15 taken-twice: \"c\" uses standard output too; only one stage can"),
    Broken(
      "two that listen on one port",
      """
        a: {plugin: listen, with: {address: "127.0.0.1:80"}}
        b: {plugin: listen, with: {address: "0.0.0.0:80"}}
        c: {plugin: drop, inputs: [a, b]}
      """,
      "4:39 listens-twice: \"a\" listens on port 80 too; choose another port"),
  ]

  @Test(arguments: broken)
  func saysWhatIsMissingOutsideOrTakenTwice(_ file: Broken) throws {
    let checked = try Checked("ringway: 1\nstages:\n" + file.stages, file.world)
    #expect(checked.lines == file.expected)
  }

  @Test func whatMayBeSharedIsNoConflict() throws {
    let world = World(files: ["/here/a.txt", "/here/b.txt", "/here/c.txt"])
    let checked = try Checked(
      """
      ringway: 1
      stages:
        a: {plugin: read, with: {path: "a.*"}}
        b: {plugin: read, with: {path: a.txt}}
        c: {plugin: listen, with: {address: "127.0.0.1:80"}}
        d: {plugin: listen, with: {address: "127.0.0.2:80"}}
        e: {plugin: listen, with: {address: "127.0.0.1:81"}}
        f: {plugin: listen, with: {address: "127.0.0.1:0"}}
        g: {plugin: listen, with: {address: "127.0.0.1:0"}}
        h: {plugin: write, inputs: [a, b, c, d, e, f, g], with: {path: /dev/null}}
        i: {plugin: write, inputs: [a], with: {path: /dev/null}}
        j: {plugin: write, inputs: [a], with: {path: b.txt}}
        k: {plugin: write, inputs: [a], with: {path: c.txt}}
      """, world)
    #expect(checked.lines == [])
  }

  @Test func theOtherPlaceIsNoted() throws {
    let checked = try Checked(
      """
      ringway: 1
      stages:
        a: {plugin: numbers}
        b: {plugin: write, inputs: [a], with: {path: x}}
        c: {plugin: write, inputs: [a], with: {path: x}}
      """)
    let note = try #require(checked.diagnostics.first?.notes.first)
    #expect(note.text == "it is written here first")
    #expect(note.span.start.line == 4)
    #expect(checked.diagnostics.first?.path == "stages.c.with.path")
  }

  @Test(arguments: [
    ("127.0.0.1:80", "127.0.0.1:80", true), ("127.0.0.1:80", "localhost:80", true), ("127.0.0.1:80", "127.0.0.1:81", false),
    ("[::]:80", "10.0.0.1:80", true), ("[::1]:80", "[::1]:080", true), ("a:0", "a:0", false), ("a:1", "b:1", false), (":1", "b:1", true),
  ])
  func listenersCollide(_ a: String, _ b: String, _ expected: Bool) {
    #expect(ListenAddress(a).collides(with: ListenAddress(b)) == expected)
    #expect(ListenAddress(b).collides(with: ListenAddress(a)) == expected)
  }

  @Test(arguments: [
    ("/", "/"), ("//a///b/", "/a/b"), ("/a/./b/../c", "/a/c"), ("/../..", "/"), ("/a/..", "/"), ("/..a/b.", "/..a/b."),
  ])
  func pathsAreNormalised(_ path: String, _ expected: String) { #expect(Path.normal(path) == expected) }
}
