"""The panels of one object's page besides its settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from attrs import frozen

from tunnelcloud.domain.advice import target_warning
from tunnelcloud.domain.entities import Grant
from tunnelcloud.domain.event_sentences import groups_in
from tunnelcloud.domain.policy_sentences import policy_sentence
from tunnelcloud.store import (
    assignment_lists,
    latest_events,
    list_counts,
    second_factors,
    user_views,
)
from tunnelcloud.store.assignees import suggested
from tunnelcloud.store.site_health import SiteHealth, site_healths
from tunnelcloud.store.user_list_columns import of_users
from tunnelcloud.web.models.policies import Policy
from tunnelcloud.web.portal.admin_kinds import ACCESS, ACTIVITY, OVERVIEW, SETTINGS
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.consequences import kept_event, told_events, told_records
from tunnelcloud.web.portal.page_requests import Visit
from tunnelcloud.web.portal.pages.assignee_fields import People
from tunnelcloud.web.resources.attached_connectors import attachments_now
from tunnelcloud.web.resources.context import ApiContext

Item = Mapping[str, Any]
Values = dict[str, Any]
_FEW, _SOME, _MANY = "5", "20", "50"
_MOST = 200


@frozen
class Panels:
    """Gathers what pages of objects show."""

    context: ApiContext
    operations: Operations

    async def of(self, noun: str, tab: str, visit: Visit, item: Item) -> Values:
        """Gather for a page of a kind of object.

        :param tab: which of its pages; empty where there is one alone.
        """
        panels: dict[tuple[str, str], Callable[[Visit, Item], Awaitable[Values]]] = {
            ("tunnel", OVERVIEW): self._tunnel,
            ("tunnel", ACCESS): self._tunnel_access,
            ("tunnel", ACTIVITY): self._tunnel_activity,
            ("site", OVERVIEW): self._site,
            ("site", ACTIVITY): self._site_activity,
            ("site", SETTINGS): self._site_settings,
            ("connector", ACTIVITY): partial(self._activity, "connector"),
            ("user", OVERVIEW): self._user,
            ("user", ACCESS): self._user_access,
            ("user", ACTIVITY): self._user_activity,
            ("user", SETTINGS): self._user_settings,
            ("group", OVERVIEW): self._group,
            ("group", ACCESS): self._group_access,
            ("group", ACTIVITY): partial(self._activity, "group"),
            ("policy", OVERVIEW): self._policy,
            ("policy", ACTIVITY): self._policy_activity,
            ("policy", SETTINGS): self._policy_settings,
        }
        return await panels[noun, tab](visit, item) if (noun, tab) in panels else {}

    async def _activity(self, noun: str, _: Visit, item: Item) -> Values:
        records = await self.context.store.read(latest_events.latest_of, noun, item["id"])
        # Assignments name the group by its id: on a group's page that is the group itself.
        return {"events": told_records(records, {item["id"]: item["name"]})}

    async def _list(self, visit: Visit, path: str, **query: str) -> list[dict[str, Any]]:
        page = await self.operations(visit, "GET", path, query=query)
        items: list[dict[str, Any]] = page["items"]
        return items

    async def _tunnel(self, visit: Visit, item: Item) -> Values:
        store = self.context.store
        who, connectors, sessions, events, check, healths = await store.together(
            self._assigned(visit, item, _FEW),
            self._list(visit, "/connectors", site_id=item["site_id"], limit=_MANY),
            self._list(visit, "/sessions", live="true", tunnel_id=item["id"], limit="10"),
            self._list(visit, "/audit", tunnel_id=item["id"], limit=_FEW),
            self.operations(visit, "GET", f"/tunnels/{item['id']}/check"),
            self._healths(item["site_id"]),
        )
        return {
            "connectors": connectors,
            "sessions": sessions,
            "events": told_events(events, who["who"]),
            "check": check,
            "target_warning": target_warning(item["target_address"]),
            "health": healths[item["site_id"]],
            **who,
        }

    async def _tunnel_access(self, visit: Visit, item: Item) -> Values:
        people = People(self.context, self.operations)
        choices, who = await self.context.store.together(
            people.choices(), self._assigned(visit, item, _MANY)
        )
        changed_id = visit.params.get("assignment_id", "")
        return {
            "row": people.empty_row() if changed_id else people.typed_row(visit),
            "changed_id": changed_id,
            "changed": people.typed_row(visit),
            "asked_after": visit.query.get("assigned_after", ""),
            **choices,
            **who,
        }

    async def _tunnel_activity(self, visit: Visit, item: Item) -> Values:
        sessions, events = await self.context.store.together(
            self._list(visit, "/sessions", tunnel_id=item["id"], limit=_SOME),
            self._list(visit, "/audit", tunnel_id=item["id"], limit=_SOME),
        )
        named = groups_in(map(kept_event, events))
        groups = await self.context.store.read(user_views.names_of, "group", named) if named else {}
        return {"sessions": sessions, "events": told_events(events, groups)}

    async def _assigned(self, visit: Visit, item: Item, limit: str) -> Values:
        cursor = visit.query.get("assigned_after")
        page = await self.operations(
            visit,
            "GET",
            f"/tunnels/{item['id']}/assignments",
            query={"limit": limit, **({"cursor": cursor} if cursor else {})},
        )
        return {
            "assigned": page["items"],
            "assigned_after": page["next_cursor"],
            "who": await self.context.store.read(assignment_lists.names_of_all, page["items"]),
        }

    async def _healths(self, site_id: str) -> Mapping[str, SiteHealth]:
        return await self.context.store.read(site_healths, [site_id], attachments_now(self.context))

    async def _site(self, visit: Visit, item: Item) -> Values:
        healths, connectors, tunnels = await self.context.store.together(
            self._healths(item["id"]),
            self._list(visit, "/connectors", site_id=item["id"], limit=_MANY),
            self._list(visit, "/tunnels", site_id=item["id"], limit=_MANY, sort="name"),
        )
        return {"connectors": connectors, "tunnels": tunnels, "health": healths[item["id"]]}

    async def _site_activity(self, visit: Visit, item: Item) -> Values:
        health, events = await self.context.store.together(
            self._site_settings(visit, item), self._activity("site", visit, item)
        )
        return {**health, **events}

    async def _site_settings(self, visit: Visit, item: Item) -> Values:
        return {"health": (await self._healths(item["id"]))[item["id"]]}

    async def _user(self, visit: Visit, item: Item) -> Values:
        store = self.context.store
        columns, linked, groups, sessions, events, view = await store.together(
            store.reading(of_users, [item["id"]]),
            self._linked(visit, item),
            self._list(visit, "/groups", user_id=item["id"], limit=_MANY),
            self._list(visit, "/sessions", user_id=item["id"], live="true", limit=_SOME),
            self._list(visit, "/audit", user_id=item["id"], limit=_FEW),
            store.reading(user_views.load_view, item["id"]),
        )
        seen = columns[item["id"]].last_seen
        return {
            "last_seen": None if seen is None else seen.isoformat(),
            "second_factor": columns[item["id"]].second_factor,
            "groups": groups,
            "sessions": sessions,
            "events": told_events(events),
            "tunnels": len(view.by_tunnel),
            **linked,
        }

    async def _linked(self, visit: Visit, item: Item) -> Values:
        return {"linked": await self._list(visit, f"/users/{item['id']}/identities")}

    async def _user_access(self, visit: Visit, item: Item) -> Values:
        store = self.context.store
        view, linked, keys, groups = await store.together(
            store.reading(user_views.load_view, item["id"]),
            self._linked(visit, item),
            self._list(visit, f"/users/{item['id']}/keys", limit=_MANY),
            self._list(visit, "/groups", user_id=item["id"], limit=_MANY),
        )
        # The policies of each are put into words, with all of their hours and networks.
        grants = await self.context.showing.run(lambda: list(map(_grant, view.grants[:_MOST])))
        return {
            "grants": grants,
            "keys": keys,
            "groups": groups,
            "typed_key": {name: visit.typed(name) for name in ("public_key", "key_title")},
            **linked,
        }

    async def _user_activity(self, visit: Visit, item: Item) -> Values:
        linked, sessions, events = await self.context.store.together(
            self._linked(visit, item),
            self._list(visit, "/sessions", user_id=item["id"], limit=_SOME),
            self._list(visit, "/audit", user_id=item["id"], limit=_SOME),
        )
        return {"sessions": sessions, "events": told_events(events), **linked}

    async def _user_settings(self, visit: Visit, item: Item) -> Values:
        store = self.context.store
        linked, providers, second_factor = await store.together(
            self._linked(visit, item),
            self._list(visit, "/identity-providers", limit="200", sort="name"),
            store.reading(second_factors.is_confirmed, item["id"]),
        )
        return {
            "second_factor": second_factor,
            "providers": [(one["id"], one["title"] or one["name"]) for one in providers],
            "typed_identity": {
                name: visit.typed(name) for name in ("identity_provider_id", "subject")
            },
            **linked,
        }

    async def _group(self, visit: Visit, item: Item) -> Values:
        asked = {name: visit.query[name] for name in ("q", "cursor") if visit.query.get(name)}

        store = self.context.store
        members, names = await store.together(
            self.operations(
                visit, "GET", f"/groups/{item['id']}/members", query={"limit": _MANY, **asked}
            ),
            store.reading(suggested, "", "users"),
        )
        return {
            "members": members["items"],
            "next_cursor": members["next_cursor"],
            "q": asked.get("q", ""),
            "typed_member": visit.typed("member"),
            "suggested": names,
        }

    async def _group_access(self, visit: Visit, item: Item) -> Values:
        found = await self.context.store.read(assignment_lists.of_group, item["id"])
        return {
            "assigned": found.assignments,
            "tunnel_names": found.tunnels,
            "policy_names": found.policies,
        }

    async def _policy(self, visit: Visit, item: Item) -> Values:
        store = self.context.store
        found, used = await store.together(
            store.reading(assignment_lists.of_policy, item["id"]),
            store.reading(list_counts.of_policies, [item["id"]]),
        )
        return {
            **await self._policy_settings(visit, item),
            "assigned": found.assignments,
            "tunnel_names": found.tunnels,
            "who": found.holders,
            "used": used.get(item["id"], 0),
        }

    async def _policy_activity(self, visit: Visit, item: Item) -> Values:
        return {
            **await self._policy_settings(visit, item),
            **await self._activity("policy", visit, item),
        }

    async def _policy_settings(self, _: Visit, item: Item) -> Values:
        return {"sentence": policy_sentence(item)}


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "tunnel": grant.tunnel,
        "group": grant.group_name,
        "methods": sorted(grant.methods, reverse=True),
        "policies": [
            (policy, policy_sentence(Policy.model_validate(policy).model_dump(mode="json")))
            for policy in grant.policies
        ],
    }
