/// Outputs of which each message goes to one, chosen by its key: the rings of a stage whose processes share its messages by their keys, one
/// for each process. Equal keys come to the same ring, so what one writer makes of a key is read in the order in which it was made.
///
/// To those who count they are one reader: what each of the rings was given adds up in one place of the cell (`Handoff.readerOf`), however
/// many there are.
package struct Partition {
  /// Finds a key: of a payload, or, when `isNamed`, of the JSON text that somebody has named for the message. Equal keys are equal bytes, over
  /// restarts too. What it throws is the failure of the call that emits the message.
  package typealias KeyReader = (_ text: UnsafeRawBufferPointer, _ isNamed: Bool) throws -> [UInt8]

  /// Which of the worker's outputs they are.
  package let outputs: Range<Int>
  package let key: KeyReader

  package init(outputs: Range<Int>, key: @escaping KeyReader) {
    self.outputs = outputs
    self.key = key
  }

  /// Which of so many rings a key belongs to: the same in every process, run and resume.
  package static func index(of key: [UInt8], among count: Int) -> Int { Int(MessageID.hash(key) % UInt64(max(1, count))) }
}

extension Handoff {
  /// The partitions that read a port.
  func partitions(of port: Int) -> [Int] { partitionReaders.indices.contains(port) ? partitionReaders[port] : [] }

  /// Whether somebody would use a key that is named for the next message of a port.
  package func wantsKey(_ port: Int) -> Bool { ordinal >= skip && !partitions(of: port).isEmpty }

  /// Whether anybody reads a port.
  func isRead(_ port: Int) -> Bool { !readers(of: port).isEmpty || !partitions(of: port).isEmpty }

  /// Chooses the output of a message in each partition that reads its port (`chosen`). All are chosen before anything is appended: a message
  /// without a key goes to nobody.
  ///
  /// - Parameter named: the JSON text of the key that the plugin has named; nil for a key that follows from the payload
  /// - Returns: the key that was named, as it is compared. It travels with the message, since nobody could find it again.
  func choose(_ payload: UnsafeRawBufferPointer, _ port: Int, _ named: [UInt8]?) throws -> [UInt8]? {
    chosen.truncate(to: 0)
    var travelling: [UInt8]?
    for p in partitions(of: port) {
      let partition = partitions[p]
      let key = try named.map { try $0.withUnsafeBytes { try partition.key($0, true) } } ?? partition.key(payload, false)
      if named != nil { travelling = key }
      let output = partition.outputs.lowerBound + Partition.index(of: key, among: partition.outputs.count)
      let length = payload.count + (travelling.map { $0.count + TravellingKey.overhead } ?? 0)
      if length > outputs[output].ring.shape.messageBytes {
        throw RingError.messageTooLarge(length: length, limit: outputs[output].ring.shape.messageBytes)
      }
      chosen.append(output)
    }
    return travelling
  }
}

/// How a key lies behind the payload of its message, where somebody has named it:
///
///     payload | key | length of the key, 32 bits
///
/// The length of both stands in the slot, so a queue's largest message holds both.
enum TravellingKey {
  static let overhead = 4

  /// How long the key behind a payload is; nil when that cannot be.
  static func length(in bytes: UnsafeRawBufferPointer) -> Int? {
    guard bytes.count >= overhead else { return nil }
    let length = Int(bytes.loadUnaligned(fromByteOffset: bytes.count - overhead, as: UInt32.self))
    return length <= bytes.count - overhead ? length : nil
  }

  /// Writes payload and key, which fill the memory.
  static func write(_ payload: UnsafeRawBufferPointer, _ key: [UInt8], to memory: UnsafeMutableRawBufferPointer) {
    memory.copyMemory(from: payload)
    UnsafeMutableRawBufferPointer(rebasing: memory[payload.count...]).copyBytes(from: key)
    memory.storeBytes(of: UInt32(clamping: key.count), toByteOffset: memory.count - overhead, as: UInt32.self)
  }
}
