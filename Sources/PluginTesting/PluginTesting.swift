// PluginTesting
