"""The API token of the first start, in the state directory, until an administrator has taken over.

It has all rights and belongs to no user.  Once an administrator can sign in, and nobody has
used the token for a day, the pod deletes it.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from attrs import frozen
from twisted.logger import Logger

from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret, new_api_token
from tunnelcloud.private_files import write_atomically
from tunnelcloud.store import api_tokens, users
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.engine import Store
from tunnelcloud.store.transaction import Transaction

FILE_NAME = "admin.token"
LOOK_SECONDS = 300.0
UNUSED = timedelta(days=1)
"""How long nobody has used the token, and an administrator could sign in, before it is deleted."""

_log = Logger()


def ensure(store: Store, directory: Path) -> None:
    """Write the file, unless it is there or an administrator can make tokens.

    The token's hash is durable before the file.
    """
    path = directory / FILE_NAME
    if path.exists():
        return
    secret = new_api_token(os.urandom)

    def work(transaction: Transaction) -> bool:
        if users.can_administer_now(transaction):
            return False
        api_tokens.create(
            transaction,
            title=f"{FILE_NAME}, made by the pod",
            role=Role.ADMIN,
            secret_hash=hash_secret(secret),
        )
        return True

    if store.write(work):
        write_atomically(path, f"{secret}\n".encode("ascii"))


@frozen
class Retirement:
    """Deletes the token of one state directory once nobody needs it."""

    store: AsyncStore
    directory: Path

    async def look(self) -> None:
        """Delete token and file if it is time."""
        path = self.directory / FILE_NAME
        try:
            secret = path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return  # there is no file, or another one than this pod has written
        if not await self.store.write(_retire, hash_secret(secret)):
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _log.warn("{path} can't be deleted: {why}", path=str(path), why=error)
        _log.info(
            "{path} is retired: an administrator can sign in, and nobody has used it for a day. "
            "Make API tokens in the portal, under Settings.",
            path=str(path),
        )


def _retire(transaction: Transaction, secret_hash: bytes) -> bool:
    """Delete a token if it is time; return whether it was."""
    until = transaction.now() - UNUSED
    token = api_tokens.authenticate(transaction, secret_hash)
    if token is None or (token.last_used_at or token.created_at) > until:
        return False
    if not users.can_administer_since(transaction, until):
        return False
    api_tokens.delete(transaction, token.id)
    return True
