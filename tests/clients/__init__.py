"""SSH clients in other languages, each a small program: see README.md and ``building``."""
