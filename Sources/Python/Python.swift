// Python: what the runner has to know of stages that are written in Python: their settings, where the Python side lies, which
// program their workers are. What runs inside the interpreter is WorkerABI's, a shared library, and the files of
// WorkerABI/python.

import Platform
package import PluginKit

/// A Python function, generator or class as a stage.
package enum Python {
  static let callable = Setting<String>(
    "callable", "What is called, as `module:name`; the module is looked for in the pipeline file's folder first.",
    schema: ["type": "string", "pattern": "^[^\\s:]+:[^\\s:]+$"], expected: "a module and a name in it, such as frames:detect", default: nil,
    defaultJSON: nil, example: "frames:detect",
    decode: { node in
      guard let text = node.string else { return nil }
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      let isWhole = parts.count == 2 && parts.allSatisfy { part in
        part.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty && !$0.contains { $0.isWhitespace } }
      }
      return isWhole ? text : nil
    })
  static let interpreter = Setting.string(
    "python", "The interpreter, 3.9 to 3.13: a name, or a path relative to the pipeline file's folder. The default is that of the virtual environment which is active, if one is.",
    default: "python3", example: ".venv/bin/python").changeable
  static let arguments = Setting<Node>(
    "arguments", "Arguments by name: of the function beside the value, or of the class.", schema: ["type": "object"],
    expected: "a mapping of names to values", default: .mapping([]), defaultJSON: nil, isRequired: false, example: ["threshold": 0.5],
    decode: { $0.pairs == nil ? nil : $0 })

  package enum Decode: String, Choice { case auto, json, text, bytes, view }
  static let decode = Setting<Decode>.choice(
    "decode", """
      What the callable gets: `auto`, what the stage before sent, a dict as a dict, text as str, bytes as bytes; `json`, `text` or `bytes` whatever was sent; \
      `view`, a memoryview of the message where it lies, without a copy, which must not outlive the call.
      """, default: .auto)
  package enum Encode: String, Choice { case auto, json, text, bytes }
  static let encode = Setting<Encode>.choice(
    "encode", """
      What becomes of a result: `auto`, str as UTF-8, bytes and arrays as they are, everything else as JSON; `json`, anything as JSON; `text`, str() of it; \
      `bytes`, only what has bytes.
      """, default: .auto)
  static let batch = Setting<Int?>(
    "batch", "Call with a list of up to so many values, and expect a list with a result for each, so that the cost of a call is shared.",
    schema: ["type": "integer", "minimum": 1, "maximum": 65_536], expected: "an integer from 1 to 65536", default: .some(nil), defaultJSON: nil, isRequired: false,
    example: 256, decode: { node in (node.integer ?? node.double.flatMap(Int.init(exactly:))).flatMap { 1...65_536 ~= $0 ? .some($0) : nil } })
  static let ports = Setting<[String]>(
    "ports", "Other ways by which messages are handed on: `Message(value, port=\"NAME\")` goes to those who read `STAGE.NAME`.",
    schema: [
      "type": "array", "minItems": 1, "maxItems": 62, "uniqueItems": true,
      "items": ["type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$", "x-expected": "a name of lower-case letters, digits and _"],
    ], expected: "a list of names, such as [large]", default: [], defaultJSON: nil, isRequired: false, example: ["large"],
    decode: \.strings)
  package enum OnRestart: String, Choice {
    case replay
    case goOn = "continue"
  }
  static let onRestart = Setting<OnRestart>.choice(
    "on_restart", """
      For a source that died and is started again: `replay` passes over as many values as it had handed over, so it must make the same ones each time; \
      `continue` takes what comes next, from a camera say.
      """, default: .replay)

  package static let spec: PluginSpec = {
    var spec = declared
    spec.launch = { given in
      let program = interpreter(given)
      // What has another name may be anything, until the check has found an interpreter in it.
      let isInert = program.split(separator: "/").last?.hasPrefix("python") ?? false
      return PythonHome.find().flatMap { home in
        home.library.map { Launch(program: program, arguments: [home.file("worker.py"), $0], isInert: isInert) }
      }
    }
    return spec
  }()

  private static let declared = PluginSpec(
    "python", [.source, .transform, .sink], "Calls a Python function, generator or class.",
    details: """
      Without inputs it is a source: the callable returns an iterator, and each value is a message. Otherwise it is called with each message's value: None hands on nothing, \
      a list or a generator hands on each of its items, anything else is one message. `Message(value, port=…)` of the module `ringway` says the same explicitly, hands on a list as one value, and names one of `ports`; `key=…`, any JSON value, decides instead of the key of a reader with `partition`. \
      A class is constructed once in each worker, its instance is called for each message, and `close()`, if it has one, when its input has ended; what that returns is not handed on. A run that is stopped does not come to it, and what an instance remembers dies with its worker. \
      An exception is the message's failure, with its traceback in the log; a crash of the process is a death like any other. What is printed goes to the log. \
      An array of numpy's is handed on as its bytes and arrives so: `numpy.frombuffer(value, dtype).reshape(shape)`. \
      At the end executors and threads that are no daemons are waited for, as an interpreter does. \
      The module is imported once before the run, to check the name and the arguments.
      """,
    settings: [
      callable.declaration, interpreter.declaration, arguments.declaration, decode.declaration, encode.declaration, batch.declaration,
      ports.declaration, onRestart.declaration,
    ],
    example: """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 1000}
        length:
          plugin: python
          inputs: [numbers]
          processes: auto
          with: {callable: "builtins:len", decode: text}
        show:
          plugin: stdout
          inputs: [length]
      """,
    resources: { given in
      guard let home = PythonHome.find() else { return [] }
      let program = interpreter(given)
      return [
        .runsProgram(name: program, setting: "python"),
        .inspected(
          Inspection(
            program: program, arguments: [home.file("check.py"), given.directory],
            request: [
              "callable": .string(given[callable]), "arguments": JSON(given[Python.arguments]), "decode": .string(given[decode].rawValue),
              "batch": given[batch].map(JSON.integer) ?? .null,
            ])),
      ]
    },
    check: { given in
      var problems: [SettingProblem] = []
      if PythonHome.find()?.library == nil {
        problems.append(SettingProblem("callable", "the Python side of this program is missing", remedy: "install it with `make install`, or build it with `make build`"))
      }
      if given[batch] != nil, given[decode] == .view {
        problems.append(SettingProblem("batch", "a view is of one message, and a batch is many", remedy: "leave out `batch`, or decode bytes"))
      }
      if given[ports].contains("dead_letter") {
        problems.append(SettingProblem("ports", "the port `dead_letter` is that of messages which were given up", remedy: "give the port another name"))
      }
      return problems
    }, ports: PluginSpec.Ports(setting: "ports") { $0[ports] })

  /// The setting, or what the active virtual environment says where it is not given.
  private static func interpreter(_ given: Given) -> String {
    if !given.has("python"), let folder = Machine.environment().last(where: { $0.name == "VIRTUAL_ENV" })?.value, folder.hasPrefix("/") {
      return folder + "/bin/python"
    }
    return given[interpreter]
  }
}

