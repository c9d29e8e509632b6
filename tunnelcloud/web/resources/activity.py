"""Operations on activity: sessions and their channels, the audit."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred, DeferredSemaphore

from tunnelcloud.domain import entities
from tunnelcloud.domain.actors import ActorKind, actor_kind, actor_text
from tunnelcloud.domain.ecs import ecs_document
from tunnelcloud.domain.events import AuditRecord, KeptEvent
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import audit, channels, list_counts, sessions
from tunnelcloud.store.column_types import instant_text
from tunnelcloud.store.paging import ListPage
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.caller_rights import check_caller
from tunnelcloud.web.interfaces import LiveChannel, LiveSession
from tunnelcloud.web.models.activity import (
    AuditExportQuery,
    AuditQuery,
    Channel,
    ChannelQuery,
    Event,
    OwnSessionQuery,
    Session,
    SessionQuery,
)
from tunnelcloud.web.models.fields import Page
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.resources.collection import listed, page_reader
from tunnelcloud.web.resources.context import ANYBODYS, OWN, ApiContext, Whose
from tunnelcloud.web.routes import READERS, Call, Caller, Lines, Listed, Route, operation, rows_of

_EXPORTED_AT_ONCE = 500
_READ_AT_A_TIME = 2
"""Pages of all exports: however many there are, other reads wait for these alone."""
_SESSION = values_as(Session, entities.Session)
_CHANNEL = values_as(Channel, entities.Channel)
_EVENT = values_as(Event, KeptEvent, but=["data"])
_Names = Mapping[str, list_counts.Names]


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for what goes on."""
    return [
        *_session_rows(_Sessions(context, ANYBODYS)),
        *_session_rows(_Sessions(context, OWN)),
        *rows_of(_History(context)),
    ]


def _session_rows(handlers: _Sessions) -> list[Route]:
    own, read, end = handlers.whose.own, handlers.whose.readers, handlers.whose.writers
    path = f"{handlers.whose.path}/sessions"
    one = f"{path}/{{session_id}}"
    whose = "one's own " if own else ""
    a_session = "one of one's own sessions" if own else "a session"
    return [
        Route(
            "GET",
            path,
            f"list_{own}sessions",
            f"List {whose}sessions, open and past, the latest first.",
            read,
            handlers.list_all,
            query=OwnSessionQuery if own else SessionQuery,
            answer=Page[Session],
        ),
        Route(
            "GET", one, f"show_{own}session", f"Show {a_session}.", read, handlers.show,
            answer=Session,
        ),
        Route(
            "DELETE", one, f"end_{own}session", f"End {a_session}; one that ended stays so.", end,
            handlers.end,
        ),
        Route(
            "GET",
            f"{one}/channels",
            f"list_{own}channels",
            f"List the channels of {a_session}, the latest first.",
            read,
            handlers.list_channels,
            query=ChannelQuery,
            answer=Page[Channel],
        ),
        Route(
            "DELETE",
            f"{one}/channels/{{channel_id}}",
            f"end_{own}channel",
            f"End a channel of {a_session}, and leave the rest of it alone.",
            end,
            handlers.end_channel,
        ),
    ]  # fmt: skip


@frozen
class _Sessions:
    """Sessions of a user, or of everybody."""

    context: ApiContext
    whose: Whose

    def _get(self, transaction: Transaction, call: Call) -> entities.Session:
        return sessions.get(transaction, call.params["session_id"], **self.whose.owners(call))

    def _shower(
        self, found: Iterable[entities.Session], names: _Names
    ) -> Callable[[entities.Session], dict[str, Any]]:
        """Make what shows some sessions, with the bytes of those that are open here."""
        opened = (one.id for one in found if one.ended_at is None)
        live = {one: self.context.live.live_session(one) for one in opened}

        def shown(session: entities.Session) -> dict[str, Any]:
            called = names[session.id]
            return {
                **_SESSION(session),
                "user_name": called.user,
                "tunnel_name": called.tunnel,
                **_traffic(live.get(session.id)),
            }

        return shown

    async def list_all(self, call: Call) -> Listed:
        filters = self.whose.filters(call, OwnSessionQuery)

        def work(transaction: Transaction) -> tuple[ListPage[entities.Session], _Names]:
            page = sessions.list_page(transaction, sort="-started_at", **filters)
            return page, list_counts.names_of_sessions(transaction, [one.id for one in page.items])

        page, names = await self.context.store.read(work)
        return listed(self.context, page, self._shower(page.items, names))

    async def show(self, call: Call) -> dict[str, Any]:
        def work(transaction: Transaction) -> tuple[entities.Session, _Names]:
            session = self._get(transaction, call)
            return session, list_counts.names_of_sessions(transaction, [session.id])

        session, names = await self.context.store.read(work)
        return self._shower([session], names)(session)

    async def end(self, call: Call) -> None:
        def work(transaction: Transaction) -> entities.Session:
            session = self._get(transaction, call)
            if session.ended_at is None:
                sessions.note_end_request(transaction, session)
            return session

        session = await self.context.acting(call).write(work)
        if session.ended_at is None:
            await self.context.live.end_session(session.id, _reason(call))

    async def list_channels(self, call: Call) -> Listed:
        filters = call.query_as(ChannelQuery).filters()

        opened = self.context.live.live_channels(call.params["session_id"])
        live = {channel.id: channel for channel in opened}
        through = {one.id: one.connector_id for one in live.values() if one.connector_id}

        def work(
            transaction: Transaction,
        ) -> tuple[entities.Session, ListPage[entities.Channel], _Names]:
            session = self._get(transaction, call)
            page = channels.list_page(
                transaction, session_id=session.id, sort="-opened_at", **filters
            )
            ids = [one.id for one in page.items]
            return session, page, list_counts.names_of_channels(transaction, ids, through)

        session, page, names = await self.context.store.read(work)

        def shown(channel: entities.Channel) -> dict[str, Any]:
            now = live.get(channel.id) if channel.closed_at is None else None
            called = names[channel.id]
            values = {
                **_CHANNEL(channel),
                "source_ip": session.source_ip,
                "user_name": called.user,
                "tunnel_name": called.tunnel,
                "connector_name": called.connector,
                **_traffic(now),
            }
            return values if now is None else {**values, "connector_id": now.connector_id}

        return listed(self.context, page, shown)

    async def end_channel(self, call: Call) -> None:
        def work(transaction: Transaction) -> entities.Channel:
            session, wanted = self._get(transaction, call), call.params["channel_id"]
            channel = channels.get(transaction, wanted, session_id=session.id)
            if channel.closed_at is None:
                sessions.note_end_request(transaction, session, channel)
            return channel

        channel = await self.context.acting(call).write(work)
        if channel.closed_at is None:
            await self.context.live.end_channel(channel.id, _reason(call))


