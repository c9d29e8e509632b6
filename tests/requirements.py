"""What some tests need beside Python: found, or the test is skipped, or (in CI) fails.

With C{TUNNELCLOUD_TESTS_REQUIRE_ALL=1} in the environment nothing is skipped for want of a program
or a module: what is missing is a failure, so that a run that is all green has run everything.
"""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from types import ModuleType
from unittest import SkipTest

SWITCH = "TUNNELCLOUD_TESTS_REQUIRE_ALL"


class RequirementMissing(AssertionError):
    """A program or module is missing in a run that must skip nothing."""


def missing(what: str) -> Exception:
    """Give the exception to raise when C{what} isn't there: a skip, or a failure."""
    if os.environ.get(SWITCH) == "1":
        return RequirementMissing(f"{what} is missing, and {SWITCH}=1 forbids skipping")
    return SkipTest(f"{what} is missing")


def require_executable(name: str) -> str:
    """Find a program in C{PATH} (or in the sbin directories) and give its path.

    :raise SkipTest: it isn't there.
    :raise RequirementMissing: it isn't there, and nothing may be skipped.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise missing(f"the program {name}")
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


def require_node_file(name: str) -> Path:
    """Find a file of an npm package below C{TUNNELCLOUD_TESTS_NODE_PATH}.

    :raise SkipTest: it isn't there.
    :raise RequirementMissing: it isn't there, and nothing may be skipped.
    """
    found = Path(os.environ.get("TUNNELCLOUD_TESTS_NODE_PATH", "")) / name
    if not found.is_file():
        raise missing(f"{name} below TUNNELCLOUD_TESTS_NODE_PATH")
    return found
