"""The sdist and the wheel: built twice, and the same both times."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

from release.running import run


def build_twice(tree: Path, again: Path, tools: Path, output: Path) -> Path:
    """Build both from two trees of the same files, and keep them if they are the same.

    :param tools: the directory with the build's programs.
    :return: the wheel.
    :raise SystemExit: the two builds differ, or a checker has a complaint.
    """
    first, second = (_build(each, tools) for each in (tree, again))
    if {path.name for path in first} != {path.name for path in second}:
        raise SystemExit(f"two builds of one commit gave {first} and {second}")
    for one, other in zip(first, second, strict=True):
        if one.read_bytes() != other.read_bytes():
            raise SystemExit(f"two builds of one commit gave different files: {one.name}")
        (output / one.name).write_bytes(one.read_bytes())
    kept = [output / path.name for path in first]
    run(tools / "twine", "check", "--strict", *kept)
    wheel = next(path for path in kept if path.suffix == ".whl")
    # W005, W009: the plugin lies in Twisted's own namespace, as Twisted asks for it.
    run(tools / "check-wheel-contents", "--ignore", "W005,W009", wheel)
    return wheel


def _build(tree: Path, tools: Path) -> list[Path]:
    run(tools / "python", "-m", "build", "--outdir", tree / "dist", tree)
    for sdist in (tree / "dist").glob("*.tar.gz"):
        sdist.write_bytes(settled(sdist.read_bytes(), int(os.environ["SOURCE_DATE_EPOCH"])))
    return sorted((tree / "dist").iterdir())


def settled(sdist: bytes, epoch: int) -> bytes:
    """Give an archive without the time, the order and the owner that this build gave its files."""
    plain = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(sdist)) as old,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            member.mtime, member.uid, member.gid = epoch, 0, 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return gzip.compress(plain.getvalue(), mtime=epoch)
