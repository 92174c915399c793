import Foundation
import Harness
import Testing

/// Plugins in shared libraries, compiled here.
@Suite struct NativeTests {
  private static let headers = Ringway.repository.appendingPathComponent("Sources/CRingwayPlugin").path

  private static func compile(_ source: String, _ library: String) throws {
    let compiler = try Running(
      ["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-I", headers, "-o", library, source],
      executable: URL(fileURLWithPath: "/usr/bin/env"))
    let result = try compiler.finish()
    try #require(result.status == 0, "\(result.errors)")
  }

  /// Builds a Swift package; the compiler is the one that built the tests. It lets others go first, who have less time.
  static func buildSwift(_ package: String, _ arguments: [String]) throws {
    let build = try Running(
      ["-n", "10", "swift", "build", "--package-path", package] + arguments, executable: URL(fileURLWithPath: "/usr/bin/nice"))
    let result = try build.finish(within: 1800)
    try #require(result.status == 0, "\((result.output + result.errors).suffix(4000))")
  }

  private static let head = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include \"ringway_plugin.h\"\n"
  private static let abi = "uint32_t ringway_plugin_abi(void) { return RINGWAY_PLUGIN_ABI; }\n"
  private static let open = "void *ringway_plugin_open(const char *settings, const ringway_context *context, const ringway_host *host) { return \"\"; }\n"
  private static let close = "int ringway_plugin_close(void *plugin, const ringway_host *host) { return RINGWAY_OK; }\n"

