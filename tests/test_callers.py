"""Whatever is defined is used by the program itself, not by tests alone or by nobody.

A function without a caller is a wire that nobody connected, or is left over.  So each definition is
found in the source, and so is each place that may use it: names of modules are followed through
imports, methods and attributes are compared by name.  What a framework calls is recognised by its
base class, its interface or its decorator; the few others are written down with who calls them.
"""

import ast
import functools
import importlib
import inspect
import re
from collections import defaultdict
from pathlib import Path

from attrs import field, frozen
from pydantic import BaseModel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementedBy
from zope.interface.interface import InterfaceClass

import tunnelcloud
from tunnelcloud.cli.commands import COMMANDS
from tunnelcloud.web.resource_loading import WORDS

ROOT = Path(tunnelcloud.__file__).parent
PLUGINS = ROOT.parent / "twisted" / "plugins"

CALLED_ELSEWHERE = {
    "tunnelcloud.channels.invariants.check_invariants": "tests, after every step of a channel",
    "tunnelcloud.channels.messages.ChannelOpenFailure.language": "``encode``, by their layout",
    "tunnelcloud.channels.messages.ChannelWindowAdjust.bytes_to_add": "``encode``, by their layout",
    "tunnelcloud.net.port_binding.Binder.adoptStreamPort": "Twisted's ``systemd:`` endpoints",
    "tunnelcloud.net.port_binding.Binder.listenSSL": "Twisted's ``ssl:`` endpoints",
}
"""What nothing in the program uses, and who does."""

DISPATCHED = re.compile(r"ssh_[A-Z_0-9]+|render_[A-Z]+|synopsis|optParameters|__\w+__")
"""Names that Conch, Twisted's web and options, and Python look for."""

PLAIN = {
    "property", "cached_property", "classmethod", "staticmethod", "contextmanager",
    "asynccontextmanager", "override", "abstractmethod", "cache", "lru_cache", "wraps",
    "overload", "inlineCallbacks",
}  # fmt: skip
"""Decorators that hand their function to nobody."""


@frozen
class Definition:
    """Something with a name.

    :ivar owner: the class that it belongs to; empty for what a module has.
    :ivar registered: whether a decorator hands it to a framework.
    """

    module: str
    owner: str
    name: str
    registered: bool = False

    @property
    def full_name(self):
        return ".".join(filter(None, (self.module, self.owner, self.name)))


@frozen
class Found:
    """What the source defines and uses.

    :ivar module_names: uses of what modules have, by full name, with the definition around each.
    :ivar attributes: names after a dot, and what texts name alone, as ``getattr`` needs it.
    :ivar passed_on: what a module has from another one, by full name.
    """

    definitions: list = field(factory=list)
    module_names: dict = field(factory=lambda: defaultdict(set))
    attributes: dict = field(factory=lambda: defaultdict(set))
    passed_on: dict = field(factory=dict)

    def origin(self, name):
        """Follow a name to the module that defines it."""
        while name in self.passed_on:
            name = self.passed_on[name]
        return name


class Reader(ast.NodeVisitor):
    """Reads one module."""

    def __init__(self, found, module, modules):
        self.found, self.module, self.modules = found, module, modules
        self.imported = {}
        self.owner, self.function = [], []

    def define(self, name, registered=False):
        owner = ".".join(self.owner)
        self.found.definitions.append(Definition(self.module, owner, name, registered))

    @property
    def place(self):
        return ".".join((self.module, *self.owner, *self.function[:1]))

    def visit_ImportFrom(self, node):
        for alias in node.names:
            name, full = alias.asname or alias.name, f"{node.module}.{alias.name}"
            self.imported[name] = full
            if not self.owner and not self.function and f"{self.module}.{name}" != full:
                self.found.passed_on[f"{self.module}.{name}"] = full

    def visit_Import(self, node):
        for alias in node.names:
            self.imported[alias.asname or alias.name] = alias.name

    def visit_FunctionDef(self, node):
        for part in node.decorator_list:
            self.visit(part)
        if not self.function:
            self.define(node.name, registered=any(map(registers, node.decorator_list)))
        self.function.append(node.name)
        for part in (node.args, node.returns, *node.body):
            if part is not None:
                self.visit(part)
        self.function.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        if self.function:
            return
        self.define(node.name)
        self.owner.append(node.name)
        for part in node.body:
            self.visit(part)
        self.owner.pop()

    def visit_Assign(self, node):
        for target in node.targets:
            self.assigned(target)
        self.visit(node.value)

    def visit_AnnAssign(self, node):
        self.assigned(node.target)
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)

    def assigned(self, target):
        for part in ast.walk(target):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                if not self.function:
                    self.define(part.id)
            elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                if isinstance(part.value, ast.Name) and part.value.id == "self":
                    self.define(part.attr)
            elif isinstance(part, ast.Name | ast.Attribute):
                self.visit(part)

    def visit_Name(self, node):
        if not isinstance(node.ctx, ast.Store):
            full = self.imported.get(node.id, f"{self.module}.{node.id}")
            self.found.module_names[full].add(self.place)
            if self.owner and not self.function:
                self.found.attributes[node.id].add(self.place)

    def visit_Attribute(self, node):
        full = dotted(node)
        root = full.partition(".")[0]
        if root in self.imported:
            full = full.replace(root, self.imported[root], 1)
            self.found.module_names[full].add(self.place)
            if full.rpartition(".")[0] in self.modules:
                return
        if isinstance(node.ctx, ast.Load):
            self.found.attributes[node.attr].add(self.place)
        self.visit(node.value)

    def visit_MatchClass(self, node):
        for name in node.kwd_attrs:
            self.found.attributes[name].add(self.place)
        self.generic_visit(node)

    def visit_Expr(self, node):
        if not isinstance(node.value, ast.Constant):
            self.visit(node.value)

    def visit_Constant(self, node):
        if isinstance(node.value, str) and node.value.isidentifier():
            self.found.attributes[node.value].add("")


