"""Going on without the terminal that a command was started from."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import click

_LEFT = b"\0"
_READ_BYTES = 4096


def go_on_in_background() -> Callable[[], None]:
    """Go on in a process of its own; the one that was started shows what that says, and waits.

    The one that was started ends with the other's exit status, or once the other leaves.

    :return: leaves: what is said from then on goes nowhere.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        click.get_current_context().exit(_status_of(process, reading))
    os.close(reading)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    for output in (1, 2):
        os.dup2(writing, output)
    os.close(writing)

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(1, _LEFT)
        for output in (1, 2):
            os.dup2(nothing, output)

    return leave


def _status_of(process: int, reading: int) -> int:
    """Show what the process says until it leaves or ends; give the exit status."""
    try:
        while text := os.read(reading, _READ_BYTES):
            said, left, _ = text.partition(_LEFT)
            click.echo(said, nl=False, err=True)
            if left:
                return 0
        _, status = os.waitpid(process, 0)
    except KeyboardInterrupt:
        os.kill(process, signal.SIGTERM)
        _, status = os.waitpid(process, 0)
    return abs(os.waitstatus_to_exitcode(status))
