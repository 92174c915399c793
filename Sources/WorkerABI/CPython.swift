import Platform

/// A Python object; whether a function gives a reference or lends one is said where it is called.
typealias Object = UnsafeMutableRawPointer

/// The functions of the interpreter that has loaded this library (Python/C API, https://docs.python.org/3/c-api/). They are looked up in
/// the process, so that one library serves every version from 3.9 to 3.13; all of them are exported functions of each of these.
struct CPython {
  let bytes: @convention(c) (UnsafePointer<CChar>?, Int) -> Object?
  let decodeUTF8: @convention(c) (UnsafePointer<CChar>?, Int, UnsafePointer<CChar>?) -> Object?
  let bytesAsString: @convention(c) (Object, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, UnsafeMutablePointer<Int>) -> Int32
  let utf8: @convention(c) (Object, UnsafeMutablePointer<Int>) -> UnsafePointer<CChar>?
  let callObject: @convention(c) (Object, Object?) -> Object?
  let attribute: @convention(c) (Object, UnsafePointer<CChar>) -> Object?
  let type: @convention(c) (Object) -> Object?
  let iterator: @convention(c) (Object) -> Object?
  let isIterator: @convention(c) (Object) -> Int32
  let next: @convention(c) (Object) -> Object?
  let tuple: @convention(c) (Int) -> Object?
  /// Takes the item's reference.
  let setItem: @convention(c) (Object, Int, Object?) -> Int32
  /// Lends.
  let item: @convention(c) (Object, Int) -> Object?
  let list: @convention(c) (Int) -> Object?
  /// Takes the item's reference.
  let setListItem: @convention(c) (Object, Int, Object?) -> Int32
  let size: @convention(c) (Object) -> Int
  let isSequence: @convention(c) (Object) -> Int32
  /// A new list of what an iterable holds.
  let listed: @convention(c) (Object) -> Object?
  /// Lends.
  let listItem: @convention(c) (Object, Int) -> Object?
  let integer: @convention(c) (Int) -> Object?
  let fromAddress: @convention(c) (UnsafeMutableRawPointer?) -> Object?
  let asInteger: @convention(c) (Object) -> Int
  let retain: @convention(c) (Object?) -> Void
  let release: @convention(c) (Object?) -> Void
  let fetchError:
    @convention(c) (UnsafeMutablePointer<Object?>, UnsafeMutablePointer<Object?>, UnsafeMutablePointer<Object?>) -> Void
  let normalizeError:
    @convention(c) (UnsafeMutablePointer<Object?>, UnsafeMutablePointer<Object?>, UnsafeMutablePointer<Object?>) -> Void
  /// Lends.
  let hasError: @convention(c) () -> Object?
  let setError: @convention(c) (Object, UnsafePointer<CChar>) -> Void
  let clearError: @convention(c) () -> Void
  let checkSignals: @convention(c) () -> Int32
  let getBuffer: @convention(c) (Object, UnsafeMutableRawPointer, Int32) -> Int32
  let releaseBuffer: @convention(c) (UnsafeMutableRawPointer) -> Void
  let saveThread: @convention(c) () -> UnsafeMutableRawPointer?
  let restoreThread: @convention(c) (UnsafeMutableRawPointer?) -> Void
  let createModule: @convention(c) (UnsafeMutableRawPointer, Int32) -> Object?
  /// Absent before 3.10.
  let callOne: (@convention(c) (Object, Object) -> Object?)?
  let none: Object
  let typeError: Object
  let bytesType: Object
  let stringType: Object
  let listType: Object

  /// Of the API that modules are made for (`PYTHON_API_VERSION`, the same in all versions).
  static let moduleVersion: Int32 = 1013

  struct Missing: Error { let name: String }

