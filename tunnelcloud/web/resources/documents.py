"""The whole configuration at once: applied in one transaction, and written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError

from tunnelcloud.interpreter_lock import take_apart
from tunnelcloud.store import document_planning, documents
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.encoding import encode_long_json
from tunnelcloud.web.models.document import Applied, ApplyQuery, WholeDocument, applied, written
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS, Call, Encoded, Route, operation, rows_of

SECONDS = 300.0
"""How long applying a document may take; most of that is planning, which keeps nobody waiting."""

_TRIES = 3
"""How often it is planned again while others change the configuration; then they wait."""


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for whole configurations."""
    return rows_of(_Documents(context))


@define
class _Applying:
    """What applying a document works with.

    It may be so much that letting go of it takes long: the threads that work with it do that.
    """

    entries: dict[str, dict[str, dict[str, Any]]] = field(factory=dict)
    snapshot: document_planning.Snapshot | None = None
    plan: document_planning.Plan | None = None
    steps: list[documents.Step] = field(factory=list)

    def read(self, transaction: Transaction) -> None:
        self.snapshot = document_planning.take_snapshot(transaction)

    def make_plan(self, go_on: Callable[[], object]) -> None:
        assert self.snapshot is not None, "it was read"
        try:
            self.plan = document_planning.plan(self.snapshot, self.entries, go_on)
            self.steps = self.plan.steps
        finally:
            self.snapshot = None

    def carry_out(self, transaction: Transaction) -> None:
        assert self.plan is not None, "it was made"
        document_planning.carry_out(transaction, self.plan)

    def do_at_once(self, transaction: Transaction) -> None:
        self.steps = documents.apply(transaction, self.entries)

    def answer(self, dry_run: bool) -> bytes:
        answer = encode_long_json(applied(self.steps, dry_run))
        rows = [batch.rows for batch in self.plan.batches] if self.plan else []
        take_apart(self.steps, *self.entries.values(), *rows)
        self.entries, self.plan, self.steps = {}, None, []
        return answer


@frozen
class _Documents:
    context: ApiContext

    @operation(
        "POST",
        "/apply",
        ADMINS,
        body=WholeDocument,
        query=ApplyQuery,
        answer=Applied,
        is_big=True,
        seconds=SECONDS,
    )
    async def apply(self, call: Call) -> Encoded:
        """Create and change objects as a document describes them: all of them, or none."""
        wanted, work = call.body_as(WholeDocument), _Applying()
        dry_run = call.query_as(ApplyQuery).dry_run
        work.entries = await self.context.worker.run(wanted.take_entries)
        for _ in range(_TRIES):
            await self._plan(call, work)
            if dry_run:
                break
            try:
                await self.context.acting(call).write(work.carry_out)
                break
            except (document_planning.Outdated, Conflict):
                # Somebody was faster, or the order of the rows matters: a new plan tells.
                continue
        else:
            await self.context.acting(call).write(work.do_at_once)
        return Encoded(await self.context.worker.run(lambda: work.answer(dry_run)))

    async def _plan(self, call: Call, work: _Applying) -> None:
        """Plan in a thread, which stops when nobody waits for it any more."""
        await self.context.acting(call).read(work.read)
        planned = Fate()
        try:
            await self.context.planner.run(lambda: work.make_plan(planned.check))
        except CancelledError:
            planned.give_up()
            raise

    @operation("GET", "/export", READERS, answer=WholeDocument)
    async def export(self, call: Call) -> Encoded:
        """Export the configuration as a document that apply accepts."""
        found = await self.context.store.read_long(documents.export)

        def encode() -> bytes:
            body = encode_long_json(written(found))
            take_apart(*found.values())
            return body

        return Encoded(await self.context.worker.run(encode))
