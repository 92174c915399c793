import Documents
import Specs
import Testing

@testable import Plans

struct ExpansionTests {
  private static let file = """
    ringway: 1
    parameters:
      count: {type: integer, default: 7}
      name: {type: string, default: seven}
      half: {type: number, default: 0.5}
      fast: {type: boolean, default: true}
      size: {type: size, default: 64KiB}
      empty: {type: string, default: ""}
      needed: {type: string}
    stages:
      a: {plugin: numbers}
      b:
        plugin: add
        inputs: [a]
        with: {text: VALUE}
      c: {plugin: drop, inputs: [b]}
    """

  private func expand(
    _ value: String, set: [(path: String, value: String)] = [], environment: [String: String] = [:], at path: [String] = ["stages", "b", "with", "text"]
  ) throws -> (node: Node?, diagnostics: [Diagnostic], secrets: Secrets) {
    let document = try yaml(Self.file.replacing("VALUE", with: value))
    let result = Expansion.expand(document, overrides: set, catalog: Declared.plugins, environment: { environment[$0] })
    return (path.reduce(Optional(result.node)) { $0?[$1] }, result.diagnostics, result.secrets)
  }

  @Test(arguments: [
    ("\"${count}\"", "the integer 7"),
    ("\"${half}\"", "the number 0.5"),
    ("\"${fast}\"", "the boolean true"),
    ("\"${size}\"", "the string \"64KiB\""),
    ("\"${name}\"", "the string \"seven\""),
    // Inside of other text everything is text, as it was written.
    ("\"${count} of ${name}, ${half} ${fast}\"", "the string \"7 of seven, 0.5 true\""),
    ("\"${count}0\"", "the string \"70\""),
    ("\"${count}${count}\"", "the string \"77\""),
    // The shell's :- gives the default also for what is empty.
    ("\"${empty}\"", "the string \"\""),
    ("\"${empty:-x}\"", "the string \"x\""),
    ("\"${nothing:-}\"", "the string \"\""),
    ("\"${nothing:-a b:-c}\"", "the string \"a b:-c\""),
    ("\"${needed:-given}\"", "the string \"given\""),
    // Literals.
    ("\"$${count}\"", "the string \"${count}\""),
    ("\"$$${count}\"", "the string \"$${count}\""),
    ("\"$5 and $ and $$\"", "the string \"$5 and $ and $$\""),
    ("\"a $${ b ${count}\"", "the string \"a ${ b 7\""),
    ("\"}\"", "the string \"}\""),
    // The text of a block is expanded, whatever its style.
    ("'${name}'", "the string \"seven\""),
  ])
  func scalarsAreExpanded(_ value: String, _ expected: String) throws {
    let result = try expand(value)
    #expect(result.diagnostics.isEmpty)
    #expect(result.node?.described == expected)
  }

  @Test func whatWasPutInIsNotExpandedAgain() throws {
    let result = try expand("\"${name}\"", set: [("name", "${count}${name}")])
    #expect(result.diagnostics.isEmpty)
    #expect(result.node?.string == "${count}${name}")
    let variable = try expand("\"${LOOP}\"", environment: ["LOOP": "${LOOP}${LOOP}"])
    #expect(variable.node?.string == "${LOOP}${LOOP}")
  }

  @Test(arguments: [
    ("\"x ${count\"", "expansion-open: `${` is not closed by `}`; close it, or write `$${` for the two characters themselves"),
    ("\"${}\"", "expansion-name: `${}` holds no name; write ${NAME} or ${NAME:-default}, where a name has letters, digits and _; write `$${` for the two characters themselves"),
    ("\"${1st}\"", "expansion-name: `${1st}` holds no name; write ${NAME} or ${NAME:-default}, where a name has letters, digits and _; write `$${` for the two characters themselves"),
    ("\"${a-b}\"", "expansion-name: `${a-b}` holds no name; write ${NAME} or ${NAME:-default}, where a name has letters, digits and _; write `$${` for the two characters themselves"),
    ("\"${größe}\"", "expansion-name: `${größe}` holds no name; write ${NAME} or ${NAME:-default}, where a name has letters, digits and _; write `$${` for the two characters themselves"),
    ("\"${a:?b}\"", "expansion-name: `${a:?b}` holds no name; write ${NAME} or ${NAME:-default}, where a name has letters, digits and _; write `$${` for the two characters themselves"),
    ("\"${a:-${count}}\"", "expansion-nested: the default in `${a:-${count` holds a brace; a default is plain text; give a parameter a default under `parameters` instead"),
    ("\"${cuont}\"", "unset-variable: `${cuont}` is neither a parameter nor set in the environment; did you mean \"${count}\"?"),
    ("\"${ELSEWHERE}\"", "unset-variable: `${ELSEWHERE}` is neither a parameter nor set in the environment; declare it under `parameters`, or write ${ELSEWHERE:-VALUE} to give a default"),
    ("\"${needed}\"", "unset-parameter: the parameter \"needed\" has no default and is not set; give it with --set needed=VALUE or RINGWAY_NEEDED=VALUE, or give it a default"),
  ])
  func whatCannotBeExpandedIsAnErrorAtItsLine(_ value: String, _ expected: String) throws {
    let result = try expand(value)
    let found = try #require(result.diagnostics.first)
    #expect(result.diagnostics.count == 1)
    #expect("\(found.code): \(found.message); \(found.remedy ?? "")" == expected)
    #expect(found.span.start.line == 15)
    #expect(found.span.start.column == 18)
    #expect(found.path == "stages.b.with.text")
  }

