"""Builds all that a release consists of, from the commit that is checked out.

    python3 release/build.py [--output DIR] [--skip-debian]

Leaves in DIR (``dist`` by default) the sdist and the wheel, a Debian package for pods and one for
connectors, lists of what is inside (CycloneDX), the news, and the checksums of all these files.
Debian packages are built on the Debian that they are for, with its own Python.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from release import debian, distributions
from release.running import run

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "release" / "requirements.txt"
MANUAL_BY = ("linkify-it-py", "myst-parser", "sphinx")
VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


def read_version(tree: Path) -> str:
    """Read the version from the one place that has it."""
    found = VERSION.search((tree / "tunnelcloud" / "__init__.py").read_text())
    if found is None:
        raise SystemExit("tunnelcloud/__init__.py has no __version__")
    return found[1]


def export(directory: Path) -> Path:
    """Lay the files of the current commit in a directory, and nothing that isn't committed."""
    archive = directory.with_suffix(".tar")
    run("git", "-C", ROOT, "archive", "-o", archive, "HEAD")
    directory.mkdir()
    # Debian 12's own Python has no tarfile filters, without which extractall isn't safe.
    run("tar", "-x", "-f", archive, "-C", directory)
    archive.unlink()
    return directory


def make_tools(directory: Path) -> Path:
    """Install the programs that the build uses, and give the directory that they are in."""
    venv.create(directory, with_pip=True)
    run(directory / "bin" / "pip", "install", "--quiet", "-r", TOOLS)
    return directory / "bin"


def news(tree: Path, tools: Path, version: str) -> str:
    """Give the news of this version, made of its fragments, above those of earlier ones."""
    draft = subprocess.run(
        [tools / "towncrier", "build", "--draft", "--version", version],
        cwd=tree, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    earlier = tree / "NEWS.md"
    return draft + ("\n" + earlier.read_text() if earlier.exists() else "")


def make_manual(tree: Path, wheel: Path, scratch: Path) -> Path:
    """Make the pages of the manual, as ``tox -e docs`` does, and give their directory."""
    venv.create(scratch / "docs", with_pip=True)
    programs, pages = scratch / "docs" / "bin", scratch / "manual"
    constraints = tree / ".ci" / "constraints.txt"
    run(programs / "pip", "install", "--quiet", "-c", constraints, wheel, *MANUAL_BY)
    run(programs / "sphinx-build", "-q", "-b", "man", tree / "docs", pages)
    return pages


def checksums(directory: Path) -> str:
    """Give the SHA-256 of each file, as ``sha256sum --check`` reads it."""
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(directory.iterdir())
    )


def main() -> None:
    """Build a release."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="dist by default")
    parser.add_argument("--skip-debian", action="store_true", help="no Debian packages")
    options = parser.parse_args()
    output = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    if any(output.iterdir()):
        raise SystemExit(f"{output} isn't empty: remove it, or name another --output")
    # The commit's own time stands in each archive, so that another build gives the same bytes.
    epoch = subprocess.run(
        ["git", "-C", ROOT, "log", "-1", "--format=%ct"], check=True, capture_output=True, text=True
    ).stdout.strip()
    os.environ["SOURCE_DATE_EPOCH"] = epoch
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        tools = make_tools(scratch / "tools")
        tree = export(scratch / "tree")
        version = read_version(tree)
        (output / "NEWS.md").write_text(news(tree, tools, version))
        wheel = distributions.build_twice(tree, export(scratch / "again"), tools, output)
        if not options.skip_debian:
            manual = make_manual(tree, wheel, scratch)
            for package in debian.PACKAGES:
                place = scratch / package.name
                debian.build(package, version, tree, wheel, tools, manual, place, output)
    sums = checksums(output)
    (output / "SHA256SUMS").write_text(sums)
    print(sums, end="")


if __name__ == "__main__":
    main()
