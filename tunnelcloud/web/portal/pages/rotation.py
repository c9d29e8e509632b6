"""How the keys that pods share are changed by the pages, each step asked for once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Visit
from tunnelcloud.web.portal.pages.asking import asked
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.routes import ADMINS


@frozen(kw_only=True)
class _Step:
    """One step.

    :ivar path: what of the API is asked for, with a body if it has one.
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
        """The page's."""
        return f"/admin/settings{self.page or self.path}"

    @property
    def back(self) -> str:
        """The place on the settings page."""
        return f"/admin/settings#{self.path.split('/')[1]}"


_STEPS = (
    _Step(
        path="/authority/rotate",
        question="Make a new certificate authority?",
        text="Connectors that are attached move to it within a minute; both are trusted until you "
        "give the present one up.",
        verb="Make a new one",
        note="Connectors move to the new certificate authority.",
    ),
    _Step(
        path="/authority/retire",
        question="Give the certificate authority before up?",
        text="It is given up only when every connector has moved and no join token of before is "
        "unspent.",
        verb="Give it up",
        note="There is only the new certificate authority.",
    ),
    _Step(
        path="/authority/retire",
        page="/authority/force/retire",
        body={"force": True},
        question="Give the certificate authority before up at once?",
        text="Connectors that haven't moved are turned away and have to join anew; join tokens of "
        "before are void.",
        verb="Give it up at once",
        note="There is only the new certificate authority.",
    ),
    _Step(
        path="/host-keys/rotate",
        question="Make new SSH host keys?",
        text="Pods go on with the current ones. OpenSSH learns the new ones at each user's next "
        "connection; everybody else takes them from the lines for known_hosts.",
        verb="Make new keys",
        note="New host keys are told to clients beside the current ones.",
    ),
    _Step(
        path="/host-keys/promote",
        question="Have pods use the new SSH host keys?",
        text="Whoever has not learnt them is warned of a changed host key and can't connect. "
        "Sessions that are open go on.",
        verb="Use the new keys",
        note="Pods use the new host keys.",
    ),
    _Step(
        path="/host-keys/retire",
        question="Forget the SSH host keys that are not used?",
        text="OpenSSH takes them out of known_hosts at each user's next connection.",
        verb="Forget them",
        note="There are only the current host keys.",
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
        """Ask, and say what follows."""
        one = self.step
        return asked(one.question, [one.text], one.verb, one.back)

    async def take(self, visit: Visit) -> Reply:
        """Do it, and go back."""
        one = self.step
        try:
            await self.operations(visit, "POST", one.path, one.body)
        except Problem as problem:
            text = "; ".join(faults(problem).values()) or problem.detail
            refused = asked("That can't be done", [text], "", one.back, possible=False)
            return evolve(refused, status=problem.status)
        return Moved(one.back, note=one.note)
