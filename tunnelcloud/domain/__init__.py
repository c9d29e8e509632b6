"""What TunnelCloud is about, without I/O: entities, names, decisions, events."""
