import Glibc

/// A detached POSIX thread that runs one closure. Workers use one for the control socket and one for waiting on a ring
/// while the main thread waits on sockets; the runner itself has none, since a parent-death signal belongs to the
/// thread that spawned the child (prctl(2), PR_SET_PDEATHSIG).
package enum Thread {
  /// Starts the thread with every signal blocked, so that signals stay the main thread's.
  ///
  /// - Returns: whether it could be started (pthread_create(3): EAGAIN).
  package static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
    let box = Unmanaged.passRetained(Body(body))
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 256 << 10)
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    let failed = pthread_create(&thread, &attributes, { argument in
      guard let argument else { return nil }
      Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
      return nil
    }, box.toOpaque())
    if failed != 0 { box.release() }
    return failed == 0
  }

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
}

/// A value of which each thread has its own (pthread_key_create(3)); nil until the thread sets it.
package struct ThreadLocal<Value>: @unchecked Sendable {
  // Unchecked: no thread sees another's value.
  private final class Box {
    let value: Value
    init(_ value: Value) { self.value = value }
  }

  private let key: pthread_key_t

  package init() {
    var key = pthread_key_t()
    pthread_key_create(&key) { box in if let box { Unmanaged<AnyObject>.fromOpaque(box).release() } }
    self.key = key
  }

  package var value: Value? {
    get { pthread_getspecific(key).map { Unmanaged<Box>.fromOpaque($0).takeUnretainedValue().value } }
    nonmutating set {
      let before = pthread_getspecific(key)
      pthread_setspecific(key, newValue.map { Unmanaged.passRetained(Box($0)).toOpaque() })
      if let before { Unmanaged<Box>.fromOpaque(before).release() }
    }
  }
}
