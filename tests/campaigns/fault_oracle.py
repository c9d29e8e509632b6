"""What must hold after each fault, whatever it was; it asks the database itself.

- What was acknowledged is there, and what was said not to be done isn't.
- No token gave more sessions than it allows.
- Every session has its audit start, and so has every login that a client saw succeed its session.
- What is open at a client is open in the records, and what isn't is closed within
  ``CLOSED_WITHIN`` seconds, with a reason; what is closed has its end in the audit.
- No session and no stream ended that the fault could not reach.
- Every stream that is open still answers.
"""

import asyncio
import json
import time

from attrs import define, field

from tunnelcloud.domain.entities import write_id

CLOSED_WITHIN = 75.0
"""Seconds: 60, and a heartbeat of each pod and the campaign's own look."""
ANSWERS_WITHIN = 20.0
AGREES_WITHIN = 15.0
"""So long the records may differ from what clients see, after all pods are ready."""


def shown(prefix, kept):
    """Give an id as it is shown: SQLite keeps its bytes."""
    return write_id(prefix, kept) if isinstance(kept, bytes) else kept


@define(frozen=True)
class Blame:
    """Whose ends a fault explains.

    :ivar sessions: numbers of pods whose sessions may end.
    :ivar streams: numbers of pods whose streams may end.
    """

    sessions: frozenset[int] = field(default=frozenset(), converter=frozenset)
    streams: frozenset[int] = field(default=frozenset(), converter=frozenset)

    def explains(self, end):
        pods = self.sessions if end.with_session else self.streams | self.sessions
        return end.login.pod in pods


NOBODY = Blame()


def innocents(ends, blame):
    """Tell which ends nothing explains."""
    return [
        f"{'a session' if end.with_session else 'a stream'} of pod {end.login.pod + 1} was cut: "
        f"{end.login.name}"
        for end in ends
        if not blame.explains(end)
    ]


def judge_writes(books, names):
    """Compare acknowledged groups, and those that were denied, with the database's.

    :param names: of all groups there, by id.
    """
    lost = [name for key, name in tuple(books.groups.items()) if key not in names]
    there = set(names.values())
    made = [name for name in books.denied if name in there]
    found = [f"acknowledged writes are lost: {lost[:5]}"] if lost else []
    return found + ([f"said not to be made, and there: {made[:5]}"] if made else [])


def judge_tokens(books, spent):
    """Compare what clients saw of tokens with the sessions they gave.

    :param spent: the number of sessions by a token's id.
    """
    found = [f"token {key} gave {count} sessions" for key, count in spent.items() if count > 1]
    for key, won in tuple(books.tokens.items()):
        if won > spent.get(key, 0):
            found.append(f"token {key}: {won} logins, {spent.get(key, 0)} sessions")
    return found


def judge_records(books, rows, now):
    """Compare what is open at clients with the records.

    :param rows: client, whether it is open, and the reason of its end, of each session.
    """
    by_client = {client: (is_open, reason) for client, is_open, reason in rows}
    found = []
    for login in tuple(books.logins.values()):
        if login.name not in by_client:
            found.append(f"the login {login.name} has no session")
            continue
        is_open, reason = by_client[login.name]
        over_for = None if login.ended_at is None else now - login.ended_at
        if over_for is None and not is_open:
            found.append(f"{login.name} is open, and its record closed: {reason}")
        elif over_for is not None and over_for > CLOSED_WITHIN and is_open:
            found.append(f"{login.name} is over for {over_for:.0f} s, and its record open")
        elif not is_open and not reason:
            found.append(f"{login.name} ended without a reason")
    return found


class Oracle:
    """Looks at a site and at what its work saw."""

    def __init__(self, site, books, work):
        self.site = site
        self.books = books
        self.work = work

    async def judge(self, ends, blame):
        """Give all that is wrong after a fault has been mended."""
        wrong = [*innocents(ends, blame), *self.books.faults]
        self.books.faults.clear()
        wrong += await self.silent_streams()
        until = time.monotonic() + AGREES_WITHIN
        while differing := await asyncio.to_thread(self.judge_database):
            if time.monotonic() > until:
                return wrong + differing
            await asyncio.sleep(1)
        return wrong

    async def silent_streams(self):
        """Give the streams that are open and answer no more."""
        began = time.monotonic()
        marks = {holder: holder.sent for holder in self.work.holders if holder.is_open}
        logins = {holder: holder.login for holder in marks}
        while time.monotonic() - began < ANSWERS_WITHIN:
            marks = {
                holder: sent
                for holder, sent in marks.items()
                if holder.is_open and holder.login is logins[holder] and holder.heard < sent
            }
            if not marks:
                return []
            await asyncio.sleep(0.1)
        return [f"{holder.login.name} is open and silent" for holder in marks]

    def judge_database(self):
        rows = self.site.rows
        there = rows("SELECT id, name FROM groups")
        found = judge_writes(self.books, {shown("grp", kept): name for kept, name in there})
        spent = rows(
            "SELECT token_id, count(*) FROM sessions WHERE token_id IS NOT NULL GROUP BY token_id"
        )
        found += judge_tokens(self.books, {shown("tok", kept): count for kept, count in spent})
        seen = time.monotonic()
        sessions = rows("SELECT client_version, ended_at IS NULL, end_reason FROM sessions")
        found += judge_records(self.books, sessions, seen)
        for what, query in _NEVER.items():
            count = rows(query)[0][0]
            if count:
                found.append(f"{count} {what}")
        closed = rows("SELECT id FROM channels WHERE closed_at IS NOT NULL")
        told = rows("SELECT CAST(data AS TEXT) FROM audit WHERE event = 'channel.closed'")
        of = {json.loads(data)["channel_id"] for (data,) in told}
        silent = {shown("chn", kept) for (kept,) in closed} - of
        if silent:
            found.append(f"{len(silent)} channels closed without a word in the audit")
        return found


_HAS = "EXISTS (SELECT 1 FROM audit a WHERE a.session_id = s.id AND a.event = '{}')"
_NEVER = {
    "sessions have no audit start": (
        "SELECT count(*) FROM sessions s WHERE NOT " + _HAS.format("login.succeeded")
    ),
    "sessions ended without a word in the audit": (
        "SELECT count(*) FROM sessions s WHERE ended_at IS NOT NULL AND NOT "
        + _HAS.format("session.ended")
    ),
    "channels are open in sessions that are over": (
        "SELECT count(*) FROM channels c JOIN sessions s ON s.id = c.session_id"
        " WHERE c.closed_at IS NULL AND s.ended_at IS NOT NULL"
    ),
}
