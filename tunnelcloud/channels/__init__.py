"""The channel machine of RFC 4254: messages, windows, EOF, close, and two channels joined. Pure."""
