// Plugins: the built-ins, one file each: what it is, its settings, an example, its work. They know PluginKit and nothing
// of rings, plans or processes. `Catalog` lists them; nothing else has to be edited to add one.
