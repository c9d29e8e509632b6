"""How Sphinx builds the documentation: `tox -e docs`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from release import reference  # noqa: E402
from release.build import read_version  # noqa: E402

reference.write(ROOT / "docs" / "reference")

project = "TunnelCloud"
release = version = read_version(ROOT)
extensions = ["myst_parser"]
myst_enable_extensions = ["linkify"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"TunnelCloud {version}"
linkcheck_ignore = [r"https?://(127\.0\.0\.1|localhost|[^/]*example\.(com|org))"]
man_pages = [
    ("reference/commands", "tunnelcloud", "people's and administrators' command line", [], 1),
    ("reference/settings", "tunnelcloud-pod.toml", "settings of a TunnelCloud pod", [], 5),
    (
        "reference/connector-settings",
        "tunnelcloud-connector.toml",
        "settings of a TunnelCloud connector",
        [],
        5,
    ),
]
