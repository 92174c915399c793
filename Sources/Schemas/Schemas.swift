// Schemas: JSON Schema, draft 2020-12, over positioned nodes. A schema is compiled once from a document; documents that
// it refers to come from a registry and never from a network; what is wrong with an instance is said with its place, in
// words for whoever wrote it.
//
// Read in this order: Schema, Subschema and Keyword (what a schema is compiled to), Compiler, Evaluator (the walk of
// schema and instance together), Failure and Wording (what is said about it). Regular expressions are PCRE2's, behind `Pattern`.
// No text is read here, that is Documents' work, and what a pipeline is, is unknown here.
