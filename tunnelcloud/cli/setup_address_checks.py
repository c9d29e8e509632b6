"""Whether the addresses that ``tunnelcloud setup`` writes lead to this machine: each is tried."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from tunnelcloud.cli.output import one_line
from tunnelcloud.cli.pod_doctor import Kept, proofs_in
from tunnelcloud.cli.public_addresses import connectors_answer, ssh_answer
from tunnelcloud.cli.setup_plan import ports_text
from tunnelcloud.domain.addresses import is_loopback, leads_home, read_address
from tunnelcloud.domain.ssh_command import PublicAddress, bracketed
from tunnelcloud.net import own_address_check
from tunnelcloud.net.doctor_findings import Finding, NoAnswer, bad, good, resolve, warning
from tunnelcloud.net.own_address_check import Reply
from tunnelcloud.settings import PodSettings
from tunnelcloud.settings.listening import tcp_port_of


@frozen
class Door:
    """A port that a pod is going to listen on, and what leads others to it.

    :ivar section: of the settings.
    :ivar interface: an address of this machine; empty for all.
    :ivar is_shared: whether another pod of this machine may listen there, too.
    """

    section: str
    public: PublicAddress
    port: int
    interface: str
    is_shared: bool


def doors(settings: PodSettings) -> Iterator[Door]:
    """Give the ports that a public address leads to, as far as the settings tell them."""
    publics = {
        "front": settings.ssh.public_address,
        "ssh": settings.ssh.public_address,
        "connectors": settings.connectors.public_address,
    }
    for section, public in publics.items():
        of_section = getattr(settings, section)
        if (
            public is None
            or not of_section.listen
            or (section != "front" and settings.front.listen)
        ):
            continue
        first = of_section.listen[0]
        # The unit's socket has the port that others come to.
        at = (public.port, "") if first.startswith("systemd:") else tcp_port_of(first)
        if at is not None:
            yield Door(section, public, *at, getattr(of_section, "reuse_port", False))


def reach_findings(settings: PodSettings, running: Kept | None) -> Iterator[Finding]:
    """Tell where the host of a pod leads, and try each port of it.

    Each port is listened on for a moment, unless a pod does that already.

    :param settings: with public addresses, as they are going to be.
    :param running: what the database says, if the pod runs now.
    """
    assert settings.ssh.public_address is not None
    host = settings.ssh.public_address.host
    try:
        addresses = resolve(host)
    except NoAnswer as why:
        yield warning("address", f"{why}: give it an address in DNS before people come")
        addresses = []
    else:
        yield _where(host, addresses, ports_text(settings))
    for door in doors(settings):
        yield _tried(door, addresses, settings, running)


def _where(host: str, addresses: Sequence[str], ports: str) -> Finding:
    shown = host if [host] == list(addresses) else f"{host} ({', '.join(addresses)})"
    if leads_home(host) or all(map(leads_home, addresses)):
        return warning("address", f"{shown} leads to each machine itself: others don't get here")
    if not any(map(_is_ours, addresses)):
        return warning(
            "address",
            f"{shown} is no address of this machine: have what is there (a router, a balancer) "
            f"hand {ports} on to this one",
        )
    private = all((one := read_address(each)) is None or one.is_private for each in addresses)
    known = "which only your own networks reach" if private else "which has to let others in"
    return good("address", f"{shown} is this machine, {known} to {ports}")


def _tried(
    door: Door, addresses: Sequence[str], settings: PodSettings, running: Kept | None
) -> Finding:
    what = f"{door.section} port {door.port}"
    try:
        listening = own_address_check.listener(door.port, door.interface)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and (running is not None or door.is_shared):
            return _answered(what, door, settings, running)
        return _not_listening(what, door, error)
    with listening:
        if not addresses:
            return good(what, "is free")
        if is_loopback(door.interface):
            return good(what, f"is free; what is on this machine at {door.public} leads to it")
        replies = own_address_check.call(listening, addresses, door.public.port)
    return _judged(what, door, replies)


def _answered(what: str, door: Door, settings: PodSettings, running: Kept | None) -> Finding:
    """Ask the pod that listens already who it is."""
    proofs = None if running is None else proofs_in(settings, running)
    try:
        if door.section == "ssh":
            return good(what, ssh_answer(door.public, proofs.host_keys if proofs else None))
        authorities = proofs.authorities if proofs else None
        return good(what, connectors_answer(door.public, authorities))
    except NoAnswer as why:
        return warning(what, f"a program listens, but {why}")


def _not_listening(what: str, door: Door, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        return bad(
            what,
            "another program listens there, so no pod can: stop it, or set another port "
            f"(`ss -ltnp 'sport = :{door.port}'` names it; systemd for the pod's own socket unit)",
        )
    if error.errno == errno.EACCES:
        return warning(what, "can't be tried by this user: run setup as root")
    return bad(what, f"can't be listened on: {error.strerror or error}")


def _judged(what: str, door: Door, replies: Mapping[str, Reply]) -> Finding:
    back = [one for one, reply in replies.items() if reply.is_back]
    rest = "; ".join(_shown(one, reply) for one, reply in replies.items() if not reply.is_back)
    reached = f"this machine reaches itself at {door.public} ({', '.join(back)})"
    if not rest:
        return good(what, f"is free, and {reached}")
    if back:
        return warning(what, f"{reached}, but not at each address of that name: {rest}")
    return warning(
        what,
        f"is free, but {door.public} doesn't lead to it from here: {rest}. Have what is there hand "
        f"its port {door.public.port} on to this machine's {door.port}; if it does, only the way "
        "from inside is closed",
    )


def _shown(address: str, reply: Reply) -> str:
    if reply.fault:
        return f"{bracketed(address)}: {reply.fault}"
    if not reply.said:
        return f"{bracketed(address)}: another server answers, or one that says nothing"
    said = one_line(reply.said.decode("ascii", "replace").strip())
    return f"{bracketed(address)}: another server answers ({said})"


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
        return True
