"""What ``tunnelcloud setup`` writes into pod.toml, worked out from a few answers."""

from __future__ import annotations

import socket
from enum import StrEnum
from pathlib import Path
from typing import Any

from attrs import frozen

from tunnelcloud.domain.addresses import leads_home
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.net.own_name import own_name
from tunnelcloud.settings import PodSettings
from tunnelcloud.settings.editing import Value
from tunnelcloud.settings.listening import tcp_port_of

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
SOCKET_UNIT = Path("/lib/systemd/system/tunnelcloud-pod.socket")
"""Where the Debian package has the unit that opens port 443 for a pod that may not itself."""

_ONE_PORT = 443
_METRICS = "tcp:9464:interface=127.0.0.1"
_OF_SYSTEMD = "systemd:domain=INET6:index=0"
_OUTSIDE = ("192.0.2.1", 9)
"""An address of nobody (RFC 5737): the way there is the way out, and nothing is sent."""


class Tls(StrEnum):
    """Where HTTPS ends, and who gives the certificate."""

    PROXY = "proxy"
    ACME = "acme"
    CERTIFICATE = "certificate"
    NONE = "none"

    @property
    def takes_one_port(self) -> bool:
        """Whether the pod speaks HTTPS itself: then its port 443 takes SSH, links and HTTPS."""
        return self in (Tls.ACME, Tls.CERTIFICATE)


@frozen
class Answers:
    """The answers about a pod.

    :ivar proxies: which proxies are believed about clients' addresses.
    """

    host: str
    tls: Tls
    proxies: tuple[str, ...] = ()
    certificate: Path | None = None
    private_key: Path | None = None
    contact: str | None = None
    directory: str = LETS_ENCRYPT


def tls_of(settings: PodSettings) -> Tls:
    """Tell which answer the settings already give."""
    if settings.web.acme.directory is not None:
        return Tls.ACME
    if settings.web.certificate is not None:
        return Tls.CERTIFICATE
    was_answered = settings.ssh.public_address is not None and settings.web.public_url is None
    return Tls.NONE if was_answered else Tls.PROXY


def host_of(settings: PodSettings) -> str:
    """Guess how others reach this machine: as it is set, by its name, or by its address."""
    if settings.ssh.public_address is not None:
        return settings.ssh.public_address.host
    name = own_name()
    if not leads_home(name) and "." in name:
        return name
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way_out:
        try:
            way_out.connect(_OUTSIDE)
            return str(way_out.getsockname()[0])
        except OSError:
            return name


def changes(settings: PodSettings, answers: Answers) -> dict[str, Value]:
    """Return the settings whose values change, with the new values."""
    wanted = _wanted(settings, answers)
    return {key: value for key, value in wanted.items() if value != _now(settings, key)}


def _wanted(settings: PodSettings, answers: Answers) -> dict[str, Value]:
    wanted: dict[str, Value] = {}
    for section, default in (("ssh", 2222), ("connectors", 8443)):
        port = _ONE_PORT if answers.tls.takes_one_port else _port(settings, section, default)
        wanted[f"{section}.public_address"] = str(PublicAddress(answers.host, port))
        if answers.tls.takes_one_port:
            wanted[f"{section}.listen"] = []
        elif not getattr(settings, section).listen:
            wanted[f"{section}.listen"] = [f"tcp:{default}"]
    if answers.tls is Tls.NONE:
        return wanted
    wanted["web.public_url"] = _url(settings, answers)
    if answers.proxies:
        wanted["web.trusted_proxies"] = list(answers.proxies)
    own = {"certificate": answers.certificate, "private_key": answers.private_key}
    wanted |= {f"web.{name}": None if path is None else str(path) for name, path in own.items()}
    if answers.tls is Tls.ACME:
        wanted["web.acme.directory"] = answers.directory
        wanted["web.acme.contact"] = answers.contact
    else:
        # What is left of it would be a setting without a directory.
        wanted |= {f"web.acme.{name}": None for name in settings.web.acme.model_fields_set}
    if not answers.tls.takes_one_port:
        wanted["front.listen"] = []
        return wanted
    if not settings.front.listen:
        wanted["front.listen"] = [_OF_SYSTEMD if SOCKET_UNIT.exists() else f"tcp:{_ONE_PORT}"]
    if not settings.metrics.listen:
        # With a front they are nowhere else.
        wanted["metrics.listen"] = [_METRICS]
    return wanted


def _url(settings: PodSettings, answers: Answers) -> str:
    """Keep the portal's address if it is one by HTTPS that the host isn't the whole of."""
    url = settings.web.public_url
    if answers.tls is Tls.PROXY and url is not None and url.startswith("https:"):
        return url
    return f"https://{str(PublicAddress(answers.host, _ONE_PORT)).removesuffix(':443')}"


def _port(settings: PodSettings, section: str, default: int) -> int:
    """Tell the port of a listener that others reach; one that a proxy stands for, if it is set."""
    known: PublicAddress | None = getattr(settings, section).public_address
    listen = getattr(settings, section).listen
    if known is not None and listen:
        return known.port
    found = tcp_port_of(listen[0]) if listen else None
    return found[0] if found else default


def _now(settings: PodSettings, key: str) -> Value:
    """Give a setting's value as a file would say it."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return None if value is None else str(value)


def ports_text(settings: PodSettings) -> str:
    """Name the ports that others connect to."""
    addresses = (settings.ssh.public_address, settings.connectors.public_address)
    ports = {one.port for one in addresses if one is not None} | {_ONE_PORT}
    if settings.web.public_url is None:
        ports.discard(_ONE_PORT)
    *others, last = sorted(ports)
    return f"ports {', '.join(map(str, others))} and {last}" if others else f"port {last}"
