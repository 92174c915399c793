import CYAML
import Specs

/// libyaml's events become nodes. libyaml 0.2.5 knows no limit of nesting and slows down with its depth, so flow
/// brackets are counted before it sees them and every other nesting while its events come.
struct YAMLComposer {
  private let bytes: [UInt8]
  private let limits: YAMLText.Limits
  private var marks: MarkTable
  private var diagnostics: [Diagnostic] = []
  private var anchors: [String: (node: Node, size: Int)] = [:]
  /// Anchors of collections that are still open: an alias to one would contain itself.
  private var openAnchors: Set<String> = []
  private var nodes = 0
  private var parser = yaml_parser_t()

  init(_ bytes: [UInt8], _ limits: YAMLText.Limits) {
    self.bytes = bytes
    self.limits = limits
    marks = MarkTable(bytes)
  }

  /// Ends the composition; what was found before it is kept.
  private struct Stop: Error { var diagnostic: Diagnostic? }

  mutating func document() -> (node: Node?, diagnostics: [Diagnostic]) {
    if let place = FlowDepth.excess(bytes, limit: limits.depth) {
      let mark = marks.mark(offset: place)
      return (nil, [tooDeep(Span(mark, mark))])
    }
    guard yaml_parser_initialize(&parser) == 1 else {
      return (nil, [Diagnostic("yaml-syntax", "out of memory", at: .none)])
    }
    defer { yaml_parser_delete(&parser) }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING)
    let text = bytes
    return text.withUnsafeBufferPointer { buffer in
      // A byte order mark would count as the first line's first column.
      let mark = text.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
      yaml_parser_set_input_string(&parser, buffer.baseAddress.map { $0 + mark }, buffer.count - mark)
      do throws(Stop) {
        let root = try stream()
        return (diagnostics.isEmpty ? root : nil, diagnostics)
      } catch {
        if let last = error.diagnostic { diagnostics.append(last) }
        return (nil, diagnostics)
      }
    }
  }

  // MARK: Events

  private struct Event {
    var type: yaml_event_type_t
    var span: Span
    var anchor: String?
    var tag: String?
    var text = ""
    var isPlain = false
  }

  private mutating func next() throws(Stop) -> Event {
    var raw = yaml_event_t()
    guard yaml_parser_parse(&parser, &raw) == 1 else {
      throw Stop(diagnostic: SyntaxError.diagnostic(parser, bytes, &marks))
    }
    defer { yaml_event_delete(&raw) }
    var event = Event(type: raw.type, span: Span(marks.mark(raw.start_mark), marks.mark(raw.end_mark)))
    func string(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? { pointer.map { String(cString: $0) } }
    switch raw.type {
    case YAML_SCALAR_EVENT:
      let scalar = raw.data.scalar
      event.anchor = string(scalar.anchor)
      event.tag = string(scalar.tag)
      event.text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
      event.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
    case YAML_SEQUENCE_START_EVENT:
      event.anchor = string(raw.data.sequence_start.anchor)
      event.tag = string(raw.data.sequence_start.tag)
    case YAML_MAPPING_START_EVENT:
      event.anchor = string(raw.data.mapping_start.anchor)
      event.tag = string(raw.data.mapping_start.tag)
    case YAML_ALIAS_EVENT: event.anchor = string(raw.data.alias.anchor)
    default: break
    }
    return event
  }

  private mutating func stream() throws(Stop) -> Node {
    var root: Node?
    while true {
      let event = try next()
      switch event.type {
      case YAML_STREAM_START_EVENT, YAML_DOCUMENT_END_EVENT: continue
      case YAML_STREAM_END_EVENT:
        if let root { return root }
        throw Stop(diagnostic: Diagnostic(
          "empty-document", "the file holds no document", at: Span(.start, .start), remedy: "a pipeline begins with `ringway: 1`"))
      case YAML_DOCUMENT_START_EVENT:
        if root != nil {
          throw Stop(diagnostic: Diagnostic(
            "several-documents", "a second document begins here", at: event.span, remedy: "put each document into a file of its own"))
        }
      default: root = try node(event, depth: 1).node
      }
    }
  }

  // MARK: Nodes

  /// A node and how many nodes it is once its aliases are written out.
  private mutating func node(_ event: Event, depth: Int) throws(Stop) -> (node: Node, size: Int) {
    if depth > limits.depth { throw Stop(diagnostic: tooDeep(event.span)) }
    switch event.type {
    case YAML_ALIAS_EVENT: return try alias(event)
    case YAML_SCALAR_EVENT:
      try count(1, event.span)
      let node = scalar(event)
      remember(event.anchor, node, 1)
      return (node, 1)
    case YAML_SEQUENCE_START_EVENT:
      checkTag(event, allowed: "seq")
      if let anchor = event.anchor { openAnchors.insert(anchor) }
      var items: [Node] = []
      var size = 1
      try count(1, event.span)
      while true {
        let inner = try next()
        if inner.type == YAML_SEQUENCE_END_EVENT {
          let node = Node(.sequence(items), span: Span(event.span.start, end(inner, items.last?.span)))
          remember(event.anchor, node, size)
          return (node, size)
        }
        let item = try self.node(inner, depth: depth + 1)
        items.append(item.node)
        size += item.size
      }
    case YAML_MAPPING_START_EVENT:
      checkTag(event, allowed: "map")
      return try mapping(event, depth)
    default:
      throw Stop(diagnostic: Diagnostic("yaml-syntax", "unexpected end of the document", at: event.span))
    }
  }

  /// libyaml ends a block collection where the next token begins, which may be lines later.
  private func end(_ event: Event, _ last: Span?) -> Mark {
    if event.span.start == event.span.end, let last { return last.end }
    return event.span.end
  }

  private mutating func mapping(_ event: Event, _ depth: Int) throws(Stop) -> (node: Node, size: Int) {
    if let anchor = event.anchor { openAnchors.insert(anchor) }
    var pairs: [Node.Pair] = []
    var places: [String: Span] = [:]
    var merges: [(span: Span, node: Node)] = []
    var size = 1
    try count(1, event.span)
    while true {
      let keyEvent = try next()
      if keyEvent.type == YAML_MAPPING_END_EVENT { 
        let all = merge(pairs, merges)
        let node = Node(.mapping(all), span: Span(event.span.start, end(keyEvent, pairs.last?.value.span)))
        remember(event.anchor, node, size)
        return (node, size)
      }
      let isMerge = keyEvent.type == YAML_SCALAR_EVENT && keyEvent.isPlain && keyEvent.text == "<<" && keyEvent.tag == nil
      let key = try node(keyEvent, depth: depth + 1)
      let value = try node(try next(), depth: depth + 1)
      size += key.size + value.size
      if isMerge {
        merges.append((keyEvent.span, value.node))
        continue
      }
      guard case .string(let name) = key.node.value else {
        diagnostics.append(Diagnostic(
          "key-not-string", "a key must be a string, found \(key.node.described)", at: keyEvent.span,
          remedy: key.node.text.map { "write \(JSON.string($0).compact) in quotes" } ?? "a mapping or a list cannot be a key"))
        continue
      }
      if let first = places[name] {
        diagnostics.append(Diagnostic(
          "duplicate-key", "the key \(JSON.string(name).compact) stands here a second time", at: keyEvent.span,
          remedy: "rename or remove one of the two", notes: [(first, "it stands here first")]))
        continue
      }
      places[name] = keyEvent.span
      pairs.append(Node.Pair(key: name, keySpan: keyEvent.span, value: value.node))
    }
  }

  /// `<<: *defaults` or `<<: [*a, *b]`: keys that the mapping has itself win, then earlier mappings over later ones
  /// (the merge key of YAML 1.1).
  private mutating func merge(_ pairs: [Node.Pair], _ merges: [(span: Span, node: Node)]) -> [Node.Pair] {
    if merges.isEmpty { return pairs }
    var all = pairs
    var names = Set(pairs.map(\.key))
    for (span, node) in merges {
      let sources = node.items ?? [node]
      for source in sources {
        guard let inherited = source.pairs else {
          diagnostics.append(Diagnostic(
            "merge-not-mapping", "`<<` merges mappings, found \(source.described)", at: source.span.isNone ? span : source.span,
            remedy: "write `<<: *name` with the anchor of a mapping, or a list of such"))
          continue
        }
        for pair in inherited where names.insert(pair.key).inserted { all.append(pair) }
      }
    }
    return all
  }

  private mutating func alias(_ event: Event) throws(Stop) -> (node: Node, size: Int) {
    let name = event.anchor ?? ""
    if openAnchors.contains(name), anchors[name] == nil {
      throw Stop(diagnostic: Diagnostic(
        "alias-loop", "the alias \"*\(name)\" stands inside of what it names", at: event.span, remedy: "a value cannot contain itself"))
    }
    guard let known = anchors[name] else {
      throw Stop(diagnostic: Diagnostic(
        "unknown-alias", "the alias \"*\(name)\" names no anchor", at: event.span,
        remedy: Nearest.name(to: name, among: anchors.keys.sorted()).map { "did you mean \"*\($0)\"?" }
          ?? "put `&\(name)` before the value that it repeats; a text that begins with * needs quotes"))
    }
    try count(known.size, event.span)
    var node = known.node
    node.span = event.span
    return (node, known.size)
  }

  private mutating func remember(_ anchor: String?, _ node: Node, _ size: Int) {
    guard let anchor else { return }
    anchors[anchor] = (node, size)
    openAnchors.remove(anchor)
  }

  private mutating func count(_ more: Int, _ span: Span) throws(Stop) {
    nodes += more
    if nodes > limits.nodes {
      throw Stop(diagnostic: Diagnostic(
        "too-many-nodes", "the document grows to more than \(limits.nodes) values once its aliases are written out", at: span,
        remedy: "use fewer aliases of large values"))
    }
  }

  private func tooDeep(_ span: Span) -> Diagnostic {
    Diagnostic("too-deep", "nested deeper than \(limits.depth) levels", at: span, remedy: "a pipeline needs no more than ten")
  }

  // MARK: Scalars and tags

  private mutating func scalar(_ event: Event) -> Node {
    func node(_ value: Node.Value) -> Node { Node(value, span: event.span, text: event.text, isQuoted: !event.isPlain) }
    let plain = CoreSchema.value(ofPlain: event.text)
    guard let tag = event.tag else { return node(event.isPlain ? plain : .string(event.text)) }
    switch tag {
    case "!", "tag:yaml.org,2002:str": return node(.string(event.text))
    case "tag:yaml.org,2002:int": if let value = CoreSchema.integer(event.text) { return node(value) }
    case "tag:yaml.org,2002:float":
      if let value = CoreSchema.number(event.text) { return node(value) }
      if case .integer(let whole)? = CoreSchema.integer(event.text) { return node(.number(Double(whole))) }
    case "tag:yaml.org,2002:bool": if case .boolean = plain { return node(plain) }
    case "tag:yaml.org,2002:null": if case .null = plain { return node(plain) }
    default:
      refuseTag(event)
      return node(.string(event.text))
    }
    diagnostics.append(Diagnostic(
      "tag-mismatch", "\(JSON.string(event.text).compact) is not what its tag \(shown(tag)) says", at: event.span, remedy: "remove the tag or correct the value"))
    return node(.string(event.text))
  }

  private mutating func checkTag(_ event: Event, allowed: String) {
    if let tag = event.tag, tag != "!", tag != "tag:yaml.org,2002:" + allowed { refuseTag(event) }
  }

  private mutating func refuseTag(_ event: Event) {
    diagnostics.append(Diagnostic(
      "unknown-tag", "the tag \(shown(event.tag ?? "")) is not known", at: event.span,
      remedy: "remove it; a text that begins with ! needs quotes"))
  }

  private func shown(_ tag: String) -> String {
    let prefix = "tag:yaml.org,2002:"
    return "\"" + (tag.hasPrefix(prefix) ? "!!" + tag.dropFirst(prefix.count) : tag) + "\""
  }
}
