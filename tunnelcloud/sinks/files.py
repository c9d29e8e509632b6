"""The audit in a file, for log collectors; ``logrotate`` may move it away."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed

from tunnelcloud.sinks.interfaces import DeliveryFailed


@define(eq=False)
class FileOutlet:
    """Appends lines to a file."""

    path: Path
    _descriptor: int = field(default=-1, init=False)

    def send(self, lines: Sequence[bytes]) -> Deferred[None]:
        """Append all lines, or none of them."""
        try:
            self._append(b"".join(line + b"\n" for line in lines))
        except OSError as error:
            return fail(DeliveryFailed(f"{self.path}: {error.strerror}"))
        return succeed(None)

    def reopen(self) -> None:
        """Close the file; the next lines go to what then has its name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, data: bytes) -> None:
        if self._descriptor < 0:
            self._descriptor = _open(self.path)
        size = os.fstat(self._descriptor).st_size
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            os.ftruncate(self._descriptor, size)
            raise


def _open(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    # Neither to open nor to write to a pipe waits: that would hold up all streams.
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o640)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no regular file: name one, or take it away")
    return descriptor
