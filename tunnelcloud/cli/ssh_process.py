"""The system's ssh, run with a one-time token that nobody else on the machine gets to see.

The token is in no argument, no environment and no file: ssh asks for it through a pipe with a name
in a directory of our own, once.  The host keys come from the API, so that nothing is asked.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tunnelcloud.cli.children import Guard
from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.proxied import proxy_command
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.proxies import BadProxy

_CONNECT_SECONDS = 30
_POLL_SECONDS = 0.1
_END_SECONDS = 5
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
    :ivar guard: ends it, and what else it is told, when this program is killed.
    """

    def __init__(
        self, arguments: Sequence[str], known_hosts: Sequence[str], token: str | None
    ) -> None:
        program = shutil.which(arguments[0])
        if program is None:
            raise Failed("there is no ssh on this machine: install OpenSSH's client")
        self._directory = Path(tempfile.mkdtemp(prefix="tunnelcloud-"))
        self._pipes: list[int] = []
        self._method = Method.KEY if token is None else Method.TOKEN
        self._process: subprocess.Popen[bytes] | None = None
        self.guard = Guard(self._directory)
        try:
            self._ready = self._pipe("ready")
            hosts = self._directory / "known_hosts"
            hosts.write_text("".join(f"{line}\n" for line in known_hosts))
            options = self._options(hosts, self._method)
            options += _against_own_settings([program, *arguments[1:]])
            # The words are the ones that are shown to be pasted.
            self._process = subprocess.Popen(  # noqa: S603
                [program, *options, *arguments[1:]],
                stdin=subprocess.DEVNULL,
                env=self._environment(token),
                # Ctrl-C is for the program that uses the tunnel, and no terminal is asked.
                start_new_session=True,
            )
            self.guard.watch(self._process.pid)
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
                "PreferredAuthentications": "keyboard-interactive",
                "KbdInteractiveAuthentication": "yes",
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
        assert self._process is not None
        while not select.select([self._ready], [], [], _POLL_SECONDS)[0]:
            if self._process.poll() is not None:
                raise Failed(_FAILED[self._method])

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
        for pipe in self._pipes:
            os.close(pipe)
        self._pipes.clear()
        shutil.rmtree(self._directory, ignore_errors=True)
        self.guard.dismiss()


def _against_own_settings(command: Sequence[str]) -> list[str]:
    """Give options against what the user's own configuration has in the way of a connection."""
    program, *words = command
    # The words are those that ssh is about to be run with.
    shown = subprocess.run(  # noqa: S603
        [program, "-G", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_CONNECT_SECONDS,
        check=False,
    ).stdout.splitlines()
    options = []
    if any(line.startswith(b"remoteforward ") for line in shown):
        # The pod refuses them, and this must not end ssh.
        options += ["-o", "ExitOnForwardFailure=no"]
    if not _SAYS_NOTHING.isdisjoint(shown):
        options += ["-o", "LogLevel=ERROR"]
    return options + _through_proxy(shown)


def _through_proxy(shown: Sequence[bytes]) -> list[str]:
    """Give the option for the proxy of the environment, where the user's own has no other way.

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
