"""The files in etc/ by which engines run the image, as tests read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from twisted.python import usage

from tunnelcloud.tap import Options

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "etc" / "compose"
KUBERNETES = ROOT / "etc" / "kubernetes"
OVERLAYS = [KUBERNETES / "pods", KUBERNETES / "connector"]
IMAGE = "tunnelcloud"


def compose() -> dict[str, Any]:
    return yaml.safe_load((COMPOSE / "compose.yaml").read_text())


def manifests(directory: Path) -> list[dict[str, Any]]:
    """Give the objects of a directory's manifests, without what only kustomize reads."""
    found = []
    for path in sorted(directory.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            found += yaml.safe_load_all(path.read_text())
    return found


def of_kind(objects: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    return (one for one in objects if one["kind"] == kind)


def containers(objects: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Give each container of the image, with the pod's specification that it is of."""
    for one in of_kind(objects, "StatefulSet"):
        template = one["spec"]["template"]["spec"]
        for container in [*template.get("initContainers", []), *template["containers"]]:
            yield container, template


def instruction(name: str) -> list[str]:
    """Give what each of the Containerfile's instructions of a name says."""
    return re.findall(rf"^{name} (.*)$", (ROOT / "Containerfile").read_text(), re.MULTILINE)


def service_options(words: list[str]) -> usage.Options:
    """Read the words that the image's entrance hands to twistd.

    :raise usage.UsageError: it wouldn't start with them.
    """
    options = Options()
    options.parseOptions(words)
    return options
