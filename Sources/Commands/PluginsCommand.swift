import ArgumentParser
import Platform
import Specs

struct PluginsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugins", abstract: "Lists the plugins, or prints the page of one.",
    discussion: """
      Examples:
        ringway plugins
        ringway plugins jq
        ringway plugins build/libblur.so
      """)

  @Argument(help: "The plugin.") var name: String?
  @Flag(name: .long, help: "Writes the page in Markdown.") var markdown = false
  @OptionGroup var common: CommonOptions

  func run() throws {
    guard let name else {
      for kind in [PluginSpec.Kind.source, .transform, .sink] { list("\(kind.rawValue)s", Commands.specs.filter { $0.kinds == [kind] }) }
      list("sources, transforms and sinks", Commands.specs.filter { $0.kinds.count > 1 })
      return
    }
    if name.contains("/") || name.hasSuffix(".so") { return try library(name) }
    guard let spec = Commands.specs.first(where: { $0.name == name }) else {
      let remedy = Nearest.remedy(for: name, among: Commands.specs.map(\.name), of: "plugins") ?? ""
      Output.say("ringway: there is no plugin \"\(name)\"; \(remedy)\n")
      throw Specs.ExitCode.usage.end
    }
    Output.answer(markdown ? PluginPage.markdown(spec) : PluginPage.text(spec))
  }

  /// The page of a shared library's plugin.
  private func library(_ name: String) throws {
    let signals = PostponedSignals(), keeper = try? RunGuard()
    defer {
      keeper?.end()
      signals.release()
    }
    do throws(PluginSpec.Unusable) {
      let watch = Programs.Watch(signals, keeper) { signals.end() }
      let spec = try NativeCatalog.spec(name.hasPrefix("/") ? name : Files.currentDirectory + "/" + name, watch)
      Output.answer(markdown ? PluginPage.markdown(spec) : PluginPage.text(spec))
    } catch {
      Output.say("ringway: \(name): \(error.reason)\n")
      throw Specs.ExitCode.pluginProtocol.end
    }
  }

  private func list(_ title: String, _ specs: [PluginSpec]) {
    if specs.isEmpty { return }
    Output.answer(title + "\n")
    for spec in specs { Output.answer("  \(spec.name)\(String(repeating: " ", count: max(1, 14 - spec.name.count)))\(spec.summary)\n") }
  }
}

/// A plugin's page, from its declaration.
enum PluginPage {
  static func markdown(_ spec: PluginSpec) -> String {
    var out = "# \(spec.name)\n\n\(spec.summary) \(kinds(spec)); \(processes(spec)).\n\n"
    if !spec.details.isEmpty { out += spec.details + "\n\n" }
    if !spec.settings.isEmpty {
      out += "## Settings\n\n| setting | value | default | |\n| --- | --- | --- | --- |\n"
      for setting in spec.settings {
        out += "| `\(setting.name)` | \(setting.expected) | \(fallback(setting, quote: "`")) | \(setting.summary) |\n"
      }
      out += "\n"
    }
    if spec.example.isEmpty { return out }
    return out + "## Example\n\n```yaml\n\(spec.example)\n```\n"
  }

  static func text(_ spec: PluginSpec) -> String {
    var out = "\(spec.name): \(spec.summary) \(kinds(spec)); \(processes(spec)).\n"
    if !spec.details.isEmpty { out += "\n" + wrapped(spec.details, indent: 0) }
    if !spec.settings.isEmpty { out += "\nSettings, under `with:`\n" }
    for setting in spec.settings {
      out += "\n  \(setting.name)  (\(setting.expected); \(fallback(setting, quote: "") == "required" ? "required" : "default " + fallback(setting, quote: "")))\n"
      out += wrapped(setting.summary, indent: 6)
    }
    if spec.example.isEmpty { return out }
    return out + "\nExample\n\n" + spec.example.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)\n" }.joined()
  }

  private static func kinds(_ spec: PluginSpec) -> String { "A" + spec.kindText.dropFirst() }

  private static func processes(_ spec: PluginSpec) -> String { spec.processes == .one ? "runs in one process" : "runs in any number of processes" }

  private static func fallback(_ setting: SettingDeclaration, quote: String) -> String {
    if setting.isRequired { return "required" }
    return setting.fallback.map { quote + $0.compact + quote } ?? "none"
  }

  private static func wrapped(_ text: String, indent: Int) -> String {
    let space = String(repeating: " ", count: indent)
    var out = ""
    var line = ""
    for word in text.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
      if !line.isEmpty, indent + line.count + 1 + word.count > 96 {
        out += space + line + "\n"
        line = ""
      }
      line += (line.isEmpty ? "" : " ") + word
    }
    return out + space + line + "\n"
  }
}
