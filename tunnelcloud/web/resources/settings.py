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
from tunnelcloud.web.routes import ADMINS, READERS, Call, Item, Route


def setting_routes(context: ApiContext) -> list[Route]:
    """Make the rows for settings."""
    handlers = _Settings(context)
    return [
        Route(
            "GET",
            "/settings",
            "show_settings",
            "Show what is set for all pods.",
            READERS,
            handlers.show,
            answer=Settings,
            item=True,
        ),
        Route(
            "PATCH",
            "/settings",
            "change_settings",
            "Change some of what is set for all pods.",
            ADMINS,
            handlers.change,
            body=SettingsChange,
            answer=Settings,
            item=True,
        ),
    ]


@frozen
class _Settings:
    context: ApiContext

    async def show(self, call: Call) -> Item:
        found = await self.context.store.read(preferences.settings)
        return item_of(found, Settings.model_validate)

    async def change(self, call: Call) -> Item:
        values = call.body_as(SettingsChange).given()

        def work(transaction: Transaction) -> entities.Settings:
            current = version_of(preferences.settings(transaction))
            version = current if current in call.if_match else None
            if call.if_match and version is None:
                version = call.if_match[0]
            return preferences.change_settings(transaction, values, expected_version=version)

        return item_of(await self.context.acting(call).write(work), Settings.model_validate)
