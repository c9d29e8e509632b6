"""Processes that end with this program, however it ends.

The kernel ends no children with their parent, and nobody can catch SIGKILL.  So a small shell
waits, in a session of its own, for the end of a pipe that only this program holds open.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

_SHELL = "/bin/sh"
_OVER = "over"
_END_SECONDS = 5
_SCRIPT = f"""\
trap '' HUP INT QUIT TERM
while read -r line; do
    case $line in {_OVER}) exit 0;; *) set -- "$@" "$line";; esac
done
for process in "$@"; do kill -s TERM -- "$process"; done
rm -rf -- "$0"
"""


class Guard:
    """Ends processes and removes a directory once this program is gone.

    :param directory: what to remove.
    """

    def __init__(self, directory: Path) -> None:
        reading, self._writing = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [_SHELL, "-c", _SCRIPT, str(directory)],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(reading)

    def watch(self, process: int) -> None:
        """End a process later, or a group of them if the number is negative."""
        self._tell(str(process))

    def dismiss(self) -> None:
        """Dismiss the guard: there is nothing left to end."""
        self._tell(_OVER)
        os.close(self._writing)
        self._process.wait()

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # somebody has killed it
            os.write(self._writing, f"{line}\n".encode("ascii"))


class Command:
    """A command line of the user's, run by a shell.

    It stays in this program's group of processes if there is a terminal, which gives that group its
    keys; without one it gets a group of its own, so that all it starts ends with it.
    """

    def __init__(self, line: str, guard: Guard) -> None:
        self._alone = not _has_terminal()
        # It is the user's own shell command, typed for that.
        self._process = subprocess.Popen(  # noqa: S602
            line, shell=True, process_group=0 if self._alone else None
        )
        guard.watch(-self._process.pid if self._alone else self._process.pid)

    def wait(self) -> int:
        """Wait until it ends; give its exit status, negative for a signal."""
        while True:
            try:
                return self._process.wait()
            except KeyboardInterrupt:
                # At a terminal the command got it as well, and may have other plans with it.
                if self._alone:
                    self._send(signal.SIGINT)

    def end(self) -> None:
        """End it if it runs, and what it has left running in its own group."""
        if self._process.poll() is not None and not self._alone:
            return
        self._send(signal.SIGTERM)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._send(signal.SIGKILL)
            self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._alone:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