  @Test func parametersWinOverTheEnvironmentAndTheCommandLineOverAll() throws {
    let environment = ["RINGWAY_COUNT": "8", "count": "9"]
    #expect(try expand("\"${count}\"").node?.integer == 7)
    #expect(try expand("\"${count}\"", environment: ["count": "9"]).node?.integer == 7)
    #expect(try expand("\"${count}\"", environment: environment).node?.integer == 8)
    #expect(try expand("\"${count}\"", set: [("count", "1"), ("count", "10")], environment: environment).node?.integer == 10)
    // Without a value of its own a parameter is what the variable of its name says.
    #expect(try expand("\"${needed}\"", environment: ["needed": "here"]).node?.string == "here")
  }

  @Test(arguments: [
    ("count", "abc", "--set count: the parameter \"count\" must be an integer, found the string \"abc\""),
    ("count", "1.5", "--set count: the parameter \"count\" must be an integer, found the number 1.5"),
    ("count", "", "--set count: the parameter \"count\" must be an integer, found null"),
    ("half", "x", "--set half: the parameter \"half\" must be a number, found the string \"x\""),
    ("half", ".inf", "--set half: the parameter \"half\" must be a number, found the number .inf"),
    ("fast", "yes", "--set fast: the parameter \"fast\" must be true or false, found the string \"yes\""),
    ("size", "64", "--set size: the parameter \"size\" must be a size with its unit, such as 64KiB, found the string \"64\""),
  ])
  func aParameterOfAnotherTypeIsRefused(_ name: String, _ value: String, _ message: String) throws {
    let result = try expand("\"${\(name)}\"", set: [(name, value)])
    #expect(result.diagnostics.map(\.message) == [message])
    #expect(result.diagnostics.first?.notes.first?.text == "it is declared here")
    let variable = try expand("x", environment: ["RINGWAY_" + name.uppercased(): value])
    #expect(variable.diagnostics.map(\.message) == ["RINGWAY_\(name.uppercased())" + message.dropFirst(6 + name.utf8.count)])
  }

  @Test(arguments: [
    ("count", "010", "the integer 010"), ("count", "0x10", "the integer 0x10"), ("count", "3.0", "the number 3.0"), ("half", "2", "the integer 2"),
    ("half", "1e3", "the number 1e3"), ("fast", "False", "the boolean false"), ("size", "1.5MiB", "the string \"1.5MiB\""), ("name", "12", "the string \"12\""),
    ("name", "", "the string \"\""), ("name", "a=b", "the string \"a=b\""),
  ])
  func aParameterIsReadInItsType(_ name: String, _ value: String, _ expected: String) throws {
    let result = try expand("\"${\(name)}\"", set: [(name, value)])
    #expect(result.diagnostics.isEmpty)
    #expect(result.node?.described == expected)
  }

  /// Only the place knows whether `8` is a number or a text.
  @Test func aVariableTakesTheTypeThatItsPlaceAsksFor() throws {
    let document = try yaml(
      """
      ringway: 1
      drain: "${DRAIN}"
      stages:
        a: {plugin: numbers, with: {count: "${N}"}}
        b: {plugin: add, inputs: [a], processes: "${N}", with: {text: "${N}", fast: "${FAST:-true}"}, queue: {capacity: "${N}"}}
        c: {plugin: drop, inputs: [b], processes: "${AUTO:-auto}", environment: {X: "${N}"}, on_error: {retries: "${R:-1}"}}
      """)
    let environment = ["N": "8", "DRAIN": "5s", "FAST": ""]
    let result = Expansion.expand(document, catalog: Declared.plugins, environment: { environment[$0] })
    #expect(result.diagnostics.isEmpty)
    let stages = result.node["stages"]
    #expect(stages?["a"]?["with"]?["count"]?.integer == 8)
    #expect(stages?["b"]?["processes"]?.integer == 8)
    #expect(stages?["b"]?["with"]?["text"]?.string == "8")
    #expect(stages?["b"]?["with"]?["fast"]?.boolean == true)
    #expect(stages?["b"]?["queue"]?["capacity"]?.integer == 8)
    #expect(stages?["c"]?["processes"]?.string == "auto")
    #expect(stages?["c"]?["environment"]?["X"]?.string == "8")
    #expect(stages?["c"]?["on_error"]?["retries"]?.integer == 1)
    #expect(result.node["drain"]?.string == "5s")
  }

