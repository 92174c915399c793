// Supervision: the parent's side. It builds the rings, spawns the workers, puts right what the dead ones left, drains,
// stops and reports.
//
// What is to be done is decided by `Supervisor`, a value without clock or descriptor: events in, actions out. `Runner`
// performs the actions on the main thread, in a plain poll loop. What a worker does is Stages' business; the two share a
// work order and bytes.
