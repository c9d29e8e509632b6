"""Danger asks once, and says what it will cut off."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from tunnelcloud.store import channels, consequences
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.sections import SECTIONS, Section
from tunnelcloud.web.portal.sentences import cost_sentences, counted
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS


def deletion_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table that ask, and those that do."""
    pages = []
    for section in SECTIONS:
        handlers = _Deletion(context, operations, section)
        path = f"/admin/{section.plural}/{{{section.id_name}}}/delete"
        pages += [
            PageRoute("GET", path, ADMINS, handlers.ask),
            PageRoute("POST", path, ADMINS, handlers.delete),
        ]
    ending = _Ending(context, operations)
    one = "/admin/sessions/{session_id}"
    assigned = "/admin/tunnels/{tunnel_id}/assignments/{assignment_id}/delete"
    return [
        *pages,
        PageRoute("GET", assigned, ADMINS, ending.ask_assignment),
        PageRoute("POST", assigned, ADMINS, ending.unassign),
        PageRoute("GET", f"{one}/end", ADMINS, ending.ask_session),
        PageRoute("POST", f"{one}/end", ADMINS, ending.end_session),
        PageRoute("GET", f"{one}/channels/{{channel_id}}/end", ADMINS, ending.ask_channel),
        PageRoute("POST", f"{one}/channels/{{channel_id}}/end", ADMINS, ending.end_channel),
    ]


def asked(question: str, texts: list[str], verb: str, back: str, *, possible: bool = True) -> Shown:
    """Ask, by a page that sends its form back to where it is."""
    values: dict[str, Any] = {
        "question": question,
        "texts": texts,
        "verb": verb,
        "back": back,
        "possible": possible,
    }
    return Shown("ask.html", values)


@frozen
class _Deletion:
    context: ApiContext
    operations: Operations
    section: Section

    def _path(self, visit: Visit) -> str:
        return f"/{self.section.plural}/{visit.params[self.section.id_name]}"

    async def ask(self, visit: Visit) -> Reply:
        item = await self.operations(visit, "GET", self._path(visit))
        cost = await self.context.store.read(
            consequences.of_deleting, self.section.noun, item["id"]
        )
        return asked(
            f"Delete {item['name']}?",
            cost_sentences(self.section.noun, cost),
            f"Delete {item['name']}",
            f"/admin{self._path(visit)}",
            possible=not cost.in_use,
        )

    async def delete(self, visit: Visit) -> Reply:
        item = await self.operations(visit, "GET", self._path(visit))
        try:
            await self.operations(visit, "DELETE", self._path(visit))
        except Problem as problem:
            text = next(iter(faults(problem).values()))
            back = f"/admin{self._path(visit)}"
            stays = asked(f"{item['name']} stays", [text], "", back, possible=False)
            return evolve(stays, status=problem.status)
        return Moved(f"/admin/{self.section.plural}", note=f"Deleted {item['name']}.")


@frozen
class _Ending:
    context: ApiContext
    operations: Operations

    async def ask_assignment(self, visit: Visit) -> Reply:
        tunnel_id, assignment_id = visit.params["tunnel_id"], visit.params["assignment_id"]
        one = await self.context.store.read(consequences.of_taking_away, tunnel_id, assignment_id)
        return asked(
            f"Take {one.tunnel} away from {one.kind} {one.who}?",
            cost_sentences("assignment", one.cost),
            "Take it away",
            f"/admin/tunnels/{tunnel_id}",
        )

    async def unassign(self, visit: Visit) -> Reply:
        path = f"/tunnels/{visit.params['tunnel_id']}"
        one = f"{path}/assignments/{visit.params['assignment_id']}"
        await self.operations(visit, "DELETE", one)
        return Moved(f"/admin{path}#who", note="Taken away.")

    async def ask_session(self, visit: Visit) -> Reply:
        name, count = await self.context.store.read(
            consequences.of_ending_session, visit.params["session_id"]
        )
        text = f"{counted(count, 'channel')} will be cut off." if count else "Nothing runs in it."
        return asked(f"End {name}'s session?", [text], "End session", "/admin/sessions")

    async def end_session(self, visit: Visit) -> Reply:
        await self.operations(visit, "DELETE", f"/sessions/{visit.params['session_id']}")
        return Moved("/admin/sessions", note="The session is ended.")

    async def ask_channel(self, visit: Visit) -> Reply:
        one = await self.context.store.read(
            channels.get, visit.params["channel_id"], session_id=visit.params["session_id"]
        )
        question = f"End the channel to {one.destination}:{one.port}?"
        text = "It is cut off; the rest of the session goes on."
        return asked(question, [text], "End channel", "/admin/sessions")

    async def end_channel(self, visit: Visit) -> Reply:
        session, channel = visit.params["session_id"], visit.params["channel_id"]
        await self.operations(visit, "DELETE", f"/sessions/{session}/channels/{channel}")
        return Moved("/admin/sessions", note="The channel is ended.")
