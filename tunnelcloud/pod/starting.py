"""From settings to a pod that can serve: its sockets, its foundation, and the service on both."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from tunnelcloud import daemon
from tunnelcloud.daemon import CannotServe
from tunnelcloud.pod.bound_ports import WEB_TLS, Listeners
from tunnelcloud.pod.foundation import lay_foundation
from tunnelcloud.pod.service import PodService
from tunnelcloud.settings import LISTENING, PodSettings


def make_pod(
    reactor: Any,
    settings: PodSettings,
    own_host: str | None = None,
    say: Callable[[str], None] = daemon.say,
    read_settings: Callable[[], PodSettings] | None = None,
) -> PodService:
    """Bind the sockets, lay the foundation, and build a pod upon it.

    :param own_host: what others reach this machine by, where the settings don't say; its own
        full name by default.
    :param say: speaks to whoever starts it, of its first administrator's link.
    :param read_settings: reads the settings again for a reload.
    :raise CannotServe: with a line that says what is wrong and what to do.
    """
    sections = {section: getattr(settings, section).listen for section in LISTENING}
    sections |= {"web": settings.web.plain_listen, WEB_TLS: settings.web.tls_listen}
    shared = [name for name in ("ssh", "web", "front") if getattr(settings, name).reuse_port]
    listeners = Listeners.bind(reactor, sections, [*shared, WEB_TLS] if "web" in shared else shared)
    try:
        foundation = lay_foundation(settings, listeners.port, own_host or socket.getfqdn())
    except CannotServe:
        listeners.close()
        raise
    try:
        return PodService(reactor, foundation, listeners, say, read_settings)
    except CannotServe:
        foundation.store.close()
        listeners.close()
        raise
