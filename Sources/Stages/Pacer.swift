import Platform
import Rings

/// Keeps a stage to its `rate`: a worker takes a turn at the gate that it shares with the other processes of its stage, and
/// sleeps until the turn has come. That counts as waiting for input, and as no call of the plugin: neither the bottleneck nor the
/// `timeout` is the stage's fault then.
final class Pacer {
  private var gate: RateGate
  private let handoff: Handoff

  init(_ gate: RateGate, _ handoff: Handoff) {
    self.gate = gate
    self.handoff = handoff
  }

  /// Nanoseconds until the next message may begin; 0 when it may now.
  var wait: UInt64 {
    let now = Clock.now
    let turn = gate.take(at: now)
    return turn > now ? turn - now : 0
  }

  /// Sleeps until the next message may begin, or until a descriptor is readable.
  func sleep(orUntilReadable descriptor: Int32? = nil) {
    while true {
      let wait = wait
      if wait == 0 { return }
      let ready = handoff.waitingForInput {
        Descriptors.wait(descriptor.map { [.readable($0)] } ?? [], until: .now + .nanoseconds(Int64(clamping: wait)))
      }
      if ready.contains(true) { return }
    }
  }

  /// A message has begun, or a source has made one.
  func begun() { gate.begun(at: Clock.now) }
}

extension Worker {
  /// Whether the stage's rate lets no message begin yet.
  var mustWait: Bool { pacer.map { $0.wait > 0 } ?? false }

  /// Claims the next message and waits until it may begin. Finished work does not wait with it: while there is some, and the turn
  /// has not come, there is nothing to claim.
  @inline(__always)
  func claim() throws -> Lease? {
    guard let pacer else { return try handoff.claim() }
    return try claim(pacer)
  }

  private func claim(_ pacer: Pacer) throws -> Lease? {
    if handoff.pendingCalls > 0, mustWait { return nil }
    guard let lease = try handoff.claim() else { return nil }
    pacer.sleep()
    pacer.begun()
    return lease
  }

  /// Waits for a message, or until finished work may be handed over.
  func waitForInput() throws -> Handoff.InputState {
    if handoff.pendingCalls > 0, let wait = pacer?.wait, wait > 0 {
      try handoff.waitForTurn(until: Clock.now + wait)
      return .ready
    }
    return try handoff.waitForInput()
  }

  /// Claims messages: waits for the first to be allowed, and takes as many more as may begin at once.
  func claim(atMost most: Int, into leases: inout [Lease]) throws -> Int {
    guard pacer != nil else { return try handoff.claim(atMost: most, into: &leases) }
    var n = 0
    while n < most, n == 0 || !mustWait, let lease = try claim() {
      leases.append(lease)
      n += 1
      if lease.isAlone { break }
    }
    return n
  }
}
