import CJQ
import PluginKit

/// Finds the keys of messages by a filter, for a stage whose processes share its messages by them. A key is one JSON value and compared as its
/// canonical text: null, a list or an object is a key like any other, and 1.0 is the key 1.
package final class PartitionKey {
  private let filter: JQFilter
  private var reader: JQReader
  private var named = JQReader(.json)

  /// - Parameter isText: whether the filter sees a message as a string instead of the value that its JSON text means
  /// - Throws: `WorkerFailure` for a filter that does not compile
  package init(_ filter: String, isText: Bool) throws {
    self.filter = try JQFilter(filter)
    reader = JQReader(isText ? .text : .json)
  }

  deinit {
    filter.free()
    reader.free()
    named.free()
  }

  /// The key of a payload; or, when it is named, the key that this JSON text means.
  ///
  /// - Throws: `MessageFailure` for a message that has none, or several
  package func read(_ text: UnsafeRawBufferPointer, isNamed: Bool) throws -> [UInt8] {
    if isNamed {
      let value = try named.value(of: text)
      defer { value.free() }
      return value.canonicalText
    }
    var key: [UInt8]?
    try filter.run(try reader.value(of: text)) { result in
      defer { result.free() }
      if key != nil { throw MessageFailure("the filter gives several values") }
      key = result.canonicalText
      return true
    }
    guard let key else { throw MessageFailure("the filter gives no value") }
    return key
  }
}
