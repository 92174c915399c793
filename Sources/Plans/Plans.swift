// Plans: a document becomes a plan. Nodes in, a checked graph out: parameters and `${}` expanded, every stage decoded
// from its declaration, the graph ordered, processes counted, memory added up; then what each worker is told (its work
// order) and how the graph is drawn.
//
// No input or output happens here: what must be looked up (files, CPUs, memory) is asked of `Surroundings`, so a test
// needs nothing but values. Reading text is Documents' work, running the plan is Supervision's.
//
// Read in this order: PipelineKeys and StageKeys (what a file may say), PipelineSchema, Expansion, Planner with StageGraph,
// Plan and its drawings, WorkOrder.
