"""Debian packages: a virtual environment below /usr/lib/tunnelcloud, a unit, a user, and settings.

Made with ``dpkg-deb`` alone.  Libraries come from Python's index in the versions that the project
is tested with, since Debian's are older.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

from release.running import run

HERE = Path(__file__).resolve().parent / "debian"
SCRIPTS = ("postinst", "prerm", "postrm")
INSTALLED_FROM_SOURCE = "/opt/tunnelcloud/"
"""Where the units of ``etc/`` look for the program, as the README installs it from a checkout."""

_MAINTAINER = "TunnelCloud <packages@tunnelcloud.invalid>"


class Package(NamedTuple):
    """One Debian package.

    :ivar part: ``pod`` or ``connector``, the directory of the virtual environment.
    :ivar user: whom the service runs as.
    :ivar state: the service's state directory.
    :ivar requirements: what pip installs; ``{wheel}`` stands for the project's wheel.
    :ivar units: files of ``etc/`` for systemd; the first is the service.
    :ivar conffiles: files of ``etc/`` that the administrator edits, and where they are installed.
    :ivar programs: what is kept of the programs that libraries and the project install.
    :ivar commands: which of them stand in /usr/bin as well.
    :ivar manuals: pages of the manual, of those that ``docs/conf.py`` has.
    :ivar examples: files of ``etc/`` that are installed as documents.
    """

    part: str
    summary: str
    user: str
    state: str
    requirements: tuple[tuple[str, ...], ...]
    units: tuple[str, ...]
    conffiles: dict[str, str]
    programs: tuple[str, ...]
    commands: tuple[str, ...] = ()
    manuals: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The package's name."""
        return f"tunnelcloud-{self.part}"

    @property
    def home(self) -> str:
        """Where the virtual environment is installed."""
        return f"/usr/lib/tunnelcloud/{self.part}"


PACKAGES = (
    Package(
        part="pod",
        summary="SSH gateway to servers in private sites",
        user="tunnelcloud",
        state="/var/lib/tunnelcloud",
        requirements=(("{wheel}[postgres]",),),
        units=("tunnelcloud-pod.service", "tunnelcloud-pod@.service", "tunnelcloud-pod.socket"),
        conffiles={
            "pod.toml": "/etc/tunnelcloud/pod.toml",
            "logrotate.d/tunnelcloud-pod": "/etc/logrotate.d/tunnelcloud-pod",
        },
        programs=("tunnelcloud", "twistd"),
        examples=(
            "tunnelcloud-pod-credentials.conf",
            "prometheus/alerts.yml",
            "grafana/tunnelcloud.json",
        ),
        commands=("tunnelcloud",),
        manuals=("tunnelcloud.1", "tunnelcloud-pod.toml.5"),
    ),
    Package(
        part="connector",
        summary="outgoing side of a TunnelCloud gateway, for a private site",
        user="tunnelcloud-connector",
        state="/var/lib/tunnelcloud-connector",
        requirements=(("-r", "etc/connector-requirements.txt"), ("--no-deps", "{wheel}")),
        units=("tunnelcloud-connector.service",),
        conffiles={"connector.toml": "/etc/tunnelcloud/connector.toml"},
        programs=("twistd",),
        manuals=("tunnelcloud-connector.toml.5",),
    ),
)


def debian_version(version: str) -> str:
    """Give a Python version as Debian orders it: a pre-release comes before its release."""
    for mark in (".dev", "a", "b", "rc"):
        version = version.replace(mark, "~" + mark.lstrip("."), 1) if mark in version else version
    return f"{version}-1"


def unit_text(package: Package, text: str) -> str:
    """Give a unit of ``etc/`` as the package has it."""
    return text.replace(INSTALLED_FROM_SOURCE, f"{package.home}/")


def script(package: Package, name: str) -> str:
    """Give a maintainer script."""
    text = (HERE / name).read_text()
    for mark, value in {
        "@PACKAGE@": package.name,
        "@UNITS@": " ".join(package.units),
        "@SERVICES@": _running(package, ".service"),
        "@SOCKETS@": _running(package, ".socket"),
        "@USER@": package.user,
        "@STATE@": package.state,
        "@SETTINGS@": " ".join(filter(_is_settings, package.conffiles.values())),
    }.items():
        text = text.replace(mark, value)
    return text


def _is_settings(path: str) -> bool:
    return path.startswith("/etc/tunnelcloud/")


def _running(package: Package, kind: str) -> str:
    """Name units of a kind as ``systemctl`` does those that run: a pattern for a template."""
    return " ".join(f"'{one.replace('@', '@*')}'" for one in package.units if one.endswith(kind))


def build(
    package: Package,
    version: str,
    tree: Path,
    wheel: Path,
    tools: Path,
    manual: Path,
    scratch: Path,
    output: Path,
) -> None:
    """Build one package, and the list of what is in its virtual environment."""
    root = scratch / "root"
    _environment(package, tree, wheel, tools, root)
    run(
        tools / "cyclonedx-py", "environment", "--output-reproducible", "--of", "JSON",
        "-o", output / f"{package.name}_{version}.cdx.json",
        root / package.home.lstrip("/") / "bin" / "python",
    )  # fmt: skip
    _settle(package, root)
    _files(package, version, tree, root, (output / "NEWS.md").read_text())
    _manual(package, manual, root)
    _control(package, version, root)
    run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, output)


