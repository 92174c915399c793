import Foundation
import Harness
import Testing

/// Places that become read-only, vanish or come back while a run uses them, and names and kinds of files that are unusual.
@Suite struct PlaceTests {
  // MARK: Read-only

  @Test(.enabled(if: SmallDisk.canMount, SmallDisk.withoutMounting)) func aReadOnlyPlaceIsNamedAndNothingIsLost() throws {
    let disk = try SmallDisk("8m")
    let run = try Counting(nil, state: disk.path + "/state")
    let first = try disk.start(run.command)
    #expect(run.goesOn(first), "\(first.errors)")
    let workers = first.workers.map(\.pid)
    try run.interrupt(first)
    // As long as a file is open for writing, the file system cannot become read-only (mount(2), EBUSY).
    #expect(eventually { !workers.contains(where: Running.isAlive) })
    try disk.remount("ro")
    let refused = try disk.run(run.command)
    #expect(refused.status == 73 && refused.errors.contains("the state in \(run.state) cannot be used: open lock: Read-only file system"), "\(refused.errors)")
    #expect(try disk.run(["state", run.state]).output.contains("sound"))
    let other = try Counting(100, output: disk.path + "/out.txt")
    for (arguments, words) in [
      (["--state", disk.path + "/other"], "mkdir \(disk.path)/other: Read-only file system"),
      (["--report", disk.path + "/report.json"], "the report cannot be written: open \(disk.path)/report.json: Read-only file system"),
      ([], "stage \"results\": open \(disk.path)/out.txt: Read-only file system"),
    ] {
      let result = try disk.run(["run", arguments.isEmpty ? other.file : run.file, "--progress", "off"] + arguments)
      #expect(result.status == 73 && result.errors.contains(words), "\(result.errors)")
    }
    try disk.remount("rw")
    let second = try disk.start(run.command)
    #expect(run.goesOn(second), "\(second.errors)")
    #expect(try run.drain(second).status == 0 && Counting.isWhole(run.lines), "\(second.errors)")
  }

  // MARK: Vanished

  /// It is missed when the run ends, which it does in order; put back it serves as before.
  @Test func aStateThatIsMovedAwayIsMissedAtTheEnd() throws {
    let run = try Counting(nil)
    let first = try Running(run.command)
    #expect(run.goesOn(first), "\(first.errors)")
    let moved = run.folder.path("moved")
    try FileManager.default.moveItem(atPath: run.state, toPath: moved)
    // A worker that starts needs nothing of it.
    let victim = try #require(first.workers.first { $0.stage == "results" })
    kill(victim.pid, SIGKILL)
    #expect(eventually { first.workers.contains { $0.stage == "results" && $0.pid != victim.pid } } && run.goesOn(first), "\(first.errors)")
    let drained = try run.drain(first)
    #expect(drained.status == 73 && drained.errors.contains("the state in \(run.state) cannot be used: open run.json: No such file or directory"), "\(drained.errors)")
    #expect(Counting.isWhole(run.lines))
    try FileManager.default.moveItem(atPath: moved, toPath: run.state)
    let second = try Running(run.command)
    #expect(run.goesOn(second), "\(second.errors)")
    #expect(try run.drain(second).status == 0 && Counting.isWhole(run.lines), "\(second.errors)")
  }

  @Test func aStateThatIsRemovedIsMissedAtTheEnd() throws {
    let run = try Counting(nil)
    let first = try Running(run.command)
    #expect(run.goesOn(first), "\(first.errors)")
    try FileManager.default.removeItem(atPath: run.state)
    let drained = try run.drain(first)
    #expect(drained.status == 73 && drained.errors.contains("open run.json: No such file or directory"), "\(drained.errors)")
    #expect(Counting.isWhole(run.lines) && !FileManager.default.fileExists(atPath: run.state))
  }

  /// What is written to a file that has no name any more nobody will ever read.
  @Test(arguments: ["removed", "replaced", "its folder removed"]) func anOutputThatIsRemovedEndsTheRun(how: String) throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(atPath: folder.path("there"), withIntermediateDirectories: false)
    let run = try Counting(nil, output: folder.path("there/out.txt"))
    let running = try Running(["run", run.file, "--progress", "off"])
    #expect(run.goesOn(running), "\(running.errors)")
    switch how {
    case "removed": try FileManager.default.removeItem(atPath: run.output)
    case "replaced": #expect(rename(try folder.write("other", "mine"), run.output) == 0)
    default: try FileManager.default.removeItem(atPath: folder.path("there"))
    }
    let result = try run.drain(running)
    #expect(result.status == 74, "\(result.errors)")
    #expect(result.errors.contains("stage \"results\": \(run.output) was removed or replaced while it was written, and what was written to it is lost"), "\(result.errors)")
    if how == "replaced" { #expect(try String(contentsOfFile: run.output, encoding: .utf8) == "mine") }
  }

