/// What becomes of a message when its reader's queue has no room, in its line or in its memory. Where it drops, nobody ever waits for
/// that queue, and what is dropped is counted by the writer in its cell, in the same instant in which it is gone.
///
/// - `dropNewest`: what finds no room is left out of the commit that hands the rest over, and counted there.
/// - `dropOldest`: first the oldest messages that no reader has are taken out of the line as a reader would take them (leased,
///   settled, counted in a commit of their own, freed); then the slots are there. Of what is handed over together the newest go, as many
///   as the line takes. Where nothing can be taken, since readers have all of it, that leaves out the oldest of the new ones.
///
/// A message that a worker died with, or of which a part has gone on, is dropped like any other while nobody works on it: kept, it would
/// stand in the way of everything that is newer until its stage has been started again, and the newest is what such a queue promises.
package enum WhenFull: String, Sendable, CaseIterable {
  case block
  case dropNewest = "drop_newest"
  case dropOldest = "drop_oldest"
}
