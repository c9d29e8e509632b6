"""What lists show beside an object's settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from attrs import frozen

from tunnelcloud.store import access, read_models
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal.pages.health import SiteHealth, site_healths
from tunnelcloud.web.portal.sentences import counted, policy_sentence
from tunnelcloud.web.resources.attachments import Attachments
from tunnelcloud.web.resources.context import ApiContext

Item = dict[str, Any]


@frozen
class Columns:
    """Fills rows of lists, with a query or two for the whole page."""

    context: ApiContext

    async def fill(self, noun: str, items: list[Item]) -> list[Item]:
        """Add what the columns of a kind of objects show."""
        fillers: dict[str, Callable[[Transaction, list[Item]], None]] = {
            "tunnel": self._tunnels,
            "site": self._sites,
            "connector": self._connectors,
            "group": _groups,
            "user": _users,
            "policy": _policies,
        }
        filler = fillers.get(noun)
        if filler is not None:
            await self.context.store.read(filler, items)
        return items

    def _healths(
        self, transaction: Transaction, site_ids: Collection[str]
    ) -> Mapping[str, SiteHealth]:
        attachments = Attachments.of(self.context)
        return site_healths(transaction, site_ids, attachments)

    def _tunnels(self, transaction: Transaction, items: list[Item]) -> None:
        counts = read_models.of_tunnels(transaction, [one["id"] for one in items])
        healths = self._healths(transaction, {one["site_id"] for one in items})
        for one in items:
            users, groups = counts.users.get(one["id"], 0), counts.groups.get(one["id"], 0)
            who = [counted(users, "user")] if users else []
            who += [counted(groups, "group")] if groups else []
            one |= {
                "who": ", ".join(who),
                "open": counts.open.get(one["id"], 0),
                "health": healths[one["site_id"]],
                "site": healths[one["site_id"]].name,
            }

    def _sites(self, transaction: Transaction, items: list[Item]) -> None:
        healths = self._healths(transaction, [one["id"] for one in items])
        for one in items:
            health = healths[one["id"]]
            one |= {"health": health, "connectors": health, "tunnels": health.tunnels}

    def _connectors(self, transaction: Transaction, items: list[Item]) -> None:
        names = access.names_of(transaction, "site", {one["site_id"] for one in items})
        for one in items:
            one["site"] = names[one["site_id"]]


def _groups(transaction: Transaction, items: list[Item]) -> None:
    members, tunnels = read_models.of_groups(transaction, [one["id"] for one in items])
    for one in items:
        one |= {"members": members.get(one["id"], 0), "tunnels": tunnels.get(one["id"], 0)}


def _policies(transaction: Transaction, items: list[Item]) -> None:
    used = read_models.of_policies(transaction, [one["id"] for one in items])
    for one in items:
        one |= {"sentence": policy_sentence(one), "used": used.get(one["id"], 0)}


def _users(transaction: Transaction, items: list[Item]) -> None:
    providers = read_models.providers_of(transaction, [one["id"] for one in items])
    for one in items:
        one["source"] = ", ".join(providers.get(one["id"], ["local"]))
