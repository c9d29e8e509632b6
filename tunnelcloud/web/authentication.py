"""Turns a bearer token into a ``Caller``.

Only hashes are kept, and looked up by the whole hash of a secret that nobody can guess.  A token
never has more rights than its user has now.
"""

from __future__ import annotations

import re

from attrs import field, frozen
from twisted.logger import Logger
from twisted.web.iweb import IRequest

from tunnelcloud.domain.entities import ApiToken
from tunnelcloud.domain.objects.users import User
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import api_tokens, users
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.caller_rights import rank
from tunnelcloud.web.problems import unauthorized
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import Caller

_BEARER = re.compile(r"bearer +([A-Za-z0-9_.~+/=-]{1,256})", re.IGNORECASE)


def _find(transaction: Transaction, secret_hash: bytes) -> tuple[ApiToken, User | None] | None:
    token = api_tokens.authenticate(transaction, secret_hash)
    if token is None:
        return None
    return token, None if token.user_id is None else users.get(transaction, token.user_id)


def read_bearer(header: str) -> str | None:
    """Give the token of an ``Authorization`` header; None when it can't be one."""
    match = _BEARER.fullmatch(header.strip())
    return None if match is None else match[1]


@frozen
class BearerAuthenticator:
    """Tells the callers of the API by their bearer tokens (RFC 6750)."""

    context: ApiContext
    _log: Logger = field(factory=Logger)

    async def authenticate(self, request: IRequest) -> Caller:
        """Tell who asks.

        :raise Problem: 401 without a good token.
        """
        header = request.getHeader("authorization")
        if header is None:
            raise unauthorized("an API token is needed, as Authorization: Bearer TOKEN")
        secret = read_bearer(header)
        found = None
        if secret is not None:
            found = await self.context.store.read(_find, hash_secret(secret))
        if found is None:
            raise unauthorized("the API token is unknown or has expired")
        token, user = found
        if api_tokens.needs_recording(token, self.context.now()):
            recording = self.context.store.aside().write(api_tokens.record_use, token.id)
            recording.addErrback(
                lambda failure: self._log.failure("A token's use was not recorded", failure)
            )
        if user is None:
            return Caller(token.id, token.title or "API token", token.role, None, token.id)
        role = min(token.role, user.role, key=rank)
        if token.made_by_id in (None, user.id) or user.service:
            return Caller(user.id, user.name, role, user.id, token.id)
        # Somebody else has seen it: what is done with it isn't known to be that person's deed.
        return Caller(token.id, token.title or "API token", role, user.id, token.id)
