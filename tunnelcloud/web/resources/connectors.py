"""Connectors: their objects in the store, their state now, and their join tokens."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus

from attrs import frozen

from tunnelcloud.domain.join_tokens import SECRET_LENGTH, hash_secret, join_command
from tunnelcloud.domain.objects import CONNECTOR, sites
from tunnelcloud.store import connectors
from tunnelcloud.store.object_writes import version_of
from tunnelcloud.store.site_health import Attachments
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.connectors import (
    AttachedTo,
    Connector,
    ConnectorChange,
    ConnectorMade,
    ConnectorQuery,
    ConnectorStatus,
    JoinTokenShown,
    NewConnector,
)
from tunnelcloud.web.models.fields import Shown
from tunnelcloud.web.resources.attached_connectors import attachments_now
from tunnelcloud.web.resources.collection import TEXTS, Kind, Shower, collection_routes
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, Call, Item, Route, operation, rows_of


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for connectors and their join tokens."""
    handlers = _Connectors(context)
    kind = Kind(
        noun="connector",
        plural="connectors",
        shown=Connector,
        new=NewConnector,
        change=ConnectorChange,
        query=ConnectorQuery,
        get=connectors.get,
        list_page=connectors.list_page,
        create=connectors.create,
        update=connectors.update,
        delete=connectors.delete,
        show=None,
        made=ConnectorMade,
        shower=handlers.shower,
        texts={**TEXTS, "create": "Make a connector, with a join token for it."},
    )
    return [
        *collection_routes(context, kind, create=handlers.create),
        *rows_of(handlers),
    ]


@frozen
class _Connectors:
    context: ApiContext

    def shower(self, context: ApiContext) -> Shower:
        """Look at what is attached now, once for all connectors of a list."""
        show = partial(self.shown, attachments=attachments_now(context))
        return lambda *_: show

    def shown(self, connector: sites.Connector, attachments: Attachments) -> Shown:
        """Show a connector; called in any thread."""
        health = self.context.live.connector_health(connector.id)
        attached_to, pods = self.context.live.pods_of(connector.id)
        if attachments.have(connector):
            status = ConnectorStatus.ATTACHED
        elif connector.joined_at is None:
            status = ConnectorStatus.NEW
        else:
            status = ConnectorStatus.DETACHED
        return Connector.model_validate(
            {
                **CONNECTOR.values_of(connector),
                "status": status,
                "attached_to": AttachedTo(pods=attached_to, of=pods),
                "version": connector.version if health is None else health.version,
                "joined_at": connector.joined_at,
                "last_seen_at": connector.last_seen_at if health is None else self.context.now(),
                "certificate_expires_at": connector.certificate_expires_at,
                "round_trip_ms": None if health is None else health.round_trip_ms,
                "load": None if health is None else health.load,
                "cloned_at": self.context.live.cloned_connectors().get(connector.id),
                "way": None if health is None else health.way,
            }
        )

    async def create(self, call: Call) -> Item:
        values = call.body_as(NewConnector).given()
        secret = self.context.random(SECRET_LENGTH)

        def work(transaction: Transaction) -> tuple[sites.Connector, connectors.JoinToken]:
            connector = connectors.create(transaction, **values)
            return connector, self._keep(transaction, connector.id, secret)

        connector, kept = await self.context.acting(call).write(work)
        shown = self.shown(connector, attachments_now(self.context))
        join = self._join(connector.name, secret, kept)
        made = ConnectorMade.model_validate({**shown.model_dump(), "join": join})
        return Item(made, version_of(connector))

    @operation(
        "POST",
        "/connectors/{connector_id}/join-token",
        ADMINS,
        answer=JoinTokenShown,
        status=HTTPStatus.CREATED,
    )
    async def create_join_token(self, call: Call) -> JoinTokenShown:
        """Make a connector's join token; the one it had before ends."""
        secret = self.context.random(SECRET_LENGTH)

        def work(transaction: Transaction) -> tuple[sites.Connector, connectors.JoinToken]:
            connector = connectors.get(transaction, call.params["connector_id"])
            return connector, self._keep(transaction, connector.id, secret)

        connector, kept = await self.context.acting(call).write(work)
        return self._join(connector.name, secret, kept)

    def _keep(
        self, transaction: Transaction, connector_id: str, secret: bytes
    ) -> connectors.JoinToken:
        return connectors.add_join_token(
            transaction,
            connector_id,
            secret_hash=hash_secret(secret),
            lifetime_seconds=self.context.join_token_lifetime,
        )

    def _join(self, name: str, secret: bytes, kept: connectors.JoinToken) -> JoinTokenShown:
        token = self.context.live.join_token(secret).encode()
        return JoinTokenShown(token=token, expires_at=kept.expires_at, command=join_command(name))
