"""Where each command is defined, and its one line of help; loads none of them.

``tunnelcloud --help`` answers from here, and a command loads its own module and no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

import click

DEFAULT_URL = "http://127.0.0.1:8080"
"""Where a pod on this machine has its web listener by default."""


class Place(NamedTuple):
    """Where a command is defined."""

    module: str
    attribute: str
    help: str
    """The first line of the command's own help."""

    def load(self) -> click.Command:
        """Import the command."""
        found: click.Command = getattr(
            import_module(f"tunnelcloud.cli.{self.module}"), self.attribute
        )
        return found


COMMANDS: Mapping[str, Place] = {
    "site": Place("object_commands", "site", "Private networks with connectors and tunnels."),
    "connector": Place(
        "object_commands", "connector", "Processes in a site that dial out to the pods."
    ),
    "tunnel": Place("object_commands", "tunnel", "Published TCP services."),
    "user": Place("object_commands", "user", "People and service accounts."),
    "group": Place("object_commands", "group", "Users that are assigned together."),
    "policy": Place("object_commands", "policy", "Conditions that must all hold."),
    "identity-provider": Place(
        "object_commands", "identity_provider", "OpenID providers through which people sign in."
    ),
    "key": Place("keys", "key", "SSH public keys of users, for heavy or unattended use."),
    "token": Place("credentials", "token", "One-time tokens, each good for one SSH session."),
    "api-token": Place("credentials", "api_token", "Bearer tokens of the API."),
    "assign": Place("access", "assign", "Let a user or a group open a tunnel."),
    "unassign": Place("access", "unassign", "Remove an assignment of a user or a group."),
    "assignments": Place("access", "assignments", "List who may open a tunnel."),
    "explain": Place("access", "explain", "Tell whether a user may open a tunnel, and why."),
    "apply": Place("documents", "apply", "Create and change objects as a file describes them."),
    "export": Place("documents", "export", "Write the configuration as a file that apply takes."),
    "request": Place("approvals", "request", "Requests to open tunnels that need an approval."),
    "grant": Place("approvals", "grant", "Permissions for a time, by an approval or an emergency."),
    "session": Place("sessions", "session", "SSH connections that logged in, open and past."),
    "pod": Place("pods", "pod", "The gateways."),
    "authority": Place(
        "authority", "authority", "The certificate authority of pods and connectors."
    ),
    "host-key": Place("pods", "host_key", "The SSH host keys of the pods."),
    "db": Place(
        "database",
        "database",
        "Back up, restore, move and upgrade a pod's database, on its machine.",
    ),
    "doctor": Place(
        "doctor",
        "doctor",
        "Check what a pod or a connector needs, on its machine.",
    ),
    "setup": Place(
        "setup",
        "setup",
        "Set up a pod: its addresses, HTTPS, a first administrator and a first site.",
    ),
    "config": Place("local_commands", "config", "Look at settings files."),
    "admin": Place("local_commands", "admin", "Get back in when no administrator can."),
    "audit": Place("audit", "audit", "Show the last events, the latest at the bottom."),
    "login": Place("login", "login", "Sign in with a code that you type at the portal."),
    "logout": Place("login", "logout", "Sign out; the token that `login` got stops working."),
    "connect": Place("connect", "connect", "Open tunnels with this machine's ssh."),
    "status": Place(
        "run_commands", "status", "Show the tunnels that `connect` keeps open on this machine."
    ),
    "stop": Place("run_commands", "stop", "End what `connect` keeps open on this machine."),
    "ssh-config": Place("connect", "ssh_config", "Print blocks for ~/.ssh/config."),
    "me": Place(
        "me", "me", "Your own tunnels, keys, tokens and sessions; for API tokens of a user."
    ),
    "ls": Place("me", "list_my_tunnels", "List the tunnels you may open, and their commands."),
}
