import Plans
import Platform
import Rings
import Specs

/// What the stages share: a ring before each one that reads (or one before each of its processes, where keys decide), a block of cells for
/// each, and the sockets that outlive their workers. Made before anything is spawned; a part that cannot be made is a reason not to begin.
final class StageMemory {
  struct Parts {
    /// None for a source; one that all processes read; or, with a partition, one for each process.
    var rings: [Ring] = []
    var isPartitioned = false
    var cells: CellBlock
    var sockets: [Int32] = []
    /// The rings of each reader, the first of this stage's producer lanes in them, and which of the readers it is.
    var outputs: [(ring: Ring, firstLane: Int, ports: [Int], whenFull: Queue.WhenFull, reader: Int)] = []

    /// Where a process takes its messages from, and its waiting place there.
    func input(of process: Int) -> (ring: Ring, lane: Int)? {
      if !isPartitioned { return rings.first.map { ($0, process) } }
      return rings.indices.contains(process) ? (rings[process], 0) : nil
    }

    /// Messages that wait or are being worked on, in all of its queues.
    var openSlots: Int { rings.reduce(0) { $0 + $1.openSlots } }
    var capacity: Int { rings.reduce(0) { $0 + $1.shape.capacity } }
  }

  typealias Failure = StartFailure

  private(set) var parts: [Parts] = []

  /// - Parameter state: where rings and cells are files; nil for memory that ends with the run
  init(_ plan: Plan, ringStart: RingStart, state: StateDirectory? = nil) throws(Failure) {
    var firstLanes = [Int](repeating: 0, count: plan.stages.count)
    do throws(Failure) {
      for i in plan.stages.indices { parts.append(try Self.make(i, plan, ringStart, state)) }
    } catch {
      release()
      throw error
    }
    for i in plan.stages.indices {
      for (k, reader) in plan.readers(of: i).enumerated() {
        for ring in parts[reader].rings {
          parts[i].outputs.append((ring, firstLanes[reader], plan.ports(from: i, to: reader), plan.stages[reader].queue?.whenFull ?? .block, k))
        }
        firstLanes[reader] += plan.stages[i].processes
      }
      for case .listens(let address, let setting) in plan.stages[i].resources {
        do throws(SystemError) {
          parts[i].sockets.append(try Sockets.listen(address))
        } catch {
          throw Failure(
            code: error.isPermission ? .permission : .cannotCreate,
            text: "stage \"\(plan.stages[i].name)\" cannot listen on \(address): \(error.reason) (choose another `\(setting)`, or end what listens there)")
        }
      }
    }
  }

  private static func make(_ i: Int, _ plan: Plan, _ start: RingStart, _ state: StateDirectory?) throws(Failure) -> Parts {
    let stage = plan.stages[i]
    var shape: RingShape?
    if let queue = stage.queue {
      let producers = plan.writers(to: i).reduce(0) { $0 + plan.stages[$1].processes }
      shape = RingShape(capacity: queue.capacity, messageBytes: queue.messageBytes, producers: producers, consumers: stage.processesOfAQueue, bytes: queue.bytes)
      if shape == nil { throw Failure(code: .system, text: "the queues cannot be made: \(SystemError("ring", stage.name, errno: 22))") }
    }
    let isPartitioned = stage.partition != nil
    if let state {
      var parts = Parts(isPartitioned: isPartitioned, cells: try state.cells(of: stage))
      if let rate = stage.rate { RateGate.resume(parts.cells, rate: rate, at: Clock.now) }
      if let shape { for k in 0..<stage.queues { parts.rings.append(try state.ring(of: stage, k, shape, start: start)) } }
      return parts
    }
    do throws(SystemError) {
      var parts = Parts(isPartitioned: isPartitioned, cells: try CellBlock.create(cells: stage.processes, name: "ringway-\(stage.name)-cells"))
      if let shape { for _ in 0..<stage.queues { parts.rings.append(try Ring.create(shape, name: "ringway-\(stage.name)", start: start)) } }
      return parts
    } catch {
      // EFBIG
      let remedy = error.errno == 27 ? " (the limit on the size of files counts for queues too: raise it with ulimit -f, or make the queues smaller)" : error.remedy
      throw Failure(code: .system, text: "the queues cannot be made: \(error)\(remedy)")
    }
  }

  /// The rings that a worker of this stage is attached to, for recovery.
  func attachments(stage: Int, process: Int) -> [Recovery.Attachment] {
    var all = parts[stage].outputs.map { Recovery.Attachment(ring: $0.ring, producerLane: $0.firstLane + process, reader: $0.reader) }
    if let input = parts[stage].input(of: process) { all.append(Recovery.Attachment(ring: input.ring, consumerLane: input.lane)) }
    return all
  }

  /// The cells of a stage's workers, in their order.
  func cells(of stage: Int, in plan: Plan) -> [CommitCell] { (0..<plan.stages[stage].processes).compactMap { try? parts[stage].cells.cell($0) } }

  func cell(stage: Int, process: Int) throws -> CommitCell { try parts[stage].cells.cell(process) }

  func release() {
    for part in parts {
      for ring in part.rings { ring.unmap() }
      part.cells.unmap()
      for socket in part.sockets { Descriptors.close(socket) }
    }
    parts = []
  }
}

extension SystemError {
  /// EPERM or EACCES.
  fileprivate var isPermission: Bool { errno == 1 || errno == 13 }
}
