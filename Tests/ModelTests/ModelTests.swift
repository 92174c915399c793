import Testing

@Suite struct ModelTests {
  @Test func bareHandoffIsExactlyOnce() { holds(BareHandoff(messages: 3, kills: 2)) }

  @Test(arguments: BareHandoff.Mutant.allCases) func bareHandoffNotices(mutant: BareHandoff.Mutant) {
    fails(BareHandoff(messages: 3, kills: 2, mutant: mutant))
  }

  @Test func closingLeavesNothingBehind() { holds(Closing(messages: 3, kills: 2)) }

  @Test(arguments: Closing.Mutant.allCases) func closingNotices(mutant: Closing.Mutant) {
    fails(Closing(messages: 3, kills: 2, mutant: mutant))
  }
}

/// The model keeps its promise in every state.
func holds<M: Model>(_ model: M, location: SourceLocation = #_sourceLocation) {
  let finding = Explorer.explore(model)
  #expect(finding.counterexample == nil, "\(model): \(finding)", sourceLocation: location)
}

/// A rule is broken, and the checker sees it.
func fails<M: Model>(_ model: M, location: SourceLocation = #_sourceLocation) {
  let finding = Explorer.explore(model)
  #expect(finding.counterexample != nil, "nothing was noticed: \(model): \(finding)", sourceLocation: location)
}
