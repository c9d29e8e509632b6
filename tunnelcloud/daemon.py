"""What a program needs to be a system service: listening sockets, and a word to systemd.

Knows endpoints and the environment; nothing of what is served.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorCore,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.settings_files import CannotStart

_log = Logger()


class CannotServe(CannotStart):
    """A listener can't be had; the message names the setting and what to do."""


def endpoint_of(reactor: IReactorCore, setting: str, description: str) -> IStreamServerEndpoint:
    """Read a Twisted endpoint description; no port is taken yet.

    :raise CannotServe: it is wrong.
    """
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, _with_ipv6(description))
    except Exception as error:  # each endpoint's parser has errors of its own
        if isinstance(error, LookupError) and description.startswith("systemd:"):
            raise CannotServe(
                f"{setting}: {description!r}: systemd has handed over no such socket: enable and "
                "start its socket unit, and start the service again"
            ) from None
        # A TypeError speaks of the parser's own arguments, such as _parseTCP()'s.
        why = "" if isinstance(error, TypeError) else f" ({error})"
        raise CannotServe(
            f'{setting}: {description!r} is not an endpoint{why}: use "tcp:2222", '
            '"tcp:2222:interface=127.0.0.1" or "systemd:domain=INET:index=0"'
        ) from None
    return endpoint


def has_both_families() -> bool:
    """Tell whether a socket that listens on ``::`` hears IPv4 clients, too, on this machine."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
            return not probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return False


def _with_ipv6(description: str) -> str:
    """Have a description that names no interface mean IPv6 too, where the machine has both."""
    kind, _, rest = description.partition(":")
    if kind in ("tcp", "ssl") and rest and "interface=" not in rest and has_both_families():
        return rf"{description}:interface=\:\:"
    return description


def listen(
    reactor: IReactorCore, setting: str, description: str, factory: IProtocolFactory
) -> IListeningPort:
    """Listen on a Twisted endpoint description, at once.

    :param setting: what a message calls it, such as ``ssh.listen``.
    :raise CannotServe: the description is wrong, or the port is taken.
    """
    endpoint = endpoint_of(reactor, setting, description)
    ports: list[IListeningPort] = []
    failures: list[Failure] = []
    listening: Deferred[IListeningPort] = endpoint.listen(factory)
    listening.addCallbacks(ports.append, failures.append)
    if failures:
        failed = failures[0].value
        why, advice = str(failed), "see systemd.socket(5) if it comes from there"
        if isinstance(failed, CannotListenError):
            why = str(getattr(failed.socketError, "strerror", None) or failed.socketError)
            advice = "stop what uses it or set another port"
        raise CannotServe(f"{setting}: can't listen on {description}: {why}; {advice}")
    if not ports:
        raise CannotServe(f"{setting}: {description!r} doesn't listen at once: use tcp: or ssl:")
    return ports[0]


def port_number(port: IListeningPort) -> int:
    """Give the TCP port that was taken, for instance when 0 was asked for."""
    address = port.getHost()
    assert isinstance(address, IPv4Address | IPv6Address)
    return address.port


def notify(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell systemd of a change, such as ``READY=1`` (sd_notify(3)).

    :return: whether there was anybody to tell.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode("utf-8"), name)
    return True


def tell_ready(reactor: IReactorTime, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd that the service is ready, and from now on that its reactor turns.

    systemd asks for the latter by ``WatchdogSec=``, and restarts a service that falls silent.
    """
    notify("READY=1", environment)
    try:
        period = int(environment.get("WATCHDOG_USEC", "")) / 1_000_000
        watched = int(environment.get("WATCHDOG_PID", os.getpid())) == os.getpid()
    except ValueError:
        return
    if watched and period > 0:
        _feed_watchdog(reactor, period / 3, environment)


def _feed_watchdog(reactor: IReactorTime, seconds: float, environment: Mapping[str, str]) -> None:
    try:
        notify("WATCHDOG=1", environment)
    except OSError as error:
        # systemd itself may be busy for a moment: two more words fit into the period.
        _log.warn("systemd can't be told that all is well: {error}", error=error)
    reactor.callLater(seconds, _feed_watchdog, reactor, seconds, environment)


def on_hangup(reactor: Any, reload: Callable[[], object]) -> None:
    """Have SIGHUP reload what can be reloaded, and let SIGUSR1 end nothing.

    Without a handler either signal would end the program, and with it all streams.
    """
    signal.signal(signal.SIGHUP, _once_at_a_time(reactor, reload))
    _outlive_usr1()


def outlive_early_hangup() -> None:
    """Keep SIGHUP from ending a program that starts.  It reads its settings anyway.

    A start may take minutes to upgrade the database, and logs may be rotated meanwhile.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: None)


def outlive_hangup(reactor: Any, hear: Callable[[], object]) -> None:
    """Let neither SIGHUP nor SIGUSR1 end a program that has nothing to reload.

    :param hear: called for each SIGHUP, unless something else in the process takes it.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _once_at_a_time(reactor, hear))
    _outlive_usr1()


def _once_at_a_time(reactor: Any, hear: Callable[[], object]) -> Callable[..., None]:
    """Make a signal handler that has the reactor call ``hear``.

    Signals that come before that call was made are answered by the same call.
    """
    waiting: list[object] = []

    def call() -> None:
        waiting.clear()
        hear()

    def handle(*_: object) -> None:
        if not waiting:
            waiting.append(None)
            reactor.callFromThread(call)

    return handle


def _outlive_usr1() -> None:
    if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        # twistd's log file takes this signal, if there is one, to begin a new file.
        signal.signal(signal.SIGUSR1, lambda *_: None)


def say(text: str) -> None:
    """Speak to whoever started the program, beside the log that twistd makes of stdout."""
    if sys.__stdout__ is not None:
        sys.__stdout__.write(f"{text}\n")
        sys.__stdout__.flush()


def is_heard() -> bool:
    """Tell whether ``say`` reaches anybody: without -n, twistd lets its output go nowhere."""
    if sys.__stdout__ is None:
        return False
    try:
        output = os.fstat(sys.__stdout__.fileno())
    except (OSError, ValueError):  # no file of the system's
        return True
    return not os.path.samestat(output, Path(os.devnull).stat())


def give_up(reactor: IReactorCore, line: str) -> None:
    """Stop a running program that can't go on, with a line on stderr and exit status 1."""

    def leave() -> None:
        # twistd exits with 0 whenever its reactor has stopped; a supervisor has to know better.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    sys.stderr.write(f"{line}\n")
    reactor.addSystemEventTrigger("after", "shutdown", leave)
    reactor.callWhenRunning(reactor.stop)
