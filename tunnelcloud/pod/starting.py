"""From settings to a pod that can serve: its sockets, its foundation, and the service on both."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from tunnelcloud import daemon
from tunnelcloud.daemon import CannotServe
from tunnelcloud.domain.addresses import leads_home
from tunnelcloud.net.own_name import own_name
from tunnelcloud.pod.bound_ports import WEB_TLS, Listeners
from tunnelcloud.pod.preparation import lay_foundation
from tunnelcloud.pod.service import PodService
from tunnelcloud.settings import LISTENING, PodSettings


def local_address_warning(settings: PodSettings, own_host: str) -> str:
    """Say that others can't reach this machine by the name that it has for itself.

    :return: empty where they can, or the settings name what they reach it by.
    """
    unset = _unset(settings)
    if not unset or not leads_home(own_host):
        return ""
    verb = "isn't" if len(unset) == 1 else "aren't"
    return (
        f"warning: {' and '.join(unset)} {verb} set, and this machine's own name is {own_host}: "
        "the commands and join tokens that the pod makes work on this machine alone. Set them in "
        "pod.toml to what others reach the pod by."
    )


def _unset(settings: PodSettings) -> list[str]:
    return [
        f"{section}.public_address"
        for section in ("ssh", "connectors")
        if getattr(settings, section).public_address is None
    ]


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
    if own_host is None:
        # A name service that is silent must not delay a pod that doesn't need it.
        own_host = own_name() if _unset(settings) else socket.gethostname()
        if warning := local_address_warning(settings, own_host):
            say(warning)
    try:
        foundation = lay_foundation(settings, listeners.port, own_host)
    except CannotServe:
        listeners.close()
        raise
    try:
        return PodService(reactor, foundation, listeners, say, read_settings)
    except CannotServe:
        foundation.store.close()
        listeners.close()
        raise
