"""A form that was typed before a sign-in ended: shown after the next one, to be sent or dropped."""

from __future__ import annotations

from attrs import frozen

from tunnelcloud.web.portal.kept_forms import UNFINISHED, UNTYPED
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.sealed_cookies import read_unfinished
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY


def resuming_pages(context: ApiContext) -> list[PageRoute]:
    """Make the rows of the page table for a form that waits for its sender."""
    handlers = _Resuming(context)
    return [
        PageRoute("GET", UNFINISHED, EVERYBODY, handlers.show),
        PageRoute("POST", f"{UNFINISHED}/discard", EVERYBODY, handlers.discard),
    ]


@frozen
class _Resuming:
    context: ApiContext

    async def show(self, visit: Visit) -> Reply:
        form = read_unfinished(self.context, visit.who().user.id, visit.unfinished)
        if form is None:
            return Moved("/")
        shown = [
            (name.replace("_", " "), value)
            for name, value in form.fields
            if value and name not in UNTYPED
        ]
        return Shown("unfinished.html", {"form": form, "shown": shown})

    async def discard(self, visit: Visit) -> Reply:
        """Discard the form that waits: any form that is sent makes the browser forget it."""
        return Moved("/", note="What you typed is discarded.")
