// PluginsTests
