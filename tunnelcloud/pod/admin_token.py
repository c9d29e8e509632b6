"""The first administrator's API token, which the first start leaves in the state directory."""

from __future__ import annotations

import os
from pathlib import Path

from tunnelcloud.domain.entities import Role
from tunnelcloud.domain.tokens import hash_secret, new_api_token
from tunnelcloud.pki import write_atomically
from tunnelcloud.store import api_tokens
from tunnelcloud.store.engine import Store

FILE_NAME = "admin.token"


def ensure(store: Store, directory: Path) -> None:
    """Write the file, unless it is there; the token's hash is durable before it."""
    path = directory / FILE_NAME
    if path.exists():
        return
    secret = new_api_token(os.urandom)
    store.write(
        api_tokens.create,
        title=f"{FILE_NAME}, made by the pod",
        role=Role.ADMIN,
        secret_hash=hash_secret(secret),
    )
    write_atomically(path, f"{secret}\n".encode("ascii"))
