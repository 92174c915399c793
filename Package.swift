// swift-tools-version: 6.2
import PackageDescription

/// Every room is compiled with the same settings.
let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// A room: one folder under Sources, one module. Arrows point down only; ARCHITECTURE.md draws them.
func room(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []) -> Target {
  .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], excluding: [String] = []) -> Target {
  .testTarget(name: name, dependencies: dependencies, exclude: excluding, swiftSettings: settings)
}

let package = Package(
  name: "ringway",
  products: [
    .executable(name: "ringway", targets: ["ringway"]),
    .library(name: "ringway_python", type: .dynamic, targets: ["WorkerABI"]),
    .library(name: "PluginKit", targets: ["PluginKit"]),
    .library(name: "PluginExport", targets: ["PluginExport"]),
    .library(name: "PluginTesting", targets: ["PluginTesting"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
  ],
  targets: [
    // C libraries, each imported by one room.
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CJQ", providers: [.apt(["libjq-dev"])]),
    .systemLibrary(name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    // Loaded when it is first needed: only its headers are used here.
    .target(name: "CCurl"),
    .target(name: "CLinux"),
    // Used by bench alone.
    .target(name: "CBench", linkerSettings: [.linkedLibrary("crypto")]),

    room("Specs"),
    room("Platform", ["CLinux"]),
    room("Documents", ["Specs", "CYAML"]),
    room("Schemas", ["Specs", "CPCRE2"]),
    room("Plans", ["Specs"]),
    room("PluginKit", ["Specs"]),
    room("Curl", ["CCurl"]),
    room("Rings", ["Platform"]),
    room("Filters", ["PluginKit", "Platform", "CJQ"]),
    room("Plugins", [
      "PluginKit", "Specs", "Platform", "Curl", "Filters", "CCrypto",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "NIOHTTP1", package: "swift-nio"),
    ]),
    room("Stages", ["Plans", "Rings", "PluginKit", "Platform", "Specs"]),
    room("Supervision", ["Plans", "Rings", "Platform", "Specs"]),
    room("Python", ["PluginKit", "Platform"]),
    .systemLibrary(name: "CRingwayPlugin"),
    .target(name: "PluginExport", dependencies: ["PluginKit", "CRingwayPlugin"], exclude: ["installed"], swiftSettings: settings),
    room("Native", ["PluginKit", "Platform", "CRingwayPlugin"]),
    // Linked with all that it needs, Swift's libraries too: an interpreter loads it.
    .target(
      name: "WorkerABI", dependencies: ["Stages", "Filters", "Plans", "Python", "Rings", "PluginKit", "Platform"], exclude: ["python"], swiftSettings: settings,
      linkerSettings: [.unsafeFlags(["-static-stdlib"])]),
    room("Commands", [
      "Supervision", "Stages", "Plugins", "Filters", "Python", "Native", "PluginKit", "Documents", "Schemas", "Plans", "Specs", "Platform", "Rings",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ], resources: [.embedInCode("Templates")]),
    .executableTarget(name: "ringway", dependencies: ["Commands"], swiftSettings: settings),
    // Measures and torments; not installed.
    .executableTarget(name: "bench", dependencies: ["Commands", "PluginKit", "Rings", "Stages", "Platform", "Specs", "CBench"], swiftSettings: settings),
    room("PluginTesting", ["PluginKit", "Specs"]),
    // Kills a worker after every instruction of a hand-over; ptrace(2) is variadic, and Swift cannot call it.
    .target(name: "CTrace", path: "Tests/CTrace"),
    .executableTarget(name: "stepper", dependencies: ["Rings", "Platform", "CTrace"], path: "Tests/Stepper", swiftSettings: settings),

    tests("SpecsTests", ["Specs"]),
    tests("DocumentsTests", ["Documents", "Specs"]),
    tests("SchemasTests", ["Harness", "Schemas", "Documents", "Specs"]),
    tests("PlansTests", ["Harness", "Plans", "Schemas", "Documents", "Specs"]),
    tests("PlatformTests", ["Harness", "Platform"]),
    tests("RingsTests", ["Harness", "Rings", "Platform"]),
    tests("StepperTests", ["Harness"]),
    tests("PluginsTests", ["Harness", "Plugins", "Filters", "PluginTesting", "PluginKit", "Specs", "Platform"]),
    tests("StagesTests", ["Stages", "PluginKit", "Plans", "Rings", "Platform", "Specs"]),
    tests("SupervisionTests", ["Harness", "Supervision", "Plans", "Rings", "Platform", "Specs"]),
    tests("CommandsTests", ["Harness", "ringway"], excluding: ["Golden"]),
    .target(name: "Harness", path: "Tests/Harness", swiftSettings: settings),
    tests("PipelineTests", ["Harness", "Plans", "Specs", "ringway", "bench", "Platform", "Rings"]),
    // Judges what the torture leaves; shares no code with what it judges.
    .executableTarget(name: "oracle", path: "Tests/Oracle", cSettings: [.unsafeFlags(["-O2", "-Wall", "-Wextra"])]),
    tests("RepositoryTests", ["Harness", "Commands", "ringway"]),
    tests("BenchTests", ["Harness", "bench"]),
    // What the fuzzer found; its targets are linked in from Tests/Fuzz, a package of its own.
    tests("FindingsTests", ["Harness", "Supervision", "Schemas", "Documents", "Plans", "Rings", "Platform", "Specs"]),
    // Walks through millions of states, so it is optimised whatever the rest is.
    .testTarget(name: "ModelTests", swiftSettings: settings + [.unsafeFlags(["-O"])]),
  ],
  swiftLanguageModes: [.v6]
)
