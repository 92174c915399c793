import Specs

/// How large the queues of those who read dead letters must be: a letter holds the message that was given up, in base 64 if need be.
extension Plan {
  /// Bytes of a dead letter beside the message: names, errors, what the worker wrote last.
  package static let letterBytes = 64 << 10

  /// The largest letter that comes to a stage; nil when none does.
  fileprivate func largestLetter(to stage: Int) -> Int? {
    writers(to: stage).filter { ports(from: $0, to: stage).contains(stages[$0].deadLetterPort) }
      .map { min(1 << 30, ((stages[$0].queue?.messageBytes ?? 0) + 2) / 3 * 4 + Plan.letterBytes) }.max()
  }

  fileprivate mutating func setMessage(_ bytes: Int, ofStage i: Int) { stages[i].queue?.messageBytes = bytes }
}

extension Planner {
  /// Raises `message` of the queues that dead letters come to. Where the file says how large messages may be, that must be enough: a letter
  /// that is too large would stop the run.
  mutating func makeRoomForDeadLetters(_ plan: inout Plan) {
    // Letters of a stage that reads letters are larger again; writers come first.
    for i in plan.stages.indices {
      guard let queue = plan.stages[i].queue, let needed = plan.largestLetter(to: i), needed > queue.messageBytes else { continue }
      if let draft = drafts.first(where: { $0.name == plan.stages[i].name }), draft.node["queue"]?["message"] != nil {
        report(
          "dead-letter-size", "the dead letters that come here have up to \(Quantity.describe(bytes: needed)), and the queue takes \(Quantity.describe(bytes: queue.messageBytes))",
          draft.place("queue", "message"), draft.path + ".queue.message", "remove `message`: it is then as large as it must be")
      }
      plan.setMessage(needed, ofStage: i)
    }
  }
}
