"""The rules of the rings, each with what the code would be without it.

`edits`: (file in Sources/Rings, a text that is there exactly once, what stands there instead). Keep the texts short: a change
of the code moves them. `tests`: filters of RingsTests; `stepper`: names of hand-overs. The first that fails has noticed it.
"""
from dataclasses import dataclass, field


@dataclass
class Mutant:
    name: str
    rule: str
    edits: list
    tests: list = field(default_factory=lambda: ["RingsTests"])
    stepper: list = field(default_factory=list)
    survives: str = ""


X86 = "x86 hides it; the store buffers of Tests/ModelTests/StoreBuffers.swift show it (WakeUp)"
ABANDONED = ["AbandonedHandoffTests"]
RULES = ["RuleTests"]
THREADS = ["RingTests|RuleTests"]
ORDER = ["RingsTests.OrderTests"]
KEYS = ["RingsTests.*PartitionTests"]

MUTANTS = [
    # Waiting and waking
    Mutant("no wake-up after a death", "Recovery wakes everybody: the dead may have published and not have woken.",
           [("Recovery.swift", "attachment.ring.wakeAll()", "_ = attachment.ring")], RULES),
    Mutant("only marked lanes are woken after a death", "Recovery wakes lanes without a bit too: the dead may have cleared one and not have called.",
           [("Recovery.swift", "attachment.ring.wakeAll()", "attachment.ring.wakeAll(.consumers); attachment.ring.wakeAll(.producers)")], RULES),
    Mutant("no second look before sleeping", "A waiter looks again after it has set its bit.",
           [("Waiting.swift", "if !isReady() {", "do {")], RULES),
    Mutant("no fence before the consumers' mask is read", "A waker fences between its change and its look at the mask.",
           [("Producer.swift", "SharedWord.fence()  // pairs with the fence in park", "")], THREADS, survives=X86),
    Mutant("no fence before the producers' mask is read", "A waker fences between its change and its look at the mask.",
           [("Consumer.swift", "SharedWord.fence()  // pairs with the fence in park", "")], THREADS, survives=X86),
    Mutant("no fence before the second look", "A waiter fences between its bit and its second look.",
           [("Waiting.swift", "SharedWord.fence()  // pairs with the fence before wakeOne and wakeAll", "")], THREADS,
           survives="its bit is set by an instruction that is a fence on x86; WakeUp on its weak processor shows it"),
    Mutant("the word to sleep on is not moved", "A wake-up moves the word, for who is about to sleep.",
           [("Waiting.swift", "_ = SharedWord(place).add(1)", "")], RULES),

    # Segments
    Mutant("memory given back before the commit", "A payload's memory is given back once its message is acknowledged, not before.",
           [("Consumer.swift", "try Failpoint.settled.hit()", "release(Int(place.segment), place.generation, 1); try Failpoint.settled.hit()"),
            ("Consumer.swift", "if count > 0 {", "if count > 1_000 {")], RULES),
    Mutant("count ignores the generation", "An acknowledgement names the generation: the sweep may have freed the segment, and another may use it.",
           [("Consumer.swift", "guard found.generation == generation & 0xfff_ffff, ", "guard ")], RULES),
    Mutant("sealed before it is published", "A segment is sealed after the last publication of what lies in it.",
           [("Producer+Payloads.swift", "where large[k].pending == 0 && large", "where large")], ABANDONED),
    Mutant("no sweep", "What no slot refers to is freed after a death.",
           [("Recovery.swift", "if found.isIn(.sealed) || found.isIn(.orphan) {", "if found.count > 0 && found.isIn(.free) {")], ABANDONED),
    Mutant("sweep ignores settling slots", "A slot that is about to be acknowledged still refers to its segment.",
           [("Recovery.swift", "if fields.state.isIn(.free) { continue }", "if fields.state.isIn(.free) || fields.state.isIn(.settling) { continue }")], RULES),
    Mutant("open segments of the dead are not orphaned", "What the dead held open is freed by the sweep.",
           [("Recovery.swift", "while found.isIn(.open), found.owner == worker {", "while found.isIn(.open), found.owner == worker, found.count == 1 {")], ABANDONED),

    # Slots
    Mutant("taken slots of the dead are not voided", "A slot that the dead had taken is given back.",
           [("Recovery.swift", "if found.isIn(.writing) {", "if found.isIn(.writing) {\n        if !isBusy { return }")], ABANDONED),
    Mutant("leases of the dead are not returned", "What the dead had claimed is claimed again.",
           [("Recovery.swift", "} else if found.isHeld {", "} else if found.isHeld {\n        if found.isIn(.leased) { return }")], ABANDONED),
    Mutant("settling leases of the dead are not returned", "What was settled, but not committed, is claimed again.",
           [("Recovery.swift", "} else if found.isHeld {", "} else if found.isHeld {\n        if found.isIn(.settling) { return }")], ABANDONED),
    Mutant("ready before the fields", "A slot is ready after its fields are written.",
           [("Producer.swift", "fields.extent.set(UInt64(record.generation) << 32 | UInt64(record.length))", ""),
            ("Producer.swift", "fields.word.release(SlotWord(record.lap, .ready).raw)", "fields.word.release(SlotWord(record.lap, .ready).raw); fields.extent.set(UInt64(record.generation) << 32 | UInt64(record.length))")],
           [], ["one message"]),
    Mutant("recovery frees to the same lap", "An acknowledged slot goes to the next lap.",
           [("Recovery.swift", "next = SlotWord(found.lap &+ 1, .free)", "next = SlotWord(found.lap, .free)")], ABANDONED),
    Mutant("recovery voids to the same lap", "A voided slot goes to the next lap: readers pass it.",
           [("Recovery.swift", ": SlotWord(found.lap &+ 1, .free)", ": SlotWord(found.lap, .free)")], RULES),
    Mutant("a producer voids to the same lap", "A voided slot goes to the next lap: readers pass it.",
           [("Producer.swift", "SlotWord(record.lap &+ 1, .free)", "SlotWord(record.lap, .free)")], RULES),
    Mutant("freed to the same lap", "An acknowledged slot goes to the next lap.",
           [("Consumer.swift", "SlotWord($0.lap &+ 1, .free)", "SlotWord($0.lap, .free)")], ABANDONED),
    Mutant("settled without reading the lap again", "A lease may be moved along while it is being settled.",
           [("Consumer.swift", "next(found).raw) else { return true }", "next(found).raw), state != .leased || other == 0 else { return true }")], [], ["a worker that is overtaken"]),
    Mutant("freed without reading the lap again", "A lease may be moved along while it is being freed.",
           [("Consumer.swift", "next(found).raw) else { return true }", "next(found).raw), state != .settling || other == 0 else { return true }")], [], ["a worker that is overtaken"]),
    Mutant("leases pin the line", "A lease of the lap before is moved along.",
           [("Producer.swift", "guard laps == -1, found.isHeld,", "guard laps == -1, found.isHeld, found.owner == 0,")], RULES),
    Mutant("settling leases pin the line", "A lease that is being acknowledged is moved along too.",
           [("Producer.swift", "guard laps == -1, found.isHeld,", "guard laps == -1, found.isIn(.leased),")], RULES),
    Mutant("moved along as leased", "A lease that is moved along stays what it is: leased or settling.",
           [("Producer.swift", "SlotWord(raw: found.raw &+ 1 << 24)", "found.with(lap: found.lap &+ 1, .leased)")], RULES),
    Mutant("a lap of leases is not full", "A producer that has moved a whole lap of leases along gives up.",
           [("Producer.swift", "found.isHeld, moved <", "found.isHeld, moved >= 0 || moved <")], RULES),
    Mutant("a writer's walk without end begins anew", "A walk goes on where the one before has ended.",
           [("Producer.swift", "defer { (lap, index) = (k, i) }", "defer { if lostWalks == 0 { (lap, index) = (k, i) } }")], RULES),
    Mutant("a reader's walk without end has seen the end", "Who has not come to the end of the line does not sleep.",
           [("Consumer.swift", "nextReady() != nil || lostWalks != 0", "nextReady() != nil")], RULES),
    Mutant("a reader claims nothing after a walk without end", "A walk goes on where the one before has ended.",
           [("Consumer.swift", "if lostWalks == 0 { return nil }", "if lostWalks >= 0 { return nil }")], RULES),
    Mutant("waits while it holds slots", "Slots are given back before a wait: two that hold half each would wait for each other.",
           [("Handoff+Commit.swift", "if fits == 0 {", "if fits == 0 {\n        try waitForRoom { recordsEnd(0, $0) }\n        continue\n      }\n      if fits == 0 {")], RULES),

    # Redelivery
    Mutant("epoch not bumped", "Readers look through all slots after a death.",
           [("Recovery.swift", "for attachment in rings { _ = attachment.ring.word(Ring.Offset.epoch).add(1) }", "")], RULES),
    Mutant("epoch bumped before the slots are ready", "The epoch moves after the slots: a reader looks once for each.",
           [("Recovery.swift", "for attachment in rings { _ = attachment.ring.word(Ring.Offset.epoch).add(1) }", ""),
            ("Recovery.swift", "let record = cell.record", "let record = cell.record; for attachment in rings { _ = attachment.ring.word(Ring.Offset.epoch).add(1) }")], RULES),
    Mutant("recovery leaves the head", "Who died before it raised the head past its claim leaves a message that must still come first.",
           [("Recovery.swift", "ring.word(Ring.Offset.head).raise(to: fields.sequence.relaxed &+ 1)", "")], RULES),
    Mutant("put back in the order of slots", "What was put back comes in the order in which it was published.",
           [("Consumer.swift", "redelivered.sort { $0.sequence > $1.sequence }", "redelivered.reverse()")], RULES),

    # The commit cell, one for each store
    Mutant("record written to the copy in force", "The record in force is not touched before the commit.",
           [("Cell.swift", "record.write(to: copy(next))", "record.write(to: copy(sequence))")], ABANDONED),
    Mutant("committed without busy", "The store that commits also says that the hand-over is not done.",
           [("Cell.swift", "word.release(next << 1 | 1)", "word.release(next << 1)")], ABANDONED),
    Mutant("busy never cleared", "Busy is cleared when outputs are out and inputs are free.",
           [("Cell.swift", "word.release(word.relaxed & ~1)", "")], ABANDONED),
    Mutant("busy cleared before inputs are free", "Busy is cleared when outputs are out and inputs are free.",
           [("Handoff+Commit.swift", "if let input { for i in", "try cell.clearBusy(); if let input { for i in")], ABANDONED),
    Mutant("busy cleared before outputs are published", "Busy is cleared when outputs are out and inputs are free.",
           [("Handoff+Commit.swift", "if isOnce { try cell.commit(record, counts) }", "if isOnce { try cell.commit(record, counts); try cell.clearBusy() }")], ABANDONED),
    Mutant("part: busy cleared before outputs are published", "Busy is cleared when the part is out.",
           [("Handoff+Parts.swift", "try cell.commit(record, counts)\n      let now", "try cell.commit(record, counts); try cell.clearBusy()\n      let now")], ABANDONED),
    Mutant("sequence stored before the record", "The record is complete before the sequence says so.",
           [("Cell.swift", "record.write(to: copy(next))", "word.release(next << 1 | 1); record.write(to: copy(next))")], [], ["a batch of two"]),
    Mutant("outputs published before the commit", "Nobody sees an output before the instant of the commit.",
           [("Handoff+Commit.swift", "if isOnce { try cell.commit(record, counts) }", ""),
            ("Handoff+Commit.swift", "if let input { for i in", "try cell.commit(record, counts); if let input { for i in")], ABANDONED),
    Mutant("part: outputs published before the commit", "Nobody sees a part before the instant of its commit.",
           [("Handoff+Parts.swift", "try cell.commit(record, counts)\n      let now", "let now"),
            ("Handoff+Parts.swift", "try cell.clearBusy()\n      for", "try cell.commit(record, counts); try cell.clearBusy()\n      for")], ABANDONED),
    Mutant("inputs freed before the commit", "Inputs are free after the instant of the commit.",
           [("Handoff+Commit.swift", "if let input { for i in 0..<calls where", "if let input { for i in 0..<0 where"),
            ("Handoff+Commit.swift", "if isOnce { try cell.commit(record, counts) }",
             "if let input { for i in 0..<calls where ended[i].hasInput { try input.pointee.free(ended[i].place) } }; try cell.commit(record, counts)")],
           ABANDONED),
    Mutant("inputs not settled", "Inputs are marked before the commit, so that recovery knows which of the leases it took along.",
           [("Consumer.swift", "$0.with(.settling)", "$0.with(.leased)"),
            ("Consumer.swift", "from: .settling,", "from: .leased,")], ABANDONED),
    Mutant("recovery ignores busy", "Who died inside a commit is rolled forward.",
           [("Recovery.swift", "let isBusy = cell.isBusy", "let isBusy = cell.isBusy && cell.base == cell.base + 1")], ABANDONED),
    Mutant("recovery always rolls forward", "Who died before its commit is rolled back.",
           [("Recovery.swift", "let isBusy = cell.isBusy", "let isBusy = cell.isBusy || cell.base != cell.base + 1")], ABANDONED),
    Mutant("recovery clears the cell first", "Busy is cleared when the slots are right: a recovery that begins again must know.",
           [("Recovery.swift", "let record = cell.record", "let record = cell.record; try cell.clearBusy()")], ABANDONED),
    Mutant("recovery forgets the part first", "The part leaves the cell after the slot has it.",
           [("Recovery.swift", "let record = cell.record", "let record = cell.record; if record.partSlot != nil { var r = record; r.partSlot = nil; r.partCount = 0; try cell.commit(r, cell.allCounts); if !isBusy { try cell.clearBusy() } }")], ABANDONED),

    # Calls in parts
    Mutant("part count not in the record", "A part's commit says how many outputs are gone.",
           [("Handoff+Parts.swift", "record.partCount = gone", "")], ABANDONED),
    Mutant("part counts from zero", "A part's count includes the parts before it.",
           [("Handoff+Parts.swift", "gone = before &+ UInt64(got)", "gone = UInt64(got)")], RULES),
    Mutant("part count not given to the slot", "Recovery writes into the slot how many outputs are gone.",
           [("Recovery.swift", "aux.skip = part\n          fields.aux.set(aux.raw)", "aux.skip = part")], ABANDONED),
    Mutant("part left in the record", "The commit that ends the call forgets the part.",
           [("Handoff+Commit.swift", "record.partSlot = nil", ""), ("Handoff+Commit.swift", "record.partCount = 0", "")], RULES),
    Mutant("recovery leaves the part in the record", "A later message in the same slot must not find the part.",
           [("Recovery.swift", "cleared.partSlot = nil", ""), ("Recovery.swift", "cleared.partCount = 0", "cleared.ended = record.ended")], RULES),
    Mutant("notes of the message before are left in the slot", "A new message begins without errors, mark and part.",
           [("Producer.swift", "fields.aux.set(SlotAux(format: record.format).raw)", "")], RULES),
    Mutant("the format is forgotten", "A reader is told what its writer said of the payload.",
           [("Producer.swift", "SlotAux(format: record.format)", "SlotAux(format: 0)")], ["aFormatArrivesAndStays"]),
    Mutant("what is gone is made again", "A call that is repeated skips what has gone on.",
           [("Handoff.swift", "skip = lease.skip", "skip = 0")], ABANDONED),

    # Deaths
    Mutant("mark without the number of deaths", "The mark says which death it would be.",
           [("Consumer.swift", "UInt64(truncatingIfNeeded: deaths &+ 1)", "UInt64(1)")], RULES),
    Mutant("a stale mark counts", "A mark that was counted counts no more.",
           [("Recovery.swift", "aux.mark == found.deaths + 1", "aux.mark != 0")], RULES),
    Mutant("mark left after the call", "A message whose call has ended is not in hand.",
           [("Handoff.swift", "input?.pointee.unmark(inputPlace)", "_ = inputPlace")], RULES),
    Mutant("every lease counts a death", "Only a message in hand counts a death.",
           [("Recovery.swift", "isDeath = countsDeaths && found.isIn(.leased) && aux.mark == found.deaths + 1", "isDeath = countsDeaths && found.isIn(.leased)")], RULES),
    Mutant("deaths are forgotten at the claim", "A claim keeps the number of deaths.",
           [("Consumer.swift", "if fields.word.exchange(found.raw, SlotWord(found.lap, .leased, owner: owner, deaths: found.deaths).raw) != nil { continue }\n        try", "if fields.word.exchange(found.raw, SlotWord(found.lap, .leased, owner: owner).raw) != nil { continue }\n        try")], RULES),

    # What moves with the commit
    Mutant("position not in the commit", "A source's position moves with its outputs.",
           [("Handoff+Commit.swift", "if ended[calls - 1].hasPosition {", "if ended[calls - 1].hasPosition, calls < 0 {")], ABANDONED),
    Mutant("length not in the commit", "A sink's length moves with its messages.",
           [("Handoff+Commit.swift", "committedLength: isAll ? committedLength : nil)", "committedLength: nil)")], ABANDONED),

    # Keys
    Mutant("rings of a reader are counted apart", "What all rings of a reader were given counts in one place: there are more rings than places.",
           [("Handoff+Commit.swift", "counts[2 * readerOf[i]] &+=", "counts[2 * i] &+=")], KEYS),
    Mutant("what the dead dropped is counted by its ring", "Recovery counts drops where the reader's are counted.",
           [("Recovery.swift", "attachment.reader ?? output", "output")], KEYS),
    Mutant("all messages go to the first ring", "A key's hash chooses its ring.",
           [("Partition.swift", "Int(MessageID.hash(key) % UInt64(max(1, count)))", "0")], KEYS),
    Mutant("a key is as long as it says", "A damaged length of a key is noticed.",
           [("Partition.swift", "return length <= bytes.count - overhead ? length : nil", "return length")], KEYS),
    Mutant("a key adds nothing to its message", "A message and the key that travels with it share what a queue takes.",
           [("Partition.swift", "payload.count + (travelling.map { $0.count + TravellingKey.overhead } ?? 0)", "payload.count")], KEYS),

    Mutant("a writer leaves readers that gather asleep", "A writer that waits for room wakes readers that gather: they may hold it.",
           [("Producer+Waiting.swift", "ring.hasSleepers(.consumers) { ring.wakeAll(.consumers) }", "ring.hasSleepers(.consumers) { _ = ring }")], RULES),
    Mutant("a reader that gathers does not look for writers", "A reader that gathers ends its batch when a writer waits.",
           [("Handoff+Input.swift", "{ $0.canGoOn || $0.ring.hasSleepers(.producers) }", "{ $0.canGoOn }")], RULES),

    # The order of inputs
    Mutant("nobody waits for its turn", "A call waits until all older inputs have been acknowledged.",
           [("Handoff+Order.swift", "guard !ended.isEmpty, order?.isFirst(ended[0].sequence) ?? true else", "guard !ended.isEmpty else")], ORDER),
    Mutant("a commit goes on past what another has", "Of the calls that have ended, those go whose inputs follow one another.",
           [("Handoff+Order.swift", "order?.isNext(ended[n].sequence, after: ended[n - 1].sequence) ?? true", "true")], ORDER),
    Mutant("what was put back is not open", "A message that waits to be claimed again is as open as one that is worked on.",
           [("SlotWord.swift", "isIn(.ready) || isHeld", "isHeld")], ORDER),
    Mutant("what is being acknowledged is not open", "An older message is done when its slot is free.",
           [("SlotWord.swift", "isIn(.ready) || isHeld", "isIn(.ready) || isIn(.leased)")], ORDER),
    Mutant("calls line up as they end", "A message that came back is older than what its worker waits with.",
           [("Handoff+Order.swift", "ended[place - 1].sequence > sequence", "ended[place - 1].sequence > sequence && sequence == 0")], ORDER),
    Mutant("who can hold no more takes nothing", "What comes back is taken past the limit.",
           [("Handoff+Order.swift", "self.mayClaim ? $0.hasMessage() : $0.hasReturned", "self.mayClaim && $0.hasMessage()")], ORDER),
    Mutant("parts do not wait for their turn", "A call asks for its turn before its first part.",
           [("Handoff+Parts.swift", "if isOrdered { try commitInTurn() } else { try commit() }", "try commit()")], ORDER),
    Mutant("parts go behind later calls", "Parts of an older message go before what was made of later ones.",
           [("Handoff+Parts.swift", "moveLast(outputs[i].records.count - later[i], to: 0)", "moveLast(0, to: 0)")], ORDER),
    Mutant("nobody is told of its turn", "Who frees inputs wakes those that wait.",
           [("Handoff+Order.swift", "input?.pointee.wakeFellows()", "_ = input")], ORDER),
    Mutant("memory is kept while others need it", "Who waits for its turn holds no more memory than every producer may.",
           [("Handoff+Order.swift", "    try spillSurplus()\n", ""), ("Handoff+Commit.swift", "if due == 0 { return try spillSurplus() }", "if due == 0 { return }")], ORDER),
    Mutant("nobody lets the others catch up", "Who has many calls in line pauses while the oldest message only waits to be handed over.",
           [("Handoff+Order.swift", "return mayHoldMore && !isBehind()", "return mayHoldMore")], ORDER),
    Mutant("a pause while the oldest is worked on", "A message that somebody works on is to be passed.",
           [("InputOrder.swift", "word.isHeld && !isInHand", "word.isHeld")], ORDER),
    Mutant("a pause without an end", "The oldest message's worker may be in a slow call: a pause lasts two calls.",
           [("Handoff+Order.swift", "return now < deadline", "return true"), ("Handoff+Order.swift", "UInt64.max : pause.deadline", "UInt64.max : pause.deadline &+ 60_000_000_000")], ORDER),
    # Resumes
    Mutant("a resume trusts where to begin to look", "The slots say where the line ends; a hint beyond it makes everybody wait for ever.",
           [("Resume.swift", "end &- word(hint).relaxed > 2 * view.capacity {", "false {"), ("Resume.swift", "Int64(bitPattern: end &- word(hint).relaxed) < 0", "false")],
           ["aResumeTrustsNoHint"]),
]

# Orders in recovery that could be otherwise.
HARMLESS = [
    ("a count taken off between the commit and the slot's freeing", "nobody reads the payload any more: recovery acknowledges it"),
    ("segments orphaned before the slots are repaired", "taken and settling slots count as references in the sweep"),
    ("sweep before the slots are repaired", "what they refer to is freed by the next sweep: a producer that finds nothing sweeps too"),
    ("epoch before segments and sweep", "readers look at slots only"),
]