  @Test func keysAreLeftAloneAndPlacesKept() throws {
    let document = try yaml("ringway: 1\nstages:\n  a:\n    environment:\n      ${X}: \"${X}\"\n    inputs: [\"${X}\"]\n")
    let result = Expansion.expand(document, environment: { $0 == "X" ? "y" : nil })
    let pair = try #require(result.node["stages"]?["a"]?["environment"]?.pairs?.first)
    #expect(pair.key == "${X}")
    #expect(pair.value.string == "y")
    #expect(pair.value.span.start.line == 5)
    #expect(pair.value.span.start.column == 13)
    #expect(result.node["stages"]?["a"]?["inputs"]?.items?.first?.string == "y")
    #expect(result.node["stages"]?["a"]?["inputs"]?.items?.first?.span.start.column == 14)
  }

  @Test func aDefaultMayUseTheEnvironmentButNoParameter() throws {
    let text = """
      ringway: 1
      parameters:
        home: {type: string, default: "${HOME}/data"}
        port: {type: integer, default: "${PORT:-80}"}
        other: {type: string, default: "${home}"}
      stages: {a: {plugin: "${home}", processes: "${port}"}}
      """
    let environment = ["HOME": "/root"]
    let result = Expansion.expand(try yaml(text), environment: { environment[$0] })
    #expect(result.node["stages"]?["a"]?["plugin"]?.string == "/root/data")
    #expect(result.node["stages"]?["a"]?["processes"]?.integer == 80)
    #expect(result.diagnostics.map(\.code) == ["unset-variable"])
    #expect(result.diagnostics.first?.span.start.line == 5)
  }

  @Test(arguments: [
    ("{type: integer, default: x}", "the default of the parameter \"p\" must be an integer, found the string \"x\"", ""),
    ("{type: string, default: 8080}", "the default of the parameter \"p\" must be a string, found the integer 8080", "put it into quotes"),
    ("{type: boolean, default: no}", "the default of the parameter \"p\" must be true or false, found the string \"no\"", ""),
    ("{type: duration, default: 5}", "the default of the parameter \"p\" must be a duration with its unit, such as 250ms, found the integer 5", ""),
    ("{type: rate, default: 5s}", "the default of the parameter \"p\" must be a rate with its unit, such as 100/s, found the string \"5s\"", ""),
    ("{type: string, default: [1]}", "the default of the parameter \"p\" must be a string, found a list", ""),
    ("{type: integer, secret: true, default: hunter2}", "the default of the parameter \"p\" must be an integer", ""),
  ])
  func aDefaultOfAnotherTypeIsRefused(_ declaration: String, _ message: String, _ remedy: String) throws {
    let result = Expansion.expand(try yaml("parameters:\n  p: \(declaration)\nstages: {a: {plugin: \"${p}\"}}\n"))
    // What follows from it, that ${p} has no value, is not said too.
    #expect(result.diagnostics.map(\.message) == [message])
    #expect(result.diagnostics.first?.remedy ?? "" == remedy)
    #expect(result.diagnostics.first?.span.start.line == 2)
  }

  @Test func manyUsesOfALongValueDoNotFillTheMemory() throws {
    let uses = (0..<5_000).map { "    k\($0): \"x${long}\"" }.joined(separator: "\n")
    let document = try yaml("parameters: {long: {type: string}}\nstages:\n  a:\n\(uses)\n")
    let long = String(repeating: "x", count: 1 << 20)
    let result = Expansion.expand(document, overrides: [("long", long)])
    #expect(result.diagnostics.map(\.code) == ["expansion-too-large"])
  }

  @Test func anUnquotedExpansionInBracesIsExplained() throws {
    for text in ["a: {b: ${c}}\n", "a: [${c}]\n"] {
      let (node, diagnostics) = YAMLText.compose(Array(text.utf8))
      #expect(node == nil)
      #expect(diagnostics.first?.remedy?.contains("quote") == true, "\(diagnostics)")
    }
  }
}

extension String {
  fileprivate func replacing(_ old: String, with new: String) -> String {
    guard let range = firstRange(of: old) else { return self }
    return self[..<range.lowerBound] + new + self[range.upperBound...]
  }
}