  /// A worker that starts again does not find it; the run ends, and goes on once the folder is back.
  @Test func anOutputFolderThatIsMovedAwayEndsTheRunAndItGoesOn() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(atPath: folder.path("there"), withIntermediateDirectories: false)
    let run = try Counting(nil, output: folder.path("there/out.txt"))
    let first = try Running(run.command)
    #expect(run.goesOn(first), "\(first.errors)")
    try FileManager.default.moveItem(atPath: folder.path("there"), toPath: folder.path("moved"))
    for worker in first.workers where worker.stage == "results" { kill(worker.pid, SIGKILL) }
    let result = try first.finish()
    #expect(result.status == 73 && result.errors.contains("stage \"results\": open \(run.output): No such file or directory"), "\(result.errors)")
    try FileManager.default.moveItem(atPath: folder.path("moved"), toPath: folder.path("there"))
    let second = try Running(run.command)
    #expect(run.goesOn(second), "\(second.errors)")
    #expect(try run.drain(second).status == 0 && Counting.isWhole(run.lines), "\(second.errors)")
  }

  // MARK: Names and kinds

  /// A link stays a link, its file is written, and any name that is text is a name.
  @Test func linksAndOddNamesAreFollowed() throws {
    let folder = try TemporaryFolder()
    for name in ["in", "there"] { try FileManager.default.createDirectory(atPath: folder.path(name), withIntermediateDirectories: false) }
    let names = ["-dash.txt", "a b.txt", "back\\slash.txt", "new\nline.txt", "quote\"'$HOME.txt", "ümläut 😀.txt"]
    for name in names { #expect(FileManager.default.createFile(atPath: folder.path("in/" + name), contents: Data("\(name.count)\n".utf8))) }
    try FileManager.default.createSymbolicLink(atPath: folder.path("in/zz link.txt"), withDestinationPath: "a b.txt")
    try FileManager.default.createSymbolicLink(atPath: folder.path("out ü.txt"), withDestinationPath: "there/real 'one'")
    let result = try folder.run("""
      ringway: 1
      stages:
        lines: {plugin: file.read, with: {path: "in/*.txt"}}
        out: {plugin: file.write, inputs: [lines], with: {path: "out ü.txt"}}
      """)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("there/real 'one'") == (names.dropLast() + ["a b.txt"] + names.suffix(1)).map { String($0.count) }, "in the order of their bytes")
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: folder.path("out ü.txt")) == "there/real 'one'")
  }

  /// Both ways through named pipes, of which the second is written before anybody reads it.
  @Test func pipesAreReadAndWrittenToTheirEnds() throws {
    let folder = try TemporaryFolder()
    for name in ["in", "out"] { #expect(mkfifo(folder.path(name), 0o600) == 0) }
    let running = try folder.start("""
      ringway: 1
      stages:
        lines: {plugin: file.read, with: {path: in}}
        out: {plugin: file.write, inputs: [lines], with: {path: out}}
      """)
    #expect(eventually { running.workers.count == 2 && running.workers.allSatisfy { Running.isAsleep($0.pid) } }, "\(running.errors)")
    let shell = URL(fileURLWithPath: "/bin/sh")
    let writer = try Running(["-c", "seq 1000 > '\(folder.path("in"))'"], executable: shell)
    let reader = try Running(["-c", "cat '\(folder.path("out"))'"], executable: shell)
    #expect(try running.finish().status == 0, "\(running.errors)")
    #expect(try writer.finish().status == 0)
    #expect(try reader.finish().output == (1...1000).map { "\($0)\n" }.joined())
  }

  /// What was not made for pipelines is not read into memory for that.
  @Test func aPipelineFileOfAHundredMegabytesIsRefused() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("p.yaml", "ringway: 1\n")
    #expect(truncate(file, 100_000_000) == 0)
    let result = try Ringway.run(["validate", file])
    #expect(result.status == 66 && result.errors.contains("p.yaml cannot be read: File too large"), "\(result.errors)")
  }
}
