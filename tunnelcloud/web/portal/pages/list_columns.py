"""The columns of lists besides an object's settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from attrs import frozen

from tunnelcloud.domain.policy_sentences import policy_sentence
from tunnelcloud.domain.quantities import counted
from tunnelcloud.store import list_counts, user_views
from tunnelcloud.store.site_health import counts_and_healths, site_healths
from tunnelcloud.store.user_list_columns import of_users
from tunnelcloud.web.portal.list_filters import UNUSED
from tunnelcloud.web.resources.attached_connectors import attachments_now
from tunnelcloud.web.resources.context import ApiContext

Item = dict[str, Any]


@frozen
class Columns:
    """Fills rows of lists, with a query or two for the whole page."""

    context: ApiContext

    async def fill(self, noun: str, items: list[Item]) -> list[Item]:
        """Add what the columns of a kind of objects show."""
        fillers: dict[str, Callable[[list[Item]], Awaitable[None]]] = {
            "tunnel": self._tunnels,
            "site": self._sites,
            "connector": self._connectors,
            "group": self._groups,
            "user": self._users,
            "policy": self._policies,
        }
        filler = fillers.get(noun)
        if filler is not None:
            await filler(items)
        return items

    async def _tunnels(self, items: list[Item]) -> None:
        counts, healths = await self.context.store.read(
            counts_and_healths,
            _ids(items),
            {one["site_id"] for one in items},
            attachments_now(self.context),
        )
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

    async def _sites(self, items: list[Item]) -> None:
        healths = await self.context.store.read(
            site_healths, _ids(items), attachments_now(self.context)
        )
        for one in items:
            health = healths[one["id"]]
            one |= {"health": health, "connectors": health, "tunnels": health.tunnels}

    async def _connectors(self, items: list[Item]) -> None:
        site_ids = {one["site_id"] for one in items}
        names = await self.context.store.read(user_views.names_of, "site", site_ids)
        for one in items:
            one["site"] = names[one["site_id"]]

    async def _groups(self, items: list[Item]) -> None:
        members, tunnels = await self.context.store.read(list_counts.of_groups, _ids(items))
        for one in items:
            one |= {"members": members.get(one["id"], 0), "tunnels": tunnels.get(one["id"], 0)}

    async def _policies(self, items: list[Item]) -> None:
        used = await self.context.store.read(list_counts.of_policies, _ids(items))
        # Each says all of its hours and networks.
        sentences = await self.context.showing.run(lambda: list(map(policy_sentence, items)))
        for one, sentence in zip(items, sentences, strict=True):
            one |= {"sentence": sentence, "used": used.get(one["id"], 0)}

    async def _users(self, items: list[Item]) -> None:
        found = await self.context.store.read(of_users, _ids(items))
        now = self.context.now()
        for one in items:
            columns = found[one["id"]]
            seen = columns.last_seen
            since = seen or datetime.fromisoformat(one["created_at"])
            one |= {
                "source": ", ".join(columns.providers or ["local"]),
                "groups": columns.groups,
                "second_factor": "on" if columns.second_factor else "",
                "last_seen": None if seen is None else seen.isoformat(),
                "unused": now - since > UNUSED,
            }


def _ids(items: list[Item]) -> list[str]:
    return [one["id"] for one in items]
