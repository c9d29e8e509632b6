"""Builds the clients, each at most once for each state of its sources.

Run as a program it builds them all, so that they are there when tests ask for them::

    python -m tests.clients.building
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

from tests.requirements import RequirementMissing, missing, require_executable

SOURCES = Path(__file__).parent
PLACE = "TUNNELCLOUD_TESTS_PROGRAMS"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_LONGEST_BUILD = 600
_SHORT_LIVED = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
"""Options of a virtual machine that lives for a moment: it optimises little, and is up sooner."""


def programs() -> Path:
    """Give the folder of what is built."""
    return Path(os.environ.get(PLACE) or SOURCES.parents[1] / ".tox" / "clients" / "programs")


def build(name: str) -> list[str]:
    """Build a client, if it isn't there yet, and give the words that run it.

    :raise SkipTest: what builds it isn't there.
    """
    programs().mkdir(parents=True, exist_ok=True)
    with (programs() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be building it
        return _BUILDERS[name](name)


def _java(main: str) -> Callable[[str], list[str]]:
    def build_java(name: str) -> list[str]:
        maven, javac = require_executable("mvn"), require_executable("javac")
        java = require_executable("java")
        sources = [SOURCES / "java" / f"{kind}.java" for kind in ("Client", main)]
        lock = SOURCES / name / "lock.sha256"
        folder, built = _place(name, [*sources, SOURCES / name / "pom.xml", lock])
        if not built.exists():
            jars = folder / "jars"
            pom = SOURCES / name / "pom.xml"
            copying = ["-q", "-B", "-f", pom, _COPY, f"-DoutputDirectory={jars}"]
            options = [os.environ.get("MAVEN_OPTS", ""), *_SHORT_LIVED]
            environment = {**os.environ, "MAVEN_OPTS": " ".join(options)}
            _run([maven, *copying, "-DincludeScope=runtime"], env=environment)
            _check_lock(jars, lock)
            javac_options = [f"-J{option}" for option in _SHORT_LIVED]
            _run([javac, *javac_options, "-d", folder / "classes", "-cp", f"{jars}/*", *sources])
            built.touch()
        return [java, *_SHORT_LIVED, "-Xmx256m", "-cp", f"{folder}/classes:{folder}/jars/*", main]

    return build_java


def _go(name: str) -> list[str]:
    go = require_executable("go")
    source = SOURCES / "go"
    folder, built = _place(name, [source / part for part in ("main.go", "go.mod", "go.sum")])
    if not built.exists():
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
        _run([go, "build", "-o", folder / "client", "."], cwd=source, env=environment)
        built.touch()
    return [str(folder / "client")]


def _rust(name: str) -> list[str]:
    cargo = require_executable("cargo")
    source = SOURCES / "russh"
    parts = [source / "src" / "main.rs", source / "Cargo.toml", source / "Cargo.lock"]
    folder, built = _place(name, parts)
    if not built.exists():
        # What others wrote needn't be compiled again when only the program changes.
        target = folder.parent / "russh-target"
        environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
        _run([cargo, "build", "--quiet", "--locked"], cwd=source, env=environment)
        (folder / "client").write_bytes((target / "debug" / "russh-client").read_bytes())
        (folder / "client").chmod(0o755)
        built.touch()
    return [str(folder / "client")]


def _ruby(name: str) -> list[str]:
    """Give what runs it; there is nothing to build."""
    ruby = require_executable("ruby")
    if subprocess.run([ruby, "-e", 'require "net/ssh"'], capture_output=True).returncode:
        raise missing("Ruby's net-ssh", "ruby-net-ssh")
    return [ruby, str(SOURCES / name / "client.rb")]


_BUILDERS: dict[str, Callable[[str], list[str]]] = {
    "jsch": _java("JschClient"),
    "jsch_old": _java("JschClient"),
    "sshj": _java("SshjClient"),
    "sshlib": _java("TrileadClient"),
    "trilead": _java("TrileadClient"),
    "mina": _java("MinaClient"),
    "pool": _java("PoolClient"),
    "net_ssh": _ruby,
    "go": _go,
    "russh": _rust,
}


def _place(name: str, sources: list[Path]) -> tuple[Path, Path]:
    """Give the folder for this state of the sources, and the file that says it is built."""
    state = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    folder = programs() / f"{name}-{state[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder, folder / "built"


def _check_lock(jars: Path, lock: Path) -> None:
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars.iterdir()}
    locked = {name: digest for digest, name in map(str.split, lock.read_text().splitlines())}
    assert found == locked, f"{lock} names other jars than came: {sorted(found)}"


def _run(words: list[object], **options: Any) -> None:
    done = subprocess.run(
        [str(word) for word in words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_LONGEST_BUILD,
        **options,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")


def main() -> None:
    """Build whatever can be built here; the tests say what can't."""
    for name in _BUILDERS:
        with contextlib.suppress(SkipTest, RequirementMissing, AssertionError):
            build(name)


if __name__ == "__main__":
    main()
