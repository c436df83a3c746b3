"""Changes of the schema of this domain."""
