"""Tells twistd that ``tunnelcloud`` exists; everything else is in ``tunnelcloud.tap``."""

from twisted.application.service import ServiceMaker

tunnelcloud = ServiceMaker(
    "TunnelCloud",
    "tunnelcloud.tap",
    "TCP connections to private sites through the SSH client people already have.",
    "tunnelcloud",
)
