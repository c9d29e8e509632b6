"""What C{ssh pod} shows: the user's tunnels, their traffic, and a check of the way to one.

A session channel runs one command: none (the live view), C{ls} or C{doctor}.  It is plain text,
with nothing in it that a terminal would obey unless a terminal was asked for.
"""

import json
import shlex
import struct
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import asdict
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.channels.messages import Reader
from tunnelcloud.ssh.escaping import escape
from tunnelcloud.ssh.interfaces import DoctorStep, ISessionAvatar, TunnelRow, TunnelTraffic

USAGE = """usage: ssh POD                          your tunnels, and their traffic until Ctrl-C
       ssh POD ls [--json]              your tunnels
       ssh POD doctor TUNNEL [--json]   check the way to a tunnel, hop by hop
"""
EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
_CTRL_C, _CTRL_D = 3, 4
_REFRESH_SECONDS = 1
_NO_TRAFFIC = TunnelTraffic(0, 0, 0)
_LONGEST_COMMAND = 1024
_LONGEST_LINE = 8192


@implementer(IChannelUser)
class Greeting:
    """One session channel.

    :param guarded: calls something, and ends the connection if that fails.
    :param ended: hears when the channel is over.
    """

    def __init__(
        self,
        channel: IChannel,
        avatar: ISessionAvatar,
        clock: IReactorTime,
        guarded: Callable[..., None],
        ended: "Callable[[Greeting], None]",
    ) -> None:
        self._channel = channel
        self._avatar = avatar
        self._clock = clock
        self._guarded = guarded
        self._ended = ended
        self._terminal = False
        self._height = 0
        self._in_place = False
        self._live = False
        self._started = False
        self._running: Deferred[None] | None = None
        self._stopped: Deferred[None] = Deferred()
        self._refresh: IDelayedCall | None = None
        self._shown: Mapping[str, TunnelTraffic] = {}
        self._input_ended = False
        self._unsent = 0
        self._exit_status: int | None = None
        self._over = False

    # IChannelUser.

    def opened(self) -> None:
        """Never called: the client asked for this channel."""

    def open_failed(self, reason_code: int, description: str) -> None:
        """Never called: the client asked for this channel."""

    def data_received(self, data: memoryview) -> None:
        """Take what was typed: only Ctrl-C and Ctrl-D mean something."""
        typed = bytes(data)
        self._channel.consumed(len(typed))
        if _CTRL_C in typed or _CTRL_D in typed:
            self._stop()

    def eof_received(self) -> None:
        """Stop the live view: nobody can type Ctrl-C any more."""
        self._input_ended = True
        self._stop()

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        """Take a request; everything but a terminal and the one command is refused."""
        if request_type == b"pty-req" and not self._started:
            reader = Reader(data)
            reader.string()
            reader.uint32()
            self._height = reader.uint32()
            self._terminal = True
            return True
        if request_type == b"shell":
            return self._start(b"")
        if request_type == b"exec":
            return self._start(Reader(data).string())
        if request_type == b"signal":
            self._stop()
            return True
        return request_type == b"window-change"

    def drained(self, count: int) -> None:
        """Go on once the client has taken what was shown."""
        self._unsent -= count
        self._finish_if_sent()

    def closed(self, clean: bool, reason: str) -> None:
        """Stop."""
        self._over = True
        if self._refresh is not None and self._refresh.active():
            self._refresh.cancel()
        if self._running is not None:
            self._running.cancel()
        self._ended(self)

    # Commands.

    def _start(self, command: bytes) -> bool:
        """Run the one command, but not before the reply to its request is out."""
        if self._started:
            return False
        self._started = True
        self._refresh = self._clock.callLater(0, self._guarded, self._run_now, command)
        return True

    def _run_now(self, command: bytes) -> None:
        self._refresh = None
        self._running = Deferred.fromCoroutine(self._run(command))
        self._running.addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        if not self._over:
            self._guarded(failure.raiseException)

    async def _run(self, command: bytes) -> None:
        run = self._parse(command)
        self._exit(EXIT_USAGE if run is None else await run)

    def _parse(self, command: bytes) -> "Coroutine[Any, Any, int] | None":
        try:
            words = shlex.split(command[:_LONGEST_COMMAND].decode("utf-8", "backslashreplace"))
        except ValueError:
            words = ["?"]
        as_json = "--json" in words
        match [word for word in words if word != "--json"]:
            case [] if not as_json:
                return self._show_live()
            case ["ls"]:
                return self._list(as_json)
            case ["doctor", name]:
                return self._check(name, as_json)
        self._print(USAGE)
        return None

    async def _show_live(self) -> int:
        """Show the tunnels; then their traffic, until the client has had enough."""
        rows = await self._avatar.tunnels()
        self._print(_listing(rows))
        if not rows:
            return EXIT_OK
        if self._input_ended:
            return EXIT_OK
        self._print("\nTraffic of this session, until Ctrl-C:\n")
        self._live = True
        names = [row.name for row in rows]
        self._in_place = self._terminal and len(names) + 1 < self._height
        self._show_traffic(names, first=True)
        self._refresh = self._clock.callLater(_REFRESH_SECONDS, self._tick, names)
        await self._stopped
        return EXIT_OK

    def _tick(self, names: Sequence[str]) -> None:
        self._refresh = self._clock.callLater(_REFRESH_SECONDS, self._tick, names)
        if not self._unsent:
            self._guarded(self._show_traffic, names)

    def _show_traffic(self, names: Sequence[str], first: bool = False) -> None:
        """Write the counters: over the last ones on a terminal, else those that changed."""
        traffic = {name: self._avatar.traffic().get(name, _NO_TRAFFIC) for name in names}
        if traffic == self._shown:
            return
        if self._in_place:
            up = "" if first else f"\x1b[{len(names)}A"
            lines = "".join(f"\x1b[K{_traffic_line(*item)}\n" for item in traffic.items())
            self._write(up + lines)
        else:
            changed = [item for item in traffic.items() if item[1] != self._shown.get(item[0])]
            self._print("".join(f"{_traffic_line(*item)}\n" for item in changed))
        self._shown = traffic

    async def _list(self, as_json: bool) -> int:
        rows = await self._avatar.tunnels()
        if as_json:
            self._write(_json([dict(row.api) for row in rows]))
        else:
            self._print(_listing(rows))
        return EXIT_OK

    async def _check(self, name: str, as_json: bool) -> int:
        steps: list[DoctorStep] = []
        try:
            async for step in self._avatar.doctor(name):
                steps.append(step)
                if not as_json:
                    self._print(_step_line(step))
        except LookupError:
            self._print(f"{escape(name)}: you have no such tunnel\n")
            return EXIT_FAILED
        if as_json:
            self._write(_json([asdict(step) for step in steps]))
        return EXIT_OK if steps and all(step.ok for step in steps) else EXIT_FAILED

    def _stop(self) -> None:
        """End the live view, but not before the reply to what ended it is out."""
        if self._live and self._refresh is not None and self._refresh.active():
            self._live = False
            self._refresh.cancel()
            self._refresh = self._clock.callLater(0, self._guarded, self._stopped.callback, None)

    # Output.

    def _print(self, text: str) -> None:
        """Write lines of which every character is meant to be seen."""
        self._write("\n".join(escape(line, _LONGEST_LINE) for line in text.split("\n")))

    def _write(self, text: str) -> None:
        if self._over or not text:
            return
        data = (text.replace("\n", "\r\n") if self._terminal else text).encode()
        self._unsent += len(data)
        self._channel.write(data)

    def _exit(self, status: int) -> None:
        self._exit_status = status
        self._finish_if_sent()

    def _finish_if_sent(self) -> None:
        """Send exit status and CLOSE, which would overtake bytes that still wait."""
        if self._exit_status is None or self._unsent or self._over:
            return
        status, self._exit_status = self._exit_status, None
        self._channel.send_request(b"exit-status", struct.pack(">I", status))
        self._channel.send_eof()
        self._channel.close()


def _listing(rows: Sequence[TunnelRow]) -> str:
    if not rows:
        return "You have no tunnels that this login can open.\n"
    width = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        title = f"  {row.title}" if row.title else ""
        lines += [f"{row.name:<{width}}  {row.state}{title}", f"    {row.command}"]
    return "\n".join(lines) + "\n"


def _traffic_line(name: str, traffic: TunnelTraffic) -> str:
    sent, received = _bytes(traffic.bytes_to_target), _bytes(traffic.bytes_from_target)
    return f"{escape(name)}: {traffic.open_channels} open, {sent} sent, {received} received"


def _bytes(count: int) -> str:
    """Give a number of bytes in binary units."""
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


def _step_line(step: DoctorStep) -> str:
    mark = "FAIL" if not step.ok else "warn" if step.warning else "ok  "
    return f"{mark}  {step.name:<12} {step.milliseconds:8.1f} ms  {step.text}\n"


def _json(value: object) -> str:
    """Give JSON in ASCII, which a terminal can't obey, one value a line."""
    return json.dumps(value, indent=2, default=_instant) + "\n"


def _instant(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
