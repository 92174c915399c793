import Platform
import Plans
import PluginKit
import Python

/// A Python callable as the loops see it: values go in, values come out, exceptions are failures.
///
/// The thread that runs it holds the interpreter's lock, but for the waits (`PythonWaits`).
final class PythonStage {
  let python: CPython
  private let call: Object
  private let closeMethod: Object
  private let loads: Object
  private let encodeMethod: Object
  private let viewMethod: Object
  private let collectMethod: Object
  private let failureMethod: Object
  private let keyMethod: Object
  private let messageType: Object
  private let decode: Python.Decode
  private let encode: Python.Encode
  private let ports: [String]
  private let stage: String
  let name: String

  /// The object `Host` of worker.py, which the shared library was handed before its loop began.
  // Unsafe: written once by the one thread that runs the loop.
  nonisolated(unsafe) static var host: (python: CPython, object: Object)?

  /// What this process does, once it has enlisted.
  // Unsafe: written once by the one thread that runs the loop, before it.
  nonisolated(unsafe) static var order: WorkOrder?

  /// Whether this process is one that user code has forked.
  // Unsafe: written in the child of a fork, where there is one thread.
  nonisolated(unsafe) static var isForked = false

  init(_ given: Given, _ context: Context) throws {
    guard let (python, host) = Self.host else { throw WorkerFailure(.invariantBroken, "there is no Python in this process") }
    func attribute(_ name: String) throws -> Object {
      guard let found = python.attribute(host, name) else { throw WorkerFailure(.invariantBroken, "worker.py has no \(name)") }
      return found
    }
    self.python = python
    call = try attribute("call")
    closeMethod = try attribute("close")
    loads = try attribute("loads")
    encodeMethod = try attribute("encode")
    viewMethod = try attribute("view")
    collectMethod = try attribute("collect")
    failureMethod = try attribute("failure")
    keyMethod = try attribute("key")
    messageType = try attribute("Message")
    let called = try attribute("name")
    name = python.text(called) ?? ""
    decode = given.pythonDecode
    encode = given.pythonEncode
    ports = given.pythonPorts
    stage = context.stage
  }

  // MARK: Values

  /// Calls with one message; `take` gets the result.
  func call(_ message: Message, _ take: (Object) throws -> Void) throws {
    if decode == .view { return try callWithView(message, take) }
    let value = try self.value(message)
    defer { python.release(value) }
    guard let result = called(python.call(call, value)) else { throw failure() }
    defer { python.release(result) }
    try take(result)
  }

  /// The result of a call; in a process that was forked in it there is none, since two would hand on the same messages.
  private func called(_ result: Object?) -> Object? {
    if Self.isForked {
      try? Descriptors.writeAll(2, "\(name) has returned in a process that it had forked: end such a process with os._exit()\n")
      CurrentProcess.exit(ExitCode.pluginProtocol.rawValue)
    }
    return result
  }

  /// A reference to the value of a message.
  func value(_ message: Message) throws -> Object {
    let start = message.payload.baseAddress?.assumingMemoryBound(to: CChar.self)
    let count = message.payload.count
    let format: MessageFormat =
      switch decode {
      case .auto: message.format
      case .json: .json
      case .text: .text
      case .bytes, .view: .bytes
      }
    if format == .bytes {
      guard let bytes = python.bytes(start, count) else { throw failure() }
      return bytes
    }
    // What is no UTF-8 survives the way to a str and back (PEP 383).
    guard let text = python.decodeUTF8(start ?? UnsafePointer(bitPattern: 1), count, "surrogateescape") else { throw failure() }
    if format == .text { return text }
    defer { python.release(text) }
    guard let value = python.call(loads, text) else { throw failure("the message is not JSON: ", isPermanent: true) }
    return value
  }

