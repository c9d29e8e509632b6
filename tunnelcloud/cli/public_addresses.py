"""What answers at the addresses that a pod gives to others, tried from the pod's own machine."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from tunnelcloud.cli.client import Api, Failed
from tunnelcloud.cli.output import one_line
from tunnelcloud.domain.addresses import is_loopback
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.tls import JOIN_ALPN
from tunnelcloud.net.doctor_findings import (
    Finding,
    NoAnswer,
    bad,
    good,
    resolve,
    shown_certificate,
    ssh_greeting,
    warning,
)
from tunnelcloud.net.own_name import own_name
from tunnelcloud.pki.authority_rotation import Authorities
from tunnelcloud.pki.host_keys import HostKeys
from tunnelcloud.settings import PodSettings


def address_findings(
    settings: PodSettings,
    authorities: Authorities | None,
    host_keys: HostKeys | None,
    runs: bool,
) -> Iterator[Finding]:
    """Try each public address.

    :param authorities: the CA of the pods that share the database, where it is known.
    :param host_keys: the SSH host keys of these pods, where they are known.
    :param runs: whether the pod runs, so that something has to answer.
    """

    def tried(what: str, look: Callable[[], str]) -> Finding:
        try:
            return good(what, look())
        except NoAnswer as why:
            if not runs:
                return warning(what, f"{why}; try again while the pod runs")
            return bad(
                what,
                f"{why}. If it works from elsewhere, only this machine's own way out and in again "
                "is closed; else look at DNS, firewall and port forwarding",
            )

    name = "ssh.public_address"
    if settings.ssh.public_address is None:
        yield _unset(name)
    else:
        ssh_address = settings.ssh.public_address
        yield tried(name, lambda: ssh_answer(ssh_address, host_keys))
    name = "connectors.public_address"
    if settings.connectors.public_address is None:
        yield _unset(name)
    else:
        address = settings.connectors.public_address
        yield tried(name, lambda: connectors_answer(address, authorities))
    url = settings.web.public_url
    if url is None:
        yield warning("web.public_url", "isn't set: links in mails and commands name this machine")
        return
    host = urlsplit(url).hostname or ""
    if not url.startswith("https:") and not is_loopback(host):
        yield warning("web.public_url", f"{url} has no TLS: passwords can be read on the way")
    yield tried("web.public_url", lambda: _ready(url))


def ssh_answer(address: PublicAddress, host_keys: HostKeys | None) -> str:
    """Tell whether a pod answers SSH clients at an address.

    :param host_keys: those of the pods that share the database, where they are known.
    :raise NoAnswer: nothing there speaks SSH, or it is another program, or another database's pod.
    """
    # Only here is anything of SSH needed.
    from tunnelcloud.ssh.shown_host_key import shown_host_key
    from tunnelcloud.ssh.transport import IDENTIFICATION

    line = ssh_greeting(address)
    if line != IDENTIFICATION.decode("ascii"):
        raise NoAnswer(
            f"at {address} another SSH server answers ({one_line(line)}), such as the sshd of this "
            "machine or of the router"
        )
    if host_keys is None:
        return _reached(address, line)
    shown = base64.b64encode(shown_host_key(address)).decode("ascii")
    for key in host_keys.all:
        if key.public_key.split(" ")[1] == shown:
            return _reached(address, f"a pod of this database, {key.fingerprint}")
    raise NoAnswer(
        f"at {address} a pod answers whose host key isn't one of this database's: another "
        "installation answers there, or something between has put itself in the pod's place"
    )


def connectors_answer(address: PublicAddress, authorities: Authorities | None) -> str:
    """Tell whether a pod answers connectors at an address.

    :raise NoAnswer: nothing there speaks TLS, or it isn't a pod of this database.
    """
    return _reached(address, _own(address, authorities))


def lines_elsewhere(settings: PodSettings) -> list[str]:
    """Give commands for another machine, which show that others reach a pod that runs."""
    addresses = (settings.ssh.public_address, settings.connectors.public_address)
    found = [one for one in addresses if one is not None and not is_loopback(one.host)]
    lines = [f"ssh-keyscan -p {one.port} {one.host}" for one in found[:1]]
    if len({one.port for one in found}) > 1:
        lines.append(f"nc -vz {found[1].host} {found[1].port}")
    url = settings.web.public_url
    if url is not None and not is_loopback(urlsplit(url).hostname or ""):
        lines.append(f"curl {url}/healthz")
    return lines


def _unset(name: str) -> Finding:
    host = own_name()
    return warning(name, f"isn't set: others are told {host}, this machine's own name")


def _reached(address: PublicAddress, said: str) -> str:
    return f"{address} ({', '.join(resolve(address.host))}) answers: {said}"


def _own(address: PublicAddress, authorities: Authorities | None) -> str:
    shown = shown_certificate(address, JOIN_ALPN)
    if authorities is not None and authorities.issuer_of(shown) is None:
        raise NoAnswer(
            f"{address} shows a certificate that isn't of this database's CA (issued by "
            f"{shown.issuer.rfc4514_string()}): another server answers there, or something "
            "between opens TLS"
        )
    return "a pod of this database" if authorities is not None else "TLS"


def _ready(url: str) -> str:
    api = Api(url, None)
    try:
        return f"{url} answers: {one_line(api.text('/readyz').strip())}"
    except Failed as error:
        raise NoAnswer(str(error)) from None
    finally:
        api.close()
