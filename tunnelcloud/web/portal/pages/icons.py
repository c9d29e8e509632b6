"""Chooses a tunnel's picture; the pictures themselves are in ``icons.html``."""

from __future__ import annotations

from tunnelcloud.domain.objects.sites import Tunnel

_OF_PORT = {
    22: "ssh", 2222: "ssh", 80: "web", 443: "web", 1433: "database", 1521: "database",
    3306: "mysql", 3389: "rdp", 5432: "postgres", 5900: "rdp", 6379: "redis", 8000: "web",
    8080: "web", 8443: "web", 9042: "database", 9200: "database", 27017: "mongodb",
}  # fmt: skip


def icon_of(tunnel: Tunnel) -> str:
    """Give the name of a picture, or the characters that an administrator chose instead."""
    if tunnel.icon:
        return tunnel.icon
    return _OF_PORT.get(tunnel.target_ports[0].first, "generic")
