"""The whole configuration at once: applied in one transaction, and written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from tunnelcloud.store import documents
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.encoding import encode_long_json
from tunnelcloud.web.models.document import Applied, ApplyQuery, WholeDocument, applied, written
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS, Call, Encoded, Route


def document_routes(context: ApiContext) -> list[Route]:
    """Make the rows for whole configurations."""
    handlers = _Documents(context)
    return [
        Route(
            "POST",
            "/apply",
            "apply",
            "Make the objects that a document names what it says of them, all or none.",
            ADMINS,
            handlers.apply,
            body=WholeDocument,
            query=ApplyQuery,
            answer=Applied,
            is_big=True,
        ),
        Route(
            "GET",
            "/export",
            "export",
            "Describe all that a document can, as apply takes it.",
            READERS,
            handlers.export,
            answer=WholeDocument,
        ),
    ]


class _NotMeant(Exception):
    """Undoes a transaction that was only to show what it would do."""

    def __init__(self, steps: list[documents.Step]) -> None:
        super().__init__()
        self.steps = steps


@frozen
class _Documents:
    context: ApiContext

    async def apply(self, call: Call) -> Encoded:
        wanted = call.body_as(WholeDocument)
        dry_run = call.query_as(ApplyQuery).dry_run
        entries = await self.context.worker.run(wanted.entries)

        def work(transaction: Transaction) -> list[documents.Step]:
            steps = documents.apply(transaction, entries)
            if dry_run:
                raise _NotMeant(steps)
            return steps

        try:
            steps = await self.context.acting(call).write(work)
        except _NotMeant as would_be:
            steps = would_be.steps
        return await self._encoded(lambda: applied(steps, dry_run))

    async def export(self, call: Call) -> Encoded:
        found = await self.context.store.read(documents.export)
        return await self._encoded(lambda: written(found))

    async def _encoded(self, make: Callable[[], Mapping[str, Any]]) -> Encoded:
        """Make and write an answer that may be long, away from the reactor's thread."""
        return Encoded(await self.context.worker.run(lambda: encode_long_json(make())))
