"""Pages that change the keys which pods share; each asks once before it takes a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Visit
from tunnelcloud.web.portal.pages.confirmation import asked
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.routes import ADMINS


@frozen(kw_only=True)
class _Step:
    """One step.

    :ivar path: the API's path for the step, with a body if it has one.
    :ivar page: the page's address below ``/admin/settings``; the same as ``path`` when empty.
    """

    path: str
    question: str
    text: str
    body: Mapping[str, Any] | None = None
    page: str = ""
    verb: str
    note: str

    @property
    def address(self) -> str:
        """The page's address."""
        return f"/admin/settings{self.page or self.path}"

    @property
    def back(self) -> str:
        """The place on the settings page."""
        return f"/admin/settings#{self.path.split('/')[1]}"


_STEPS = (
    _Step(
        path="/authority/rotate",
        question="Create a new certificate authority?",
        text="Attached connectors move to it within a minute. Pods and connectors trust both "
        "authorities until you retire the old one.",
        verb="Create a new authority",
        note="Connectors move to the new certificate authority.",
    ),
    _Step(
        path="/authority/retire",
        question="Retire the old certificate authority?",
        text="This works only when every connector has moved, and no unused join token names the "
        "old authority.",
        verb="Retire it",
        note="Only the new certificate authority is left.",
    ),
    _Step(
        path="/authority/retire",
        page="/authority/force/retire",
        body={"force": True},
        question="Retire the old certificate authority at once?",
        text="Connectors that haven't moved are refused, and have to join again. Join tokens that "
        "name the old authority no longer work.",
        verb="Retire it at once",
        note="Only the new certificate authority is left.",
    ),
    _Step(
        path="/host-keys/rotate",
        question="Create new SSH host keys?",
        text="Pods keep using the current keys. OpenSSH learns the new keys at each user's next "
        "connection; other clients need the lines for known_hosts.",
        verb="Create new keys",
        note="Pods now tell clients the new host keys, beside the current ones.",
    ),
    _Step(
        path="/host-keys/promote",
        question="Use the new SSH host keys?",
        text="A client that hasn't learnt the new keys warns of a changed host key, and doesn't "
        "connect. Open sessions go on.",
        verb="Use the new keys",
        note="Pods use the new host keys.",
    ),
    _Step(
        path="/host-keys/retire",
        question="Forget the SSH host keys that pods don't use?",
        text="OpenSSH removes them from known_hosts at each user's next connection.",
        verb="Forget them",
        note="Only the current host keys are left.",
    ),
)


def rotation_pages(operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table that ask for a step, and those that take it."""
    pages = []
    for step in _STEPS:
        handlers = _Handlers(operations, step)
        pages.append(PageRoute("GET", step.address, ADMINS, handlers.ask))
        pages.append(PageRoute("POST", step.address, ADMINS, handlers.take))
    return pages


@frozen
class _Handlers:
    operations: Operations
    step: _Step

    async def ask(self, visit: Visit) -> Reply:
        """Ask whether to take the step, and say what follows from it."""
        one = self.step
        return asked(one.question, [one.text], one.verb, one.back)

    async def take(self, visit: Visit) -> Reply:
        """Take the step, and go back."""
        one = self.step
        try:
            await self.operations(visit, "POST", one.path, one.body)
        except Problem as problem:
            text = "; ".join(faults(problem).values()) or problem.detail
            refused = asked("That can't be done", [text], "", one.back, possible=False)
            return evolve(refused, status=problem.status)
        return Moved(one.back, note=one.note)