def _traffic(now: LiveSession | LiveChannel | None) -> dict[str, Any]:
    """Show what has passed so far through a session or a channel that is open here."""
    if now is None:
        return {"rate_to_target": None, "rate_from_target": None}
    return {
        "bytes_to_target": now.bytes_to_target,
        "bytes_from_target": now.bytes_from_target,
        "rate_to_target": round(now.rate_to_target, 1),
        "rate_from_target": round(now.rate_from_target, 1),
    }


def _reason(call: Call) -> str:
    """Say who ends it: a token's title is free text, and must not read like somebody's name."""
    caller, kind = call.who(), actor_kind(call.who().id)
    is_admin = kind is ActorKind.USER and caller.role is Role.ADMIN
    return f"ended by {'administrator ' if is_admin else ''}{actor_text(kind, caller.name)}"


@frozen
class _History:
    context: ApiContext
    _reading: DeferredSemaphore = field(factory=partial(DeferredSemaphore, _READ_AT_A_TIME))

    @operation("GET", "/audit", READERS, query=AuditQuery, answer=Page[Event])
    async def list_events(self, call: Call) -> Listed:
        """Search the audit."""
        filters = call.query_as(AuditQuery).filters()
        sort = "created_at" if filters.pop("order") == "oldest" else "-created_at"
        page = await self.context.store.read(page_reader(audit.list_page, sort=sort, **filters))
        return listed(self.context, page, _event)

    @operation("GET", "/audit/export", READERS, query=AuditExportQuery, lines=True)
    async def export_events(self, call: Call) -> Lines:
        """Give all events that fit, the oldest first, as JSON lines in ECS's field names."""
        filters = call.query_as(AuditExportQuery).filters()
        first = await self._export(call.who(), filters, None)
        return Lines(self._exported(call.who(), filters, *first))

    async def _exported(
        self, caller: Caller, filters: Mapping[str, Any], lines: bytes, cursor: str | None
    ) -> AsyncGenerator[bytes, None]:
        yield lines
        while cursor is not None:
            lines, cursor = await self._export(caller, filters, cursor)
            yield lines

    async def _export(
        self, caller: Caller, filters: Mapping[str, Any], cursor: str | None
    ) -> tuple[bytes, str | None]:
        """Make a page of an export, if the caller still may: an export can take hours.

        :return: its lines, which take too long to make for the reactor's thread, and the cursor of
            the next page.
        :raise Problem: 401 or 403.
        """
        reader = page_reader(
            audit.list_page, sort="created_at", limit=_EXPORTED_AT_ONCE, cursor=cursor, **filters
        )

        def work(transaction: Transaction) -> ListPage[AuditRecord]:
            check_caller(transaction, caller, writes=False)
            return reader(transaction)

        async def make() -> tuple[bytes, str | None]:
            page = await self.context.store.read(work)
            lines = await self.context.showing.run(
                lambda: b"".join(map(_ecs_line, page.items)), source=caller.id
            )
            return lines, page.next_cursor

        made: tuple[bytes, str | None] = await self._reading.run(
            lambda: Deferred.fromCoroutine(make())
        )
        return made


def _ecs_line(record: AuditRecord) -> bytes:
    document = ecs_document(record, instant_text(record.at))
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def _event(record: AuditRecord) -> dict[str, Any]:
    event = record.event
    return {
        "id": record.id,
        "at": instant_text(record.at),
        **_EVENT(event),
        "actor_kind": str(actor_kind(event.actor_id)),
        "data": event.data,  # as it was read from JSON
    }
