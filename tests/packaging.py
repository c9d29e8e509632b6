"""Installs the project as a wheel and then editable, with nothing else in the environment.

Looks for the twistd plugin and the command from another directory, and takes the project away again
each time: then neither may be there.  Run by tox: python tests/packaging.py DIR
"""

import subprocess
import sys
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def plugins(programs: Path) -> str:
    """Give what twistd of an environment says that it can run."""
    return subprocess.run(
        [programs / "twistd", "--help"], cwd="/", check=True, capture_output=True, text=True
    ).stdout


def check(programs: Path, *install: str | Path) -> None:
    """Install the project in one way, look for its commands, and take it away again."""
    subprocess.run([programs / "pip", "install", "--quiet", *install], check=True)
    if "tunnelcloud" not in plugins(programs):
        words = " ".join(map(str, install))
        raise SystemExit(f"twistd doesn't list tunnelcloud after pip install {words}")
    for command in (["twistd", "tunnelcloud", "--help"], ["tunnelcloud", "--help"]):
        subprocess.run([programs / command[0], *command[1:]], cwd="/", check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    subprocess.run([programs / "pip", "uninstall", "--quiet", "--yes", "tunnelcloud"], check=True)
    if "tunnelcloud" in plugins(programs) or (programs / "tunnelcloud").exists():
        raise SystemExit("something of the project is left after pip uninstall")


def main() -> None:
    scratch = Path(sys.argv[1]).resolve()
    venv.create(scratch / "environment", clear=True, with_pip=True)
    programs = scratch / "environment" / "bin"
    wheels = scratch / "wheels"
    subprocess.run(
        [programs / "pip", "wheel", "--quiet", "--no-deps", "-w", wheels, PROJECT], check=True
    )
    check(programs, max(wheels.glob("tunnelcloud-*.whl"), key=lambda wheel: wheel.stat().st_mtime))
    check(programs, "-e", PROJECT)


if __name__ == "__main__":
    main()
