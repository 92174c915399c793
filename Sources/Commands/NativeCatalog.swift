import Native
import Platform
import PluginKit
import Schemas
import Specs
import Stages

/// The plugins of shared libraries that a pipeline file names.
enum NativeCatalog {
  /// In a worker.
  static func load(_ path: String, _ kind: PluginSpec.Kind) throws -> (plugin: AnyPlugin, spec: PluginSpec) {
    do throws(PluginSpec.Unusable) {
      let library = try NativeLibrary(path)
      return (library.plugin(kind), try NativeLibrary.spec(of: library.specText, library: path))
    } catch {
      throw WorkerFailure(.pluginProtocol, "\(path): \(error.reason)")
    }
  }

  /// `ringway __plugin PATH`: the child that looks into a library.
  static func describe(_ path: String) -> Never {
    do throws(PluginSpec.Unusable) {
      let library = try NativeLibrary(path)
      try? Descriptors.writeAll(1, library.specText)
      CurrentProcess.exit(0)
    } catch {
      try? Descriptors.writeAll(2, error.reason)
      CurrentProcess.exit(Specs.ExitCode.pluginProtocol.rawValue)
    }
  }

  /// The spec of a library's plugin, asked of a child: a library may crash when it is loaded.
  static func spec(_ path: String, _ watch: Programs.Watch) throws(PluginSpec.Unusable) -> PluginSpec {
    let order = ChildProcess.Order(
      arguments: ["ringway", "__plugin", path], environment: Machine.environment().map { "\($0.name)=\($0.value)" } + ["SWIFT_BACKTRACE=enable=no"],
      directory: nil, descriptors: [])
    switch Programs.ask(order, input: [], within: .seconds(30), limit: 1 << 20, watch) {
    case .answered(let bytes):
      let spec = try NativeLibrary.spec(of: String(decoding: bytes, as: UTF8.self), library: path)
      let (schema, problems) = Schema.compile(JSONText.parse(Array(spec.schema.compact.utf8)).node ?? Node(.null))
      if schema == nil { throw PluginSpec.Unusable("its settings are no JSON Schema: \(problems.first?.message ?? "")") }
      return spec
    case .failed(let reason, _):
      // What the child says of the library stands behind how it ended.
      let said = reason.firstRange(of: "exit status \(Specs.ExitCode.pluginProtocol.rawValue): ").map { String(reason[$0.upperBound...]) }
      throw PluginSpec.Unusable(said ?? "loading it ends with \(reason)")
    }
  }

  /// Looks into every library that a document names.
  static func read(_ document: Node, directory: String, builtIn: [PluginSpec], _ watch: Programs.Watch) -> (specs: [PluginSpec], diagnostics: [Diagnostic]) {
    var specs: [PluginSpec] = []
    var diagnostics: [Diagnostic] = []
    for (i, item) in (document["plugins"]?.items ?? []).enumerated() {
      guard let name = item.string, !name.isEmpty else { continue }
      func report(_ code: String, _ message: String, _ remedy: String?) {
        diagnostics.append(Diagnostic(code, message, at: item.span, remedy: remedy, path: "plugins[\(i)]", notes: []))
      }
      let path = name.hasPrefix("/") ? name : directory + "/" + name
      if Files.status(path)?.kind == .directory {
        report("is-directory", "\(JSON.string(name).compact) is a folder", "name the library in it")
        continue
      }
      guard Files.status(path)?.kind == .file else {
        report("missing-file", "there is no file \(JSON.string(name).compact)", name.hasPrefix("/") ? nil : "relative paths start from the pipeline file's folder, \(directory)")
        continue
      }
      do throws(PluginSpec.Unusable) {
        let spec = try spec(path, watch)
        if let other = (builtIn + specs).first(where: { $0.name == spec.name }) {
          report("plugin-twice", "there is a plugin \"\(spec.name)\" already, \(other.library.map { "of \($0)" } ?? "a built-in one")", "give this one another name in its spec")
        } else {
          specs.append(spec)
        }
      } catch {
        report(pluginProtocol, "\(name): \(error.reason)", nil)
      }
    }
    return (specs, diagnostics)
  }

  /// The code of what ends with exit code 76.
  static let pluginProtocol = "plugin-protocol"
}