def dotted(node):
    """Give a name with its dots; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def registers(decorator):
    """Say whether a decorator hands its function to somebody who calls it."""
    name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
    return name.rpartition(".")[2] not in PLAIN


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def read():
    """Read the program: its modules, its templates' names, and what starts it."""
    paths = [path for path in sorted(ROOT.rglob("*.py")) if "migrations" not in path.parts]
    modules = {module_name(path): path for path in paths}
    found = Found()
    for name, path in modules.items():
        Reader(found, name, modules).visit(ast.parse(path.read_text()))
    for path in ROOT.rglob("*.html"):
        for name in re.findall(r"[.\"]([a-z_]\w*)", path.read_text()):
            found.attributes[name].add(path.name)
    for name in list(found.module_names):
        found.module_names[found.origin(name)] |= found.module_names[name]
    starts = "".join(path.read_text() for path in PLUGINS.glob("*.py"))
    if '"tunnelcloud.tap"' in starts:  # IServiceMaker finds these names in it
        for name in ("Options", "makeService"):
            found.module_names[f"tunnelcloud.tap.{name}"].add("")
    for command in COMMANDS.values():
        found.module_names[f"tunnelcloud.cli.{command.module}.{command.attribute}"].add("")
    for module in WORDS:
        found.module_names[f"tunnelcloud.web.resources.{module}.make_routes"].add("")
    for line in re.findall(r"= (tunnelcloud\.\S+:\w+)", (ROOT.parent / "setup.cfg").read_text()):
        found.module_names[line.replace(":", ".")].add("")
    return found


def class_of(definition):
    found = importlib.import_module(definition.module)
    for name in definition.owner.split("."):
        found = getattr(found, name)
    return found


def is_of_a_framework(definition):
    """Say whether a base class or an interface from elsewhere has what a class defines."""
    place = class_of(definition)
    if isinstance(place, InterfaceClass):
        return False
    if issubclass(place, BaseModel) and definition.module.startswith("tunnelcloud.web."):
        return True  # its fields are the API's: pydantic reads and writes them
    foreign = [base for base in place.__mro__[1:] if not base.__module__.startswith("tunnelcloud")]
    if any(definition.name in vars(base) or definition.name in kept(base) for base in foreign):
        return True
    return any(
        definition.name in interface
        for interface in implementedBy(place).flattened()
        if not interface.__module__.startswith("tunnelcloud")
    )


@functools.cache
def kept(place):
    """Give the attributes that a class from elsewhere reads or writes of itself."""
    try:
        return set(re.findall(r"\bself\.(\w+)", inspect.getsource(place)))
    except (OSError, TypeError):
        return set()


def is_used(definition, found):
    if definition.registered or DISPATCHED.fullmatch(definition.name):
        return True
    if definition.owner:
        uses = found.attributes.get(definition.name, set())
    else:
        uses = found.module_names.get(definition.full_name, set())
    if any(not f"{place}.".startswith(f"{definition.full_name}.") for place in uses):
        return True
    return bool(definition.owner) and is_of_a_framework(definition)


class CallerTests(SynchronousTestCase):
    def test_each_definition_is_used_by_the_program_or_written_down(self):
        found = read()
        self.addCleanup(kept.cache_clear)
        unused = {one.full_name for one in found.definitions if not is_used(one, found)}
        self.assertEqual(sorted(unused - CALLED_ELSEWHERE.keys()), [])
        self.assertEqual(CALLED_ELSEWHERE.keys() - unused, set())
