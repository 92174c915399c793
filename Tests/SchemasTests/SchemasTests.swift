// SchemasTests
