// Filters: the jq language, for all who have filters over messages: plugins, and the keys of partitions. Values of libjq stay here, behind
// `JQValue`.
//
// A room of its own, for an interpreter's worker needs the keys and none of the plugins.
