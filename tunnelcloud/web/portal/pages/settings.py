"""The settings' pages: retention and checks, pods, the CA, API tokens."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from attrs import frozen

import twisted
from tunnelcloud import __version__
from tunnelcloud.domain.durations import SECONDS
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import user_views
from tunnelcloud.web.models.settings import LEAST_CHECK_SECONDS, MOST_CHECK_SECONDS, MOST_DAYS
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.forms import (
    Field,
    FieldKind,
    body_of,
    expiry,
    faults_of,
    shown,
    typed,
    with_faults_of_days,
)
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS

_PODS_ARE_SEEN = timedelta(seconds=60)
_DAY = SECONDS["d"]
_FIELDS = (
    Field("audit_retention_days", "Keep the audit for", FieldKind.DURATION,
          "Such as 90d; empty: for ever", optional=True, unit=_DAY, minimum=1, maximum=MOST_DAYS),
    Field("audit_max_mib", "Largest size of the audit (MiB)", FieldKind.NUMBER,
          "Empty: any size. The oldest events are deleted first", optional=True),
    Field("session_retention_days", "Keep past sessions for", FieldKind.DURATION,
          "Such as 90d; empty: for ever", optional=True, unit=_DAY, minimum=1, maximum=MOST_DAYS),
    Field("target_check_seconds", "Check interval", FieldKind.DURATION,
          "Such as 60s; empty: never", optional=True,
          minimum=LEAST_CHECK_SECONDS, maximum=MOST_CHECK_SECONDS),
)  # fmt: skip
_NO_LIMIT = {
    "audit_retention_days": "for ever",
    "audit_max_mib": "any size",
    "session_retention_days": "for ever",
    "target_check_seconds": "never",
}
"""What an empty field means, for who reads the settings."""
_TOKENS = "/admin/settings/api-tokens"
_TOKEN_FIELDS = ("title", "role", "user", "expires_at")


def settings_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for settings."""
    handlers = _Settings(context, operations)
    return [
        PageRoute("GET", "/admin/settings", READERS, handlers.settings),
        PageRoute("POST", "/admin/settings", ADMINS, handlers.change),
        PageRoute("POST", _TOKENS, ADMINS, handlers.make_token),
        PageRoute("GET", f"{_TOKENS}/made", ADMINS, handlers.made_token),
    ]


@frozen
class _Settings:
    context: ApiContext
    operations: Operations

    async def settings(self, visit: Visit) -> Reply:
        return await self._settings(visit, {})

    async def _settings(self, visit: Visit, errors: Mapping[str, str]) -> Shown:
        owned, pods, found, providers, *keys = await self.context.store.together(
            self._tokens(visit),
            self.operations.every(visit, "/pods"),
            self.operations(visit, "GET", "/settings"),
            self.operations.every(visit, "/identity-providers"),
            self.operations.every(visit, "/host-keys"),
            self.operations(visit, "GET", "/authority"),
        )
        (tokens, owners), (host_keys, authority) = owned, keys
        lately = (self.context.now() - _PODS_ARE_SEEN).isoformat()
        faulty = next((one.name for one in _FIELDS if one.name in errors), "")
        typed_fields = {one.name: typed(one, visit) for one in _FIELDS}
        values: dict[str, Any] = {
            "fields": _FIELDS,
            "given": typed_fields
            if faulty
            else {one.name: shown(one, found[one.name]) for one in _FIELDS},
            "saved": {one.name: shown(one, found[one.name]) for one in _FIELDS},
            "no_limit": _NO_LIMIT,
            "wrong": faulty,
            "version": visit.typed("version") if faulty else found["etag"],
            "proxy_warning": self.context.sightings.warning(),
            "pods": [{**one, "seen": one["last_seen_at"] > lately} for one in pods],
            "authority": authority,
            "endings": [one.text for one in self.context.live.ending()],
            "certificate": self.context.live.web_certificate(),
            "tokens": tokens,
            "providers": providers,
            "owners": owners,
            "roles": [(str(role), str(role)) for role in Role],
            "typed": {name: visit.typed(name) for name in _TOKEN_FIELDS},
            "errors": faults_of(_FIELDS, typed_fields, errors) if faulty else errors,
            "first_fault": next((name for name in _TOKEN_FIELDS if name in errors), ""),
            "host_keys": host_keys,
            "about": [
                ("TunnelCloud", __version__),
                ("Twisted", twisted.__version__),
                ("Python", platform.python_version()),
                ("Pages and API", self.context.web_url),
                ("SSH clients connect to", str(self.context.live.ssh_public_address)),
            ],
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown("admin_settings.html", values, status)

    async def _tokens(self, visit: Visit) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
        """List the API tokens, and the names of their owners by id."""
        tokens = await self.operations.every(visit, "/api-tokens")
        owners = [one["user_id"] for one in tokens if one["user_id"]]
        return tokens, await self.context.store.read(user_views.names_of, "user", owners)

    async def change(self, visit: Visit) -> Reply:
        body, version = body_of(_FIELDS, visit), visit.typed("version")
        try:
            await self.operations(visit, "PATCH", "/settings", body, version=version)
        except Problem as problem:
            return await self._settings(visit, faults(problem))
        return Moved("/admin/settings", note="Saved.")

    async def make_token(self, visit: Visit) -> Reply:
        body: dict[str, Any] = {
            "title": visit.typed("title").strip(),
            "role": visit.typed("role"),
            "expires_at": expiry(visit.typed("expires_at")),
        }
        owner, unknown = visit.typed("user").strip(), dict[str, str]()
        try:
            if owner:
                user = await self.operations(visit, "GET", "/users", query={"name": owner})
                # The operation refuses a name that is none, with what else is wrong.
                body["user_id"] = user["items"][0]["id"] if user["items"] else owner
                if not user["items"]:
                    unknown["user"] = f"there is no user {owner[:320]}"
            made = await self.operations(visit, "POST", "/api-tokens", body)
        except Problem as problem:
            wrong = with_faults_of_days(faults(problem), visit)
            if "user_id" in wrong:
                wrong["user"] = wrong.pop("user_id")
            return await self._settings(visit, {**wrong, **unknown})
        shown = {name: made[name] for name in ("title", "token")}
        return Moved(f"{_TOKENS}/made", once={"made": shown})

    async def made_token(self, visit: Visit) -> Reply:
        """Show an API token that was made, one time."""
        if not visit.once:
            return Moved("/admin/settings#api-tokens")
        return Shown("admin_api_token.html", visit.once)
