package import PluginKit

/// Every built-in plugin, in the order in which `ringway plugins` lists them.
package enum Catalog {
  package static let all: [AnyPlugin] = [
    .source(Generate.self), .source(FileRead.self), .source(StandardInput.self), .source(HTTPListen.self),
    .transform(JQ.self), .transform(Route.self), .transform(Hash.self),
    .versatile(source: ExecSource.self, transform: ExecTransform.self, sink: ExecSink.self),
    .sink(FileWrite.self), .sink(StandardOutput.self), .delivery(HTTPPost.self), .sink(Discard.self),
  ]

  package static var specs: [PluginSpec] { all.map(\.spec) }
}
