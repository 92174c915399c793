// swift-tools-version: 6.2
import PackageDescription

// What `make install` brings of Ringway for who writes plugins in Swift.

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "ringway",
  products: [
    .library(name: "PluginKit", targets: ["PluginKit"]),
    .library(name: "PluginExport", targets: ["PluginExport"]),
  ],
  targets: [
    .systemLibrary(name: "CRingwayPlugin"),
    .target(name: "Specs", swiftSettings: settings),
    .target(name: "PluginKit", dependencies: ["Specs"], swiftSettings: settings),
    .target(name: "PluginExport", dependencies: ["PluginKit", "CRingwayPlugin"], swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)
