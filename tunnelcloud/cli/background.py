"""Lets a command go on without its terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Mapping

import click

_OUTPUTS = (1, 2)
_ERRORS = 2
_LEFT = b"\0"
_READ_BYTES = 4096


def go_on_in_background() -> Callable[[], None]:
    """Continue in a new process; the first process shows its output, and waits.

    The first process ends with the new one's exit status, or when the new one detaches.

    :return: detaches from the first process; later output is dropped.
    """
    pipes = {output: os.pipe() for output in _OUTPUTS}
    process = os.fork()
    if process:
        for _, writing in pipes.values():
            os.close(writing)
        reading = {pipes[output][0]: output for output in _OUTPUTS}
        click.get_current_context().exit(_status_of(process, reading))
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    for output, (other_end, writing) in pipes.items():
        os.close(other_end)
        os.dup2(writing, output)
        os.close(writing)

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for output in _OUTPUTS:
            os.write(output, _LEFT)
            os.dup2(nothing, output)

    return leave


def _status_of(process: int, reading: Mapping[int, int]) -> int:
    """Show the process's output until it detaches or ends; return the exit status.

    :param reading: the pipes to read from, and which output each is to be shown on.
    """
    going_on, has_left = dict(reading), False
    try:
        while going_on:
            for pipe in select.select(list(going_on), [], [])[0]:
                text = os.read(pipe, _READ_BYTES)
                said, left, _ = text.partition(_LEFT)
                click.echo(said, nl=False, err=going_on[pipe] == _ERRORS)
                has_left = has_left or bool(left)
                if left or not text:
                    del going_on[pipe]
        if has_left:
            return 0
        _, status = os.waitpid(process, 0)
    except KeyboardInterrupt:
        os.kill(process, signal.SIGTERM)
        _, status = os.waitpid(process, 0)
    return abs(os.waitstatus_to_exitcode(status))
