import Documents
import Plans
import Platform
import Specs

// Writes what the fuzzer begins with: `corpus FOLDER REPOSITORY [CORPORA]`. A folder for each target; only the
// repository's own files, and suites that others wrote if they are there.
guard CommandLine.arguments.count >= 3 else { CurrentProcess.exit(64) }
let folder = CommandLine.arguments[1]
let repository = CommandLine.arguments[2]
let corpora = CommandLine.arguments.count > 3 ? CommandLine.arguments[3] : ""

func write(_ target: String, _ name: String, _ bytes: [UInt8]) throws {
  let file = try Files.openForWriting("\(folder)/\(target)/seed-\(name)")
  try Files.truncate(file, to: 0)
  try bytes.withUnsafeBytes { try Descriptors.writeAll(file, $0) }
  Descriptors.close(file)
}

func read(_ path: String) throws -> [UInt8] { try Files.readAll(path, limit: 4 << 20) }

/// A name that no other file has.
func name(_ path: String) -> String { path.split(separator: "/").suffix(3).joined(separator: "-") }

// Pipelines, sound and broken.
let pipelines = Files.glob(repository + "/pipelines/*.yaml") + Files.glob(repository + "/Tests/CommandsTests/Golden/*/*.yaml")
for path in pipelines + Files.glob(corpora + "/yaml-test-suite/*/in.yaml") + Files.glob(corpora + "/yaml-test-suite/*/*/in.yaml") {
  try write("composer", name(path), try read(path))
}
try write("composer", "sets", Array("""
  #set count=8
  #set stages.more.queue.capacity=${count}
  ringway: 1
  parameters:
    count: {type: integer, default: 7}
    token: {type: string, secret: true, default: hunter2}
    path: {type: string, default: "${OUT:-a.txt}"}
  stages:
    numbers: {plugin: numbers, with: {count: "${count}", size: 1KiB}}
    lines: {plugin: read, with: {path: "*.txt"}}
    more: &more {plugin: add, inputs: [numbers, lines], processes: auto, queue: {capacity: 8, message: 4KiB}, with: {text: "a ${count} $${x}"}}
    again: {<<: *more, inputs: [more], timeout: 5s, restart: {max: 3, within: 1s, backoff: 1ms}}
    keep: {plugin: write, inputs: [again], with: {path: "${path}", mode: append}, directory: /tmp}
    send: {plugin: post, inputs: [more], with: {token: "${token}", headers: {A: "b ${token}"}}, on_error: {retries: 1, then: drop}}
  """.utf8))

// Schemas with documents.
for path in Files.glob(corpora + "/json-schema-test-suite/tests/draft2020-12/*.json") {
  for (i, group) in (JSONText.parse(try read(path)).node?.items ?? []).enumerated() {
    guard let schema = group["schema"] else { continue }
    for (j, test) in (group["tests"]?.items ?? []).enumerated() {
      guard let document = test["data"] else { continue }
      try write("validator", "\(name(path))-\(i)-\(j)", Array("\(JSON(schema).compact)\n---\n\(JSON(document).compact)".utf8))
    }
  }
}
for path in pipelines { try write("validator", name(path), try read(path)) }
try write("validator", "own-words", Array("""
  type: object
  required: [a, b]
  properties: {a: {type: integer, minimum: 1, x-expected: a number, x-secret: true}, b: {$ref: '#/$defs/list'}}
  patternProperties: {'^x-\\p{L}+$': {multipleOf: 0.01}}
  additionalProperties: false
  $defs: {list: {type: array, items: {anyOf: [{const: 1.0}, {enum: [a, null]}, {$ref: 'other#/x'}]}, uniqueItems: true}}
  ---
  a: 0
  b: [1, a, 2]
  x-é: 1e-9
  """.utf8))

// Orders and messages.
let settings = YAMLText.compose(Array("{count: 5, size: 4KiB, text: \"a\\n\\u0001\", list: [1, 2.5, null, true], token: \"${x}\"}".utf8)).node ?? Node(.null)
for plugin in ["numbers", "add", "post", "none"] {
  let order = WorkOrder(
    stage: "stage", plugin: plugin, kind: .transform, worker: 7, process: 3, directory: "/tmp", settings: settings, retries: 2, deaths: 3, then: .drop, cells: 5,
    input: plugin == "numbers" ? nil : WorkOrder.Attachment(descriptor: 6, lane: 3), outputs: [WorkOrder.Attachment(descriptor: 7, lane: 0)],
    sockets: [9, 10], standardOutput: 11)
  try write("order", "order-" + plugin, order.encoded())
}
let messages: [WorkerMessage] = [
  .ready, .messageFailed(id: "00ff", error: "a \"b\"\n", errors: 3, deaths: 1), .messageDropped(id: "1", error: "é", errors: 0, deaths: 9),
  .failed(code: .io, text: "disk full"),
]
for (i, message) in messages.enumerated() { try write("order", "message-\(i)", Array(message.line.utf8)) }
try write("order", "messages", Array((messages.map(\.line).joined() + "go\nstop\n\u{1b}[2J\t\r\n").utf8))

// Programmes for the line of workers: everybody's turn, in order, killed after so many steps; then a word is overwritten.
for shape: UInt8 in 0..<4 {
  for kill in stride(from: UInt8(0), to: 40, by: 3) {
    let turns: [[UInt8]] = [
      [0, 0, 255, 3, 5], [0, 1, 255, 3, 0], [0, 3, 255, 3, 1], [0, 0, 255, 1, 2], [0, 2, kill, 1, 6], [7], [6, 2], [0, 2, 255, 227, 0],
    ]
    let garbage: [[UInt8]] = [[], [10, kill, kill / 6, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9], [12, 3, kill, 5, 2, 2, 3], [12, 3, kill, 130, 2, 2, 3], [15, 3, kill, 0, 0, 0, 0, 0, 0, 0]]
    for (i, words) in garbage.enumerated() {
      let bytes = [shape * 80] + turns.flatMap { $0 } + words + [7, 6, 0, 6, 1, 9, 1] + turns.flatMap { $0 } + [8, 0, 8, 1, 0, 3, 255, 227, 4]
      for target in ["recovery", "handoff"] { try write(target, "\(shape)-\(kill)-\(i)", bytes) }
    }
  }
}
