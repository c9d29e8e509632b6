"""The system's ssh, run with a one-time token that nobody else on the machine gets to see.

The token is in no argument, no environment and no file: ssh asks for it through a pipe with a name
in a directory of our own, once.  The host keys come from the API, so that nothing is asked.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tunnelcloud.cli.child_processes import Guard
from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.ssh_proxy import proxy_command
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.proxy_choice import BadProxy

_CONNECT_SECONDS = 30
_POLL_SECONDS = 0.1
_END_SECONDS = 5
_READ_BYTES = 65536
_MOST_SAID = 65536
_LONGEST_DIRECTORY = 60
"""A socket's path has 104 bytes on some systems, of which ssh takes 17 and this program 30."""
_DEVICE_NULL = "/dev/null"
_FAILED = {
    Method.TOKEN: "ssh could not open the tunnel; its words are above. The portal's Sessions page "
    "shows what was refused",
    Method.KEY: "ssh could not open the tunnel; its words are above. If they are “Permission "
    "denied”, no key opened it: name one with --key-file FILE, or use --method token; the portal's "
    "Sessions page shows what was refused",
}
_SAYS_NOTHING = {b"loglevel SILENT", b"loglevel QUIET", b"loglevel FATAL"}


class SshProcess:
    """One ssh that forwards ports.

    :param arguments: the words of the generated command, ``ssh`` first.
    :param known_hosts: lines with the pod's host keys.
    :param token: None for a login by key.
    :param shared: whether it carries several tunnels: a port that can't be listened on leaves the
        others alone, ports come and go while it runs, and its words are kept for ``said``.
    :ivar guard: ends it, and what else it is told, when this program is killed.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        known_hosts: Sequence[str],
        token: str | None,
        *,
        shared: bool = False,
    ) -> None:
        program = shutil.which(arguments[0])
        if program is None:
            raise Failed("there is no ssh on this machine: install OpenSSH's client")
        self._program = program
        self._directory = _new_directory()
        self._pipes: list[int] = []
        self._half_said = b""
        self._method = Method.KEY if token is None else Method.TOKEN
        self._process: subprocess.Popen[bytes] | None = None
        self.guard = Guard(self._directory)
        try:
            self._ready = self._pipe("ready")
            hosts = self._directory / "known_hosts"
            hosts.write_text("".join(f"{line}\n" for line in known_hosts))
            options = [*self._sharing(shared), *self._options(hosts, self._method)]
            options += _against_own_settings([program, *arguments[1:]])
            # The words are the ones that are shown to be pasted.
            self._process = subprocess.Popen(  # noqa: S603
                [program, *options, *arguments[1:]],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE if shared else None,
                env=self._environment(token),
                # Ctrl-C is for the program that uses the tunnel, and no terminal is asked.
                start_new_session=True,
            )
            self.guard.watch(self._process.pid)
            if self._process.stderr is not None:
                os.set_blocking(self._process.stderr.fileno(), False)
        except BaseException:
            self.end()
            raise

    def _pipe(self, name: str) -> int:
        path = self._directory / name
        os.mkfifo(path, 0o600)
        # Open at both ends: neither side waits for the other.
        pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._pipes.append(pipe)
        return pipe

    def _sharing(self, shared: bool) -> list[str]:
        """Give the options for several tunnels; where one is given twice, the first counts."""
        if not shared:
            return []
        control = str(self._control).replace("%", "%%")
        options = ("ExitOnForwardFailure=no", "ControlMaster=yes", f"ControlPath={control}")
        return [word for option in options for word in ("-o", option)]

    @property
    def _control(self) -> Path:
        return self._directory / "control"

    def _options(self, hosts: Path, method: Method) -> list[str]:
        ready = shlex.quote(str(self._directory / "ready")).replace("%", "%%")
        options = {
            "UserKnownHostsFile": str(hosts),
            "GlobalKnownHostsFile": _DEVICE_NULL,
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "ControlMaster": "no",
            "ControlPath": "none",
            "ConnectTimeout": str(_CONNECT_SECONDS),
            # It runs once the ports are listened on.
            "PermitLocalCommand": "yes",
            "LocalCommand": f"echo > {ready}",
        }
        if method is Method.KEY:
            # Nothing else is asked for, as nobody is there to answer.
            options |= {"PreferredAuthentications": "publickey"}
        if method is Method.TOKEN:
            options |= {
                # The prompt of keyboard-interactive comes with a link, which nobody needs here.
                "PreferredAuthentications": "password",
                "PasswordAuthentication": "yes",
                "BatchMode": "no",
                "NumberOfPasswordPrompts": "1",
            }
        return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]

    def _environment(self, token: str | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "API_TOKEN" not in name}
        if token is None:
            return kept
        os.write(self._pipe("token"), f"{token}\n".encode("ascii"))
        askpass = self._directory / "askpass"
        pipe = shlex.quote(str(self._directory / "token"))
        askpass.write_text(f"#!/bin/sh\nIFS= read -r token < {pipe} && printf '%s\\n' \"$token\"\n")
        askpass.chmod(0o700)
        return {
            "DISPLAY": ":0",  # without it, ssh before 8.4 doesn't ask a program
            **kept,
            "SSH_ASKPASS": str(askpass),
            "SSH_ASKPASS_REQUIRE": "force",
        }

    def wait_until_ready(self) -> None:
        """Wait until the local ports are listened on.

        :raise Failed: ssh ended before; it said why itself.
        """
        while not self.is_ready(_POLL_SECONDS):
            if self.has_ended():
                raise Failed(_FAILED[self._method])

    def is_ready(self, seconds: float = 0) -> bool:
        """Tell whether the local ports are listened on, or are within a time."""
        return bool(select.select([self._ready], [], [], seconds)[0])

    def has_ended(self) -> bool:
        """Tell whether it has ended."""
        return self._process is None or self._process.poll() is not None

    def said(self) -> list[str]:
        """Give the lines that it has said since the last look, if it is shared."""
        if self._process is None or self._process.stderr is None:
            return []
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._process.stderr.fileno(), _READ_BYTES):
                self._half_said += piece
        *lines, self._half_said = self._half_said[-_MOST_SAID:].split(b"\n")
        return [line.decode("utf-8", "replace").rstrip("\r") for line in lines]

    def forward(self, forward: str) -> None:
        """Listen on one more port, if it is shared.

        :param forward: as ``-L`` has it.
        :raise Failed: ssh can't, with its words.
        """
        self._control_by("forward", forward)

    def cancel(self, forward: str) -> None:
        """Stop listening on a port, if it is shared.

        :raise Failed: ssh can't, with its words.
        """
        self._control_by("cancel", forward)

    def _control_by(self, verb: str, forward: str) -> None:
        words = [self._program, "-F", "none", "-S", str(self._control), "-O", verb]
        done = _run([*words, "-L", forward, "tunnel"], f"{verb} {forward}")
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise Failed(said[-1] if said else f"ssh could not {verb} {forward}")

    def wait(self) -> int:
        """Wait until it ends; give its exit status."""
        assert self._process is not None
        return self._process.wait()

    def end(self) -> None:
        """End it, and leave nothing behind."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process is not None and self._process.stderr is not None:
            self._process.stderr.close()
        for pipe in self._pipes:
            os.close(pipe)
        self._pipes.clear()
        shutil.rmtree(self._directory, ignore_errors=True)
        self.guard.dismiss()


