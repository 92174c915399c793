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

/// What `ringway init` writes.
enum Template: String, ExpressibleByArgument, CaseIterable {
  case python, exec, http
  case nativeC = "native-c"
  case nativeSwift = "native-swift"

  struct File {
    let name: String
    let text: String

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

  var files: [File] {
    switch self {
    case .python: python
    case .exec: exec
    case .http: http
    case .nativeC: native
    case .nativeSwift: swift
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

  private func readme(_ title: String, _ text: String) -> File {
    File(name: "README.md", text: """
      # \(title)

      \(text)

          \(self == .nativeC ? "make && " : self == .nativeSwift ? "swift build -c release && " : "")ringway run pipeline.yaml

      `ringway validate pipeline.yaml` checks it, `ringway graph pipeline.yaml` draws it, `ringway plugins NAME` explains a plugin.

      """)
  }

  private var python: [File] {
    [
      File(name: "pipeline.yaml", text: """
        ringway: 1
        name: example
        description: A Python generator, a function on every core, a file

        parameters:
          count: {type: integer, default: 100, description: How many frames}

        stages:
          frames:                          # a source: it reads nothing
            plugin: python
            with: {callable: "stages:frames", arguments: {count: "${count}"}}

          work:
            plugin: python
            inputs: [frames]
            processes: auto                # one for each core
            with: {callable: "stages:work"}

          results:                         # a sink: nobody reads it
            plugin: file.write
            inputs: [work]
            with: {path: results.jsonl}

        """),
      File(name: "stages.py", text: """
        def frames(count):
            # Each value that is yielded is a message.
            for number in range(count):
                yield {"number": number, "pixels": [number % 256, number * 7 % 256]}


        def work(frame):
            # What is returned is handed on; None hands on nothing, a list each of its items.
            return {"number": frame["number"], "light": sum(frame["pixels"])}

        """),
      readme("A pipeline of Python functions", "`stages.py` has the functions, `pipeline.yaml` joins them. The results are in `results.jsonl`."),
    ]
  }

  private var exec: [File] {
    [
      File(name: "pipeline.yaml", text: """
        ringway: 1
        name: example
        description: Any program as a stage, a line in and a line out

        stages:
          lines:
            plugin: file.read
            with: {path: numbers.txt}

          name:
            plugin: exec
            inputs: [lines]
            processes: 2
            with: {command: [sed, -u, "s/^/number /"]}    # -u: it must not hold lines back

          results:
            plugin: file.write
            inputs: [name]
            with: {path: results.txt}

        """),
      File(name: "numbers.txt", text: (1...100).map { "\($0)\n" }.joined()),
      readme("Any program as a stage", "Each process of the stage `name` keeps one `sed` that answers every line with a line. The results are in `results.txt`."),
    ]
  }

  private var http: [File] {
    [
      File(name: "pipeline.yaml", text: """
        ringway: 1
        name: example
        description: Messages come in over HTTP, are worked on, and are posted on

        parameters:
          port: {type: integer, default: 8090, description: Where messages are received}
          url: {type: string, default: "http://127.0.0.1:8091/results", description: Where results are posted to}
          limit: {type: integer, default: 1000000000, description: After how many messages it ends}

        stages:
          receive:
            plugin: http.listen
            with: {address: "127.0.0.1:${port}", path: /in, limit: "${limit}"}

          work:
            plugin: jq
            inputs: [receive]
            processes: auto
            with: {filter: ". + {seen: true}"}

          send:
            plugin: http.post
            inputs: [work]
            with: {url: "${url}", concurrency: 64}

        """),
      File(name: "receiver.yaml", text: """
        ringway: 1
        name: receiver
        description: Stands in for the server that results are posted to

        parameters:
          port: {type: integer, default: 8091, description: Where results are received}
          limit: {type: integer, default: 1000000000, description: After how many messages it ends}

        stages:
          receive:
            plugin: http.listen
            with: {address: "127.0.0.1:${port}", path: /results, limit: "${limit}"}
          show:
            plugin: stdout
            inputs: [receive]

        """),
      readme("Over HTTP", "Run `ringway run receiver.yaml` in another terminal, then send messages: `curl -d '{\"n\": 1}' http://127.0.0.1:8090/in`. A message is answered once it is handed over."),
    ]
  }

  private var swift: [File] {
    [
      File(name: "pipeline.yaml", text: """
        ringway: 1
        name: example
        description: A plugin in Swift
        plugins: [.build/release/libplugin.so]

        stages:
          numbers:
            plugin: generate
            with: {count: 100}

          shout:
            plugin: shout
            inputs: [numbers]
            processes: 2
            with: {times: 2}

          results:
            plugin: file.write
            inputs: [shout]
            with: {path: results.txt}

        """),
      File(name: "Package.swift", text: """
        // swift-tools-version: 6.2
        import PackageDescription

        let package = Package(
          name: "plugin",
          products: [.library(name: "plugin", type: .dynamic, targets: ["Plugin"])],
          dependencies: [.package(name: "ringway", path: \(JSON.string(Self.swiftPackage ?? "").compact))],
          targets: [
            .target(
              name: "Plugin", dependencies: [.product(name: "PluginExport", package: "ringway")],
              // The library brings Swift's own libraries along, and uses no others.
              linkerSettings: [.unsafeFlags(["-static-stdlib", "-Xlinker", "-Bsymbolic"])]),
          ]
        )

        """),
      File(name: "Sources/Plugin/Shout.swift", text: """
        import PluginExport

        /// Writes text large, some times over.
        struct Shout: Transform {
          private static let times = Setting.integer("times", "How often.", in: 1...9, default: 1)

          static let spec = PluginSpec("shout", .transform, "Writes text large.", settings: [times.declaration], example: "")

          private let times: Int

          init(_ given: Given, _ context: Context) throws { times = given[Self.times] }

          mutating func process(_ message: Message, _ out: any Emitter) throws {
            for _ in 0..<times { try out.emit(message.text.uppercased()) }
          }
        }

        """),
      File(name: "Sources/Plugin/Exports.swift", text: """
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

        """),
      readme("A plugin in Swift", "`Sources/Plugin/Shout.swift` is the plugin, `Exports.swift` makes the library of it. The results are in `results.txt`."),
    ]
  }

  private var native: [File] {
    [
      File(name: "pipeline.yaml", text: """
        ringway: 1
        name: example
        description: A plugin in C
        plugins: [libupper.so]

        stages:
          lines:
            plugin: file.read
            with: {path: upper.c}

          upper:
            plugin: upper
            inputs: [lines]
            processes: 2
            with: {letters: abc}

          results:
            plugin: file.write
            inputs: [upper]
            with: {path: results.txt}

        """),
      File(name: "upper.c", text: #"""
        #include <stdlib.h>
        #include <string.h>

        #include "ringway_plugin.h"

        uint32_t ringway_plugin_abi(void) { return RINGWAY_PLUGIN_ABI; }

        const char *ringway_plugin_spec(void) {
          return "{\"name\": \"upper\", \"kind\": \"transform\", \"summary\": \"Writes some letters large.\","
                 " \"settings\": {\"type\": \"object\", \"properties\": {"
                 "  \"letters\": {\"type\": \"string\", \"pattern\": \"^[a-z]*$\", \"default\": \"abc\", \"description\": \"Which.\"}}}}";
        }

        /* The settings have been checked: "letters" is there, and it has letters only. */
        void *ringway_plugin_open(const char *settings, const ringway_context *context, const ringway_host *host) {
          (void)context;
          (void)host;
          const char *start = strstr(settings, "\"letters\":\"") + strlen("\"letters\":\"");
          return strndup(start, strcspn(start, "\""));
        }

        int ringway_plugin_process(void *plugin, const ringway_message *message, const ringway_host *host) {
          const char *from = message->data, *letters = plugin;
          char *to = host->reserve(host->handle, message->length);
          if (to == NULL) return RINGWAY_REFUSED;
          for (size_t i = 0; i < message->length; i++) {
            int is_one = from[i] >= 'a' && from[i] <= 'z' && strchr(letters, from[i]) != NULL;
            to[i] = is_one ? (char)(from[i] - 'a' + 'A') : from[i];
          }
          return host->emit_reserved(host->handle, message->length, message->format) == 0 ? RINGWAY_OK : RINGWAY_REFUSED;
        }

        int ringway_plugin_close(void *plugin, const ringway_host *host) {
          (void)host;
          free(plugin);
          return RINGWAY_OK;
        }

        """#),
      File(name: "ringway_plugin.h", text: NativeHeader.text),
      File(name: "Makefile", text: "libupper.so: upper.c ringway_plugin.h\n\tcc -O2 -Wall -Wextra -shared -fPIC -o $@ upper.c\n"),
      readme("A plugin in C", "`upper.c` is the plugin, `ringway_plugin.h` says what it must have. The results are in `results.txt`."),
    ]
  }
}
