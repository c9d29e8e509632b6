"""The admin portal's lists and forms, the same for every kind of object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from attrs import frozen

from tunnelcloud.web.portal.forms import Field, FieldKind, body_of, shown, typed
from tunnelcloud.web.portal.operations import Operations, faults
from tunnelcloud.web.portal.sections import SECTIONS, Section
from tunnelcloud.web.portal.visits import Moved, Page, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.routes import ADMINS, READERS

_MAX_CHOICES = 1000


def object_pages(operations: Operations) -> list[Page]:
    """Make the rows of the page table for the lists and forms of every kind."""
    return [page for section in SECTIONS for page in _pages(_Objects(operations, section))]


def _pages(handlers: _Objects) -> list[Page]:
    all_of_them = f"/admin/{handlers.section.plural}"
    one = f"{all_of_them}/{{{handlers.section.id_name}}}"
    return [
        Page("GET", all_of_them, READERS, handlers.list_all),
        Page("GET", f"{all_of_them}/new", ADMINS, handlers.blank),
        Page("POST", f"{all_of_them}/new", ADMINS, handlers.create),
        Page("GET", one, READERS, handlers.one),
        Page("POST", one, ADMINS, handlers.change),
        Page("POST", f"{one}/delete", ADMINS, handlers.delete),
    ]


async def choices_of(
    operations: Operations, visit: Visit, plural: str, *, nothing: str = ""
) -> list[tuple[str, str]]:
    """List the objects of a kind as choices.

    :param nothing: what stands for none of them; empty when one has to be chosen.
    """
    found = await operations.every(visit, f"/{plural}", {"sort": "name"}, _MAX_CHOICES)
    return [*([("", nothing)] if nothing else []), *((one["id"], one["name"]) for one in found)]


async def names_of(
    operations: Operations, visit: Visit, fields: Sequence[Field]
) -> Mapping[str, str]:
    """Give the names of the objects that fields may refer to, by their ids."""
    kinds = {one.reference for one in fields if one.reference}
    return {
        object_id: name
        for kind in sorted(kinds)
        for object_id, name in await choices_of(operations, visit, kind)
    }


@frozen
class _Objects:
    operations: Operations
    section: Section

    @property
    def _path(self) -> str:
        return f"/{self.section.plural}"

    def _item(self, visit: Visit) -> str:
        return f"{self._path}/{visit.params[self.section.id_name]}"

    async def list_all(self, visit: Visit) -> Reply:
        asked = {name: visit.query[name] for name in ("q", "cursor") if visit.query.get(name)}
        query = {"sort": "name", "limit": "50", **asked}
        page = await self.operations(visit, "GET", self._path, query=query)
        values = {
            "section": self.section,
            "items": page["items"],
            "next_cursor": page["next_cursor"],
            "q": asked.get("q", ""),
            "names": await names_of(self.operations, visit, self.section.fields),
        }
        return Shown("admin_list.html", values)

    async def blank(self, visit: Visit) -> Reply:
        given = {one.name: shown(one, one.default) for one in self.section.fields}
        return await self._form(visit, given, {})

    async def create(self, visit: Visit) -> Reply:
        body = body_of(self.section.fields, visit)
        try:
            made = await self.operations(visit, "POST", self._path, body)
        except Problem as problem:
            return await self._form(visit, self._typed(visit), faults(problem))
        location = f"/admin{self._path}/{made['id']}"
        if "join" not in made:
            return Moved(location)
        return Shown("admin_join.html", {"join": made["join"], "name": made["name"],
                                         "location": location})  # fmt: skip

    async def one(self, visit: Visit) -> Reply:
        item = await self.operations(visit, "GET", self._item(visit))
        given = {one.name: shown(one, item[one.name]) for one in self.section.fields}
        return await self._form(visit, given, {}, item)

    async def change(self, visit: Visit) -> Reply:
        fields = [one for one in self.section.fields if not one.fixed]
        item = await self.operations(visit, "GET", self._item(visit))
        body, version = body_of(fields, visit), visit.typed("version")
        try:
            await self.operations(visit, "PATCH", self._item(visit), body, version=version)
        except Problem as problem:
            given = {**item, **self._typed(visit)}
            return await self._form(visit, given, faults(problem), item)
        return Moved(f"/admin{self._item(visit)}")

    async def delete(self, visit: Visit) -> Reply:
        await self.operations(visit, "DELETE", self._item(visit))
        return Moved(f"/admin{self._path}")

    def _typed(self, visit: Visit) -> dict[str, Any]:
        return {one.name: typed(one, visit) for one in self.section.fields}

    async def _form(
        self,
        visit: Visit,
        given: Mapping[str, Any],
        errors: Mapping[str, str],
        item: Mapping[str, Any] | None = None,
    ) -> Shown:
        fields = [one for one in self.section.fields if item is None or not one.fixed]
        choices = {
            one.name: await choices_of(self.operations, visit, one.reference)
            if one.reference
            else one.choices
            for one in fields
            if one.kind in (FieldKind.CHOICE, FieldKind.SEVERAL)
        }
        values = {
            "section": self.section,
            "fields": fields,
            "choices": choices,
            "given": given,
            "errors": errors,
            "stray": [text for name, text in errors.items()
                      if name not in {one.name for one in fields}],
            "item": item,
        }  # fmt: skip
        status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown("admin_form.html", values, status)
