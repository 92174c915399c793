import Plans
import Specs

/// The two texts of a state directory: JSON that ends with a sum over everything before it, so that one which was cut or changed is
/// noticed. Both are replaced whole.
enum StateFile {
  static let format = 1

  static func text(_ pairs: [(String, JSON)]) -> String {
    let all = [("ringway_state", JSON.integer(format))] + pairs
    return JSON.object(all + [("check", .string(sum(of: .object(all))))]).pretty + "\n"
  }

  /// - Returns: nil and a reason for what no run of this version has written
  static func read(_ bytes: [UInt8]) -> (node: Node?, reason: String) {
    guard let node = JSONText.parse(bytes).node, let pairs = node.pairs, let found = node["ringway_state"]?.integer else {
      return (nil, "it is cut off, or no state of ringway")
    }
    if found != format { return (nil, "it was written by another version of ringway (format \(found), this one reads \(format))") }
    let rest = JSON.object(pairs.filter { $0.key != "check" }.map { ($0.key, JSON($0.value)) })
    return node["check"]?.string == sum(of: rest) ? (node, "") : (nil, "its sum does not fit: it is damaged, or was changed by hand")
  }

  /// FNV-1a, 64 bits (draft-eastlake-fnv): against accidents, not against anybody.
  private static func sum(of json: JSON) -> String {
    var h: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in json.compact.utf8 { h = (h ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return String(h, radix: 16)
  }
}

/// The graph that a state belongs to: what must be the same when a run is resumed. Nothing secret is in it.
struct StatePlan: Equatable {
  struct Entry: Equatable {
    var name: String
    var plugin: String
    var kind: String
    var library: String?
    var inputs: [String]
    var processes: Int
    /// Nil for a source.
    var capacity: Int?
    var messageBytes: Int?
    /// Nil where the queue takes what it can use.
    var bytes: Int?
    var whenFull: String?
    /// Nil where all processes read one queue.
    var partition: PartitionRule?
    var isOrdered = false
    var settings: JSON
  }

  /// Tells the files of one state directory from those of all others.
  var id: UInt64
  var pipeline: String
  var file: String
  var directory: String
  /// In the order of the plan, which gives the workers their numbers.
  var stages: [Entry]

  init(_ plan: Plan, id: UInt64) {
    self.id = id
    pipeline = plan.name
    file = plan.file
    directory = plan.directory
    stages = plan.stages.map { stage in
      Entry(
        name: stage.name, plugin: stage.plugin, kind: stage.kind.rawValue, library: stage.library, inputs: stage.inputs, processes: stage.processes,
        capacity: stage.queue?.capacity, messageBytes: stage.queue?.messageBytes, bytes: stage.queue?.bytes, whenFull: stage.queue?.whenFull.rawValue,
        partition: stage.partition, isOrdered: stage.isOrdered, settings: .object(stage.lasting.map { ($0.name, $0.value) }))
    }
  }

  var workers: Int { stages.reduce(0) { $0 + $1.processes } }

  var text: String {
    StateFile.text([
      ("id", .string(String(id, radix: 16))), ("pipeline", .string(pipeline)), ("file", .string(file)), ("directory", .string(directory)),
      ("stages", .array(stages.map { stage in
        [
          "name": .string(stage.name), "plugin": .string(stage.plugin), "kind": .string(stage.kind), "library": stage.library.map(JSON.string) ?? .null,
          "inputs": .array(stage.inputs.map(JSON.string)), "processes": .integer(stage.processes),
          "capacity": stage.capacity.map(JSON.integer) ?? .null, "message_bytes": stage.messageBytes.map(JSON.integer) ?? .null,
          "bytes": stage.bytes.map(JSON.integer) ?? .null, "when_full": stage.whenFull.map(JSON.string) ?? .null,
          "partition": stage.partition?.json ?? .null, "ordered": .boolean(stage.isOrdered), "settings": stage.settings,
        ]
      })),
    ])
  }

  init?(_ node: Node) {
    guard
      let id = node["id"]?.string.flatMap({ UInt64($0, radix: 16) }), let pipeline = node["pipeline"]?.string, let file = node["file"]?.string,
      let directory = node["directory"]?.string, let items = node["stages"]?.items
    else { return nil }
    self.id = id
    self.pipeline = pipeline
    self.file = file
    self.directory = directory
    stages = []
    for item in items {
      guard
        let name = item["name"]?.string, let plugin = item["plugin"]?.string, let kind = item["kind"]?.string,
        let inputs = item["inputs"]?.items, let processes = item["processes"]?.integer, 1...4095 ~= processes, let settings = item["settings"]
      else { return nil }
      stages.append(
        Entry(
          name: name, plugin: plugin, kind: kind, library: item["library"]?.string, inputs: inputs.compactMap(\.string), processes: processes,
          capacity: item["capacity"]?.integer, messageBytes: item["message_bytes"]?.integer, bytes: item["bytes"]?.integer,
          whenFull: item["when_full"]?.string, partition: PartitionRule(item["partition"]),
          isOrdered: item["ordered"]?.boolean ?? false, settings: JSON(settings)))
    }
    guard stages.count <= 4095, workers <= 4095 else { return nil }
  }

  /// What keeps a run of the other plan from going on here, a sentence each; empty when nothing does.
  func differences(to now: StatePlan) -> [String] {
    var all: [String] = []
    func compare(_ what: String, _ old: JSON?, _ new: JSON?) {
      if old != new { all.append("\(what) was \(Self.shown(old)), now it is \(Self.shown(new))") }
    }
    compare("the pipeline file's folder, where relative paths start,", .string(directory), .string(now.directory))
    for old in stages where !now.stages.contains(where: { $0.name == old.name }) { all.append("the stage \"\(old.name)\" is gone") }
    // Workers, and what they have handed on through each output, are counted in this order.
    let order = now.stages.map(\.name), before = stages.map(\.name)
    if order != before, Set(order) == Set(before) { compare("the order of the stages", .array(before.map(JSON.string)), .array(order.map(JSON.string))) }
    for new in now.stages {
      guard let old = stages.first(where: { $0.name == new.name }) else {
        all.append("the stage \"\(new.name)\" is new")
        continue
      }
      let path = "stages.\(new.name)."
      compare(path + "plugin", .string(old.plugin), .string(new.plugin))
      if old.plugin != new.plugin { continue }
      compare(path + "plugin's library", old.library.map(JSON.string), new.library.map(JSON.string))
      compare(path + "plugin's kind", .string(old.kind), .string(new.kind))
      // In which order they stand says nothing.
      if Set(old.inputs) != Set(new.inputs) { compare(path + "inputs", .array(old.inputs.map(JSON.string)), .array(new.inputs.map(JSON.string))) }
      compare(path + "processes", .integer(old.processes), .integer(new.processes))
      compare(path + "queue.capacity", old.capacity.map(JSON.integer), new.capacity.map(JSON.integer))
      func compareSize(_ key: String, _ old: Int?, _ new: Int?) {
        func size(_ bytes: Int?) -> String { bytes.map { Quantity.describe(bytes: $0) } ?? "none" }
        if old != new { all.append("\(path)queue.\(key) was \(size(old)), now it is \(size(new))") }
      }
      compareSize("message", old.messageBytes, new.messageBytes)
      compareSize("bytes", old.bytes, new.bytes)
      // Which queue a message waits in depends on it.
      compare(path + "partition", old.partition?.json, new.partition?.json)
      // What has been handed on out of order stays so.
      if old.isOrdered != new.isOrdered { compare(path + "order", old.isOrdered ? "input" : nil, new.isOrdered ? "input" : nil) }
      // What is counted depends on it.
      compare(path + "queue.when_full", old.whenFull.map(JSON.string), new.whenFull.map(JSON.string))
      guard case .object(let before) = old.settings, case .object(let after) = new.settings else { continue }
      for (name, value) in before where !after.contains(where: { $0.0 == name }) { compare(path + "with." + name, value, nil) }
      for (name, value) in after { compare(path + "with." + name, before.first { $0.0 == name }?.1, value) }
    }
    return all
  }

  private static func shown(_ json: JSON?) -> String {
    guard let json, json != .null else { return "not there" }
    let text = json.compact
    return text.count > 80 ? text.prefix(80) + "…" : text
  }
}

/// What became of the runs that used a state directory; replaced when a run begins and when it ends in order.
struct StateSession {
  /// A file that a sink writes, and which one it was when the run began.
  struct Output: Equatable {
    var stage: String
    var path: String
    var device: UInt64
    var inode: UInt64
  }

  /// `running`, or a run's outcome.
  var phase = Self.running
  var code = 0
  var cause = ""
  /// Of the last run.
  var pid = 0
  /// Which start of the machine the last run belongs to.
  var boot = ""
  /// Seconds since 1970: the first run's begin, the last run's begin and end (0 while it runs).
  var created = 0
  var started = 0
  var ended = 0
  var resumes = 0
  /// Whether everything had reached the disk when the run ended.
  var isSynced = false
  /// What could not be written to the disk when the run ended; empty when everything was.
  var unsynced = ""
  var outputs: [Output] = []

  static let running = "running"
  static let finished = "finished"

  init() {}

  var text: String {
    StateFile.text([
      ("phase", .string(phase)), ("exit_code", .integer(code)), ("cause", .string(cause)), ("pid", .integer(pid)), ("boot", .string(boot)),
      ("created", .integer(created)), ("started", .integer(started)), ("ended", .integer(ended)), ("resumes", .integer(resumes)),
      ("synced", .boolean(isSynced)), ("unsynced", .string(unsynced)),
      ("outputs", .array(outputs.map { output in
        [
          "stage": .string(output.stage), "path": .string(output.path), "device": .string(String(output.device)), "inode": .string(String(output.inode)),
        ]
      })),
    ])
  }

  init?(_ node: Node) {
    guard
      let phase = node["phase"]?.string, let code = node["exit_code"]?.integer, let cause = node["cause"]?.string, let pid = node["pid"]?.integer,
      let boot = node["boot"]?.string, let created = node["created"]?.integer, let started = node["started"]?.integer,
      let ended = node["ended"]?.integer, let resumes = node["resumes"]?.integer, let isSynced = node["synced"]?.boolean,
      let outputs = node["outputs"]?.items
    else { return nil }
    self.phase = phase
    self.code = code
    self.cause = cause
    self.pid = pid
    self.boot = boot
    self.created = created
    self.started = started
    self.ended = ended
    self.resumes = resumes
    self.isSynced = isSynced
    // Runs of before did not say it.
    unsynced = node["unsynced"]?.string ?? ""
    for item in outputs {
      guard
        let stage = item["stage"]?.string, let path = item["path"]?.string, let device = item["device"]?.string.flatMap(UInt64.init),
        let inode = item["inode"]?.string.flatMap(UInt64.init)
      else { return nil }
      self.outputs.append(Output(stage: stage, path: path, device: device, inode: inode))
    }
  }
}
