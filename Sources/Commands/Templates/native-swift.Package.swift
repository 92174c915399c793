// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "plugin",
  products: [.library(name: "plugin", type: .dynamic, targets: ["Plugin"])],
  dependencies: [.package(name: "ringway", path: "RINGWAY")],
  targets: [
    .target(
      name: "Plugin", dependencies: [.product(name: "PluginExport", package: "ringway")],
      // The library brings Swift's own libraries along, and uses no others.
      linkerSettings: [.unsafeFlags(["-static-stdlib", "-Xlinker", "-Bsymbolic"])]),
  ]
)
