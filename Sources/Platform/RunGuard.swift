import CLinux
import Glibc

/// A process that kills what a run's workers, and the programs that check its file, have started when the runner itself was killed: they and
/// the workers' programs die with it by the kernel's parent-death signals, but what those have started in turn would live on.
///
///     runner -- pipe --> guard     the guard waits for its end, which is the runner's
///     runner -- file --> guard     which process group each of them leads, read after that
///
/// Nothing is said to the guard while the runner lives, so it is never woken. The runner enters a group when it has started its leader. Should it die
/// before that, a worker does so itself before the stage's code runs in it, and asks only then whether its runner lives. The runner strikes the group
/// out when its leader has ended and its members are killed, but before the leader is reaped.
///
/// So a number in the file is that of a process that the runner had not reaped when it died, and the guard is on its way in the instant of
/// that. As long as the group has a member its number is nobody else's. Has it none any more (the kernel killed the worker, and init has reaped it),
/// then the guard's kill(2) finds nobody, unless the kernel has given out every other number meanwhile. A pidfd would not help: it holds the
/// leader, not the group, and most leaders are dead by then.
///
/// The guard is in a session of its own, takes no signal, and has no descriptors but the two: who reads the runner's output does not wait for it.
/// Who leaves the group on purpose (setsid(2)) is not found, and a guard that somebody has stopped (SIGSTOP) comes to it when it goes on.
package final class RunGuard {
  /// The file of groups, for the workers.
  package let groups: Int32
  private var process: ChildProcess
  /// Our end of the pipe; nobody inherits it.
  private var life: Int32
  private var hasEnded = false

  package init() throws(SystemError) {
    groups = linux_memfd("rw-guard")
    if groups < 0 { throw SystemError("memfd_create", "rw-guard") }
    var opened = [groups]
    defer { for fd in opened { close(fd) } }
    (process, life) = try Self.start(groups)
    opened = []
  }

  private static func start(_ groups: Int32) throws(SystemError) -> (ChildProcess, life: Int32) {
    let pipe = try Channel.pipe()
    var opened = [pipe.read, pipe.write]
    defer { for fd in opened { close(fd) } }
    // Its waiting is reading.
    let flags = linux_fcntl(pipe.read, F_GETFL, 0)
    if flags < 0 || linux_fcntl(pipe.read, F_SETFL, Int(flags & ~O_NONBLOCK)) < 0 { throw SystemError("fcntl", "the guard's pipe") }
    let pid = linux_spawn_guard(pipe.read, groups, name)
    if pid < 0 { throw SystemError("clone", "") }
    let process = try ChildProcess(started: pid, name)
    opened = [pipe.read]
    return (process, pipe.write)
  }

  package var pid: Int32 { process.pid }

  /// Readable when somebody has killed the guard.
  package var pidfd: Int32 { process.pidfd }

  /// Starts another guard of the same groups in the place of one that was killed.
  package func replace() throws(SystemError) {
    let (next, nextLife) = try Self.start(groups)
    do throws(SystemError) { _ = try process.reap() } catch {}
    close(life)
    (process, life) = (next, nextLife)
  }

  /// What `ps` shows.
  package static let name = "rw-guard"

  private static let wordSize = MemoryLayout<UInt64>.size

  /// How many places the programs have that are asked before a run; the workers' follow.
  package static let places = 64

  /// - Parameter worker: its number, from 1 on
  package static func place(ofWorker worker: Int) -> Int { places + worker - 1 }

  /// Called in a worker: its group is one to be killed from now on.
  package static func enter(_ place: Int, _ descriptor: Int32) { write(linux_group_word(getpid()), place, descriptor) }

  /// The same from outside.
  package func enter(_ place: Int, group: Int32) { Self.write(linux_group_word(group), place, groups) }

  /// A group is gone.
  package func strikeOut(_ place: Int) { Self.write(0, place, groups) }

  private static func write(_ word: UInt64, _ place: Int, _ descriptor: Int32) {
    var word = word
    // A file in memory, of which every page is there after the first write; what fails costs only the guard's help.
    _ = pwrite(descriptor, &word, wordSize, off_t(clamping: place * wordSize))
  }

  /// Ends the guard when nothing is left to be guarded, and waits until it has gone.
  package func end() {
    if hasEnded { return }
    hasEnded = true
    process.killNow()
    close(life)
    close(groups)
  }
}
