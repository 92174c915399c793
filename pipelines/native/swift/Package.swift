// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "shout",
  products: [.library(name: "shout", type: .dynamic, targets: ["Shout"])],
  dependencies: [.package(name: "ringway", path: "../../..")],
  targets: [
    .target(
      name: "Shout", dependencies: [.product(name: "PluginExport", package: "ringway")],
      // The library brings Swift's own libraries along, and uses no others.
      linkerSettings: [.unsafeFlags(["-static-stdlib", "-Xlinker", "-Bsymbolic"])]),
  ]
)
