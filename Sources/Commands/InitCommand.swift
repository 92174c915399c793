import ArgumentParser
import Platform
import Specs

struct InitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init", abstract: "Writes a small project that runs: a pipeline, its code and a README.",
    discussion: """
      The folder is made if it is not there; nothing in it is overwritten.

      Templates:
        python    a generator, a function on every core, a file
        exec      any program as a stage: lines through sed
        native-c  a plugin in C, with a Makefile
        native-swift  a plugin in Swift, as a package
        http      messages received over HTTP, worked on with jq, and posted on

      Examples:
        ringway init frames
        ringway init blur --template native-c
      """)

  @Argument(help: "The folder.", completion: .directory) var folder: String
  @Option(name: .long, help: ArgumentHelp("What it is to begin with: python, exec, native-c, native-swift or http.", valueName: "name")) var template = Template.python
  @OptionGroup var common: CommonOptions

  func run() throws {
    if template == .nativeSwift, Template.swiftPackage == nil {
      Output.say("ringway: the Swift side of this program is missing; install it with `make install`\n")
      throw Specs.ExitCode.cannotCreate.end
    }
    let files = template.files
    if let there = files.first(where: { Files.status("\(folder)/\($0.name)") != nil }) {
      Output.say("ringway: \(folder)/\(there.name) is there already, and nothing is overwritten; name another folder\n")
      throw Specs.ExitCode.cannotCreate.end
    }
    do throws(SystemError) {
      try Files.makeDirectory(folder)
      for folder in Set(files.compactMap(\.folder)) { try Files.makeDirectory("\(self.folder)/\(folder)") }
      for file in files { try Files.create("\(folder)/\(file.name)", file.text) }
    } catch {
      Output.say("ringway: the project cannot be written: \(error)\n")
      throw Specs.ExitCode.cannotCreate.end
    }
    if common.quiet { return }
    Output.answer(files.map { "\(folder)/\($0.name)\n" }.joined())
    Output.say("now: \(template.commands(folder))\n")
  }
}

/// What `ringway init` writes: files of the folder Templates.
enum Template: String, ExpressibleByArgument, CaseIterable {
  case python, exec, http
  case nativeC = "native-c"
  case nativeSwift = "native-swift"

  struct File {
    let name: String
    let text: String

    /// - Parameter ringway: the folder that "RINGWAY" stands for
    init(_ name: String, _ bytes: [UInt8], ringway: String? = nil) {
      self.name = name
      let text = String(decoding: bytes, as: UTF8.self)
      self.text = ringway.map { text.replacing("\"RINGWAY\"", with: JSON.string($0).compact) } ?? text
    }

    var folder: String? { name.lastIndex(of: "/").map { String(name[..<$0]) } }
  }

  /// What to type next.
  func commands(_ folder: String) -> String {
    let run = "ringway run \(folder)/pipeline.yaml"
    return switch self {
    case .nativeC: "make -C \(folder) && \(run)"
    case .nativeSwift: "swift build -c release --package-path \(folder) && \(run)"
    default: run
    }
  }

  /// In the order in which they are named.
  // What is embedded is called by the file's last name alone, so that begins with the template's.
  var files: [File] {
    typealias Embedded = PackageResources
    func readme(_ text: [UInt8]) -> File { File("README.md", text + Embedded.README_end_md) }
    return switch self {
    case .python:
      [
        File("pipeline.yaml", Embedded.python_pipeline_yaml),
        File("stages.py", Embedded.python_stages_py),
        readme(Embedded.python_README_md),
      ]
    case .exec:
      [
        File("pipeline.yaml", Embedded.exec_pipeline_yaml),
        File("numbers.txt", Embedded.exec_numbers_txt),
        readme(Embedded.exec_README_md),
      ]
    case .http:
      [
        File("pipeline.yaml", Embedded.http_pipeline_yaml),
        File("receiver.yaml", Embedded.http_receiver_yaml),
        readme(Embedded.http_README_md),
      ]
    case .nativeC:
      [
        File("pipeline.yaml", Embedded.native_c_pipeline_yaml),
        File("upper.c", Embedded.native_c_upper_c),
        File("ringway_plugin.h", Embedded.native_c_ringway_plugin_h),
        File("Makefile", Embedded.native_c_Makefile),
        readme(Embedded.native_c_README_md),
      ]
    case .nativeSwift:
      [
        File("pipeline.yaml", Embedded.native_swift_pipeline_yaml),
        File("Package.swift", Embedded.native_swift_Package_swift, ringway: Self.swiftPackage ?? ""),
        File("Sources/Plugin/Shout.swift", Embedded.native_swift_Shout_swift),
        File("Sources/Plugin/Exports.swift", Embedded.native_swift_Exports_swift),
        readme(Embedded.native_swift_README_md),
      ]
    }
  }

  /// The package with PluginExport: beside the program as `make install` lays it, or the sources that it was built from.
  static var swiftPackage: String? {
    guard let program = Files.canonical("/proc/self/exe") else { return nil }
    var folder = Substring(program)
    func isPackage(_ path: String) -> Bool { Files.status(path + "/Sources/PluginExport/PluginExport.swift")?.kind == .file }
    while let slash = folder.lastIndex(of: "/") {
      folder = folder[..<slash]
      if let found = [String(folder) + "/lib/ringway/swift", String(folder)].first(where: isPackage) { return found }
    }
    return nil
  }
}
