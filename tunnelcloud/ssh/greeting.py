"""What ``ssh pod`` shows: the user's tunnels, their traffic, and a check of the way to one.

A session channel runs one command, which ``session_commands`` reads.  The output is plain text,
without control characters unless the client asked for a terminal.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import asdict
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.channels.messages import Reader
from tunnelcloud.net.escaping import escape
from tunnelcloud.ssh.greeting_text import (
    NO_TRAFFIC,
    json_text,
    ls_json,
    ls_text,
    step_line,
    traffic_line,
    traffic_text,
)
from tunnelcloud.ssh.interfaces import DoctorStep, ISessionInformation, TunnelTraffic
from tunnelcloud.ssh.session_commands import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    USAGE,
    Check,
    Command,
    Hold,
    Refused,
    Show,
    read_command,
    refused_subsystem,
)

_CTRL_C, _CTRL_D = 3, 4
_REFRESH_SECONDS = 1
_LEAVING = re.compile(rb"(?:\A|\n)[ \t\v\f]*(?:exit|logout|quit)[ \t\v\f]*\n")
_LONGEST_LINE = 8192
_MOST_UNSENT = 128 * 1024
_READING_SECONDS = 60
"""How long a list waits for a client that reads nothing: its rows stay in memory meanwhile."""

_TALLEST = 200
"""Lines of the tallest terminal whose counters are written over the last ones."""


@implementer(IChannelUser)
class Greeting:
    """One session channel.

    :param guarded: calls something, and ends the connection if that fails.
    :param ended: called when the channel is over.
    :param refuses_subsystems: whether the client doesn't notice the end of a subsystem, so that
        none is granted.
    """

    def __init__(
        self,
        channel: IChannel,
        information: ISessionInformation,
        clock: IReactorTime,
        guarded: Callable[..., None],
        ended: "Callable[[Greeting], None]",
        refuses_subsystems: bool,
    ) -> None:
        self._channel = channel
        self._information = information
        self._clock = clock
        self._guarded = guarded
        self._ended = ended
        self._refuses_subsystems = refuses_subsystems
        self._terminal = False
        self._height = 0
        self._due = 0.0
        self._typed = b""
        self._started = False
        self._copies = False
        self._ends_with_input = False
        self._running: Deferred[None] | None = None
        self._stopped: Deferred[int] | None = None
        self._refresh: IDelayedCall | None = None
        self._shown: Mapping[str, TunnelTraffic] = {}
        self._told: Sequence[str] = ()
        self._input_ended = False
        self._unsent = 0
        self._room: Deferred[None] | None = None
        self._exit_status: int | None = None
        self._over = False

    # IChannelUser.

    def opened(self) -> None:
        """Never called: the client asked for this channel."""

    def open_failed(self, reason_code: int, description: str) -> None:
        """Never called: the client asked for this channel."""

    def data_received(self, data: memoryview) -> None:
        """Handle typed input: Ctrl-C, Ctrl-D and ``exit`` end the session, ``cat`` repeats the
        input."""
        typed = bytes(data)
        if self._copies:
            self._unsent += len(typed)
            self._channel.write(typed)
        else:
            self._channel.consumed(len(typed))
        if _CTRL_C in typed and (self._terminal or not self._copies):
            self._stop(EXIT_OK if self._ends_with_input else EXIT_INTERRUPTED)
        elif self._ends_with_input and (self._has_left(typed) or self._typed_end(typed)):
            self._stop(EXIT_OK)

    def _typed_end(self, typed: bytes) -> bool:
        return _CTRL_D in typed and (self._terminal or not self._copies)

    def _has_left(self, typed: bytes) -> bool:
        """Whether the user typed a line that leaves a shell."""
        text = self._typed + typed.replace(b"\r", b"\n")
        self._typed = text.rpartition(b"\n")[2][-16:]
        return not self._copies and _LEAVING.search(text) is not None

    def eof_received(self) -> None:
        """Stop a command that lasts until its input ends."""
        self._input_ended = True
        if self._ends_with_input:
            self._stop(EXIT_OK)

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        """Handle a request; refuse all but a terminal and the one command."""
        if request_type == b"pty-req" and not self._started:
            reader = Reader(data)
            reader.string()
            reader.uint32()
            self._height = reader.uint32()
            self._terminal = True
            return True
        if self._started and request_type in (b"shell", b"exec", b"subsystem"):
            return False
        if request_type == b"shell":
            return self._start(Show("live"))
        if request_type == b"exec":
            return self._start(read_command(Reader(data).string(), self._information.jump()))
        if request_type == b"subsystem" and not self._refuses_subsystems:
            # OpenSSH shows standard error only after the request was granted.
            return self._start(refused_subsystem(Reader(data).string(), self._information.jump()))
        if request_type == b"signal":
            self._stop(EXIT_OK if self._ends_with_input else EXIT_INTERRUPTED)
            return True
        return request_type == b"window-change"

    def peer_closed(self) -> None:
        """Stop: nobody looks any more."""
        self._channel.close("closed by the peer")

    def drained(self, count: int) -> None:
        """Go on once the client has taken what was shown."""
        self._unsent -= count
        if self._copies:
            self._channel.consumed(count)
        if self._room is not None and self._unsent <= _MOST_UNSENT:
            room, self._room = self._room, None
            room.callback(None)
        self._finish_if_sent()

    def closed(self, clean: bool, reason: str) -> None:
        """Stop."""
        self._over = True
        if self._refresh is not None and self._refresh.active():
            self._refresh.cancel()
        if self._running is not None:
            self._running.cancel()
        if self._room is not None:
            self._room.cancel()
        self._ended(self)

    # Commands.

    def _start(self, command: Command) -> bool:
        """Run the one command, but not before the reply to its request is out."""
        self._started = True
        # Its input may come together with the request.
        self._copies = self._ends_with_input = command == Hold(None)
        self._refresh = self._clock.callLater(0, self._guarded, self._run_now, command)
        return True

    def _run_now(self, command: Command) -> None:
        self._refresh = None
        self._running = Deferred.fromCoroutine(self._run(command))
        self._running.addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        if not self._over:
            self._guarded(failure.raiseException)

    async def _run(self, command: Command) -> None:
        try:
            status = await self._perform(command)
        except defer.TimeoutError:
            self._room = None
            status = EXIT_FAILED
        self._exit(status)

    async def _perform(self, command: Command) -> int:
        match command:
            case Show("live"):
                return await self._show_live()
            case Show("list"):
                return await self._list(command.as_json)
            case Show("usage"):
                self._print(USAGE)
                return EXIT_OK
            case Check(tunnel, as_json):
                return await self._check(tunnel, as_json)
            case Hold(seconds):
                return await self._hold(seconds)
            case Refused(line, status):
                self._complain(line)
                return status
        raise AssertionError("there are no others")

    async def _hold(self, seconds: float | None) -> int:
        """Wait, as ``sleep`` does; or send the input back until it ends, as ``cat`` does."""
        if seconds is None:
            return EXIT_OK if self._input_ended else await self._until_stopped()
        if not seconds:
            return EXIT_OK
        self._refresh = self._clock.callLater(seconds, self._stop_now, EXIT_OK)
        return await self._until_stopped()

    async def _show_live(self) -> int:
        """Show the tunnels; then their traffic, until the client has had enough."""
        names = await self._information.in_place(self._show_beginning)
        if self._stopped is None:
            return EXIT_OK
        if self._refresh is None:
            self._due = self._clock.seconds()
            self._tick_later(names)
        return await self._stopped

    async def _show_beginning(self) -> Sequence[str]:
        """Show the tunnels, and their traffic if the client still has input.

        Nothing of the rows is kept: there may be thousands, and somebody may look for hours.

        :return: the names of the tunnels whose counters are written over from now on; empty where
            lines are added instead.
        """
        rows = await self._information.tunnels()
        await self._show(self._print, ls_text(rows))
        if self._input_ended:
            return ()
        self._print("".join(f"{line}\n" for line in self._news()))
        self._print("\nTraffic of this session, until Ctrl-C:\n")
        self._ends_with_input = True
        self._stopped = Deferred()
        names = [row.name for row in rows]
        if self._terminal and len(names) + 1 < min(self._height, _TALLEST):
            self._write_over(names, first=True)
            return names
        self._shown = dict(self._information.traffic())
        await self._show(self._print, traffic_text(names, self._shown))
        return ()

    def _tick_later(self, names: Sequence[str]) -> None:
        """Show what has changed in a second; ``names`` as ``_show_beginning`` gives them."""
        # At times of its own, so that those of many don't fall into one turn of the reactor.
        now = self._clock.seconds()
        self._due = max(self._due + _REFRESH_SECONDS, now)
        self._refresh = self._clock.callLater(self._due - now, self._tick, names)

    def _tick(self, names: Sequence[str]) -> None:
        self._tick_later(names)
        if not self._unsent:
            self._guarded(self._write_over if names else self._add_changes, names)

    def _news(self) -> Sequence[str]:
        """Give the lines about what waits that weren't there a moment ago."""
        told, self._told = self._told, self._information.waiting()
        if told is self._told:
            return ()
        known = frozenset(told)
        return [line for line in self._told if line not in known]

    def _write_over(self, names: Sequence[str], first: bool = False) -> None:
        """Write all counters over the last ones, below what waits since then."""
        news = self._news()
        carried = self._information.traffic()
        traffic = {name: carried.get(name, NO_TRAFFIC) for name in names}
        if traffic == self._shown and not news:
            return
        up = "" if first else f"\x1b[{len(names)}A"
        lines = [escape(line, _LONGEST_LINE) for line in news]
        lines += [traffic_line(*item) for item in traffic.items()]
        self._write(up + "".join(f"\x1b[K{line}\n" for line in lines))
        self._shown = traffic

    def _add_changes(self, _: Sequence[str]) -> None:
        """Write the counters that have changed, below what waits since then."""
        news = self._news()
        shown, self._shown = self._shown, dict(self._information.traffic())
        changed = [
            item for item in self._shown.items() if item[1] != shown.get(item[0], NO_TRAFFIC)
        ]
        lines = [*news, *(traffic_line(*item) for item in changed)]
        self._print("".join(f"{line}\n" for line in lines))

    async def _list(self, as_json: bool) -> int:
        async def show() -> None:
            rows = await self._information.tunnels()
            if as_json:
                await self._show(self._write, ls_json(rows))
            else:
                await self._show(self._print, ls_text(rows))

        await self._information.in_place(show)
        return EXIT_OK

    async def _check(self, name: str, as_json: bool) -> int:
        steps: list[DoctorStep] = []
        try:
            async for step in self._information.doctor(name):
                steps.append(step)
                if not as_json:
                    self._print(step_line(step))
        except LookupError:
            self._print(f"{escape(name)}: you have no such tunnel\n")
            return EXIT_FAILED
        if as_json:
            self._write(json_text([asdict(step) for step in steps]))
        return EXIT_OK if steps and all(step.ok for step in steps) else EXIT_FAILED

    async def _until_stopped(self) -> int:
        self._stopped = Deferred()
        return await self._stopped

    def _stop(self, status: int) -> None:
        """End the command, after the reply to the request that ended it has been sent."""
        if self._stopped is not None:
            if self._refresh is not None and self._refresh.active():
                self._refresh.cancel()
            self._refresh = self._clock.callLater(0, self._stop_now, status)

    def _stop_now(self, status: int) -> None:
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            self._guarded(stopped.callback, status)

    # Output.

    async def _show(self, write: Callable[[str], None], parts: Iterable[str]) -> None:
        """Write a list, a part at a time in turns with others, and no faster than the client
        reads.

        :raise TimeoutError: the client has read nothing for ``_READING_SECONDS``.
        """

        def steps() -> Iterator[Deferred[None] | None]:
            for part in parts:
                if self._unsent > _MOST_UNSENT:
                    self._room = Deferred()
                    yield self._room.addTimeout(_READING_SECONDS, self._clock)
                if self._over:
                    return
                write(part)
                yield None

        await self._information.in_turns(steps())

    def _print(self, text: str) -> None:
        """Write lines without control characters."""
        self._write("\n".join(escape(line, _LONGEST_LINE) for line in text.split("\n")))

    def _write(self, text: str) -> None:
        if self._over or not text:
            return
        data = (text.replace("\n", "\r\n") if self._terminal else text).encode()
        self._unsent += len(data)
        self._channel.write(data)

    def _complain(self, line: str) -> None:
        """Write one line to standard error, before whatever else comes."""
        self._channel.write_error(f"{escape(line, _LONGEST_LINE)}\r\n".encode())

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
