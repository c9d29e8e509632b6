"""A policy's form before it is saved: its sentence, whom it concerns, and what it would cut.

A button sends the form here, and the answer leads on to a page whose address holds what was typed.
While somebody types, scripts send the form as well and get the preview alone, however long the form
is.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from attrs import evolve, frozen

from tunnelcloud.web.portal.admin_kinds import POLICY
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.forms import faults_of, typed_of
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.pages.objects import Objects
from tunnelcloud.web.portal.resource import read_fields
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.routes import ADMINS

_PATH = "/admin/policies/{policy_id}/preview"
_NEW = "new"
_ALONE = "alone"
"""The field by which scripts ask for the preview alone."""
_NOT_KEPT = ("csrf", "version")
_LONGEST = 12_000
"""Characters of an address; a web server takes about 16,000."""


def policy_preview_pages(operations: Operations, policies: Objects) -> list[PageRoute]:
    """Make the rows of the page table for policies that aren't saved."""
    handlers = _Previews(operations, policies)
    return [
        PageRoute("POST", _PATH, ADMINS, handlers.send),
        PageRoute("GET", _PATH, ADMINS, handlers.show),
    ]


@frozen
class _Previews:
    operations: Operations
    policies: Objects

    async def send(self, visit: Visit) -> Reply:
        """Lead on to the page that shows what was typed, which can be loaded again.

        Scripts, which replace a part of the page, get that part at once.
        """
        if visit.typed(_ALONE):
            return Shown("policy_preview.html", (await self._preview(visit))[0])
        typed = {name: values for name, values in visit.form.items() if name not in _NOT_KEPT}
        query = urlencode({"typed": "1", **typed}, doseq=True)
        if len(query) > _LONGEST:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "there is too much in the form for a preview: save it, or use the command line",
            )
        return Moved(f"{visit.path}?{query}#preview")

    async def show(self, visit: Visit) -> Reply:
        """Show the form with its preview."""
        fields = read_fields(visit.address.partition("?")[2].encode("ascii", "replace"))
        visit = evolve(visit, form={name: tuple(values) for name, values in fields.items()})
        values, errors = await self._preview(visit)
        return await self.policies.tried(visit, errors, values)

    async def _preview(self, visit: Visit) -> tuple[dict[str, Any], dict[str, str]]:
        """Return what the preview shows of a form, and what is wrong with the form."""
        found, errors = await self._ask(visit)
        told = faults_of(POLICY.fields, typed_of(POLICY.fields, visit), errors)
        values = {
            "preview": found,
            "faults": list(told.items()),
            "labels": {one.name: one.label for one in POLICY.fields},
        }
        return values, errors

    async def _ask(self, visit: Visit) -> tuple[dict[str, Any] | None, dict[str, str]]:
        """Ask for the preview of the form.

        :return: that, or else what is wrong with the form.
        """
        policy_id = visit.params["policy_id"]
        body, errors = dict[str, Any](), dict[str, str]()
        if visit.form:
            body, errors = await self.policies.read_body(POLICY.fields, visit)
        if errors:
            return None, errors
        body.pop("name", None)
        if policy_id == _NEW:
            body["name"] = _NEW  # the name says nothing, and may not be typed yet
        path = "/policies/preview" if policy_id == _NEW else f"/policies/{policy_id}/preview"
        try:
            return await self.operations(visit, "POST", path, body), {}
        except Problem as problem:
            if problem.errors:
                return None, faults(problem)
            raise
