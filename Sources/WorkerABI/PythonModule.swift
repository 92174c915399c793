// The module `ringway_python`: what worker.py calls. An extension module of its own needs nothing that loads libraries for Python, which
// takes longer to import than all of this.

import PluginKit
import Platform
import Stages

/// A function of a module as the interpreter has it (`PyMethodDef`, https://docs.python.org/3/c-api/structures.html). It holds the
/// interpreter's lock while it runs.
private struct MethodDefinition {
  let name: UnsafePointer<CChar>?
  let function: (@convention(c) (Object?, Object?) -> Object?)?
  let flags: Int32
  let text: UnsafePointer<CChar>?

  /// One argument, the tuple of all that were given (`METH_VARARGS`).
  static let takesTuple: Int32 = 1
}

/// A module as the interpreter has it (`PyModuleDef`, https://docs.python.org/3/c-api/module.html): the same in 3.9 to 3.13.
private struct ModuleDefinition {
  // PyModuleDef_Base: an object that is never freed, and what the interpreter itself notes.
  var references = 1
  var type: Object?
  var initializer: Object?
  var index = 0
  var copy: Object?
  var name: UnsafePointer<CChar>?
  var text: UnsafePointer<CChar>?
  var size = -1
  var methods: UnsafeMutablePointer<MethodDefinition>?
  var slots: Object?
  var traverse: Object?
  var clear: Object?
  var free: Object?
}

/// What the functions below work with, set while the module is made.
nonisolated(unsafe) private var interpreter: CPython?

/// The arguments of a call, and its result. An argument that is not there, or of another type, is the interpreter's error.
private func answer(_ arguments: Object?, _ body: (CPython, Object) -> Int?) -> Object? {
  guard let interpreter, let arguments else { return nil }
  guard let result = body(interpreter, arguments) else {
    if interpreter.hasError() == nil { interpreter.setError(interpreter.typeError, "ringway_python: an argument has another type") }
    return nil
  }
  return interpreter.integer(result)
}

extension CPython {
  /// Of bytes, since what a program's path or an exception says need not be UTF-8.
  fileprivate func text(_ arguments: Object, _ index: Int) -> String? {
    var start: UnsafeMutablePointer<CChar>?
    var length = 0
    guard let item = item(arguments, index), bytesAsString(item, &start, &length) == 0 else { return nil }
    return String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
  }

  fileprivate func number(_ arguments: Object, _ index: Int) -> Int32? {
    guard let item = item(arguments, index) else { return nil }
    let value = asInteger(item)
    return hasError() == nil ? Int32(exactly: value) : nil
  }
}

/// What the interpreter calls when it imports the module, by the name that it expects.
///
/// - Returns: the module; nil in an interpreter that lacks a function
@c(PyInit_ringway_python) public func makePythonModule() -> UnsafeMutableRawPointer? {
  let python: CPython
  do { python = try CPython() } catch {
    try? Descriptors.writeAll(2, "this interpreter cannot be used: \(error)\n")
    return nil
  }
  interpreter = python
  let functions: [(StaticString, @convention(c) (Object?, Object?) -> Object?)] = [
    // enlist(runner, reserved): makes the process a worker, which waits for as many descriptors at most, unless it has all; 0, or the exit status that it is to end with at once.
    ("enlist", { answer($1) { python, given in
      guard let runner = python.number(given, 0), let reserved = python.number(given, 1) else { return nil }
      return Int(enlistPython(python, under: runner, reserved: reserved))
    } }),
    // run(host, kind): runs the worker to its end; the exit status of the process.
    ("run", { answer($1) { python, given in
      guard let host = python.item(given, 0), let kind = python.number(given, 1) else { return nil }
      return Int(runPython(python, host, kind))
    } }),
    // fail(text, code): tells the runner why the worker cannot run, or did not end in order, before it exits with this code.
    ("fail", { answer($1) { python, given in
      guard let text = python.text(given, 0), let code = python.number(given, 1) else { return nil }
      reportFailure(ExitCode(rawValue: code) ?? .pluginProtocol, text)
      return 0
    } }),
    // opening(text): tells the runner what the worker is about to do on the way to its first message.
    ("opening", { answer($1) { python, given in
      guard let text = python.text(given, 0) else { return nil }
      reportOpening(text)
      return 0
    } }),
    // not_opened(error, details): tells the runner why the stage's class could not be constructed, before the worker ends as a crash.
    ("not_opened", { answer($1) { python, given in
      guard let error = python.text(given, 0), let details = python.text(given, 1) else { return nil }
      reportOpeningFailure(error, details)
      return 0
    } }),
    // forked(): for a process that user code has forked; no call of the loop may return there.
    ("forked", { answer($1) { _, _ in
      PythonStage.isForked = true
      return 0
    } }),
  ]
  // The interpreter keeps both for as long as the process lives.
  let methods = UnsafeMutablePointer<MethodDefinition>.allocate(capacity: functions.count + 1)
  for (i, (name, function)) in functions.enumerated() {
    (methods + i).initialize(to: MethodDefinition(name: name.characters, function: function, flags: MethodDefinition.takesTuple, text: nil))
  }
  (methods + functions.count).initialize(to: MethodDefinition(name: nil, function: nil, flags: 0, text: nil))
  let module = UnsafeMutablePointer<ModuleDefinition>.allocate(capacity: 1)
  module.initialize(to: ModuleDefinition(name: ("ringway_python" as StaticString).characters, methods: methods))
  return python.createModule(module, CPython.moduleVersion)
}

extension StaticString {
  fileprivate var characters: UnsafePointer<CChar> { UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self) }
}
