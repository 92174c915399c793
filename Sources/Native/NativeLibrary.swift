// Native: plugins in shared libraries, by the C functions of `ringway_plugin.h`. A library is first loaded by a child that says what it
// holds, so that one that crashes takes nobody with it; then by every worker of its stages.

import CRingwayPlugin
import Platform
package import PluginKit

/// A loaded library with its five functions.
package struct NativeLibrary: Sendable {
  typealias Open =
    @convention(c) (UnsafePointer<CChar>?, UnsafePointer<ringway_context>?, UnsafePointer<ringway_host>?) -> UnsafeMutableRawPointer?
  typealias Process = @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<ringway_message>?, UnsafePointer<ringway_host>?) -> Int32
  typealias Close = @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<ringway_host>?) -> Int32

  let open: Open
  let process: Process
  let close: Close
  /// What `ringway_plugin_spec` returns.
  package let specText: String
  /// How many ports its plugin has beside the main one.
  let ports: Int

  /// - Parameter path: absolute
  /// - Throws: `PluginSpec.Unusable`
  package init(_ path: String) throws(PluginSpec.Unusable) {
    let library: Symbols.Library
    do throws(Symbols.Unloadable) { library = try Symbols.Library(path) } catch { throw PluginSpec.Unusable(error.reason) }
    func find<Function>(_ name: String) throws(PluginSpec.Unusable) -> Function {
      guard let address = library.find(name) else { throw PluginSpec.Unusable("it has no function \(name)") }
      return unsafeBitCast(address, to: Function.self)
    }
    let abi: @convention(c) () -> UInt32 = try find("ringway_plugin_abi")
    let version = abi()
    if version != RINGWAY_PLUGIN_ABI {
      throw PluginSpec.Unusable("its interface is version \(version), and this program's is \(RINGWAY_PLUGIN_ABI): build it with the ringway_plugin.h of this version")
    }
    let spec: @convention(c) () -> UnsafePointer<CChar>? = try find("ringway_plugin_spec")
    open = try find("ringway_plugin_open")
    process = try find("ringway_plugin_process")
    close = try find("ringway_plugin_close")
    guard let text = spec() else { throw PluginSpec.Unusable("its spec is NULL") }
    specText = String(cString: text)
    ports = JSONText.parse(Array(specText.utf8)).node?["ports"]?.items?.count ?? 0
  }

  /// What a library's plugin is.
  package static func spec(of text: String, library path: String) throws(PluginSpec.Unusable) -> PluginSpec {
    guard let node = JSONText.parse(Array(text.utf8)).node else { throw PluginSpec.Unusable("its spec is not JSON") }
    var spec = try PluginSpec(describedBy: node)
    spec.library = path
    return spec
  }

  /// The plugin as the worker's loops take it.
  package func plugin(_ kind: PluginSpec.Kind) -> AnyPlugin {
    NativeStage.library = self
    return switch kind {
    case .source: .source(NativeSource.self)
    case .transform: .transform(NativeTransform.self)
    case .sink: .sink(NativeSink.self)
    }
  }
}