  /// - Throws: `Missing` outside of an interpreter, or in one that lacks a function
  init() throws {
    func address(_ name: String) throws -> Object {
      guard let found = Symbols.find(name) else { throw Missing(name: name) }
      return found
    }
    func find<Function>(_ name: String) throws -> Function { unsafeBitCast(try address(name), to: Function.self) }
    bytes = try find("PyBytes_FromStringAndSize")
    decodeUTF8 = try find("PyUnicode_DecodeUTF8")
    bytesAsString = try find("PyBytes_AsStringAndSize")
    utf8 = try find("PyUnicode_AsUTF8AndSize")
    callObject = try find("PyObject_CallObject")
    attribute = try find("PyObject_GetAttrString")
    type = try find("PyObject_Type")
    iterator = try find("PyObject_GetIter")
    isIterator = try find("PyIter_Check")
    next = try find("PyIter_Next")
    tuple = try find("PyTuple_New")
    setItem = try find("PyTuple_SetItem")
    item = try find("PyTuple_GetItem")
    list = try find("PyList_New")
    setListItem = try find("PyList_SetItem")
    size = try find("PyObject_Size")
    isSequence = try find("PySequence_Check")
    listed = try find("PySequence_List")
    listItem = try find("PyList_GetItem")
    integer = try find("PyLong_FromSsize_t")
    fromAddress = try find("PyLong_FromVoidPtr")
    asInteger = try find("PyLong_AsSsize_t")
    retain = try find("Py_IncRef")
    release = try find("Py_DecRef")
    fetchError = try find("PyErr_Fetch")
    normalizeError = try find("PyErr_NormalizeException")
    hasError = try find("PyErr_Occurred")
    setError = try find("PyErr_SetString")
    typeError = try address("PyExc_TypeError").load(as: Object.self)
    clearError = try find("PyErr_Clear")
    checkSignals = try find("PyErr_CheckSignals")
    getBuffer = try find("PyObject_GetBuffer")
    releaseBuffer = try find("PyBuffer_Release")
    saveThread = try find("PyEval_SaveThread")
    restoreThread = try find("PyEval_RestoreThread")
    createModule = try find("PyModule_Create2")
    callOne = Symbols.find("PyObject_CallOneArg").map { unsafeBitCast($0, to: (@convention(c) (Object, Object) -> Object?).self) }
    none = try address("_Py_NoneStruct")
    bytesType = try address("PyBytes_Type")
    stringType = try address("PyUnicode_Type")
    listType = try address("PyList_Type")
  }

  // MARK: Shorthands

  /// - Returns: a reference to the result, or nil with an error set
  func call(_ function: Object, _ argument: Object) -> Object? {
    if let callOne { return callOne(function, argument) }
    guard let arguments = tuple(1) else { return nil }
    defer { release(arguments) }
    retain(argument)
    _ = setItem(arguments, 0, argument)
    return callObject(function, arguments)
  }

  /// Takes the references of the arguments.
  func call(_ function: Object, taking given: [Object?]) -> Object? {
    guard let arguments = tuple(given.count) else { return nil }
    defer { release(arguments) }
    for (i, argument) in given.enumerated() { _ = setItem(arguments, i, argument) }
    return callObject(function, arguments)
  }

  func isExactly(_ object: Object, _ type: Object) -> Bool {
    let found = self.type(object)
    release(found)
    return found == type
  }

  /// Whether it holds or makes items one after the other, and is no text and no bytes.
  func isListed(_ object: Object) -> Bool {
    if isIterator(object) != 0 { return true }
    return isSequence(object) != 0 && !isExactly(object, stringType) && !isExactly(object, bytesType)
  }

  /// How many references there are. The count stands first in an object, in 32 bits at least, in every build with a lock
  /// (`Py_REFCNT` is a macro before 3.14).
  func references(_ object: Object) -> UInt32 { object.load(as: UInt32.self) }

  /// A Swift string of a str; nil for what is none.
  func text(_ object: Object) -> String? {
    var length = 0
    guard let start = utf8(object, &length) else {
      clearError()
      return nil
    }
    return String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
  }
}
