"""The applications portal: a card for each tunnel that one may open."""

from __future__ import annotations

from attrs import frozen

from tunnelcloud.domain.connecting.quoting import posix
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.tunnel_standing import Standing
from tunnelcloud.store import pinned_tunnels
from tunnelcloud.store.errors import InvalidReference, NotFound
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.pages.icons import icon_of
from tunnelcloud.web.problems import not_found
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.tokens import tunnels_of
from tunnelcloud.web.resources.tunnel_standing import own_standing, reader_of_sites
from tunnelcloud.web.routes import EVERYBODY

MOST_SHOWN = 48


def application_pages(context: ApiContext) -> list[PageRoute]:
    """Make the rows of the page table for the list of applications."""
    handlers = _Applications(context)
    return [
        PageRoute("GET", "/", EVERYBODY, handlers.cards, query=frozenset({"q"})),
        PageRoute("POST", "/applications/{tunnel_id}/pin", EVERYBODY, handlers.pin),
        PageRoute("POST", "/applications/{tunnel_id}/unpin", EVERYBODY, handlers.unpin),
    ]


@frozen
class _Card:
    tunnel: Tunnel
    icon: str
    pinned: bool
    standing: Standing
    is_open: bool


def _matches(tunnel: Tunnel, wanted: str) -> bool:
    text = f"{tunnel.name} {tunnel.title} {tunnel.description} {tunnel.site_name}"
    return wanted in text.lower()


@frozen
class _Applications:
    context: ApiContext

    async def cards(self, visit: Visit) -> Reply:
        wanted = visit.query.get("q", "")[:200]
        user_id = visit.who().user.id

        view, pinned, recent = await self.context.store.read(pinned_tunnels.in_order, user_id)
        order = {tunnel_id: place for place, tunnel_id in enumerate(recent)}
        found = [one for one in tunnels_of(view.grants) if _matches(one, wanted.lower())]
        # Of those that were never used the names' order stays.
        found.sort(key=lambda one: (one.id not in pinned, order.get(one.id, len(order))))
        shown = found[:MOST_SHOWN]
        offline = await self.context.store.read(reader_of_sites(self.context), shown)
        in_use = self.context.live.usage(user_id).channels

        def make() -> list[_Card]:
            return [
                _Card(
                    tunnel,
                    icon_of(tunnel),
                    tunnel.id in pinned,
                    own_standing(self.context, view, tunnel, visit.source_ip, offline),
                    bool(in_use.get(tunnel.id)),
                )
                for tunnel in shown
            ]

        # Each is decided on, by all the hours that its policies have.
        cards = await self.context.showing.run(make, source=user_id)
        return Shown(
            "applications.html",
            {
                "cards": cards,
                "q": wanted,
                "more": len(found) - len(shown),
                "command_for_all": self._command_for_all() if len(view.by_tunnel) > 1 else "",
            },
        )

    def _command_for_all(self) -> str:
        return posix(["tunnelcloud", "--url", self.context.web_url, "connect", "--all"])

    async def pin(self, visit: Visit) -> Reply:
        return await self._set_pinned(visit, True)

    async def unpin(self, visit: Visit) -> Reply:
        return await self._set_pinned(visit, False)

    async def _set_pinned(self, visit: Visit, wanted: bool) -> Moved:
        user_id, tunnel_id = visit.who().user.id, visit.params["tunnel_id"]

        try:
            await self.context.store.read(pinned_tunnels.check_reached, user_id, tunnel_id)
            await self.context.acting_as(visit.who().caller).write(
                pinned_tunnels.set_pinned, user_id, tunnel_id, wanted
            )
        except (NotFound, InvalidReference):
            raise not_found("there is no such tunnel, or it isn't yours") from None
        return Moved("/")
