"""The transaction that a store function gets: with its clock, its ids and its audit.

Everything written through it is durable together or not at all; listeners hear of it only after the
commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from threading import Lock

from attrs import evolve, field, frozen
from sqlalchemy import Connection, Dialect

from tunnelcloud.domain.entities import new_id, place_of
from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.interpreter_lock import politely
from tunnelcloud.store import audit_rows
from tunnelcloud.store.column_types import from_milliseconds
from tunnelcloud.store.prepared_statements import Batch

Clock = Callable[[Connection], int]
"""Tells the database's time in milliseconds since the epoch."""


@frozen
class Actor:
    """On whose behalf something is done: a user, an API token, or the system itself."""

    name: str
    id: str | None = None


SYSTEM = Actor("system")
_CHANCE_BYTES = 10
_CLOCK_WENT_BACK = 5000
"""Milliseconds; a transaction that began a while ago is less behind."""


@frozen
class Change:
    """Something about an object is different now; read it again.

    :ivar decides: whether a decision may come out otherwise; a title's edit only shows.
    :ivar concerns: ids of what users' views hold (a user, group, tunnel, policy or site): the
        views that hold one of them are different.
    """

    kind: str
    id: str
    decides: bool = True
    concerns: tuple[str, ...] = ()

    def joined(self, other: Change) -> Change:
        """Tell of two changes of one object as one."""
        concerns = dict.fromkeys([*self.concerns, *other.concerns])
        return Change(self.kind, self.id, self.decides or other.decides, tuple(concerns))


@frozen
class Resync:
    """Changes may have been missed: whatever was read before may be old."""


@frozen
class Committed:
    """What one transaction leaves to tell."""

    changes: tuple[Change, ...]
    records: tuple[AuditRecord, ...]


class IdSource:
    """Makes ids that sort in the order they were made, also when the clock went back.

    While the clock is behind the last id, ids go on from that one instead.
    """

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._lock = Lock()
        self._last = (-1, 0)
        self._last_is_own = True

    def follow(self, object_id: str | None) -> None:
        """Let all further ids sort behind one that was made elsewhere; None for no id at all."""
        if object_id is None:
            return
        place = place_of(object_id)
        with self._lock:
            if place > self._last:
                self._last, self._last_is_own = place, False

    def __call__(self, kind: str, milliseconds: int) -> str:
        """Make an id; ``kind`` as in ``new_id``."""
        with self._lock:
            last, chance = self._last
            behind = last - milliseconds
            if self._last_is_own and 0 <= behind <= _CLOCK_WENT_BACK:
                chance += 1
            else:
                # Where the clock went back, each id is a little later than the one before: who
                # reads on from a short while before the last id isn't given ever more of them.
                last = max(milliseconds, last + 1)
                # One bit less, so that counting on from here can't run over.
                chance = int.from_bytes(self._random(_CHANCE_BYTES)) >> 1
            self._last, self._last_is_own = (last, chance), True
        return new_id(kind, last, lambda _: chance.to_bytes(_CHANCE_BYTES))


@frozen
class Batched:
    """The records and changes of one transaction, for another to take over."""

    audit: Batch | None
    records: tuple[AuditRecord, ...]
    changes: tuple[Change, ...]


@frozen
class Transaction:
    """One transaction, as a store function gets it.

    :ivar connection: runs SQLAlchemy Core statements.
    :ivar actor: whom the audit names.
    :ivar only_reads: whether nobody's writes wait for its end.
    """

    connection: Connection
    actor: Actor
    _clock: Clock
    _ids: IdSource
    only_reads: bool = False
    _now: list[int] = field(factory=list)
    _changes: dict[tuple[str, str], Change] = field(factory=dict)
    _records: list[AuditRecord] = field(factory=list)

    def now(self) -> datetime:
        """Tell the database's time, to the millisecond; the same throughout a transaction."""
        return from_milliseconds(self._milliseconds())

    def new_id(self, kind: str) -> str:
        """Make an id for a new object; ``kind`` as in ``new_id``."""
        return self._ids(kind, self._milliseconds())

    def audit(self, event: AuditEvent) -> AuditRecord:
        """Record an event, as done by this transaction's actor unless it names another."""
        record = self._record(event)
        audit_rows.INSERT(self.connection, audit_rows.row_of(record))
        return record

    def audit_all(self, events: Sequence[AuditEvent]) -> None:
        """Record many events, as ``audit`` does, in one statement."""
        if events:
            rows = [audit_rows.row_of(self._record(event)) for event in politely(events)]
            audit_rows.INSERT.batch(self.connection.dialect, rows)(self.connection)

    def insert_and_audit(
        self, insert: audit_rows.RowAndEvent, row: Mapping[str, object], event: AuditEvent
    ) -> None:
        """Insert a row, and record the event that tells of it; as ``audit``.

        :param row: each column of the table by its name.
        """
        insert(self.connection, row, audit_rows.row_of(self._record(event)))

    def _record(self, event: AuditEvent) -> AuditRecord:
        if not event.actor:
            event = evolve(event, actor=self.actor.name, actor_id=self.actor.id)
        record = AuditRecord(self.new_id("event"), self.now(), audit_rows.escaped(event))
        self._records.append(record)
        return record

    def changed(
        self, kind: str, object_id: str, *, decides: bool = True, concerns: Iterable[str] = ()
    ) -> None:
        """Tell every pod, after the commit, that an object (or what hangs on it) is different.

        :param decides: as in ``Change``.
        :param concerns: as in ``Change``.
        """
        self._note(Change(kind, object_id, decides, tuple(concerns)))

    def elsewhere(self, connection: Connection) -> Transaction:
        """Give a transaction on another database, for the same actor and at the same time."""
        now = [self._milliseconds()]
        return Transaction(connection, self.actor, self._clock, self._ids, now=now)

    def batched(self, dialect: Dialect) -> Batched:
        """Return the events and changes recorded here, for another transaction to take over."""
        rows = list(map(audit_rows.row_of, self._records))
        audit = audit_rows.INSERT.batch(dialect, rows) if rows else None
        return Batched(audit, tuple(self._records), tuple(self._changes.values()))

    def take_over(self, batched: Batched) -> None:
        """Record what another transaction would have recorded, as if it was done now."""
        for change in batched.changes:
            self._note(change)
        if batched.audit is None:
            return
        # Whoever follows the audit has read beyond the time at which it was planned.
        place, at = batched.audit.names.index("id"), batched.audit.names.index("at")
        milliseconds, now = self._milliseconds(), self.now()
        kept = batched.audit.converter("id")
        for row, record in zip(batched.audit.rows, batched.records, strict=True):
            event_id = self._ids("event", milliseconds)
            row[place], row[at] = kept(event_id), milliseconds
            self._records.append(AuditRecord(event_id, now, record.event))
        batched.audit(self.connection)

    def _note(self, change: Change) -> None:
        before = self._changes.get((change.kind, change.id))
        known = change if before is None else before.joined(change)
        self._changes[change.kind, change.id] = known

    def committed(self) -> Committed:
        """Sum up what listeners are to be told."""
        return Committed(tuple(self._changes.values()), tuple(self._records))

    def _milliseconds(self) -> int:
        if not self._now:
            self._now.append(self._clock(self.connection))
        return self._now[0]
