// Rings: all that lives in shared memory. A ring carries messages from the processes that write to a stage to the
// processes of that stage; a cell holds what a worker has committed. `Handoff` is the worker's side, `Recovery` the
// runner's, and both rest on one rule: whoever owns a message is named in one 64-bit word, and every change of owner is
// one atomic write of that word. There is no lock that a dead process could hold.
//
// Read in this order: SlotWord, RingShape, Ring, Cell, Producer, Consumer, Handoff, Recovery.
// Processes, pipes and plugins are unknown here; only Platform is used.
