"""Operations for charts, and for the cost of a deletion."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import frozen

from tunnelcloud.domain.entities import Assignment
from tunnelcloud.store import (
    assignments,
    connectors,
    deletion_warnings,
    groups,
    policies,
    sites,
    statistics,
    tunnels,
    users,
)
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.activity import Deletion, Statistics, StatisticsQuery
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import READERS, Call, Handler, Route, operation, rows_of

_Get = Callable[[Transaction, Call], object]


def _of(get: Callable[[Transaction, str], object], name: str) -> _Get:
    return lambda transaction, call: get(transaction, call.params[name])


def _assignment(transaction: Transaction, call: Call) -> Assignment:
    object_id, tunnel_id = call.params["assignment_id"], call.params["tunnel_id"]
    return assignments.get(transaction, object_id, tunnel_id=tunnel_id)


_DELETABLE: tuple[tuple[str, str, _Get], ...] = (
    ("site", "/sites/{site_id}", _of(sites.get, "site_id")),
    ("connector", "/connectors/{connector_id}", _of(connectors.get, "connector_id")),
    ("tunnel", "/tunnels/{tunnel_id}", _of(tunnels.get, "tunnel_id")),
    ("user", "/users/{user_id}", _of(users.get, "user_id")),
    ("group", "/groups/{group_id}", _of(groups.get, "group_id")),
    ("policy", "/policies/{policy_id}", _of(policies.get, "policy_id")),
    ("assignment", "/tunnels/{tunnel_id}/assignments/{assignment_id}", _assignment),
)


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for what is counted."""
    handlers = _Summaries(context)
    return [
        *rows_of(handlers),
        *(
            Route(
                "GET",
                f"{path}/deletion",
                f"weigh_deletion_of_{kind}",
                f"List what deleting the {kind} would end and delete.",
                READERS,
                handlers.deletion_of(kind, get),
                answer=Deletion,
            )
            for kind, path, get in _DELETABLE
        ),
    ]


@frozen
class _Summaries:
    context: ApiContext

    @operation("GET", "/statistics", READERS, query=StatisticsQuery, answer=Statistics)
    async def show_statistics(self, call: Call) -> Statistics:
        """Count sessions, channels, traffic and refused logins hour by hour."""
        hours = call.query_as(StatisticsQuery).hours
        found = await self.context.store.read(statistics.last_slots, hours)
        return Statistics(
            begin=found.begin,
            bucket_seconds=found.seconds,
            sessions=list(found.sessions),
            channels=list(found.channels),
            traffic_bytes=list(found.traffic),
            refused_logins=list(found.refused),
        )

    def deletion_of(self, kind: str, get: _Get) -> Handler:
        return partial(self._deletion, kind, get)

    async def _deletion(self, kind: str, get: _Get, call: Call) -> Deletion:
        def work(transaction: Transaction) -> deletion_warnings.Consequences:
            get(transaction, call)
            object_id = call.params[f"{kind}_id"]
            return deletion_warnings.of_deleting(transaction, kind, object_id)

        found = await self.context.store.read(work)
        return Deletion(
            users=found.people,
            channels=found.channels,
            sessions=found.sessions,
            objects=dict(found.objects),
            in_use=found.in_use,
        )
