"""Pages use the API's own operations: the same roles, the same checks, the same audit.

This module knows how a form becomes a call, and an answer plain values. The route table says which
operations there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from pydantic import BaseModel, ValidationError
from twisted.python.failure import Failure

from tunnelcloud.store.asynchronous import DEEDS, Deeds
from tunnelcloud.store.errors import StoreError
from tunnelcloud.web.answering import as_problem
from tunnelcloud.web.models.plain_values import plain_values
from tunnelcloud.web.portal.page_requests import Visit
from tunnelcloud.web.problems import Problem, forbidden, from_validation
from tunnelcloud.web.routes import Call, Encoded, Handled, Item, Lines, Listed, RouteTable


@frozen
class Operations:
    """The API's operations, for the visitor of a page."""

    table: RouteTable

    async def __call__(
        self,
        visit: Visit,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        version: str = "",
    ) -> dict[str, Any]:
        """Do an operation as the visitor.

        :param path: below ``/api/v1``.
        :param version: the object is changed only while this is its version; empty: anyhow.
        :return: what the API would answer, with ``etag`` beside it for an object: its version.
        :raise Problem: as the API would answer.
        """
        handled = await self._handle(visit, method, path, body, query, version)
        if isinstance(handled, Item):
            return {**plain_values(handled.shown), "etag": handled.version}
        if isinstance(handled, BaseModel):
            return handled.model_dump(mode="json")
        if isinstance(handled, Listed):
            return await handled.make(dict)
        if isinstance(handled, Encoded):
            return dict(json.loads(handled.body))
        assert not isinstance(handled, Lines), "lines are asked for by their name"
        return dict(handled or {})

    async def lines(self, visit: Visit, path: str, query: Mapping[str, str]) -> Lines:
        """Ask for lines.

        :raise Problem: as the API would answer.
        """
        handled = await self._handle(visit, "GET", path, None, query, "")
        assert isinstance(handled, Lines), "this operation answers with something else"
        return handled

    async def _handle(
        self,
        visit: Visit,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
        version: str,
    ) -> Handled:
        segments = path.strip("/").split("/")
        await self.table.load(segments)
        routes, params = self.table.find(segments)
        route = routes[method]
        caller = visit.who().caller
        if caller.role not in route.roles:
            raise forbidden(f"the role {caller.role} may not do this")
        try:
            call = Call(
                params=params,
                source_ip=visit.source_ip,
                caller=caller,
                body=None
                if route.body is None
                else route.body.model_validate_json(json.dumps(body or {})),
                query=None
                if route.query is None
                else route.query.model_validate_strings(dict(query or {})),
                if_match=(version,) if version else (),
            )
        except ValidationError as error:
            raise from_validation(error) from None
        try:
            return await route.handler(call)
        except StoreError as error:
            raise as_problem(Failure(error), DEEDS.get() or Deeds()) or error from None

    async def every(
        self, visit: Visit, path: str, query: Mapping[str, str] | None = None, at_most: int = 1000
    ) -> list[dict[str, Any]]:
        """List a collection, page by page.

        :param at_most: where to stop, about.
        """
        found: list[dict[str, Any]] = []
        asked = {"limit": "200", **(query or {})}
        while True:
            page = await self(visit, "GET", path, query=asked)
            found += page["items"]
            if page["next_cursor"] is None or len(found) >= at_most:
                return found
            asked["cursor"] = page["next_cursor"]


def faults(problem: Problem, rows: Iterable[str] = ()) -> dict[str, str]:
    """Give what is wrong with a form, by the field it was typed into; ``""`` is the whole form.

    :param rows: the fields of the rows that became the body's ``assignments``, in their order.
    """
    if not problem.errors:
        return {"": problem.detail}
    in_rows = {f"assignments.{number}": name for number, name in enumerate(rows)}
    found: dict[str, str] = {}
    for error in problem.errors:
        parts = error.field.split(".")
        found.setdefault(in_rows.get(".".join(parts[:2]), parts[0]), error.message)
    return found
