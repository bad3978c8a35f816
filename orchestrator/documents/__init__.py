"""Reading what people write: YAML with positions, the four document kinds, the content of blueprint folders."""
