"""The SSH front door: Conch, with what it gets wrong closed in subclasses."""
