// Stages: the child's side. A worker reads its order, attaches to its rings, opens its plugin and loops: claim, call,
// commit. What a loop does with a message that fails is `MessagePolicy`'s; how a batch grows is `BatchPace`'s; how a
// batch is handed over exactly once is Rings' (`Handoff`).
//
// The runner is a stranger to this room: the two share a work order, a control socket and bytes in memory. Whether and
// when a worker lives is Supervision's business.
