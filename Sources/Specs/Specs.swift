// Specs: the words that every other room shares. A positioned node, a diagnostic, a setting, a plugin's declaration,
// and what follows from a declaration: decoding, JSON Schema, Markdown.
//
// Read in this order: Mark, Node, Diagnostic, JSON, Setting, PluginSpec.
// No input or output happens here, and no C library is imported: reading text is Documents' work, checking a graph is
// Plans'. What a plugin's author needs is `public` (PluginKit exports it again); the rest is `package`.
