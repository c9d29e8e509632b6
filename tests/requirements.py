"""What some tests need beside Python: found, or the test is skipped, or (in CI) fails.

Tests ask here, and in no other way.  With ``TUNNELCLOUD_TESTS_REQUIRE_ALL=1`` in the environment
what is missing is a failure, so that a run that is all green has run everything.

Run as a program it says in one line what was missing, and what installs it::

    python tests/requirements.py missing     # in the run that TUNNELCLOUD_TESTS_MISSING noted
    python tests/requirements.py packages    # all Debian packages that tests ask for
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from unittest import SkipTest

SWITCH = "TUNNELCLOUD_TESTS_REQUIRE_ALL"
NOTED = "TUNNELCLOUD_TESTS_MISSING"
"""Names the file that gathers what tests missed, whatever process they ran in."""

NODE_PATH = "TUNNELCLOUD_TESTS_NODE_PATH"
PGADMIN_PYTHON = "TUNNELCLOUD_TESTS_PGADMIN_PYTHON"

PACKAGES = {
    "WebKitWebDriver": "webkit2gtk-driver",
    "Xvfb": "xvfb",
    "autossh": "autossh",
    "cargo": "cargo",
    "chromium-headless-shell": "chromium-headless-shell",
    "createdb": "postgresql-client",
    "createuser": "postgresql-client",
    "curl": "curl",
    "danted": "dante-server",
    "dbclient": "dropbear-bin",
    "dropbearconvert": "dropbear-bin",
    "expect": "expect",
    "faketime": "faketime",
    "firefox-esr": "firefox-esr",
    "go": "golang-go",
    "haproxy": "haproxy",
    "install": "coreutils",
    "ip": "iproute2",
    "iptables": "iptables",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "logrotate": "logrotate",
    "mount": "mount",
    "mvn": "maven",
    "nc.openbsd": "netcat-openbsd",
    "node": "nodejs",
    "openssl": "openssl",
    "pebble": "pebble",
    "pg_ctlcluster": "postgresql",
    "pgbouncer": "pgbouncer",
    "plink": "putty-tools",
    "prlimit": "util-linux",
    "promtool": "prometheus",
    "psql": "postgresql-client",
    "puttygen": "putty-tools",
    "redis-cli": "redis-tools",
    "ruby": "ruby-net-ssh",
    "security_file_certgen": "squid-openssl",
    "squid": "squid-openssl",
    "ssh": "openssh-client",
    "ssh-add": "openssh-client",
    "ssh-agent": "openssh-client",
    "ssh-audit": "ssh-audit",
    "ssh-keygen": "openssh-client",
    "ssh-keyscan": "openssh-client",
    "sshpass": "sshpass",
    "sshd": "openssh-server",
    "systemd-analyze": "systemd",
    "systemd-socket-activate": "systemd",
    "tinyproxy": "tinyproxy",
    "unshare": "util-linux",
}
"""The Debian package of each program that a test may ask for."""

_BESIDES = ("/usr/local/sbin", "/usr/sbin", "/usr/lib/squid")


class RequirementMissing(AssertionError):
    """A program or module is missing in a run that must skip nothing."""


def missing(what: str, package: str | None = None) -> Exception:
    """Give the exception to raise when ``what`` isn't there: a skip, or a failure.

    :param package: the Debian package that has it, if one has.
    """
    if os.environ.get(SWITCH) == "1":
        return RequirementMissing(f"{what} is missing, and {SWITCH}=1 forbids skipping")
    if path := os.environ.get(NOTED):
        with Path(path).open("a") as noted:
            noted.write(f"{package or ''}\t{what}\n")
    hint = f": apt-get install {package}" if package else ""
    return SkipTest(f"{what} is missing{hint}")


def require_executable(name: str) -> str:
    """Find a program in ``PATH``, in the sbin directories or among squid's, and give its path.

    :raise SkipTest: it isn't there.
    :raise RequirementMissing: it isn't there, and nothing may be skipped.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_BESIDES])
    found = shutil.which(name, path=path)
    if found is None:
        raise missing(f"the program {name}", PACKAGES[name])
    return found


def require_module(name: str) -> ModuleType:
    """Import a module.

    :raise SkipTest: it isn't there.
    :raise RequirementMissing: it isn't there, and nothing may be skipped.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise missing(f"the Python module {name}") from None


def require_node_modules(name: str) -> Path:
    """Give the ``node_modules`` that has an npm package and that NODE_PATH names.

    :raise SkipTest: it isn't there.
    :raise RequirementMissing: it isn't there, and nothing may be skipped.
    """
    found = os.environ.get(NODE_PATH)
    if not found or not (Path(found) / name).is_dir():
        raise missing(f"the npm package {name}, in a node_modules that {NODE_PATH} names,")
    return Path(found)


def require_pgadmin_python() -> str:
    """Give a Python that has pgAdmin and sshtunnel 0.4.

    :raise SkipTest: none is named.
    :raise RequirementMissing: none is named, and nothing may be skipped.
    """
    found = os.environ.get(PGADMIN_PYTHON)
    if not found:
        raise missing(f"a Python with pgAdmin and sshtunnel 0.4, which {PGADMIN_PYTHON} names,")
    return found


def require_root() -> None:
    """Ask for the right to make network namespaces.

    :raise SkipTest: this is another user.
    :raise RequirementMissing: this is another user, and nothing may be skipped.
    """
    if os.geteuid():
        raise missing("the right to make network namespaces (root)")


def summary(lines: Iterable[str]) -> str:
    """Say in one line what a run missed and what installs it.

    :param lines: what :func:`missing` noted: a package, a tab, and what was missing.
    """
    noted = sorted({tuple(line.rstrip("\n").split("\t", 1)) for line in lines})
    if not noted:
        return "Nothing was skipped for want of a program."
    packages = " ".join(sorted({package for package, _ in noted if package}))
    others = "; ".join(what.rstrip(",") for package, what in noted if not package)
    parts = [f"apt-get install {packages}"] * bool(packages) + [f"besides: {others}"] * bool(others)
    return f"Tests were skipped. What they need: {'; '.join(parts)}"


def main(arguments: list[str]) -> None:
    """Print what was asked for."""
    if arguments == ["packages"]:
        sys.stdout.writelines(f"{name} {package}\n" for name, package in PACKAGES.items())
        return
    path = Path(os.environ[NOTED])
    sys.stdout.write(summary(path.read_text().splitlines() if path.exists() else []) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
