"""The CA that takes another's place: who is under which, and when the other one may go."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from sqlalchemy import ColumnElement, and_, delete, func, select, update

from tunnelcloud.domain.key_rotation import AUTHORITY, NEW_AUTHORITY
from tunnelcloud.store import pods, stored_secrets
from tunnelcloud.store.column_types import ENDED
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.schema import authority as table
from tunnelcloud.store.schema import connectors, join_tokens
from tunnelcloud.store.stored_secrets import Rename
from tunnelcloud.store.transaction import Transaction

_NAMED = 20
"""How many connectors that haven't moved are named."""


@frozen
class Progress:
    """How far connectors have moved to the newest CA.

    :ivar moved: the number of connectors with a certificate of it.
    :ivar left: the number of connectors with certificates, but none of it.
    :ivar names: of some of these.
    :ivar join_tokens: unspent join tokens that name the CA before.
    """

    moved: int
    left: int
    names: tuple[str, ...]
    join_tokens: int


def progress(transaction: Transaction, newest: str) -> Progress:
    """Tell how far connectors have moved.

    :param newest: the pin of the newest CA.
    """
    read = transaction.connection.execute
    moved, left = _members(transaction, newest)
    count = select(func.count()).select_from(connectors)
    names = read(
        select(connectors.c.name).where(left).order_by(connectors.c.name).limit(_NAMED)
    ).scalars()
    return Progress(
        read(count.where(moved)).scalar_one(),
        read(count.where(left)).scalar_one(),
        tuple(names),
        _unspent(transaction),
    )


def add(transaction: Transaction, content: bytes, pin: str, *, version: str) -> None:
    """Store a new CA beside the current one; connectors move to it.

    :param content: the CA, sealed.
    :param version: the program's.
    :raise Conflict: there is a new one already, or a pod runs another version.
    """
    pods.refuse_other_versions(transaction, version)
    if stored_secrets.keep_first(transaction, NEW_AUTHORITY, content) != content:
        raise Conflict("", "a new CA is there already: `tunnelcloud authority show` says how far")
    stored_secrets.tell(transaction, "authority.created", {"fingerprint": pin})


def retire(
    transaction: Transaction, rename: Rename, pin_of: Callable[[bytes, str], str], *, force: bool
) -> None:
    """Replace the old CA by the new one; nobody trusts the old one any more.

    :param pin_of: returns the pin of the CA stored under a name.
    :param force: also while connectors have certificates of the old one: they have to join again.
    :raise Conflict: there is no new one, or a connector still has a certificate of the old one.
    """
    kept = stored_secrets.lock_all(transaction)
    if not {AUTHORITY, NEW_AUTHORITY} <= set(kept):
        raise Conflict("", "there is no new CA: `tunnelcloud authority rotate` makes one")
    coming = kept[NEW_AUTHORITY]
    newest = pin_of(coming, NEW_AUTHORITY)
    found = progress(transaction, newest)
    if not force and (found.left or found.join_tokens):
        raise Conflict("", _in_the_way(found))
    gone = pin_of(kept[AUTHORITY], AUTHORITY)
    stored_secrets.replace(transaction, AUTHORITY, rename(coming, NEW_AUTHORITY, AUTHORITY))
    transaction.connection.execute(delete(table).where(table.c.name == NEW_AUTHORITY))
    transaction.connection.execute(update(join_tokens).values(expires_at=ENDED))
    stored_secrets.tell(transaction, "authority.deleted", {"fingerprint": gone, "left": found.left})


def _in_the_way(found: Progress) -> str:
    names = ", ".join(found.names)
    more = f" and {found.left - len(found.names)} more" if found.left > len(found.names) else ""
    who = f"connectors have no certificate of the new CA yet: {names}{more}" if found.left else ""
    tokens = f"join tokens of before are unspent: {found.join_tokens}" if found.join_tokens else ""
    return (
        f"{'; '.join(filter(None, (who, tokens)))}: wait, or use `tunnelcloud authority retire "
        "--force`, after which these connectors have to join anew and these tokens are void"
    )


def _members(
    transaction: Transaction, newest: str
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Give the conditions for connectors of the newest CA, and for the others."""
    lasts = connectors.c.certificate_expires_at > transaction.now()
    is_newest = connectors.c.authority == newest
    return and_(lasts, is_newest), and_(lasts, ~is_newest)


def _unspent(transaction: Transaction) -> int:
    good = join_tokens.c.expires_at > transaction.now(), join_tokens.c.redeemed_at.is_(None)
    query = select(func.count()).select_from(join_tokens).where(*good)
    return transaction.connection.execute(query).scalar_one()
