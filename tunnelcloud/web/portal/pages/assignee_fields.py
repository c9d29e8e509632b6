"""The fields for users and groups in an assignment: typed as a name, with suggestions."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from tunnelcloud.store.assignees import Nobody, resolve, suggested
from tunnelcloud.store.references import REFERRED, Unclear, id_of, names_like
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.page_requests import PageRoute, Reply, Shown, Visit
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import READERS

_METHODS = ("token", "key")


def suggestion_pages(context: ApiContext) -> list[PageRoute]:
    """Make the row of the page table for names that are suggested."""
    return [PageRoute("GET", "/admin/names", READERS, _Suggestions(context).names)]


@frozen
class _Suggestions:
    context: ApiContext

    async def names(self, visit: Visit) -> Reply:
        kinds = visit.query.get("kinds", "all")
        wanted = next((text for name, text in visit.query.items() if name != "kinds"), "")
        wanted, store = wanted[:200].strip(), self.context.store
        if kinds in REFERRED:
            found = await store.read(names_like, kinds, wanted)
        else:
            found = await store.read(suggested, wanted, kinds)
        return Shown("admin_names.html", {"suggested": found})


@frozen
class People:
    """The rows of a form that say who may use a tunnel."""

    context: ApiContext
    operations: Operations

    async def rows(
        self, visit: Visit, count: int
    ) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Read the rows that are filled: bodies of assignments, and what is wrong; by field.

        The body of a wrong row is empty.  It is named after a field that is wrong, and the
        operation refuses it together with what is wrong elsewhere in the form.
        """
        bodies: dict[str, dict[str, Any]] = {}
        errors: dict[str, str] = {}
        for number in range(count):
            name = f"who_{number}"
            body, wrong = await self.row(visit, f"_{number}")
            if body and any(_same(body, other) for other in bodies.values()):
                body, wrong = {}, {name: "is in a row above already"}
            errors.update(wrong)
            if body or wrong:
                bodies[next(iter(wrong), name)] = body
        return bodies, errors

    async def row(
        self, visit: Visit, suffix: str = "", *, required: bool = False
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Read one row: the body of an assignment, and what is wrong with it by field."""
        who = visit.typed(f"who{suffix}").strip()
        if not (who or required or visit.typed(f"policy{suffix}").strip()):
            return {}, {}
        entity, wrong = dict[str, Any](), dict[str, str]()
        try:
            entity = await self.context.store.read(resolve, who) if who else {}
        except Nobody as error:
            wrong[f"who{suffix}"] = str(error)
        if not who:
            wrong[f"who{suffix}"] = "name a user or a group"
        terms, wrong_terms = await self.terms(visit, suffix)
        wrong |= wrong_terms
        return ({}, wrong) if wrong else ({**entity, **terms}, {})

    async def terms(self, visit: Visit, suffix: str = "") -> tuple[dict[str, Any], dict[str, str]]:
        """Read the methods and the policy of a row, and what is wrong with them by field."""
        wrong = dict[str, str]()
        methods = [one for one in _METHODS if one in visit.form.get(f"methods{suffix}", ())]
        if not methods:
            wrong[f"methods{suffix}"] = "tick a token, a key, or both"
        policy, typed = None, visit.typed(f"policy{suffix}").strip()
        try:
            policy = await self.context.store.read(id_of, "policy", typed) if typed else None
        except Unclear as error:
            wrong[f"policy{suffix}"] = str(error)
        return {"methods": methods, "policy_id": policy}, wrong

    async def blank_rows(self, visit: Visit, count: int) -> dict[str, Any]:
        """Give the rows of a form, with what was typed."""
        return {
            "rows": [self.typed_row(visit, f"_{number}") for number in range(count)],
            **await self.choices(),
        }

    def typed_row(self, visit: Visit, suffix: str = "") -> dict[str, Any]:
        """Give one row as it was typed."""
        return {
            "suffix": suffix,
            "who": visit.typed(f"who{suffix}") or visit.query.get(f"who{suffix}", ""),
            "methods": visit.form.get(f"methods{suffix}", ()) if visit.form else _METHODS,
            "policy": visit.typed(f"policy{suffix}"),
        }

    def empty_row(self) -> dict[str, Any]:
        """Give a row in which nothing was typed."""
        return {"suffix": "", "who": "", "methods": _METHODS, "policy": ""}

    async def choices(self) -> dict[str, Any]:
        """Return the names that a row suggests."""
        store = self.context.store
        policies, names = await store.together(
            store.reading(names_like, "policy"), store.reading(suggested, "")
        )
        return {"policies": policies, "suggested": names}


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("user_id", "group_id"))
