"""YAML files that people write: read as plain data, checked, every mistake with its place."""
