"""The domain without I/O: entities, names, decisions, events."""