  /// Calls with a list of values.
  ///
  /// - Parameter wantsResults: whether there must be a result for each
  /// - Returns: a reference to a list with a result for each, or nil
  func call(_ messages: [Message], wantsResults: Bool) throws -> Object? {
    guard let values = python.list(messages.count) else { throw failure() }
    defer { python.release(values) }
    for (i, message) in messages.enumerated() { _ = python.setListItem(values, i, try value(message)) }
    guard let result = called(python.call(call, values)) else { throw failure() }
    defer { python.release(result) }
    if !wantsResults { return nil }
    // A mapping, a text or a number is one value and no list of results, however many items it has.
    guard result == python.none || python.isListed(result) else {
      throw MessageFailure("\(name) returned one value for a batch of \(messages.count): it must return a list with a result for each value", isPermanent: true)
    }
    guard result != python.none, let results = called(python.listed(result)) else {
      if result != python.none { throw failure() }
      throw MessageFailure("\(name) returned None for a batch of \(messages.count): it must return a list with a result for each value", isPermanent: true)
    }
    let count = python.size(results)
    if count == messages.count { return results }
    python.release(results)
    throw MessageFailure("\(name) returned \(count) results for a batch of \(messages.count): it must return one for each value", isPermanent: true)
  }

  private func callWithView(_ message: Message, _ take: (Object) throws -> Void) throws {
    let address = UnsafeMutableRawPointer(mutating: message.payload.baseAddress ?? UnsafeRawPointer(python.none))
    guard let pair = python.call(viewMethod, taking: [python.fromAddress(address), python.integer(message.payload.count)]),
      let exporter = python.item(pair, 0), let view = python.item(pair, 1)
    else { throw failure() }
    python.retain(exporter)
    python.retain(view)
    python.release(pair)
    var thrown: (any Error)?
    if let result = called(python.call(call, view)) {
      do { try take(result) } catch { thrown = error }
      python.release(result)
    } else {
      thrown = failure()
    }
    python.release(view)
    if python.references(exporter) > 1 { python.release(python.call(collectMethod, taking: [])) }
    let isKept = python.references(exporter) > 1
    python.release(exporter)
    if isKept {
      // The memory will hold another message soon.
      throw WorkerFailure(
        .pluginProtocol, "\(name) keeps a view of message \(message.id) beyond its call: let it keep a copy, as by bytes(view), or set `decode: bytes`")
    }
    if let thrown { throw thrown }
  }

  // MARK: Results

  /// Hands on what a call has returned: nothing, one value, or each item of a list or an iterator.
  func emitAll(_ result: Object, _ out: any Emitter) throws {
    if result == python.none { return }
    guard python.isExactly(result, python.listType) || python.isIterator(result) != 0 else { return try emit(result, out) }
    guard let items = python.iterator(result) else { throw failure() }
    defer { python.release(items) }
    while let item = nextItem(items) {
      defer { python.release(item) }
      if item != python.none { try emit(item, out) }
    }
    if python.hasError() != nil { throw failure() }
  }

  /// A reference to the next item of an iterator, or nil at its end, or with an error set.
  func nextItem(_ items: Object) -> Object? { called(python.next(items)) }

  /// Hands on one value.
  ///
  /// - Parameters:
  ///   - port: 0 for the main one
  ///   - key: what names the message for stages that share messages by their keys; nil leaves it to them
  func emit(_ value: Object, _ out: any Emitter, to port: Int = 0, key: Object? = nil) throws {
    func handOn(_ bytes: UnsafeRawBufferPointer, _ format: MessageFormat) throws {
      if let key { return try out.emit(bytes, as: format, to: port) { try text(ofKey: key) } }
      if port == 0 { try out.emit(bytes, as: format) } else { try out.emit(bytes, as: format, to: port) }
    }
    if encode == .auto || encode == .bytes, python.isExactly(value, python.bytesType) {
      var start: UnsafeMutablePointer<CChar>?
      var count = 0
      guard python.bytesAsString(value, &start, &count) == 0 else { throw failure() }
      return try handOn(UnsafeRawBufferPointer(start: start, count: count), .bytes)
    }
    if encode == .auto || encode == .text, python.isExactly(value, python.stringType) {
      var count = 0
      if let start = python.utf8(value, &count) { return try handOn(UnsafeRawBufferPointer(start: start, count: count), .text) }
      // It has surrogates, which the slow way knows.
      python.clearError()
    }
    if python.isExactly(value, messageType) { return try emitMessage(value, out) }
    try emitEncoded(value, handOn)
  }

