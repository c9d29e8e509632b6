"""The attached connectors, as this pod sees them now, and the text for a site without any."""

from __future__ import annotations

from datetime import datetime, timedelta

from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.store.site_health import Attachments
from tunnelcloud.web.interfaces import NOTED_WITHIN, ILivePod
from tunnelcloud.web.resources.context import ApiContext

_A_DAY = timedelta(days=1)


def attachments_now(context: ApiContext) -> Attachments:
    """Look at what is attached now; in the reactor's thread."""
    return attachments_at(context.live, context.now())


def attachments_at(live: ILivePod, now: datetime) -> Attachments:
    """Look at what is attached now, as a running pod has it."""
    return Attachments(
        live.attached_connectors(),
        dict(live.lost_connectors()),
        # Before it started nobody but another pod could have seen any; they all come here soon.
        max(now - NOTED_WITHIN, live.started_at),
    )


def offline_text(tunnel: Tunnel, last_seen: datetime | None, now: datetime) -> str:
    """Say since when a tunnel's site is offline.

    :param last_seen: as ``offline_sites`` gave it.
    """
    if last_seen is None:
        return f"no connector of site {tunnel.site_name} has joined yet"
    form = "%H:%M UTC" if now - last_seen < _A_DAY else "%Y-%m-%d %H:%M UTC"
    return f"site offline since {last_seen:{form}}"
