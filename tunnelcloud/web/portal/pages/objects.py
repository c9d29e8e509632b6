"""The admin portal's lists, forms and pages of objects, the same for every kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from attrs import evolve, frozen

from tunnelcloud.store.references import names_like, with_ids, with_names
from tunnelcloud.web.portal.admin_kinds import ACCESS, EVERY_SECTION, OVERVIEW, SETTINGS, Section
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.form_commands import changed_elsewhere, made_elsewhere
from tunnelcloud.web.portal.forms import (
    Field,
    FieldKind,
    body_of,
    faults_of,
    shown,
    shown_of,
    typed_of,
)
from tunnelcloud.web.portal.list_filters import (
    asked_of_api,
    given_filters,
    shown_filters,
    suggested_names,
)
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.pages.assignee_fields import People
from tunnelcloud.web.portal.pages.list_columns import Columns
from tunnelcloud.web.portal.pages.object_panels import Panels
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS

_TABS_OF_FORMS = {"assignments": ACCESS, "keys": ACCESS, "members": OVERVIEW}
"""Which page of an object a form is on, by where it is sent; all others are its settings'."""
_WAKES = frozenset({"connector", "site", "pod"})
_ROWS = 3
"""Rows of a new tunnel's form for who may use it; more are added on its page."""


def object_handlers(context: ApiContext, operations: Operations) -> dict[str, Objects]:
    """Make what answers for each kind of object, by its noun."""
    return {section.noun: Objects(context, operations, section) for section in EVERY_SECTION}


def object_pages(handlers: Mapping[str, Objects]) -> list[PageRoute]:
    """Make the rows of the page table for the lists and forms of every kind."""
    return [page for one in handlers.values() for page in _pages(one)]


def _pages(handlers: Objects) -> list[PageRoute]:
    all_of_them = f"/admin/{handlers.section.place}"
    one = f"{all_of_them}/{{{handlers.section.id_name}}}"
    listing = PageRoute("GET", all_of_them, READERS, handlers.list_all)
    return [
        *([listing] if handlers.section.has_list else []),
        PageRoute("GET", f"{all_of_them}/new", ADMINS, handlers.blank),
        PageRoute("POST", f"{all_of_them}/new", ADMINS, handlers.create),
        PageRoute("GET", one, READERS, handlers.one, shared=True, wakes=_WAKES),
        *(PageRoute("GET", f"{one}/{tab}", READERS, handlers.one) for tab in handlers.section.tabs),
        PageRoute("POST", one, ADMINS, handlers.change),
    ]


