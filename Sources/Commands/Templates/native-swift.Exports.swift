import PluginExport

// The five functions that make a library a plugin.

@c(ringway_plugin_abi) public func abi() -> UInt32 { Export.abi }

@c(ringway_plugin_spec) public func spec() -> UnsafePointer<CChar>? { Export.spec(Shout.self) }

@c(ringway_plugin_open) public func open(
  _ settings: UnsafePointer<CChar>?, _ context: UnsafePointer<ringway_context>?, _ host: UnsafePointer<ringway_host>?
) -> UnsafeMutableRawPointer? { Export.open(Shout.self, settings, context, host) }

@c(ringway_plugin_process) public func process(
  _ plugin: UnsafeMutableRawPointer?, _ message: UnsafePointer<ringway_message>?, _ host: UnsafePointer<ringway_host>?
) -> Int32 { Export.process(plugin, message, host) }

@c(ringway_plugin_close) public func close(_ plugin: UnsafeMutableRawPointer?, _ host: UnsafePointer<ringway_host>?) -> Int32 {
  Export.close(plugin, host)
}
