"""Operations on the settings of all pods."""

from __future__ import annotations

from attrs import frozen

from tunnelcloud.domain import entities
from tunnelcloud.store import preferences
from tunnelcloud.store.object_writes import version_of
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.settings import Settings, SettingsChange
from tunnelcloud.web.resources.collection import item_of
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS, Call, Item, Route, operation, rows_of


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for settings."""
    return rows_of(_Settings(context))


@frozen
class _Settings:
    context: ApiContext

    @operation("GET", "/settings", READERS, answer=Settings, item=True)
    async def show_settings(self, call: Call) -> Item:
        """Show what is set for all pods."""
        found = await self.context.store.read(preferences.settings)
        return item_of(found, Settings.model_validate)

    @operation("PATCH", "/settings", ADMINS, body=SettingsChange, answer=Settings, item=True)
    async def change_settings(self, call: Call) -> Item:
        """Change some of what is set for all pods."""
        values = call.body_as(SettingsChange).given()

        def work(transaction: Transaction) -> entities.Settings:
            current = version_of(preferences.settings(transaction))
            version = current if current in call.if_match else None
            if call.if_match and version is None:
                version = call.if_match[0]
            return preferences.change_settings(transaction, values, expected_version=version)

        return item_of(await self.context.acting(call).write(work), Settings.model_validate)