@frozen
class Objects:
    """The pages of one kind of object."""

    context: ApiContext
    operations: Operations
    section: Section

    @property
    def _path(self) -> str:
        return f"/{self.section.plural}"

    def _item(self, visit: Visit) -> str:
        return f"{self._path}/{visit.params[self.section.id_name]}"

    async def list_all(self, visit: Visit) -> Reply:
        """Show a page of the list, with what stands beside the settings."""
        asked = {name: visit.query[name] for name in ("q", "cursor") if visit.query.get(name)}
        sort = visit.query.get("sort", "")
        sort = sort if sort in self.section.orders else self.section.orders[0]
        noun, q, store = self.section.noun, asked.get("q", ""), self.context.store
        given = given_filters(noun, visit)
        narrowed, errors = dict[str, str](), dict[str, str]()
        if given:
            narrowed, errors = await store.read(asked_of_api, given, self.context.now())
        query = {"sort": sort, "limit": "30", **asked, **narrowed}
        page, names = await store.together(
            self.operations(visit, "GET", self._path, query=query),
            store.reading(suggested_names, noun),
        )
        items: list[dict[str, Any]] = [] if errors else page["items"]
        values = {
            "section": self.section,
            "items": await Columns(self.context).fill(noun, items),
            "next_cursor": page["next_cursor"],
            "q": q,
            "sort": sort,
            "first": "cursor" not in asked,
            "errors": errors,
            **shown_filters(noun, q, given, names),
        }
        return Shown("admin_list.html", values)

    async def blank(self, visit: Visit) -> Reply:
        """Show an empty form; the address may fill some of its fields."""
        names = (one.name for one in self.section.fields)
        given = {name: visit.query[name] for name in names if name in visit.query}
        return await self._new(visit, given, {})

    async def create(self, visit: Visit) -> Reply:
        """Make an object, and what its form makes with it."""
        body, errors = await self.read_body(self.section.fields, visit)
        rows, wrong = dict[str, dict[str, Any]](), dict[str, str]()
        if self.section.assignable:
            rows, wrong = await People(self.context, self.operations).rows(visit, _ROWS)
            body = {**body, "assignments": list(rows.values())}
        try:
            made = await self.operations(visit, "POST", self._path, body)
        except Problem as problem:
            errors = {**faults(problem, rows), **errors, **wrong}
            return await self._new(visit, typed_of(self.section.fields, visit), errors)
        if "join" not in made:
            location = f"/admin/{self.section.place}/{made['id']}"
            return Moved(location, note=self.section.made.format(**made))
        return joining(f"{self._path}/{made['id']}", made["join"])

    async def _new(
        self, visit: Visit, given: Mapping[str, Any], errors: Mapping[str, str]
    ) -> Shown:
        fields = self.section.fields
        blank = {one.name: shown(one, one.default) for one in fields}
        forms = [self._form(fields, {**blank, **given}, errors)]
        if self.section.assignable:
            forms.append(People(self.context, self.operations).blank_rows(visit, _ROWS))
        values = {"elsewhere": made_elsewhere(self.section), "rows": []}
        for form in await self.context.store.together(*forms):
            values |= form
        status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown(self.section.form, values, status)

    async def one(self, visit: Visit) -> Reply:
        """Show an object."""
        return await self.again(visit, {})

    async def again(self, visit: Visit, errors: Mapping[str, str]) -> Reply:
        """Show an object with what is wrong with a form of its page that isn't its settings'."""
        item = await self.operations(visit, "GET", self._item(visit))
        return await self._show(visit, item, shown_of(self.section.fields, item), errors)

    async def tried(
        self, visit: Visit, errors: Mapping[str, str], more: Mapping[str, Any]
    ) -> Shown:
        """Show a form as it was filled in and not sent: of a new object, or of one that is there.

        :param more: what else the page shows.
        """
        filled = typed_of(self._changeable, visit) if visit.form else {}
        if visit.params[self.section.id_name] == "new":
            page = await self._new(visit, filled, errors)
        else:
            item = await self.operations(visit, "GET", self._item(visit))
            given = {**shown_of(self.section.fields, item), **filled}
            page = await self._show(visit, item, given, errors)
        return evolve(page, values={**page.values, **more}, status=HTTPStatus.OK)

    @property
    def _changeable(self) -> list[Field]:
        return [one for one in self.section.fields if not one.fixed]

    async def read_body(
        self, fields: Sequence[Field], visit: Visit
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Read the body of an operation from a form, and what is wrong with names in it.

        A name that is none stays in the body: the operation refuses it, with what else is wrong.
        """
        return await self.context.store.read(with_ids, _referring(fields), body_of(fields, visit))

    async def change(self, visit: Visit) -> Reply:
        """Set what was typed."""
        fields = self._changeable
        item = await self.operations(visit, "GET", self._item(visit))
        body, errors = await self.read_body(fields, visit)
        version = visit.typed("version")
        try:
            changed = await self.operations(
                visit, "PATCH", self._item(visit), body, version=version
            )
        except Problem as problem:
            given = {**shown_of(self.section.fields, item), **typed_of(fields, visit)}
            return await self._show(visit, item, given, {**faults(problem), **errors})
        note = "Saved." if changed["etag"] != version else "Nothing was changed."
        settings = f"/{SETTINGS}" if self.section.tabs else ""
        return Moved(f"/admin/{self.section.place}/{item['id']}{settings}", note=note)

    def _tab(self, visit: Visit) -> str:
        """Say which of an object's pages is shown; empty where there is one alone."""
        if not self.section.tabs:
            return ""
        rest = visit.path.partition(visit.params[self.section.id_name])[2].split("/")[1:]
        if not rest:
            return SETTINGS if visit.form else OVERVIEW
        return rest[0] if rest[0] in self.section.tabs else _TABS_OF_FORMS.get(rest[0], SETTINGS)

    async def _show(
        self,
        visit: Visit,
        item: Mapping[str, Any],
        given: Mapping[str, Any],
        errors: Mapping[str, str],
    ) -> Shown:
        fields = self._changeable
        store, tab = self.context.store, self._tab(visit)
        kinds = _referring(self.section.fields)
        values, panel, named = await store.together(
            self._form(fields, given, errors),
            Panels(self.context, self.operations).of(self.section.noun, tab, visit, item),
            store.reading(with_names, kinds, item),
        )
        names = {item[name]: named[name] for name in kinds if item[name]}
        values |= {
            "item": item,
            "saved": shown_of(fields, named),
            "tab": tab,
            "names": names,
            "elsewhere": changed_elsewhere(self.section, item, names),
            **panel,
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown(f"admin_{self.section.noun}.html", values, status)

    async def _form(
        self, fields: Sequence[Field], given: Mapping[str, Any], errors: Mapping[str, str]
    ) -> dict[str, Any]:
        kinds, store = _referring(fields), self.context.store
        given, *suggested = await store.together(
            store.reading(with_names, kinds, given),
            *(store.reading(names_like, kind) for kind in kinds.values()),
        )
        choices: dict[str, Sequence[Any]] = dict(zip(kinds, suggested, strict=True))
        for one in fields:
            if one.kind is FieldKind.CHOICE:
                choices[one.name] = one.choices
            elif one.reference and not one.optional and not errors and not given[one.name]:
                # Where there is one alone, it is the one that is meant.
                (only,) = choices[one.name] if len(choices[one.name]) == 1 else ("",)
                given = {**given, one.name: only}
        errors = faults_of(fields, given, errors)
        first = next((one.name for one in fields if one.name in errors), "")
        return {
            "section": self.section,
            "fields": fields,
            "choices": choices,
            "given": given,
            "errors": errors,
            "first_fault": first,
            "item": None,
            "web_url": self.context.web_url,
        }


def _referring(fields: Sequence[Field]) -> dict[str, str]:
    """Return the fields that refer to another object, and to which kind."""
    return {one.name: one.reference for one in fields if one.reference}


def joining(path: str, join: Mapping[str, Any]) -> Moved:
    """Go to the page that shows one time how a connector joins."""
    shown_once = {name: join[name] for name in ("token", "expires_at")}
    return Moved(f"/admin{path}/join", once={"join": shown_once})
