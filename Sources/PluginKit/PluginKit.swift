// PluginKit: all that a plugin's author must learn.
//
// A plugin is one type: a `Source` makes messages, a `Transform` turns one message into any number, a `Sink` or a
// `DeliverySink` takes them out. Its `spec` declares name, settings and an example once. Rings, processes, restarts and
// exactly-once hand-off are the runner's business: a plugin reads bytes, emits bytes, and throws when it cannot.

/// Settings, specs and quantities come from Specs; an author imports PluginKit alone.
@_exported public import Specs
