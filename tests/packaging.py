"""Installs the project as a wheel and editable, each into an empty environment, and looks for
the twistd plugin and the command from another directory.  Run by tox: python tests/packaging.py DIR
"""

import subprocess
import sys
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def check(directory: Path, *install: str) -> None:
    venv.create(directory, clear=True, with_pip=True)
    programs = directory / "bin"
    subprocess.run([programs / "pip", "install", "--quiet", *install], check=True)
    listed = subprocess.run(
        [programs / "twistd", "--help"], cwd="/", check=True, capture_output=True, text=True
    ).stdout
    if "tunnelcloud" not in listed:
        raise SystemExit(f"twistd doesn't list tunnelcloud after pip install {' '.join(install)}")
    for command in (["twistd", "tunnelcloud", "--help"], ["tunnelcloud", "--help"]):
        subprocess.run([programs / command[0], *command[1:]], cwd="/", check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip


def main() -> None:
    scratch = Path(sys.argv[1]).resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    wheels = scratch / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", wheels, PROJECT],
        check=True,
    )
    newest = max(wheels.glob("tunnelcloud-*.whl"), key=lambda wheel: wheel.stat().st_mtime)
    check(scratch / "installed", str(newest))
    check(scratch / "editable", "-e", str(PROJECT))


if __name__ == "__main__":
    main()
