"""Lines that wait on disk until an outlet has taken them: in order, bounded, kept over a restart.

A spool is a directory of segments, files of whole lines.  Lines are added to the last one, by any
thread, and taken from the first one, which is deleted when all of it was taken.  A spool that is
full forgets its oldest segment, and counts what it forgot.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from attrs import define, field
from twisted.logger import Logger

SEGMENTS = 16
"""The number of segments of a full spool, which drops one at a time."""

_POSITION = "position"
_NAME = re.compile("[0-9]{12}")
_CHUNK = 1 << 20

_log = Logger()


@define
class _Segment:
    """One file.

    :ivar size: bytes of whole lines in it.
    :ivar taken_bytes: how many of them were taken.
    """

    path: Path
    number: int
    size: int = 0
    lines: int = 0
    taken_bytes: int = 0
    taken_lines: int = 0


@define(eq=False)
class Spool:
    """A queue of lines.

    :ivar limit: bytes that it may take on disk.
    :ivar dropped: how many lines are lost, because the spool or the disk was full, or somebody
        deleted its files.
    """

    directory: Path
    limit: int
    dropped: int = field(default=0, init=False)
    _segments: deque[_Segment] = field(factory=deque, init=False)
    _refuses: bool = field(default=False, init=False)
    _lock: Lock = field(factory=Lock, init=False)
    _out: BinaryIO | None = field(default=None, init=False)
    _in: BinaryIO | None = field(default=None, init=False)
    _offered: tuple[int, int, int] = field(default=(0, 0, 0), init=False)

    @classmethod
    def open(cls, directory: Path, limit: int) -> Spool:
        """Continue with what an earlier process left.

        :raise OSError: the directory can't be used.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = sorted(int(one.name) for one in directory.iterdir() if _NAME.fullmatch(one.name))
        spool = cls(directory, limit)
        for number in numbers:
            spool._segments.append(_measured(directory / f"{number:012}", number))
        if numbers:
            spool._resume(spool._segments[0])
        return spool

    @property
    def size(self) -> int:
        """How many bytes wait."""
        with self._lock:
            return sum(one.size - one.taken_bytes for one in self._segments)

    def append(self, lines: Sequence[bytes]) -> None:
        """Add lines without their ends, from any thread; lines without room count as dropped."""
        data = b"".join(line + b"\n" for line in lines)
        with self._lock:
            while self._on_disk() + len(data) > self.limit and len(self._segments) > 1:
                self._forget_oldest()
            if self._on_disk() + len(data) > self.limit:
                self.dropped += len(lines)
                return
            try:
                self._write(data, len(lines))
            except OSError as error:
                if not self._refuses:
                    _log.error("{path}: {error}", path=str(self.directory), error=str(error))
                self._refuses = True
                self.dropped += len(lines)
            else:
                self._refuses = False

    def first(self, most: int, most_bytes: int) -> list[bytes]:
        """Give the oldest lines, which stay until ``taken``; none if there are none.

        :param most_bytes: their size together, which one line alone may exceed.
        """
        with self._lock:
            while self._segments:
                segment = self._segments[0]
                if segment.taken_bytes < segment.size:
                    try:
                        return self._read(segment, most, most_bytes)
                    except FileNotFoundError:
                        self._lose_first()
                        continue
                if len(self._segments) == 1:
                    break
                self._delete_first()
            self._offered = (0, 0, 0)
            return []

    def taken(self) -> None:
        """Forget the lines that ``first`` gave last, unless they were forgotten meanwhile."""
        number, size, lines = self._offered
        with self._lock:
            if lines and self._segments and self._segments[0].number == number:
                segment = self._segments[0]
                segment.taken_bytes += size
                segment.taken_lines += lines
                self._keep_position(segment)
            self._offered = (0, 0, 0)

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for file in (self._out, self._in):
                if file is not None:
                    file.close()
            self._out = self._in = None

    def _on_disk(self) -> int:
        return sum(one.size for one in self._segments)

    def _write(self, data: bytes, lines: int) -> None:
        last = self._segments[-1] if self._segments else None
        if last is None or last.size >= self.limit // SEGMENTS:
            if self._out is not None:
                self._out.close()
                self._out = None
            last = self._add_segment(last.number + 1 if last is not None else 1)
        if self._out is None:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._out = os.fdopen(_made_private(last.path, os.O_APPEND), "ab", buffering=0)
        try:
            written = self._out.write(data)
            if written != len(data):
                raise OSError("the disk took only a part")
        except OSError:
            self._out.truncate(last.size)
            raise
        last.size += len(data)
        last.lines += lines

    def _add_segment(self, number: int) -> _Segment:
        added = _Segment(self.directory / f"{number:012}", number)
        self._segments.append(added)
        return added

    def _read(self, segment: _Segment, most: int, most_bytes: int) -> list[bytes]:
        if self._in is None:
            self._in = segment.path.open("rb")
        self._in.seek(segment.taken_bytes)
        found: list[bytes] = []
        size, left = 0, segment.size - segment.taken_bytes
        while len(found) < most and size < min(left, most_bytes):
            line = self._in.readline()
            if found and size + len(line) > most_bytes:
                break
            found.append(line[:-1])
            size += len(line)
        self._offered = (segment.number, size, len(found))
        return found

    def _forget_oldest(self) -> None:
        oldest = self._segments[0]
        lost = oldest.lines - oldest.taken_lines
        if lost and not self.dropped:
            _log.error("{path} is full: its oldest events are lost", path=str(self.directory))
        self.dropped += lost
        self._delete_first()

    def _lose_first(self) -> None:
        """Go on without the oldest segment, which somebody deleted."""
        gone = self._segments[0]
        _log.error("{path} is gone: its events are lost", path=str(gone.path))
        self.dropped += gone.lines - gone.taken_lines
        if len(self._segments) == 1:
            # It is the one that is written to; numbers go up, since the position is kept by them.
            if self._out is not None:
                self._out.close()
                self._out = None
            self._add_segment(gone.number + 1)
        self._delete_first()

    def _delete_first(self) -> None:
        if self._in is not None:
            self._in.close()
            self._in = None
        self._segments.popleft().path.unlink(missing_ok=True)
        if self._segments:
            self._keep_position(self._segments[0])

    def _keep_position(self, segment: _Segment) -> None:
        # Torn by a power cut it doesn't fit, and the segment is given again from its beginning.
        text = f"{segment.number:012} {segment.taken_bytes:016} {segment.taken_lines:012}\n"
        try:
            descriptor = _made_private(self.directory / _POSITION, os.O_TRUNC)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode("ascii"))
        except OSError as error:
            _log.warn("{path}: {error}", path=str(self.directory), error=str(error))

    def _resume(self, segment: _Segment) -> None:
        try:
            text = (self.directory / _POSITION).read_bytes()
            number, size, lines = map(int, text.split())
        except (OSError, ValueError):
            return
        fits = 0 <= size <= segment.size and 0 <= lines <= segment.lines
        if number == segment.number and fits:
            segment.taken_bytes, segment.taken_lines = size, lines


def _made_private(path: Path, flags: int) -> int:
    """Open a file for writing; if it is new, only this user may read it.

    :param flags: for ``os.open``, besides those that create a file and open it for writing.
    :return: the descriptor.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)


def _measured(path: Path, number: int) -> _Segment:
    """Count a segment's lines, and cut off a last line that wasn't written to its end."""
    segment = _Segment(path, number)
    at = 0
    with path.open("r+b") as file:
        while chunk := file.read(_CHUNK):
            segment.lines += chunk.count(b"\n")
            end = chunk.rfind(b"\n")
            if end >= 0:
                segment.size = at + end + 1
            at += len(chunk)
        if segment.size < at:
            os.ftruncate(file.fileno(), segment.size)
    return segment
