"""One ssh connection that carries the tunnels of one login method, and comes back when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.local_ports import is_free
from tunnelcloud.cli.retrying import Pace, lasts, refusal_in
from tunnelcloud.cli.ssh_process import SshProcess
from tunnelcloud.cli.tunnel_rows import Row, State
from tunnelcloud.domain.connecting.way import Way, known_hosts_of
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.ssh_command import OWN_CONNECTION, bracketed, credential_options
from tunnelcloud.domain.tunnel_standing import Stand

KEEP_ALIVE_SECONDS = 5
"""A connection that is silently lost is noticed after three times as long."""

_READY_SECONDS = 60
_KEPT_WORDS = 20
_SHUT = (Stand.SHUT, Stand.OFFLINE)


def arguments_of(ways: Sequence[Way]) -> list[str]:
    """Give the words of the one ssh command that opens tunnels of the same method."""
    first = ways[0]
    words = ["ssh", "-N", "-o", f"ServerAliveInterval={KEEP_ALIVE_SECONDS}", *OWN_CONNECTION]
    words += credential_options(first.method, first.key_file)
    for way in ways:
        for forward in way.forward_specs:
            words += ["-L", forward]
    return [*words, "-p", str(first.pod.port), f"{first.login}@{first.pod.host}"]


class Link:
    """The connection of one method.

    :param token: makes a one-time token.
    :param tell: takes messages that belong to no row.
    :param start: starts ssh; ``SshProcess``, or what tests have instead.
    :ivar rows: the tunnels that it carries.
    :ivar refusal: why it isn't tried any more; empty while it is tried.
    """

    def __init__(
        self,
        method: Method,
        token: Callable[[], str],
        tell: Callable[[str], None],
        start: Callable[..., SshProcess] = SshProcess,
        pace: Pace | None = None,
    ) -> None:
        self.method = method
        self.rows: list[Row] = []
        self.refusal = ""
        self._token = token
        self._tell = tell
        self._start = start
        self._pace = pace or Pace()
        self._ssh: SshProcess | None = None
        self._is_up = False
        self._said: list[str] = []
        self._forwarded: set[str] = set()
        self._next_try = self._until = 0.0

    @property
    def is_up(self) -> bool:
        """Whether the local ports are listened on."""
        return self._is_up

    @property
    def _usable(self) -> list[Row]:
        return [row for row in self.rows if row.way is not None and not row.is_gone]

    def step(self, now: float) -> None:
        """Do what is due now, without waiting."""
        if self.refusal:
            return
        if self._ssh is not None and not self._usable:
            self.end()
        elif self._ssh is not None:
            self._look(self._ssh, now)
        elif now >= self._next_try and any(one.standing[0] not in _SHUT for one in self._usable):
            self._connect(now)

    def _connect(self, now: float) -> None:
        ways = [row.way for row in self._usable if row.way is not None]
        known_hosts = known_hosts_of(ways[0].known_hosts, ways[0].pod.host, ways[0].pod.port)
        self._said = []
        try:
            token = self._token() if self.method is Method.TOKEN else None
            self._ssh = self._start(arguments_of(ways), known_hosts, token, shared=True)
        except Failed as error:
            if lasts(error):
                self._give_up(str(error))
            else:
                self._lose(str(error), now)
            return
        self._forwarded = {forward for way in ways for forward in way.forward_specs}
        self._until = now + _READY_SECONDS

    def _look(self, ssh: SshProcess, now: float) -> None:
        self._hear(ssh)
        if ssh.has_ended():
            # What it said last comes after the end.
            self._hear(ssh)
            self._end_ssh()
            why = refusal_in(self._said)
            if why and self._pace.is_hopeless(now):
                self._give_up(why)
            else:
                self._lose(why or (self._said[-1] if self._said else "ssh ended"), now)
        elif not self._is_up and ssh.is_ready():
            self._is_up = True
            self._pace.is_up(now)
            for row in self._usable:
                row.link = (State.READY, "")
                self._check_listening(row)
            self.follow()
        elif not self._is_up and now >= self._until:
            self._end_ssh()
            self._lose("ssh did not get ready in time", now)

    def _hear(self, ssh: SshProcess) -> None:
        for line in ssh.said():
            self._said = [*self._said, line][-_KEPT_WORDS:]
            if self._is_up and "open failed" in line:
                self._tell(line.partition("open failed: ")[2] or line)

    def _check_listening(self, row: Row) -> None:
        """Note which ports another program took meanwhile."""
        assert row.way is not None
        free = [one.local for one in row.way.forwards if is_free(row.way.local_address, one.local)]
        if free:
            at = f"{bracketed(row.way.local_address)}:{', '.join(map(str, free))}"
            row.link = (State.FAILED, f"ssh could not listen at {at}")

    def _lose(self, why: str, now: float) -> None:
        was_up, self._is_up = self._is_up, False
        self._next_try = self._pace.next_try(now)
        for row in self.rows:
            first = row.link[0] is State.CONNECTING and not was_up
            row.link = (State.CONNECTING if first else State.RECONNECTING, why)

    def _give_up(self, why: str) -> None:
        self.refusal = why
        self._is_up = False
        for row in self.rows:
            row.link = (State.REFUSED, why)

    def follow(self) -> None:
        """Listen for tunnels that were added, and stop for those that were removed."""
        if self._ssh is None or not self._is_up:
            return
        wanted = {
            forward: row
            for row in self._usable
            if row.way is not None
            for forward in row.way.forward_specs
        }
        for forward in sorted(self._forwarded - wanted.keys()):
            self._try(self._ssh.cancel, forward)
        for forward in sorted(wanted.keys() - self._forwarded):
            fault = self._try(self._ssh.forward, forward)
            wanted[forward].link = (State.FAILED, fault) if fault else (State.READY, "")
        self._forwarded = set(wanted)

    def _try(self, do: Callable[[str], None], forward: str) -> str:
        try:
            do(forward)
        except Failed as error:
            return str(error)
        return ""

    def restart(self, why: str, now: float) -> None:
        """Connect again; open streams are cut."""
        if self._ssh is not None:
            self._end_ssh()
            self._lose(why, now)
            self._next_try = now

    def _end_ssh(self) -> None:
        if self._ssh is not None:
            ssh, self._ssh = self._ssh, None
            ssh.end()

    def end(self) -> None:
        """End it, and leave nothing behind."""
        self._is_up = False
        self._end_ssh()
