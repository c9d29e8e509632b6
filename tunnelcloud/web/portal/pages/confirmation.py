"""Pages that ask before they remove something, say what that cuts off, and remove it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.quantities import counted
from tunnelcloud.store import channels, deletion_warnings
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.consequences import cost_sentences, cut_sentence
from tunnelcloud.web.portal.page_requests import Moved, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS

Found = Mapping[str, Any]


@frozen
class _Question:
    """What a page asks.

    :ivar words: the words that the question and the verb are formed with.
    :ivar possible: whether it can be done at all.
    """

    words: Mapping[str, str]
    texts: list[str]
    possible: bool = True


Look = Callable[["Handlers", Visit], Awaitable[_Question]]


async def look_up_name(handlers: Handlers, visit: Visit) -> _Question:
    """Name the object; the consequences are the same for all."""
    taking = handlers.taking
    name = _name(await handlers.find(visit)) if taking.named else ""
    return _Question({"name": name}, [taking.text])


def weigh_deletion(noun: str) -> Look:
    """Name the object, and say what else its deletion deletes and cuts off."""

    async def look(handlers: Handlers, visit: Visit) -> _Question:
        found = await handlers.find(visit)
        cost = await handlers.context.store.read(deletion_warnings.of_deleting, noun, found["id"])
        return _Question({"name": found["name"]}, cost_sentences(noun, cost), not cost.in_use)

    return look


async def weigh_blocking(handlers: Handlers, visit: Visit) -> _Question:
    """Name a user, and say what blocking them cuts off."""
    found = await handlers.find(visit)
    cost = await handlers.context.store.read(deletion_warnings.of_deleting, "user", found["id"])
    return _Question({"name": found["name"]}, [cut_sentence("user", cost), handlers.taking.text])


async def weigh_assignment(handlers: Handlers, visit: Visit) -> _Question:
    """Name a tunnel and the user or group that loses it, and say what that cuts off."""
    params = visit.params
    one = await handlers.context.store.read(
        deletion_warnings.of_taking_away, params["tunnel_id"], params["assignment_id"]
    )
    words = {"tunnel": one.tunnel, "who": f"{one.kind} {one.who}"}
    return _Question(words, cost_sentences("assignment", one.cost))


async def weigh_session(handlers: Handlers, visit: Visit) -> _Question:
    """Name whose a session is, and say how many channels end with it."""
    name, count = await handlers.context.store.read(
        deletion_warnings.of_ending_session, visit.params["session_id"]
    )
    text = f"{counted(count, 'channel')} will be cut off." if count else "Nothing runs in it."
    return _Question({"name": name}, [text])


async def look_up_channel(handlers: Handlers, visit: Visit) -> _Question:
    """Say where a channel leads."""
    one = await handlers.context.store.read(
        channels.get, visit.params["channel_id"], session_id=visit.params["session_id"]
    )
    return _Question({"name": f"{one.destination}:{one.port}"}, [handlers.taking.text])


@frozen(kw_only=True)
class Taking:
    """One kind of object that a page removes. Addresses have the page's parameters.

    :ivar page: the address that asks, and that does it when it is sent a form.
    :ivar back: the page it is on.
    :ivar note: says that it is done.
    :ivar question: empty for what is done without asking.
    :ivar text: says what it cuts, where that is always the same.
    :ivar named: what of the API the question names; empty when it names nothing.
    :ivar path: what of the API is deleted, or changed where there is a ``body``; what is named,
        when this is empty.
    :ivar look: finds what the question says.
    :ivar after: the page that comes then, if it isn't ``back``.
    :ivar stays: whether the page says why, when it can't be deleted.
    :ivar roles: whose page that is.
    """

    page: str
    back: str
    note: str
    question: str = ""
    text: str = ""
    verb: str = ""
    named: str = ""
    path: str = ""
    look: Look = field(default=look_up_name)
    body: Mapping[str, Any] | None = None
    after: str = ""
    stays: bool = False
    roles: frozenset[Role] = ADMINS


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
class Handlers:
    """Answers the requests to remove one kind of object."""

    context: ApiContext
    operations: Operations
    taking: Taking

    async def find(self, visit: Visit) -> Found:
        """Ask the API for what the question names."""
        found: Found = await self.operations(visit, "GET", self.taking.named.format(**visit.params))
        return found

    async def ask(self, visit: Visit) -> Reply:
        """Ask, and say what would be cut off."""
        one = self.taking
        found = await one.look(self, visit)
        return asked(
            one.question.format(**found.words),
            found.texts,
            one.verb.format(**found.words),
            one.back.format(**visit.params),
            possible=found.possible,
        )

    async def take(self, visit: Visit) -> Reply:
        """Do it, and go back."""
        one, params = self.taking, visit.params
        # What is deleted has to be named before.
        found = await self.find(visit) if one.stays else None
        try:
            verb = "DELETE" if one.body is None else "PATCH"
            path = (one.path or one.named).format(**params)
            changed = await self.operations(visit, verb, path, one.body)
        except Problem as problem:
            if found is None:
                raise
            text = next(iter(faults(problem).values()))
            back = one.back.format(**params)
            stays = asked(f"{_name(found)} stays", [text], "", back, possible=False)
            return evolve(stays, status=problem.status)
        named = found or changed
        note = one.note.format(name=_name(named)) if named else one.note
        return Moved((one.after or one.back).format(**params), note=note)


def _name(found: Found) -> str:
    """Give what somebody calls a thing; a key without a title is known by its fingerprint."""
    names = ("name", "title", "fingerprint", "source_ip", "id")
    return next(str(found[name]) for name in names if found.get(name))
