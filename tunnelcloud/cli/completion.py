"""Shell completion of the names of one's own tunnels."""

from __future__ import annotations

import os

import click

from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.parameters import Connection


def own_tunnels(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """List the tunnels whose names begin so; nothing when the pod can't be asked."""
    root = ctx.find_root().params
    token = os.environ.get("TUNNELCLOUD_API_TOKEN")
    connection = Connection(root.get("url"), token, root.get("api_token_file"))
    try:
        with ctx.scope():
            names = [str(item["name"]) for item in connection.open().each("me/tunnels")]
    except (Failed, click.UsageError, KeyError):
        return []
    return [name for name in names if name.startswith(incomplete)]