def _environment(package: Package, tree: Path, wheel: Path, tools: Path, root: Path) -> None:
    """Install the program and its libraries below the package's root."""
    home = root / package.home.lstrip("/")
    run("/usr/bin/python3", "-m", "venv", "--without-pip", "--symlinks", home)
    constraints = tree / ".ci" / "constraints.txt"
    for words in package.requirements:
        wanted = [word.format(wheel=wheel) for word in words]
        run(
            tools / "pip", "--python", home / "bin" / "python", "install", "--quiet",
            "--no-compile", "-c", constraints, *wanted, cwd=tree,
        )  # fmt: skip
    # Twisted writes its list of plugins where the service's user may not.
    run(home / "bin" / "python", "-c", "import twisted.plugin as p; list(p.getPlugins(p.IPlugin))")


def _settle(package: Package, root: Path) -> None:
    """Take out of the environment what is of this build alone, and compile it."""
    home = root / package.home.lstrip("/")
    programs = home / "bin"
    for path in programs.iterdir():
        if path.name not in package.programs and not path.name.startswith("python"):
            path.unlink()
    for path in [home / "pyvenv.cfg", *(programs / name for name in package.programs)]:
        path.write_bytes(path.read_bytes().replace(os.fsencode(root), b""))
    for path in home.rglob("direct_url.json"):
        path.unlink()
    for path in home.rglob("__pycache__"):
        shutil.rmtree(path)
    # dpkg gives all files the commit's time, and Twisted distrusts a list of plugins that isn't
    # newer than they are.
    earlier = int(os.environ["SOURCE_DATE_EPOCH"]) - 60
    for path in home.rglob("twisted/plugins/*.py"):
        os.utime(path, (earlier, earlier))
    libraries = next((home / "lib").iterdir())
    run(
        programs / "python", "-m", "compileall", "-q", "-s", root, "-p", "/",
        "--invalidation-mode", "unchecked-hash", libraries,
    )  # fmt: skip
    for path in libraries.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o644)


def _files(package: Package, version: str, tree: Path, root: Path, changes: str) -> None:
    """Lay the files beside the environment: units, user, directories, settings, documents."""
    for unit in package.units:
        text = unit_text(package, (tree / "etc" / unit).read_text())
        _write(root / "lib" / "systemd" / "system" / unit, text)
    for kind in ("sysusers.d", "tmpfiles.d"):
        text = (tree / "etc" / kind / f"{package.name}.conf").read_text()
        _write(root / "usr" / "lib" / kind / f"{package.name}.conf", text)
    for source, target in package.conffiles.items():
        mode = 0o640 if _is_settings(target) else 0o644
        _write(root / target.lstrip("/"), (tree / "etc" / source).read_text(), mode)
    for name in package.commands:
        link = root / "usr" / "bin" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path("..") / package.home.removeprefix("/usr/") / "bin" / name)
    if package.part == "connector":
        _write(root / "usr" / "sbin" / package.name, (HERE / package.name).read_text(), 0o755)
    documents = root / "usr" / "share" / "doc" / package.name
    licence = (tree / "LICENSE").read_text()
    _write(documents / "copyright", f"Libraries below {package.home} have their own.\n\n{licence}")
    for example in package.examples:
        path = documents / "examples" / Path(example).name
        _write(path, (tree / "etc" / example).read_text())
    when = formatdate(int(os.environ["SOURCE_DATE_EPOCH"]))
    entry = (
        f"{package.name} ({debian_version(version)}) stable; urgency=medium\n\n"
        f"  * Version {version}; NEWS.gz tells what is new.\n\n -- {_MAINTAINER}  {when}\n"
    )
    for name, text in (("changelog.Debian.gz", entry), ("NEWS.gz", changes)):
        documents.joinpath(name).write_bytes(gzip.compress(text.encode(), mtime=0))
    _write(
        root / "usr" / "share" / "lintian" / "overrides" / package.name,
        (HERE / "lintian-overrides").read_text().replace("@PACKAGE@", package.name),
    )


def _manual(package: Package, manual: Path, root: Path) -> None:
    """Lay the pages of the manual where ``man`` looks for them."""
    for name in package.manuals:
        pages = root / "usr" / "share" / "man" / f"man{name[-1]}"
        pages.mkdir(parents=True, exist_ok=True)
        page = gzip.compress((manual / name).read_bytes(), mtime=0)
        pages.joinpath(f"{name}.gz").write_bytes(page)


def _control(package: Package, version: str, root: Path) -> None:
    """Write what dpkg wants to know."""
    size = sum(path.lstat().st_size for path in root.rglob("*")) // 1024
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    control = root / "DEBIAN"
    fields = {
        "Package": package.name,
        "Version": debian_version(version),
        "Architecture": architecture,
        "Maintainer": _MAINTAINER,
        "Installed-Size": str(size),
        "Depends": f"{_python()}, libc6, systemd",
        "Recommends": "ca-certificates, logrotate",
        "Section": "net",
        "Priority": "optional",
        "Description": f"{package.summary}\n{(HERE / 'description').read_text().rstrip()}",
    }
    text = "".join(f"{name}: {value}\n" for name, value in fields.items())
    _write(control / "control", text)
    _write(control / "conffiles", "".join(f"{path}\n" for path in package.conffiles.values()))
    for name in SCRIPTS:
        _write(control / name, script(package, name), 0o755)


def _python() -> str:
    """Name the Python that the environment belongs to; with another one it has no libraries."""
    told = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print(*sys.version_info[:2])"],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    major, minor = map(int, told)
    return f"python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1})"


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
