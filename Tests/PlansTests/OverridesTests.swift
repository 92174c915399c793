import Plans
import Specs
import Testing

struct OverridesTests {
  private static let file = """
    ringway: 1
    parameters:
      count: {type: integer, default: 7}
      memory: {type: integer, default: 1}
    stages:
      camera: {plugin: numbers, with: {count: "${count}"}}
      detect:
        plugin: add
        inputs: [camera]
        processes: 2
      show: {plugin: drop, inputs: [detect]}
    """

  private func value(_ path: [String], set: [(path: String, value: String)]) throws -> String? {
    let result = Expansion.expand(try yaml(Self.file), overrides: set, catalog: Declared.plugins)
    #expect(result.diagnostics.isEmpty, "\(result.diagnostics)")
    return path.reduce(Optional(result.node)) { $0?[$1] }?.described
  }

  @Test(arguments: [
    ("stages.detect.processes", "4", "the integer 4"),
    ("stages.detect.processes", "auto", "the string \"auto\""),
    ("stages.detect.queue.capacity", "8", "the integer 8"),
    ("stages.detect.queue.message", "4KiB", "the string \"4KiB\""),
    ("stages.detect.with.text", "hello", "the string \"hello\""),
    // A setting that wants a text gets one, whatever it looks like.
    ("stages.detect.with.text", "8", "the string \"8\""),
    ("stages.detect.with.text", "true", "the string \"true\""),
    ("stages.detect.with.fast", "true", "the boolean true"),
    ("stages.detect.with.text", "\"8\"", "the string \"8\""),
    ("stages.detect.inputs", "[\"camera\"]", "a list"),
    ("stages.detect.queue", "{\"capacity\": 3}", "a mapping"),
    ("stages.detect.environment.X", "1", "the string \"1\""),
    ("drain", "5s", "the string \"5s\""),
    ("name", "other", "the string \"other\""),
    ("description", "", "the string \"\""),
    ("parameters.count.default", "3", "the integer 3"),
    ("stages.camera.with.count", "${count}", "the integer 7"),
  ])
  func aPathIsSet(_ path: String, _ text: String, _ expected: String) throws {
    #expect(try value(path.split(separator: ".").map(String.init), set: [(path, text)]) == expected)
  }

  @Test func aParameterComesBeforeAKeyOfTheSameName() throws {
    let result = Expansion.expand(try yaml(Self.file), overrides: [("memory", "5")])
    #expect(result.node["memory"] == nil)
  }

  @Test func anItemOfAListIsSetByItsPlace() throws {
    let result = Expansion.expand(try yaml(Self.file), overrides: [("stages.show.inputs.0", "camera")])
    #expect(result.diagnostics.isEmpty)
    #expect(result.node["stages"]?["show"]?["inputs"]?.items?.map(\.string) == ["camera"])
  }

  @Test(arguments: [
    ("stages.detct.processes", "4", "there is no stage \"detct\"; did you mean \"detect\"?"),
    ("stages.elsewhere.processes", "4", "there is no stage \"elsewhere\"; stages: camera, detect, show"),
    ("stages.detect.proceses", "4", "a stage has no key \"proceses\"; did you mean \"processes\"?"),
    ("stages.detect.queue.capcity", "4", "`queue` has no key \"capcity\"; did you mean \"capacity\"?"),
    ("stages.detect.on_error.retry", "4", "`on_error` has no key \"retry\"; valid keys: retries, deaths, then, max_dead_letters"),
    ("stages.detect.with.txt", "4", "the plugin \"add\" has no key \"txt\"; did you mean \"text\"?"),
    ("stage.detect.processes", "4", "there is no parameter and no key \"stage\"; did you mean \"stages\"?"),
    ("cuont", "4", "there is no parameter and no key \"cuont\"; did you mean \"count\"?"),
    ("elsewhere", "4", "there is no parameter and no key \"elsewhere\"; parameters: count, memory"),
    ("parameters.cuont.default", "4", "there is no parameter \"cuont\"; did you mean \"count\"?"),
    ("parameters.count.value", "4", "a parameter has no key \"value\"; valid keys: type, default, description, secret"),
    ("stages.detect.processes.max", "4", "\"stages.detect.processes\" is no mapping and has no \"max\"; set \"stages.detect.processes\" itself"),
    ("stages.show.inputs.1", "camera", "\"1\" is no place in the list \"stages.show.inputs\"; its places are 0 to 0"),
    ("stages.show.inputs.x", "camera", "\"x\" is no place in the list \"stages.show.inputs\"; its places are 0 to 0"),
    ("stages..processes", "4", "a part of the path is empty; a path is such as stages.detect.processes"),
    ("", "4", "a part of the path is empty; a path is such as stages.detect.processes"),
    ("stages.detect.queue", "{capacity: 3}", "expected a key in double quotes; a value that begins with { is read as JSON, such as {\"capacity\": 64}"),
  ])
  func aWrongPathIsNamedByItsWrongPart(_ path: String, _ value: String, _ expected: String) throws {
    let result = Expansion.expand(try yaml(Self.file), overrides: [(path, value)], catalog: Declared.plugins)
    let found = try #require(result.diagnostics.first)
    #expect(found.code == "set-path")
    #expect(found.message + "; " + (found.remedy ?? "") == "--set \(path): " + expected)
    #expect(found.span.isNone)
  }

  @Test func whatIsWrongWithAValueIsBlamedOnTheCommandLine() throws {
    let checked = try Checked(
      Self.file, set: [("stages.detect.processes", "many"), ("stages.show.queue.capacity", "0"), ("stages.show.inputs.0", "detct")])
    #expect(
      checked.lines == [
        "not-allowed-value: --set stages.detect.processes: expected an integer from 1 to 4095, or auto, found the string \"many\"",
        "out-of-range: --set stages.show.queue.capacity: expected an integer from 1 to 1048576, found the integer 0",
      ])
    let planned = try Checked(Self.file, set: [("stages.detect.queue.capacity", "1"), ("stages.show.inputs.0", "detct")])
    #expect(
      planned.lines == [
        "unknown-input: --set stages.show.inputs[0]: there is no stage \"detct\"; did you mean \"detect\"?",
        "capacity-below-processes: --set stages.detect.queue.capacity: the queue takes 1 message, but 2 processes read it; raise `capacity` to at least 2, or lower `processes`",
      ])
  }
}
