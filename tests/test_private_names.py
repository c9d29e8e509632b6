"""Names that Twisted, pyOpenSSL and others keep to themselves, and that this program uses.

A new release may take any of them away.  So they are found in the source, each is written down
here with where it comes from, each is looked for there, and setup.cfg has an upper bound for each
package that has one.
"""

import ast
import configparser
import functools
import importlib
import inspect
import linecache
import pkgutil
import re
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud

ROOT = Path(tunnelcloud.__file__).parent
FOREIGN = ("twisted", "OpenSSL", "cryptography", "sqlalchemy", "click", "httpx", "joserfc")

PINNED = {
    "OpenSSL._util": {"ffi", "lib"},
    "OpenSSL.SSL.Connection": {"_from_ssl", "_into_ssl", "_raise_ssl_error", "_ssl"},
    "OpenSSL.SSL._NoOverlappingProtocols": set(),
    "twisted.conch.ssh.service.SSHService": {"_log"},
    "twisted.conch.ssh.transport.SSHClientTransport": {"_keySetup"},
    "twisted.conch.ssh.transport.SSHServerTransport": {"_getHostKeys", "_keySetup"},
    "twisted.conch.ssh.transport.SSHTransportBase": {"_keySetup", "_log"},
    "twisted.internet.abstract.FileDescriptor": {
        "_closeWriteConnection", "_tempDataLen", "_writeDisconnected", "_writeDisconnecting",
    },
    "twisted.internet.base.BaseConnector": {"_makeTransport"},
    "twisted.internet.tcp.Connector": {"_makeTransport"},
    "twisted.internet.tcp.Port": {"_fromListeningDescriptor"},
    "twisted.internet.tcp._SocketCloser": {"_closeSocket"},
    "twisted.protocols.tls.TLSMemoryBIOProtocol": {
        "_aborted", "_bufferedWrite", "_flushReceiveBIO", "_flushSendBIO", "_handshakeDone",
        "_lostTLSConnection", "_shutdownTLS", "_tlsConnection", "_tlsShutdownFinished", "_write",
    },
    "twisted.web.http.HTTPChannel": {
        "_dataBuffer", "_handlingRequest", "_networkProducer", "_optimisticEagerReadSize", "_path",
        "_savedTimeOut", "_transferDecoder", "_waitingForTransport",
    },
    "twisted.web.http._ChunkedTransferDecoder": {"_maxTrailerHeadersSize"},
}  # fmt: skip
"""The private names, by the class or module that has them."""

PACKAGES = {"twisted": "Twisted[conch,tls]", "OpenSSL": "pyOpenSSL"}
"""What setup.cfg calls the packages."""


def is_private(name):
    """Tell whether a name is private; ``_name_`` is one that Python's enumerations document."""
    return re.fullmatch(r"_[a-zA-Z]\w*", name) is not None and not name.endswith("_")


def modules():
    """Give every module of this program."""
    for found in pkgutil.walk_packages([str(ROOT)], "tunnelcloud."):
        if ".migrations" not in found.name:
            yield importlib.import_module(found.name)


def named(tree):
    """Give every private name that is an attribute of something, also by ``getattr``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.attr, isinstance(node.value, ast.Name) and node.value.id == "self"
        elif isinstance(node, ast.FunctionDef) and is_private(node.name):
            yield node.name, True
        elif (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", "") in ("getattr", "hasattr", "setattr")
            and isinstance(node.args[1], ast.Constant)
            and is_private(node.args[1].value)
        ):
            yield node.args[1].value, False


@functools.cache
def inherited():
    """Give each private name that a class shares with a foreign one that it is made of."""
    found = {}
    for module in modules():
        for kind in vars(module).values():
            if not inspect.isclass(kind) or kind.__module__ != module.__name__:
                continue
            names = names_of(kind)
            for base in kind.__mro__[1:]:
                if base.__module__.partition(".")[0] in FOREIGN:
                    for name in names & names_of(base):
                        found.setdefault(f"{base.__module__}.{base.__qualname__}", set()).add(name)
    return found


@functools.cache
def names_of(place):
    """Give the private names that the source of a class or module itself has."""
    if inspect.ismodule(place):
        trees = [source_of(place.__name__)]
    else:
        trees = classes_of(place.__module__).get(place.__qualname__, [])
    return {name for tree in trees for name, _ in named(tree)}


@functools.cache
def source_of(module):
    """Give the syntax tree of a module, empty for an extension module."""
    try:
        return ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):
        return ast.Module([], [])


@functools.cache
def classes_of(module):
    """Give the syntax trees of a module's classes by their qualified names.

    ``inspect.getsource`` would parse the whole module for each of them.  A class that was made by
    a function of a library has no tree.
    """
    found = {}

    def look(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                found.setdefault(f"{prefix}{child.name}", []).append(child)
                look(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                look(child, f"{prefix}{child.name}.<locals>.")
            else:
                look(child, prefix)

    look(source_of(module), "")
    return found


def own_names(tree):
    """Give the private names that a module itself gives to something."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


@functools.cache
def trees():
    """Give the syntax tree of every file of this program."""
    return [ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))]


@functools.cache
def reached():
    """Give each private name of an object that a module neither made nor is."""
    own = set().union(*map(own_names, trees()))
    return {name for tree in trees() for name, of_self in named(tree) if not of_self} - own


@functools.cache
def imported():
    """Give each private module or name that is imported from elsewhere."""
    found = {}
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(
                "tunnelcloud"
            ):
                names = {alias.name for alias in node.names}
                if not any(map(is_private, (node.module or "").split("."))):
                    names = set(filter(is_private, names))
                if names:
                    found.setdefault(node.module, set()).update(names)
    return found


def place_of(name):
    """Find a module, or what a module has."""
    try:
        return importlib.import_module(name)
    except ImportError:
        module, _, kind = name.rpartition(".")
        return getattr(place_of(module), kind)


class PrivateNameTests(SynchronousTestCase):
    def test_each_that_is_used_is_written_down_and_is_where_it_is_looked_for(self):
        # Each later look for garbage of this process would go through the trees of all libraries.
        for kept in (inherited, names_of, source_of, classes_of, trees, reached, imported):
            self.addCleanup(kept.cache_clear)
        self.addCleanup(linecache.clearcache)
        every = set().union(*PINNED.values(), *(set(name.split(".")) for name in PINNED))
        for place, names in (*inherited().items(), *imported().items()):
            self.assertEqual(names - PINNED.get(place, set()), set(), place)
        self.assertEqual(reached() - every, set())
        used = reached().union(*inherited().values(), *imported().values())
        for place, names in PINNED.items():
            self.assertEqual(names - used, set(), place)
        for name, names in PINNED.items():
            place = place_of(name)
            there = set(dir(place)) | names_of(place)
            self.assertEqual(names - there, set(), name)

    def test_their_packages_have_an_upper_bound(self):
        settings = configparser.ConfigParser()
        settings.read(ROOT.parent / "setup.cfg")
        wanted = dict(
            line.split(" ", 1)
            for line in settings["options"]["install_requires"].strip().splitlines()
            if " " in line
        )
        for root in {name.partition(".")[0] for name in PINNED}:
            self.assertIn(", < ", wanted[PACKAGES[root]])