  private static func spec(_ name: String, _ kind: String, _ settings: String = "{}") -> String {
    let json = "{\"name\": \"\(name)\", \"kind\": \"\(kind)\", \"summary\": \"For a test.\", \"settings\": \(settings)}"
    return "const char *ringway_plugin_spec(void) { return \"\(json.replacingOccurrences(of: "\"", with: "\\\""))\"; }\n"
  }

  private static func process(_ body: String) -> String {
    "int ringway_plugin_process(void *plugin, const ringway_message *message, const ringway_host *host) { \(body) }\n"
  }

  /// - Returns: the pipeline file
  private func project(_ folder: TemporaryFolder, _ libraries: [String: String], _ stages: String) throws -> String {
    for (name, code) in libraries { try Self.compile(try folder.write(name + ".c", code), folder.path("lib\(name).so")) }
    let names = libraries.keys.sorted().map { "lib\($0).so" }.joined(separator: ", ")
    return try folder.write("p.yaml", "ringway: 1\nplugins: [\(names)]\nstages:\n" + stages.split(separator: "\n").map { "  \($0)\n" }.joined())
  }

  @Test func theShippedPluginShifts() throws {
    let shipped = Ringway.repository.appendingPathComponent("pipelines/native")
    let folder = try TemporaryFolder()
    for name in ["shift.c", "pipeline.yaml"] { try FileManager.default.copyItem(at: shipped.appendingPathComponent(name), to: folder.url.appendingPathComponent(name)) }
    try Self.compile(folder.path("shift.c"), folder.path("libshift.so"))
    let result = try Ringway.run(["run", folder.path("pipeline.yaml"), "-q"])
    let expected = try String(contentsOf: shipped.appendingPathComponent("shift.c"), encoding: .utf8).map { c -> Character in
      guard let ascii = c.asciiValue, c.isLetter else { return c }
      let first: UInt8 = c.isLowercase ? 97 : 65
      return Character(UnicodeScalar(first + (ascii - first + 3) % 26))
    }
    #expect(result.status == 0, "\(result.errors)")
    // Two processes: the lines come in any order.
    #expect(result.output.split(separator: "\n").sorted() == String(expected).split(separator: "\n").sorted())
    let page = try Ringway.run(["plugins", folder.path("libshift.so")])
    #expect(page.status == 0 && page.output.contains("shift: Shifts letters along the alphabet.") && page.output.contains("an integer from 0 to 25; default 13"), "\(page.output)")
  }

  @Test func theShippedSwiftPluginShouts() throws {
    let folder = try TemporaryFolder()
    try Self.buildSwift(Ringway.repository.appendingPathComponent("pipelines/native/swift").path, ["--scratch-path", folder.path("build"), "--product", "shout"])
    let file = try folder.write("p.yaml", """
      ringway: 1
      plugins: [build/debug/libshout.so]
      stages:
        lines: {plugin: file.read, with: {path: lines}}
        shout: {plugin: shout, inputs: [lines], processes: 2, with: {times: 2}, on_error: {then: drop}}
        out: {plugin: file.write, inputs: [shout], with: {path: out}}
      """)
    _ = try folder.write("lines", "hello\n\nwörld\n")
    let result = try folder.run(file: file)
    #expect(result.status == 0 && result.errors.contains("dropped a message: there is nothing to shout"), "\(result.errors)")
    #expect(folder.lines("out").sorted() == ["HELLOO", "WÖRLDD"])
    let wrong = try Ringway.run(["validate", file, "--set", "stages.shout.with.times=50"])
    #expect(wrong.status == 78 && wrong.errors.contains("expected an integer from 1 to 20"), "\(wrong.errors)")
  }

  /// A source that goes on where it was, a transform that dies now and then, a sink: nothing lost, nothing doubled.
  @Test func allKindsKeepEveryMessageOverDeaths() throws {
    let folder = try TemporaryFolder()
    let die = "static void once(const char *name) { FILE *f = fopen(name, \"wx\"); if (f) { fclose(f); _exit(3); } }\n"
    let file = try project(folder, [
      "count": Self.head + Self.abi + die + Self.spec("count", "source", #"{"type": "object", "properties": {"to": {"type": "integer"}}, "required": ["to"]}"#) + """
        struct state { unsigned long long next, to; };
        void *ringway_plugin_open(const char *settings, const ringway_context *context, const ringway_host *host) {
          struct state *s = malloc(sizeof *s); s->next = context->position; s->to = strtoull(strstr(settings, "\\"to\\":") + 5, NULL, 10); return s; }
        int ringway_plugin_process(void *plugin, const ringway_message *message, const ringway_host *host) {
          struct state *s = plugin; char text[32];
          if (s->next == s->to) return RINGWAY_END;
          if (s->next == 700) once("died-source");
          return host->emit(host->handle, text, sprintf(text, "%llu", s->next++), RINGWAY_TEXT) ? RINGWAY_REFUSED : RINGWAY_OK; }

        """ + Self.close,
      "same": Self.head + Self.abi + die + Self.spec("same", "transform") + Self.open + Self.process("""
        if (message->length == 3 && !memcmp(message->data, "250", 3)) once("died-same");
        return host->emit(host->handle, message->data, message->length, message->format) ? RINGWAY_REFUSED : RINGWAY_OK;
        """) + Self.close,
      "say": Self.head + Self.abi + Self.spec("say", "sink") + Self.open
        + Self.process("printf(\"got %.*s\\n\", (int)message->length, (const char *)message->data); fflush(stdout); return RINGWAY_OK;") + Self.close,
    ], """
      count: {plugin: count, with: {to: 2000}, directory: .}
      same: {plugin: same, inputs: [count], processes: 2, directory: .}
      out: {plugin: file.write, inputs: [same], with: {path: out}}
      few: {plugin: jq, inputs: [same], with: {filter: "select(. < 5)"}}
      say: {plugin: say, inputs: [few]}
      """)
    let result = try folder.run(file: file)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.lines("out").compactMap { Int($0) }.sorted() == Array(0..<2000))
    for n in 0..<5 { #expect(result.errors.contains("say | got \(n)\n"), "\(result.errors)") }
    let report = try folder.report
    #expect(report.balances && report.stage("count", "restarts") == 1 && report.stage("same", "restarts") == 1, "\(result.errors)")
  }

  @Test(arguments: [
    ("host->explain(host->handle, \"no luck\"); return RINGWAY_FAILED;", 65, "no luck (tried 3 times)"),
    ("host->explain(host->handle, \"never\"); return RINGWAY_REFUSED;", 65, "gave up a message: never ["),
    ("host->explain(host->handle, \"all gone\"); return RINGWAY_BROKEN;", 76, "all gone"),
    ("return 77;", 76, "ringway_plugin_process returned 77, which means nothing"),
    ("static char big[8192]; return host->emit(host->handle, big, sizeof big, 0) ? RINGWAY_REFUSED : RINGWAY_OK;", 65, "8192 bytes"),
    ("return host->reserve(host->handle, 1ul << 40) ? RINGWAY_OK : RINGWAY_REFUSED;", 65, "a message of 1099511627776 bytes"),
    ("return host->emit_reserved(host->handle, 10, 0) ? RINGWAY_REFUSED : RINGWAY_OK;", 65, "more is emitted than was reserved"),
  ]) func whatACallSaysIsDone(body: String, status: Int32, error: String) throws {
    let folder = try TemporaryFolder()
    let file = try project(folder, ["it": Self.head + Self.abi + Self.spec("it", "transform") + Self.open + Self.process(body) + Self.close], """
      count: {plugin: generate, with: {count: 3}}
      it: {plugin: it, inputs: [count]}
      end: {plugin: discard, inputs: [it], queue: {message: 4KiB}}
      """)
    let result = try folder.run(file: file)
    #expect(result.status == status && result.errors.contains(error), "\(result.errors)")
  }

  /// A length that nothing has, such as -1 of a call that has failed, and bytes that are nowhere: the message fails, and the others arrive.
  @Test(arguments: [
    ("host->emit(host->handle, message->data, (size_t)-1, 0)", "a message of 18446744073709551615 bytes"),
    ("host->emit_to(host->handle, 0, message->data, (size_t)1 << 63, 0)", "a message of 9223372036854775808 bytes"),
    ("host->reserve(host->handle, (size_t)-4096) == NULL", "a message of 18446744073709547520 bytes"),
    ("host->reserve(host->handle, 10) == NULL || host->emit_reserved(host->handle, (size_t)-1, 0)", "more is emitted than was reserved"),
    ("host->emit(host->handle, NULL, 100, 0)", "a message of 100 bytes at NULL"),
  ]) func aLengthThatCannotBeIsRefused(call: String, error: String) throws {
    let folder = try TemporaryFolder()
    let body = "static int calls; if (++calls == 4) { if (!(\(call))) abort(); return 0; } return host->emit(host->handle, message->data, message->length, 0);"
    let file = try project(folder, ["it": Self.head + Self.abi + Self.spec("it", "transform") + Self.open + Self.process(body) + Self.close], """
      count: {plugin: generate, with: {count: 20}}
      it: {plugin: it, inputs: [count], on_error: {then: drop}}
      out: {plugin: file.write, inputs: [it], with: {path: out}}
      """)
    let result = try folder.run(file: file)
    #expect(result.status == 0 && result.errors.contains(error), "\(result.errors)")
    #expect(folder.lines("out").count == 19)
  }

  /// Nobody would get what is emitted there.
  @Test(arguments: [
    (open, "int ringway_plugin_close(void *plugin, const ringway_host *host) { host->emit(host->handle, \"late\", 4, 0); return RINGWAY_OK; }\n"),
    ("void *ringway_plugin_open(const char *settings, const ringway_context *context, const ringway_host *host) { host->emit(host->handle, \"early\", 5, 0); return \"\"; }\n", close),
  ]) func whatIsEmittedOutsideOfACallEndsTheRun(open: String, close: String) throws {
    let folder = try TemporaryFolder()
    let file = try project(folder, ["it": Self.head + Self.abi + Self.spec("it", "transform") + open + Self.process("return 0;") + close], """
      count: {plugin: generate, with: {count: 3}}
      it: {plugin: it, inputs: [count], restart: {max: 0}}
      out: {plugin: file.write, inputs: [it], with: {path: out}}
      """)
    let result = try folder.run(file: file)
    #expect(result.status == 76 && result.errors.contains("the plugin emits while it opens or closes"), "\(result.status) \(result.errors)")
  }

  @Test func aPluginThatDoesNotOpenSaysWhy() throws {
    let folder = try TemporaryFolder()
    let open = "void *ringway_plugin_open(const char *s, const ringway_context *c, const ringway_host *host) { host->explain(host->handle, \"no licence\"); return NULL; }\n"
    let file = try project(folder, ["it": Self.head + Self.abi + Self.spec("it", "sink") + open + Self.process("return RINGWAY_OK;") + Self.close], """
      count: {plugin: generate, with: {count: 3}}
      it: {plugin: it, inputs: [count]}
      """)
    let result = try folder.run(file: file)
    #expect(result.status == 78 && result.errors.contains("stage \"it\": no licence"), "\(result.errors)")
  }

  /// What cannot be a plugin is named with its reason, before anything starts.
  @Test(arguments: [
    ("uint32_t ringway_plugin_abi(void) { return 9; }\n", "its interface is version 9, and this program's is 1"),
    ("int nothing;\n", "it has no function ringway_plugin_abi"),
    (abi + spec("it", "sink") + open + close, "it has no function ringway_plugin_process"),
    (abi + "const char *ringway_plugin_spec(void) { return \"{\"; }\n" + open + process("return 0;") + close, "its spec is not JSON"),
    (abi + spec("it", "neither") + open + process("return 0;") + close, "its kind is none of source, transform and sink"),
    (abi + spec("it", "sink", #"{"properties": {"a": {"type": 5}}}"#) + open + process("return 0;") + close, "its settings are no JSON Schema"),
    (abi + "__attribute__((constructor)) static void crash(void) { abort(); }\n", "loading it ends with signal 6"),
    (abi + spec("jq", "sink") + open + process("return 0;") + close, "there is a plugin \"jq\" already"),
  ]) func whatCannotBeLoadedIsNamed(code: String, error: String) throws {
    let folder = try TemporaryFolder()
    let file = try project(folder, ["it": Self.head + code], """
      count: {plugin: generate, with: {count: 3}}
      it: {plugin: it, inputs: [count]}
      """)
    for command in ["validate", "run"] {
      let result = try Ringway.run([command, file])
      let isTaken = error.hasSuffix("already")
      #expect(result.status == (isTaken ? 78 : 76) && result.errors.contains(error) && result.errors.contains("p.yaml:2:11"), "\(result.errors)")
    }
  }

  /// A library that does not come to its end while it is looked into. Should it crash, it leaves no core file.
  @Test func aRunThatIsStoppedWhileALibraryIsLoadedSaysSo() throws {
    let folder = try TemporaryFolder()
    let begun = folder.path("begun")
    let code = """
      #include <sys/resource.h>
      __attribute__((constructor)) static void hang(void) {
        struct rlimit core = { 1, 1 };
        getrlimit(RLIMIT_CORE, &core);
        FILE *file = fopen("\(begun)", "w");
        fprintf(file, "%d %d\\n", (int)core.rlim_cur, (int)core.rlim_max);
        fclose(file);
        for (;;) pause();
      }

      """
    let file = try project(folder, ["it": Self.head + code + Self.abi], """
      count: {plugin: generate, with: {count: 3}}
      it: {plugin: it, inputs: [count]}
      """)
    let running = try Running(["run", file, "--report", folder.path("report.json")])
    #expect(eventually { folder.lines("begun") == ["0 0"] }, "\(running.errors)")
    kill(running.pid, SIGINT)
    #expect(try running.finish().status == 75, "\(running.errors)")
    let report = try String(contentsOfFile: folder.path("report.json"), encoding: .utf8)
    #expect(report.contains("stopped while the file was checked") && report.contains("\"outcome\": \"stopped\""), "\(report)")
  }

  @Test func settingsAreCheckedByThePluginsOwnSchema() throws {
    let folder = try TemporaryFolder()
    let settings = #"{"properties": {"mode": {"enum": ["fast", "good"]}, "size": {"type": "integer", "minimum": 1}, "key": {"type": "string", "x-secret": true}}, "required": ["size"]}"#
    let library = Self.head + Self.abi + Self.spec("it", "sink", settings) + Self.open + Self.process("return 0;") + Self.close
    let stages = "count: {plugin: generate, with: {count: 3}}\nit: {plugin: it, inputs: [count], with: "
    for (with, error) in [
      ("{size: 0}", "expected an integer of at least 1"), ("{size: 1, mode: best}", "fast"), ("{siez: 1}", "did you mean \"size\"?"), ("{mode: good}", "needs \"size\""),
    ] {
      let result = try Ringway.run(["validate", try project(folder, ["it": library], stages + with + "}")])
      #expect(result.status == 78 && result.errors.contains(error), "\(with): \(result.errors)")
    }
    let secret = try Ringway.run(["graph", try project(folder, ["it": library], stages + "{size: 1, key: hush}}"), "--format", "json"])
    #expect(secret.status == 0 && !secret.output.contains("hush"), "\(secret.output) \(secret.errors)")
  }
}
