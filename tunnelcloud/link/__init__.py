"""RFC 4254 messages in length-prefixed frames over TLS, between pod and connector."""
