"""The web's certificate by ACME (RFC 8555): one pod orders it, and the store has it for all."""