def _new_directory() -> Path:
    """Make a directory whose path leaves room for the name of a socket."""
    usual = tempfile.gettempdir()
    return Path(
        tempfile.mkdtemp(
            prefix="tunnelcloud-",
            dir=usual if len(usual) <= _LONGEST_DIRECTORY else "/tmp",  # noqa: S108 - made 0700
        )
    )


def _run(words: Sequence[str], what: str) -> subprocess.CompletedProcess[bytes]:
    """Run ssh for a short task.

    :param what: the task, for messages.
    :raise Failed: it doesn't end in time.
    """
    try:
        return subprocess.run(  # noqa: S603 - the words are those of the callers
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CONNECT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"ssh could not {what} within {_CONNECT_SECONDS} seconds") from None


def _against_own_settings(command: Sequence[str]) -> list[str]:
    """Return options that override what would prevent a connection in the user's configuration."""
    program, *words = command
    shown = _run([program, "-G", *words], "show its settings").stdout.splitlines()
    options = []
    if any(line.startswith(b"remoteforward ") for line in shown):
        # The pod refuses them, and this must not end ssh.
        options += ["-o", "ExitOnForwardFailure=no"]
    if not _SAYS_NOTHING.isdisjoint(shown):
        options += ["-o", "LogLevel=ERROR"]
    return options + _through_proxy(shown)


def _through_proxy(shown: Sequence[bytes]) -> list[str]:
    """Return the option for the environment's proxy, unless the user's configuration has a way.

    :param shown: what ``ssh -G`` says of the connection.
    :raise Failed: a variable names a proxy that can't be used.
    """
    said = dict(line.decode("utf-8", "replace").partition(" ")[::2] for line in shown)
    if "proxycommand" in said or "proxyjump" in said or "hostname" not in said:
        return []
    try:
        command = proxy_command(os.environ, said["hostname"], int(said["port"]))
    except BadProxy as error:
        raise Failed(str(error)) from None
    return ["-o", f"ProxyCommand={command}"] if command else []
