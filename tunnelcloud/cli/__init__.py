"""The `tunnelcloud` command: a client of the API."""
