"""Bearer tokens of the API, kept as hashes."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy import update as update_rows

from tunnelcloud.domain.actors import ActorKind, actor_kind
from tunnelcloud.domain.entities import ApiToken
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import users as people
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.filters import equals, searches
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.prepared_statements import Prepared
from tunnelcloud.store.schema import api_tokens as table
from tunnelcloud.store.schema import users
from tunnelcloud.store.transaction import Transaction

API_TOKENS = Aggregate(
    "api_token",
    table,
    ApiToken,
    references={"user_id": ("user", users)},
    filters={
        "q": searches(table.c.title),
        "user_id": equals(table.c.user_id),
        "role": equals(table.c.role),
    },
    fixed=frozenset({"id", "created_at", "user_id", "role", "made_by", "made_by_id"}),
)
MOST_OF_A_USER = 100
"""As many that haven't expired; terminal logins are among them."""

_USE_RECORDED_EVERY = timedelta(seconds=60)

_BY_SECRET = Prepared(
    API_TOKENS.select()
    .outerjoin(users, users.c.id == table.c.user_id)
    .where(
        table.c.secret_hash == bindparam("secret_hash"),
        or_(table.c.expires_at.is_(None), table.c.expires_at > bindparam("now")),
        or_(users.c.id.is_(None), users.c.blocked.is_(False)),
    )
)

get = API_TOKENS.get
list_page = API_TOKENS.list_page
update = API_TOKENS.update
delete = API_TOKENS.delete


def create(
    transaction: Transaction,
    *,
    title: str,
    role: Role,
    secret_hash: bytes,
    user_id: str | None = None,
    expires_at: datetime | None = None,
) -> ApiToken:
    """Keep a new token.

    :param secret_hash: of ``tunnelcloud.domain.tokens.hash_secret``.
    :param user_id: its user, whose ``/me`` it opens.  Without one it belongs to no user, and ends
        with the access of the user who created it.
    :raise InvalidReference: there is no such user.
    :raise Conflict: the user, or the creator of a token of no user, is blocked or has too many.
    """
    made_by, made_by_id = maker(transaction)
    of_maker = user_id is None or role is not Role.USER
    lock_people(transaction, user_id, made_by_id if of_maker else None)
    if user_id is not None:
        _check_number(transaction, user_id)
    values = {
        "title": title,
        "role": role,
        "user_id": user_id,
        "made_by": made_by,
        "made_by_id": made_by_id,
        "expires_at": expires_at,
    }
    token = API_TOKENS.insert(transaction, values, {"secret_hash": secret_hash})
    changes = {name: {"to": value} for name, value in values.items() if value is not None}
    API_TOKENS.record(transaction, "created", token, changes)
    return token


def _check_number(transaction: Transaction, user_id: str) -> None:
    lasting = or_(table.c.expires_at.is_(None), table.c.expires_at > transaction.now())
    query = select(func.count()).where(table.c.user_id == user_id, lasting)
    if transaction.connection.execute(query).scalar_one() >= MOST_OF_A_USER:
        raise Conflict(
            "user_id",
            f"this user has {MOST_OF_A_USER} API tokens and terminal logins, and no more can be "
            "had: delete some that nobody uses any more",
        )


def lock_people(transaction: Transaction, *user_ids: str | None) -> None:
    """Read those whose access a secret ends with, as ``users.lock_unblocked`` does, in one order.

    :param user_ids: None, and an API token's, are nobody's.
    """
    of_people = {one for one in user_ids if one and actor_kind(one) is ActorKind.USER}
    for user_id in sorted(of_people):
        people.lock_unblocked(transaction, user_id)


def maker(transaction: Transaction) -> tuple[str, str | None]:
    """Tell who makes a secret, by name and id: behind an API token that is who made that one."""
    actor = transaction.actor
    if actor.id is not None and actor_kind(actor.id) is ActorKind.API_TOKEN:
        query = select(table.c.made_by, table.c.made_by_id).where(
            table.c.id == actor.id, table.c.made_by_id.is_not(None)
        )
        behind = transaction.connection.execute(query).first()
        if behind is not None:
            return behind.made_by, behind.made_by_id
    return actor.name, actor.id


def authenticate(transaction: Transaction, secret_hash: bytes) -> ApiToken | None:
    """Find the token with this secret; None when there is none, or it expired, or its user is
    blocked.
    """
    given = {"secret_hash": secret_hash, "now": transaction.now()}
    found = _BY_SECRET(transaction.connection, given)
    return API_TOKENS.make(found[0]) if found else None


def needs_recording(token: ApiToken, now: datetime) -> bool:
    """Tell whether ``record_use`` is due: not at every request, which would make each a write."""
    return token.last_used_at is None or now - token.last_used_at >= _USE_RECORDED_EVERY


def record_use(transaction: Transaction, token_id: str) -> None:
    """Write down that a token was used now, and its user seen."""
    people.note_seen(transaction, select(table.c.user_id).where(table.c.id == token_id))
    transaction.connection.execute(
        update_rows(table).where(table.c.id == token_id).values(last_used_at=transaction.now())
    )
