// Schemas: JSON Schema, draft 2020-12, over positioned nodes. A schema is compiled from a document, documents that it
// refers to come from a registry and never from a network, and what is wrong with an instance is said with its place, in
// words for whoever wrote it.
//
// Read in this order: SchemaDocument, SchemaStore, Schema, Evaluation. Regular expressions are PCRE2's, behind `Pattern`.
// What a pipeline is, is unknown here.
