import CLinux
import Glibc

/// Memory that several processes share, passed on by its descriptor: a sealed memfd, so that nothing has a name in
/// /dev/shm that could be left behind (memfd_create(2)), or a file that is to outlive them all.
package struct SharedMemory: @unchecked Sendable {
  // Unchecked: the bytes are shared between processes anyway; whoever reads them does so by atomics.

  /// Where the mapping begins.
  package let base: UnsafeMutableRawPointer
  /// How many bytes are mapped.
  package let count: Int
  /// Close-on-exec; stays open, so that it can be passed on.
  package let descriptor: Int32

  /// Makes a memfd of this size, all zeros, whose size nobody can change (F_SEAL_SHRINK, F_SEAL_GROW): a peer that
  /// truncated it would kill everybody else with SIGBUS. Pages are taken as they are touched.
  package static func create(name: String, count: Int) throws(SystemError) -> SharedMemory {
    let fd = linux_memfd(name)
    if fd < 0 { throw SystemError("memfd_create", name) }
    if ftruncate(fd, count) != 0 {
      let error = SystemError("ftruncate", name)
      close(fd)
      throw error
    }
    if linux_seal_size(fd) != 0 {
      let error = SystemError("fcntl", name)
      close(fd)
      throw error
    }
    return try map(fd, count, name)
  }

  /// Makes a file of this size, all zeros, for its owner alone. Its room on the disk is taken at once where the file system can do
  /// that (fallocate(2)): a page that finds no room when it is touched would kill whoever touches it with SIGBUS.
  package static func create(file path: String, count: Int) throws(SystemError) -> SharedMemory {
    let fd = try Files.open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW)
    var failure: SystemError?
    if ftruncate(fd, count) != 0 { failure = SystemError("ftruncate", path) }
    if failure == nil, linux_allocate(fd, Int64(count)) != 0 {
      let error = SystemError("fallocate", path)
      if error.errno != EOPNOTSUPP { failure = error }
    }
    if let failure {
      close(fd)
      unlink(path)
      throw failure
    }
    return try map(fd, count, path)
  }

  /// Maps a file that `create` made, at the size that it has now.
  ///
  /// - Parameter isWritable: otherwise a store into it ends the process (SIGSEGV)
  package static func open(file path: String, isWritable: Bool = true) throws(SystemError) -> SharedMemory {
    let fd = try Files.open(path, (isWritable ? O_RDWR : O_RDONLY) | O_NOFOLLOW)
    var info = stat()
    if fstat(fd, &info) != 0 {
      let error = SystemError("fstat", path)
      close(fd)
      throw error
    }
    guard info.st_mode & S_IFMT == S_IFREG, let count = Int(exactly: info.st_size), count > 0 else {
      close(fd)
      throw SystemError("mmap", path, errno: EINVAL)
    }
    return try map(fd, count, path, isWritable: isWritable)
  }

  /// Has what was written reach the disk (fsync(2) does so for a mapping of the file, too).
  package func sync() throws(SystemError) {
    if fsync(descriptor) != 0 { throw SystemError("fsync", "descriptor \(descriptor)") }
  }

  /// Maps a memfd that another process made. The descriptor belongs to the mapping from now on.
  package static func attach(_ descriptor: Int32) throws(SystemError) -> SharedMemory {
    var info = stat()
    if fstat(descriptor, &info) != 0 { throw SystemError("fstat", "descriptor \(descriptor)") }
    guard let count = Int(exactly: info.st_size), count > 0 else { throw SystemError("mmap", "descriptor \(descriptor)", errno: EINVAL) }
    return try map(descriptor, count, "descriptor \(descriptor)")
  }

  private static func map(_ fd: Int32, _ count: Int, _ name: String, isWritable: Bool = true) throws(SystemError) -> SharedMemory {
    guard let base = mmap(nil, count, isWritable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0), base != MAP_FAILED else {
      let error = SystemError("mmap", name)
      close(fd)
      throw error
    }
    // A program that the plugin starts must not inherit the ring: it would outlive the recovery of its parent.
    _ = linux_dont_fork(base, count)
    return SharedMemory(base: base, count: count, descriptor: fd)
  }

  /// Takes the pages of a range before they are used: a first touch costs microseconds (madvise(2), MADV_POPULATE_WRITE).
  /// Failing is harmless; the pages come when they are touched.
  package func populate(_ range: Range<Int>) {
    let page = 4096
    let lower = max(0, range.lowerBound) / page * page
    let upper = min(count, (range.upperBound + page - 1) / page * page)
    if lower < upper { _ = linux_populate(base + lower, upper - lower) }
  }

  package func unmap() {
    munmap(base, count)
    close(descriptor)
  }
}
