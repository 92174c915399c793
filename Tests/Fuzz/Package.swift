// swift-tools-version: 6.2
import PackageDescription

// Fuzzing, in a package of its own: the rooms are compiled anew with libFuzzer's counters in them, which no other build
// may have. `make fuzz` builds and runs it. `Rooms` is a link to the product's Sources, for access that is `package`
// ends with the package, and SwiftPM takes no target from outside of its folder.

/// As in the product, with three additions: libFuzzer's counters; access to what is internal, optimised or not; and the
/// failpoints, at which a target stops a worker instead of letting it sleep.
let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .define("DEBUG"),
  .unsafeFlags(["-sanitize=fuzzer", "-enable-testing"]),
]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, path: "Rooms/" + name, swiftSettings: settings)
}

/// libFuzzer without `main`; `make fuzz` knows where the compiler keeps it.
let runtime = Context.environment["FUZZER_RUNTIME"] ?? "FUZZER_RUNTIME-is-not-set"
let link: [LinkerSetting] = [.unsafeFlags([runtime]), .linkedLibrary("stdc++")]

let package = Package(
  name: "fuzz",
  targets: [
    .systemLibrary(name: "CYAML", path: "Rooms/CYAML", pkgConfig: "yaml-0.1"),
    .systemLibrary(name: "CPCRE2", path: "Rooms/CPCRE2", pkgConfig: "libpcre2-8"),
    .target(name: "CLinux", path: "Rooms/CLinux"),

    room("Specs"),
    room("Platform", ["CLinux"]),
    room("Documents", ["Specs", "CYAML"]),
    room("Schemas", ["Specs", "CPCRE2"]),
    room("Plans", ["Specs"]),
    room("Rings", ["Platform"]),
    room("Supervision", ["Plans", "Rings", "Platform", "Specs"]),

    .target(
      name: "Targets", dependencies: ["Documents", "Schemas", "Plans", "Supervision", "Rings", "Platform", "Specs"], swiftSettings: settings),
    .systemLibrary(name: "CLibFuzzer"),
    // Writes what the fuzzer begins with.
    .executableTarget(name: "corpus", dependencies: ["Documents", "Plans", "Platform", "Specs"], swiftSettings: settings, linkerSettings: link),
    .executableTarget(
      name: "fuzz", dependencies: ["Targets", "CLibFuzzer"], swiftSettings: settings,
      linkerSettings: link),
  ],
  swiftLanguageModes: [.v6]
)
