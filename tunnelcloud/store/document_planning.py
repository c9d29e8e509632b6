"""Applies a document without holding up other writers: planned first, then done at once.

A plan is made on a copy of the configuration in memory, by the functions that change the database
itself.  What the copy then has, and had not, are a few statements with many rows each, converted
beforehand; one short transaction runs them.  If somebody changed the configuration meanwhile, the
plan is outdated and made anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from attrs import frozen
from sqlalchemy import (
    Dialect,
    Engine,
    Table,
    and_,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from tunnelcloud.domain.events import CATALOGUE
from tunnelcloud.domain.objects.policies import Policy
from tunnelcloud.domain.objects.users import User
from tunnelcloud.interpreter_lock import take_apart
from tunnelcloud.store import policies, schema, timed_grants, users
from tunnelcloud.store.column_types import first_id
from tunnelcloud.store.document_sections import SECTIONS, Document
from tunnelcloud.store.documents import Step, apply
from tunnelcloud.store.errors import StoreError
from tunnelcloud.store.failures import database_errors
from tunnelcloud.store.object_reads import E
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.prepared_statements import Batch, Prepared
from tunnelcloud.store.revocations import Cause, end_access, with_access
from tunnelcloud.store.sqlite_connections import PoliteConnection
from tunnelcloud.store.transaction import Batched, Transaction

_TABLES = (
    schema.sites,
    schema.connectors,
    schema.users,
    schema.user_names,
    schema.groups,
    schema.group_members,
    schema.policies,
    schema.tunnels,
    schema.assignments,
    schema.keys,
)
"""The tables that documents describe; a table comes after those it refers to."""

_VERBS = ("created", "changed", "deleted", "member_added", "member_removed")
_KINDS = {section.aggregate.kind for section in SECTIONS.values()} | {"assignment", "key"}
_EVENTS = [
    name for name in CATALOGUE
    if name.partition(".")[0] in _KINDS and name.partition(".")[2] in _VERBS
]  # fmt: skip
_COUNT = Prepared(
    select(func.count().label("changes")).where(
        schema.audit.c.id > bindparam("since"),
        schema.audit.c.event.in_([literal_column(f"'{name}'") for name in _EVENTS]),
    )
)
_LONGEST_CLOCK_DIFFERENCE = timedelta(minutes=5)

_Key = tuple[Any, ...]
_Rows = dict[_Key, tuple[Any, ...]]


class Outdated(StoreError):
    """Somebody changed the configuration since a plan was made."""

    def __init__(self) -> None:
        super().__init__("the configuration was changed meanwhile: apply the document again")


@frozen
class _Mark:
    """How many changes of the configuration were recorded after some time."""

    since: str
    count: int


@frozen
class Snapshot:
    """The configuration as it was.

    :ivar transaction: gives ids and names the actor; its connection is over.
    """

    rows: Mapping[Table, _Rows]
    mark: _Mark
    dialect: Dialect
    transaction: Transaction


@frozen
class Plan:
    """What applying a document does, ready to be done.

    :ivar turned: users of whose access something ends, and why.
    :ivar narrowed: policies whose grants may last for another time.
    """

    steps: list[Step]
    mark: _Mark
    batches: tuple[Batch, ...]
    batched: Batched
    turned: tuple[tuple[str, Cause], ...]
    narrowed: tuple[str, ...]


def take_snapshot(transaction: Transaction) -> Snapshot:
    """Read the configuration."""
    rows = {table: _read(transaction, table) for table in _TABLES}
    since = first_id("event", transaction.now() - _LONGEST_CLOCK_DIFFERENCE)
    return Snapshot(rows, _mark(transaction, since), transaction.connection.dialect, transaction)


def plan(
    snapshot: Snapshot, document: Document, go_on: Callable[[], object] = lambda: None
) -> Plan:
    """Find what applying a document does; takes long, and no database.

    :param snapshot: is used up.
    :param go_on: called now and then; may raise to stop it.
    :raise BadDocument: with each place where it can't be done.
    """
    with database_errors(), _scratch().connect() as connection:
        for statement in _definitions():
            connection.exec_driver_sql(statement)
        copy = snapshot.transaction.elsewhere(connection)
        for table, rows in snapshot.rows.items():
            if rows:
                names = table.c.keys()
                given = [dict(zip(names, row, strict=True)) for row in rows.values()]
                Prepared(insert(table)).batch(connection.dialect, given)(connection)
        people, terms = _all(copy, users.USERS), _all(copy, policies.POLICIES)
        steps = apply(copy, document, go_on)
        turned = tuple(_turned(people, _all(copy, users.USERS)))
        narrowed = tuple(_narrowed(terms, _all(copy, policies.POLICIES)))
        after = {table: _read(copy, table) for table in _TABLES}
    batches = tuple(_batches(snapshot.rows, after, snapshot.dialect))
    take_apart(people, terms, *snapshot.rows.values(), *after.values())
    return Plan(steps, snapshot.mark, batches, copy.batched(snapshot.dialect), turned, narrowed)


def carry_out(transaction: Transaction, ready: Plan) -> list[Step]:
    """Do what was planned.

    :raise Outdated: the configuration isn't any more what it was planned for.
    :raise Conflict: somebody else did meanwhile what doesn't go together with it.
    """
    if _mark(transaction, ready.mark.since) != ready.mark:
        raise Outdated
    for batch in ready.batches:
        batch(transaction.connection)
    transaction.take_over(ready.batched)
    concerned = with_access(transaction) if ready.turned else frozenset()
    for user_id, cause in ready.turned:
        if user_id in concerned:
            end_access(transaction, users.get(transaction, user_id), cause)
    if ready.turned:
        # The plan knew of others who administer; they may be about to lose that, too.
        users.check_administrators(transaction, "")
    for policy_id in ready.narrowed:
        timed_grants.narrow(transaction, policies.get(transaction, policy_id))
    return ready.steps


@cache
def _scratch() -> Engine:
    """Give an engine each of whose connections is a new database in memory."""
    engine = create_engine(
        "sqlite://", poolclass=NullPool, connect_args={"factory": PoliteConnection}
    )
    event.listen(engine, "connect", lambda driver, _: driver.execute("PRAGMA foreign_keys=ON"))
    return engine


@cache
def _definitions() -> tuple[str, ...]:
    """Write what makes the tables, once: that takes long, and leaves much behind."""
    dialect = _scratch().dialect
    tables = schema.metadata.sorted_tables
    made: list[ExecutableDDLElement] = list(map(CreateTable, tables))
    made += [CreateIndex(index) for table in tables for index in table.indexes]
    return tuple(str(one.compile(dialect=dialect)) for one in made)


def _mark(transaction: Transaction, since: str) -> _Mark:
    [found] = _COUNT(transaction.connection, {"since": since})
    return _Mark(since, int(found.changes))


def _read(transaction: Transaction, table: Table) -> _Rows:
    places = [index for index, one in enumerate(table.c) if one.primary_key]
    found = transaction.connection.execute(select(table)).all()
    return {tuple(row[place] for place in places): tuple(row) for row in found}


def _batches(
    before: Mapping[Table, _Rows], after: Mapping[Table, _Rows], dialect: Dialect
) -> Iterator[Batch]:
    """Give the statements that make one state of the other: none refers to what isn't there."""
    for table in reversed(_TABLES):
        keys = [_where(table, key) for key in before[table].keys() - after[table].keys()]
        if keys:
            yield Prepared(delete(table).where(_at(table))).batch(dialect, keys)
    for table in _TABLES:
        names = table.c.keys()
        new = [
            dict(zip(names, row, strict=True))
            for key, row in after[table].items()
            if key not in before[table]
        ]
        if new:
            yield Prepared(insert(table)).batch(dialect, new)
        for changed, rows in _changes(table, before[table], after[table]).items():
            values = {name: bindparam(f"to_{name}", type_=table.c[name].type) for name in changed}
            statement = update(table).where(_at(table)).values(values)
            yield Prepared(statement).batch(dialect, rows)