  private func emitMessage(_ message: Object, _ out: any Emitter) throws {
    guard let key = python.attribute(message, "key") else { throw failure() }
    defer { python.release(key) }
    let port = try port(of: message)
    guard let value = python.attribute(message, "value") else { throw failure() }
    defer { python.release(value) }
    if python.isExactly(value, messageType) { throw MessageFailure("a Message in a Message", isPermanent: true) }
    try emit(value, out, to: port, key: key == python.none ? nil : key)
  }

  /// The JSON text of a key that a Message names.
  private func text(ofKey key: Object) throws -> [UInt8] {
    guard let text = python.call(keyMethod, key) else { throw failure("the key of a Message is no JSON value: ", isPermanent: true) }
    defer { python.release(text) }
    var start: UnsafeMutablePointer<CChar>?
    var count = 0
    guard python.bytesAsString(text, &start, &count) == 0 else { throw failure() }
    return Array(UnsafeRawBufferPointer(start: start, count: count))
  }

  /// The number of the port that a Message names; 0 for none.
  private func port(of message: Object) throws -> Int {
    guard let given = python.attribute(message, "port") else { throw failure() }
    defer { python.release(given) }
    if given == python.none { return 0 }
    let name = python.text(given)
    if let number = name.flatMap(ports.firstIndex) { return number + 1 }
    throw MessageFailure(
      "a message for the port \(name.map { "\"\($0)\"" } ?? "that is no str"), which `ports` of \(stage) does not name", isPermanent: true)
  }

  private func emitEncoded(_ value: Object, _ handOn: (UnsafeRawBufferPointer, MessageFormat) throws -> Void) throws {
    guard let pair = python.call(encodeMethod, value) else { throw failure() }
    defer { python.release(pair) }
    guard let encoded = python.item(pair, 0), let number = python.item(pair, 1) else { throw failure() }
    let format = MessageFormat(rawValue: UInt8(truncatingIfNeeded: python.asInteger(number))) ?? .bytes
    // Py_buffer begins with the address, the object and the length (buffer.h); it has 80 bytes.
    try withUnsafeTemporaryAllocation(byteCount: 128, alignment: 16) { buffer in
      guard let place = buffer.baseAddress else { return }
      // PyBUF_SIMPLE
      guard python.getBuffer(encoded, place, 0) == 0 else { throw failure() }
      defer { python.releaseBuffer(place) }
      let start = place.load(as: UnsafeRawPointer?.self)
      let count = place.load(fromByteOffset: 16, as: Int.self)
      try handOn(UnsafeRawBufferPointer(start: start, count: count), format)
    }
  }

  // MARK: The ends

  /// A reference to an iterator over a source's values.
  func values() throws -> Object {
    guard let values = python.call(call, taking: []) else { throw failure() }
    return values
  }

  func close() throws {
    guard let result = python.call(closeMethod, taking: []) else { throw failure() }
    python.release(result)
  }

  /// A source was told to end while it was making a value.
  struct Stopped: Error {}

  /// The exception that is set, as a message's failure. Its traceback goes to the log.
  func failure(_ prefix: String = "", isPermanent: Bool = false) -> any Error {
    var (kind, value, trace): (Object?, Object?, Object?) = (nil, nil, nil)
    python.fetchError(&kind, &value, &trace)
    python.normalizeError(&kind, &value, &trace)
    guard kind != nil else { return MessageFailure(prefix + "Python failed without an exception", isPermanent: isPermanent) }
    func orNone(_ object: Object?) -> Object? {
      if let object { return object }
      python.retain(python.none)
      return python.none
    }
    guard let shown = python.call(failureMethod, taking: [kind, orNone(value), orNone(trace)]) else {
      python.clearError()
      return MessageFailure(prefix + "an exception that cannot be shown", isPermanent: isPermanent)
    }
    defer { python.release(shown) }
    if shown == python.none { return Stopped() }
    func text(_ i: Int) -> String? { python.item(shown, i).flatMap(python.text) }
    return MessageFailure(prefix + (text(0) ?? "an exception"), isPermanent: isPermanent, details: text(1) ?? "")
  }
}
