package import Specs

/// What a planner has found without asking anybody, and what is to be asked of other programs before it is whole.
package struct Planning {
  /// Nil when anything was wrong.
  package let plan: Plan?
  package let diagnostics: [Diagnostic]
  private let inspections: Inspections

  init(_ plan: Plan?, _ diagnostics: [Diagnostic], _ inspections: Inspections) {
    self.plan = plan
    self.diagnostics = diagnostics
    self.inspections = inspections
  }

  package var questions: [Question] { inspections.groups.map(\.question) }

  /// What is wrong by the answers, which stand in the order of the questions.
  package func problems(_ answers: [Answer]) -> [Diagnostic] { zip(inspections.groups, answers).flatMap { $0.problems($1) } }

  package struct Question: Sendable {
    /// Absolute.
    package var program: String
    package var arguments: [String]
    /// Added to what this program has.
    package var environment: [(name: String, value: String)]
    package var directory: String?
    package var input: String
  }

  package enum Answer: Sendable {
    case answered([UInt8])
    /// Why there is no answer, and what it had said before.
    case failed(String, said: [UInt8] = [])

    /// What a program has said last of what it is about to do, and for which of the requests.
    package static func doing(_ said: [UInt8]) -> (text: String, request: Int)? {
      guard let line = said.split(separator: UInt8(ascii: "\n")).last, let node = JSONText.parse(Array(line)).node else { return nil }
      return node["doing"]?.string.map { ($0, node["stage"]?.integer ?? 0) }
    }
  }
}

/// What is asked of one program in the same surroundings is asked at once.
struct Inspections {
  struct Group {
    var program: String
    var arguments: [String]
    var drafts: [Planner.Draft]
    var requests: [JSON]

    var question: Planning.Question {
      let stage = drafts.first?.stage
      return Planning.Question(
        program: program, arguments: arguments, environment: stage?.environment ?? [], directory: stage?.directory, input: JSON.array(requests).compact)
    }

    func problems(_ answer: Planning.Answer) -> [Diagnostic] {
      switch answer {
      case .failed(let reason, let said):
        // It has said for which of the stages it does what, before it does it.
        let last = Planning.Answer.doing(said)
        guard let draft = last.flatMap({ drafts.indices.contains($0.request) ? drafts[$0.request] : nil }) ?? drafts.first else { return [] }
        let doing = last.map { " at `\($0.text)`" } ?? ""
        return [
          Diagnostic(
            "inspection", "\(program) could not check the stage\(doing): \(reason)", at: draft.place("with", "callable"),
            remedy: doing.isEmpty
              ? "is it the right program?" : "what a module does when it is imported, it does here and in each worker: it must end, and crash neither",
            path: draft.path + ".with")
        ]
      case .answered(let bytes):
        // The answer is the last line.
        let answers = bytes.split(separator: UInt8(ascii: "\n")).last.flatMap { JSONText.parse(Array($0)).node?.items } ?? []
        if answers.count != drafts.count { return problems(.failed("it ended without an answer", said: bytes)) }
        return zip(drafts, answers).flatMap { draft, problems in
          (problems.items ?? []).map { problem in
            let setting = problem["setting"]?.string ?? ""
            return Diagnostic(
              "plugin-setting", problem["message"]?.string ?? "it is refused", at: draft.place("with", setting), remedy: problem["remedy"]?.string,
              path: draft.path + ".with." + setting)
          }
        }
      }
    }
  }

  private(set) var groups: [Group] = []

  mutating func add(_ inspection: Inspection, _ draft: Planner.Draft, _ program: String?) {
    guard let program else { return }
    var pairs: [(String, JSON)] = [("kind", .string(draft.stage.kind.rawValue))]
    if case .object(let own) = inspection.request { pairs += own }
    let same = groups.firstIndex { group in
      guard let first = group.drafts.first?.stage else { return false }
      return group.program == program && group.arguments == inspection.arguments && first.directory == draft.stage.directory
        && first.environment.elementsEqual(draft.stage.environment, by: ==)
    }
    if let same {
      groups[same].drafts.append(draft)
      groups[same].requests.append(.object(pairs))
    } else {
      groups.append(Group(program: program, arguments: inspection.arguments, drafts: [draft], requests: [.object(pairs)]))
    }
  }
}