def _changes(
    table: Table, before: _Rows, after: _Rows
) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """Gather the rows that differ, by the columns in which they do."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    names = table.c.keys()
    for key, row in after.items():
        old = before.get(key, row)
        if old != row:
            new = {f"to_{name}": now for name, was, now in zip(names, old, row, strict=True)
                   if was != now}  # fmt: skip
            where = _where(table, key)
            found[tuple(name.removeprefix("to_") for name in new)].append({**new, **where})
    return found


def _where(table: Table, key: _Key) -> dict[str, Any]:
    return {f"at_{one.name}": part for one, part in zip(table.primary_key, key, strict=True)}


def _at(table: Table) -> Any:
    return and_(*(one == bindparam(f"at_{one.name}", type_=one.type) for one in table.primary_key))


def _all(transaction: Transaction, kind: Aggregate[E]) -> dict[str, E]:
    """Read all objects of a kind, by their ids."""
    rows = transaction.connection.execute(kind.select())
    return {row.id: kind.make(row) for row in rows}


def _turned(before: Mapping[str, User], after: Mapping[str, User]) -> Iterator[tuple[str, Cause]]:
    """Name the users of whose access something ends by what they become, and why."""
    for user_id, user in before.items():
        for cause in users.causes(user, after[user_id]):
            yield user_id, cause


def _narrowed(before: Mapping[str, Policy], after: Mapping[str, Policy]) -> Iterator[str]:
    """Name the policies whose grants, which the copy hasn't, may last for another time."""
    for policy_id, policy in before.items():
        if policies.lasts_otherwise(policy, after[policy_id]):
            yield policy_id
