"""The `tunnelcloud` command: a client of the API."""

from tunnelcloud.cli.command import main

__all__ = ["main"]
