import Documents
import Specs
import Testing

@testable import Plans

struct SecretsTests {
  private static let file = """
    ringway: 1
    parameters:
      token: {type: string, secret: true}
    stages:
      a: {plugin: read, with: {path: "${token}"}}
      b: {plugin: add, inputs: [a, "${token}"], processes: "${token}", directory: "/${token}", with: {text: "Bearer ${token}", fast: "${token}"}}
      c: {plugin: "${token}", inputs: [b], queue: {message: "${token}"}}
    """

  @Test func noMessageShowsASecret() throws {
    for environment in [["RINGWAY_TOKEN": "hunter2-\"x"], ["token": "hunter2-\"x"]] {
      let expanded = Expansion.expand(try yaml(Self.file), catalog: Declared.plugins, environment: { environment[$0] })
      #expect(expanded.diagnostics.isEmpty)
      let checked = try Checked(Self.file, environment: environment)
      let planning = Planner.plan(
        expanded.node, file: "x", directory: "/here", catalog: Declared.plugins, surroundings: World().surroundings)
      let all = checked.diagnostics + planning.diagnostics
      #expect(all.count >= 8)
      for diagnostic in all {
        let text = diagnostic.rendered(file: "x", lines: []) + diagnostic.json(file: "x").compact + diagnostic.github(file: "x")
        #expect(!text.contains("hunter2"), "\(text)")
      }
    }
  }

  @Test func whatIsMadeOfASecretIsOne() throws {
    let result = Expansion.expand(try yaml(Self.file), overrides: [("token", "hunter2")], catalog: Declared.plugins)
    let with = result.node["stages"]?["b"]?["with"]
    #expect(with?["text"]?.string == "Bearer hunter2")
    #expect(with?["text"]?.described == "a secret value")
    #expect(with?["fast"]?.isSecret == true)
    #expect(result.secrets.masked("say Bearer hunter2, hunter2!") == "say Bearer *******, *******!")
  }

  @Test func aSecretOfTheWrongTypeIsNotShown() throws {
    let text = "parameters: {pin: {type: integer, secret: true}}\n"
    let result = Expansion.expand(try yaml(text), overrides: [("pin", "hunter2")])
    #expect(result.diagnostics.map(\.message) == ["--set pin: the parameter \"pin\" must be an integer"])
  }

  @Test func namesAndDescriptionsHoldNone() throws {
    let checked = try Checked(
      """
      ringway: 1
      name: "n${token}"
      description: "for ${token}"
      parameters: {token: {type: string, secret: true, default: hunter2}}
      stages:
        a: {plugin: numbers}
        b: {plugin: drop, inputs: [a]}
      """)
    #expect(checked.diagnostics.map { "\($0.span.start.line) \($0.code)" } == ["2 secret-shown", "3 secret-shown"])
  }

  @Test func aPluginsOwnWordsAreMasked() {
    var secrets = Secrets()
    for text in ["hunter", "hunter2", "abc", "", "new\nline"] { secrets.remember(text) }
    // The longer one first, however they overlap; what is too short to be told from words is left.
    #expect(secrets.masked("hunter2 hunter hunte abc new\\nline") == "******* ****** hunte abc *********")
    let diagnostic = secrets.masked(
      Diagnostic("x", "found hunter2", at: .none, remedy: "not hunter", notes: [(.none, "hunter2 here")]))
    #expect(diagnostic.message == "found *******")
    #expect(diagnostic.remedy == "not ******")
    #expect(diagnostic.notes.map(\.text) == ["******* here"])
    #expect(Secrets().masked("as it is") == "as it is")
  }

  @Test func theLinesOfTheFileAreShownMaskedAndTheCaretStays() {
    var secrets = Secrets()
    secrets.remember("hunter2")
    let source = Source(name: "x", bytes: Array("a: hunter2 # comment\nb: ok\n".utf8)).masked(secrets.masked)
    #expect(source.lines == ["a: ******* # comment", "b: ok", ""])
  }
}
