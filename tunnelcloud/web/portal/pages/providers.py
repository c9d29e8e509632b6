"""Identity providers, as administrators set them up: a form that says what to tell the provider."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from attrs import evolve, frozen

from tunnelcloud.domain.objects import IDENTITY_PROVIDER
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.forms import Field, FieldKind, body_of, form_fields, shown, typed
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS

_SECRET = Field("client_secret", "Client secret", FieldKind.SECRET, "It is never shown again")


def _fields() -> list[Field]:
    """Give the kind's fields, with the secret after the client's id."""
    fields = list(form_fields(IDENTITY_PROVIDER))
    behind = [one.name for one in fields].index("client_id") + 1
    return [*fields[:behind], _SECRET, *fields[behind:]]


_FIELDS = _fields()


def identity_provider_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for identity providers."""
    handlers = _Providers(context, operations)
    new = "/admin/settings/providers/new"
    one = "/admin/settings/providers/{identity_provider_id}"
    return [
        PageRoute("GET", new, ADMINS, handlers.blank),
        PageRoute("POST", new, ADMINS, handlers.create),
        PageRoute("GET", one, READERS, handlers.one),
        PageRoute("POST", one, ADMINS, handlers.change),
        PageRoute("POST", f"{one}/check", ADMINS, handlers.check),
    ]


def _lines_of(group_map: Mapping[str, str]) -> list[str]:
    return [f"{value} = {name}" for value, name in group_map.items()]


def _body(fields: list[Field], visit: Visit) -> dict[str, Any]:
    """Read the form into what the API takes.

    :raise Problem: a line of groups can't be read.
    """
    body = dict(body_of(fields, visit))
    body["group_map"] = {}
    for line in visit.typed("group_map").splitlines():
        value, equals, name = line.rpartition("=")
        if equals and value.strip():
            body["group_map"][value.strip()] = name.strip()
        elif line.strip():
            text = f"{line.strip()[:60]!r}: use value = group, such as db-admins = dba"
            raise ValueError(text)
    # Nothing typed leaves the secret that is kept; taking it away is ticked.
    if not body["client_secret"]:
        del body["client_secret"]
    if "no_secret" in visit.form:
        body["client_secret"] = None
    return body


@frozen
class _Providers:
    context: ApiContext
    operations: Operations

    def _path(self, visit: Visit) -> str:
        return f"/identity-providers/{visit.params['identity_provider_id']}"

    async def blank(self, visit: Visit) -> Reply:
        return self._form(visit, {one.name: shown(one, one.default) for one in _FIELDS}, {})

    async def create(self, visit: Visit) -> Reply:
        try:
            made = await self.operations(
                visit, "POST", "/identity-providers", _body(_FIELDS, visit)
            )
        except (Problem, ValueError) as error:
            return self._form(visit, {one.name: typed(one, visit) for one in _FIELDS},
                              _faults(error))  # fmt: skip
        return Moved(
            f"/admin/settings/providers/{made['id']}",
            note="The provider is added. Give it the redirect URI below, then test it",
        )

    async def check(self, visit: Visit) -> Reply:
        found = await self.operations(visit, "POST", f"{self._path(visit)}/check")
        note = "The check failed." if found["check_fault"] else "The provider answers as it should."
        return Moved(f"/admin/settings/providers/{found['id']}", note=note)

    async def one(self, visit: Visit) -> Reply:
        item = await self.operations(visit, "GET", self._path(visit))
        return self._form(visit, self._given(item), {}, item)

    def _given(self, item: Mapping[str, Any]) -> dict[str, Any]:
        values = {**item, "client_secret": "", "group_map": _lines_of(item["group_map"])}
        return {one.name: shown(one, values[one.name]) for one in _FIELDS}

    async def change(self, visit: Visit) -> Reply:
        item = await self.operations(visit, "GET", self._path(visit))
        fields = [one for one in _FIELDS if not one.fixed]
        try:
            version = visit.typed("version")
            body = _body(fields, visit)
            await self.operations(visit, "PATCH", self._path(visit), body, version=version)
        except (Problem, ValueError) as error:
            given = {**self._given(item), **{one.name: typed(one, visit) for one in fields}}
            return self._form(visit, given, _faults(error), item)
        return Moved(f"/admin/settings/providers/{item['id']}", note="Saved")

    def _form(
        self,
        visit: Visit,
        given: Mapping[str, Any],
        errors: Mapping[str, str],
        item: Mapping[str, Any] | None = None,
    ) -> Shown:
        fields = [
            evolve(one, hint="Leave it empty to keep the one there is")
            if item is not None and item["has_client_secret"] and one.name == "client_secret"
            else one
            for one in _FIELDS
            if item is None or not one.fixed
        ]
        values = {
            "item": item,
            "fields": fields,
            "given": given,
            "choices": {one.name: one.choices for one in fields if one.choices},
            "errors": errors,
            "first_fault": next((one.name for one in fields if one.name in errors), ""),
            "callback": f"{self.context.web_url}/sign-in/with/NAME/callback",
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown("admin_provider.html", values, status)


def _faults(error: Problem | ValueError) -> Mapping[str, str]:
    return faults(error) if isinstance(error, Problem) else {"group_map": str(error)}