/// Where the Python side lies.
struct PythonHome {
  /// The folder of the package `ringway`.
  let folder: String
  /// The shared library; nil when it is missing.
  let library: String?

  func file(_ name: String) -> String { folder + "/" + name }

  private static let libraryName = "libringway_python.so"

  /// Beside the program as `make install` lays it, or, for a program that lies in a build folder, where its sources are.
  static func find() -> PythonHome? {
    guard let program = Files.canonical("/proc/self/exe") else { return nil }
    let bin = Path.folder(program)
    let installed = Path.folder(bin) + "/lib/ringway"
    if exists(installed + "/python/ringway/worker.py") {
      return PythonHome(folder: installed + "/python/ringway", library: existing(installed + "/" + libraryName))
    }
    var parent = bin
    while parent.count > 1 {
      parent = Path.folder(parent)
      let folder = parent + "/Sources/WorkerABI/python/ringway"
      if exists(folder + "/worker.py") { return PythonHome(folder: folder, library: existing(bin + "/" + libraryName)) }
    }
    return nil
  }

  private static func exists(_ file: String) -> Bool { Files.status(file)?.kind == .file }
  private static func existing(_ file: String) -> String? { exists(file) ? file : nil }
}

private enum Path {
  static func folder(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
    return String(path[..<slash])
  }
}

// What the shared library reads of the settings.
extension Given {
  package var pythonDecode: Python.Decode { self[Python.decode] }
  package var pythonEncode: Python.Encode { self[Python.encode] }
  package var pythonBatch: Int? { self[Python.batch] }
  package var pythonPorts: [String] { self[Python.ports] }
  package var pythonOnRestart: Python.OnRestart { self[Python.onRestart] }
}
