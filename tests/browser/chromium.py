"""Debian's chromium without a window, driven by playwright, with what holds for every page.

A page asks no other host, breaks no rule of its Content-Security-Policy, throws no error, and has
no fault that axe-core finds.  With ``TUNNELCLOUD_TESTS_SCREENSHOTS=DIRECTORY`` in the environment
the pages that a test names are kept there as pictures.
"""

import base64
import itertools
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from tests.requirements import require_executable, require_module, require_node_modules

PATIENCE = 60_000
"""Milliseconds after which a page is given up."""

_CHECKOUT = Path(__file__).parents[2]
_HIGHEST = 2400
"""Pixels of a page that a picture has."""

WIDTHS = (1280, 768, 390, 360)
THEMES = ("light", "dark")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
)
_LOOKS = (*((THEMES[0], width) for width in WIDTHS[:-1]), (THEMES[1], WIDTHS[-1]))
"""What is looked at when no pictures are asked for."""
_ROWS = 8
"""Rows of a table that axe looks at: the same lines of a template make all of them."""
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RULES_OF_LOOKS = [
    "color-contrast",
    "target-size",
    "link-in-text-block",
    "scrollable-region-focusable",
    "aria-hidden-focus",
    "button-name",
    "link-name",
    "label",
    "region",
]
"""What can fail in one look of a page alone: colours, sizes, and what a width hides.

All rules together take most of a test's time; a page is held to the others in its first look.
"""


class _Driver:
    """Playwright, of which a process has one at most: started for the first browser, and stopped
    with the last, since its loop is in the way of others while it runs."""

    def __init__(self):
        self._running = None
        self._users = 0

    def take(self):
        if self._running is None:
            self._running = require_module("playwright.sync_api").sync_playwright().start()
        self._users += 1
        return self._running

    def give_back(self):
        self._users -= 1
        if not self._users:
            running, self._running = self._running, None
            running.stop()


_driver = _Driver()


class Chromium:
    """One browser with one window, of somebody who comes to a pod's pages.

    :param origin: where the pages are, without a slash at the end.
    :param scripts: whether pages may run theirs.
    """

    def __init__(self, origin: str, scripts: bool = True):
        executable = require_executable("chromium-headless-shell")
        self._axe = (require_node_modules("axe-core") / "axe-core" / "axe.min.js").read_text()
        self.origin = origin
        self.faults = []
        self._weights = {}
        self._screenshots = os.environ.get("TUNNELCLOUD_TESTS_SCREENSHOTS")
        self._profile = tempfile.mkdtemp(prefix="chromium")
        self.context = _driver.take().chromium.launch_persistent_context(
            self._profile,
            executable_path=executable,
            args=list(_FLAGS),
            viewport={"width": 1280, "height": 800},
            color_scheme="light",
            java_script_enabled=scripts,
            reduced_motion="reduce",
            base_url=origin,
            timezone_id="UTC",
        )
        self.context.set_default_timeout(PATIENCE)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.context.on("request", self._requested)
        self.context.on("weberror", lambda error: self.faults.append(str(error.error)))
        self.context.on("console", self._logged)
        self.page = self.context.pages[0]

    def _requested(self, request):
        address = urlsplit(request.url)
        if address.scheme != "blob" and f"{address.scheme}://{address.netloc}" != self.origin:
            self.faults.append(f"asked another host: {request.url[:200]}")

    def _logged(self, message):
        # A page that says 4xx is one that is meant to.
        if (
            message.type == "error"
            and "the server responded with a status of 4" not in message.text
        ):
            self.faults.append(f"console: {message.text}")

    def close(self):
        self.context.close()
        _driver.give_back()
        shutil.rmtree(self._profile, ignore_errors=True)

    def visit(self, path):
        """Go to a page."""
        self.page.goto(self.origin + path)
        return self.page

    def leave(self):
        """Leave a page that may abort a visit, since it goes elsewhere when its sign-in ends."""
        self.page.goto("about:blank")

    def weigh(self, path):
        """Go to a page, and weigh it as if this were the first visit of all.

        A file that another page had is in the browser's cache, and has the weight that it had then:
        its address changes when its content does.

        :return: how many bytes are sent for the page and its files.
        """
        names = self._weigh_files(path)
        if names - self._weights.keys():
            # A page that nobody weighed has put a file into the cache.
            session = self.context.new_cdp_session(self.page)
            session.send("Network.clearBrowserCache")
            session.detach()
            names = self._weigh_files(path)
        return sum(self._weights[name] for name in names)

    def _weigh_files(self, path):
        """Go to a page, and keep the weights of what is sent for it; give the files' addresses."""
        self.visit(path)
        self.page.wait_for_load_state("load")
        sizes = self.page.evaluate(
            """[...performance.getEntriesByType("navigation"),
               ...performance.getEntriesByType("resource")]
               .map((one) => [one.name, one.transferSize])"""
        )
        for name, size in sizes:
            if size:
                self._weights[name] = max(size, self._weights.get(name, 0))
        return {name for name, _ in sizes}

    def check(self, name=""):
        """Hold the page shown to what holds for all.

        :param name: what pictures of it are called; without, none are made.
        """
        self._no_faults()
        pictures = self._screenshots is not None and name
        shown = THEMES[0]
        for theme, width in itertools.product(THEMES, WIDTHS) if pictures else _LOOKS:
            if theme != shown:
                self.page.emulate_media(color_scheme=theme)
                shown = theme
            self.page.set_viewport_size({"width": width, "height": 800})
            self._within(width)
            if pictures:
                self._picture(f"{name}-{width}-{theme}")
            if (theme, width) == _LOOKS[0]:
                self._accessible(f"{theme}, {width} px", _RULES)
            elif (theme, width) == _LOOKS[-1]:
                self._accessible(f"{theme}, {width} px", _RULES_OF_LOOKS)
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": 1280, "height": 800})

    def look(self):
        """Hold the page shown to what axe-core finds, in the window as it is."""
        self._no_faults()
        self._accessible("as it is", _RULES)

    def _no_faults(self):
        if self.faults:
            raise AssertionError(f"{self.page.url}: " + "\n".join(self.faults))

    def _within(self, width):
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            raise AssertionError(f"{self.page.url} is {wide} px wide in a window of {width}")

    def _accessible(self, theme, rules):
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(self._axe)
        found = self.page.evaluate(
            # Without ``preload``: no rule of these reads the style sheets, which it would fetch.
            "([rules, rest]) => axe.run({exclude: [[rest]]}, {runOnly: rules,"
            " resultTypes: ['violations'], selectors: false, preload: false})",
            [rules, f"tbody tr:nth-child(n+{_ROWS + 1})"],
        )
        texts = [
            f"{violation['id']}: {violation['help']}: {node['html'][:200]} {node['failureSummary']}"
            for violation in found["violations"]
            for node in violation["nodes"][:3]
        ]
        if texts:
            raise AssertionError(f"{self.page.url} ({theme}):\n" + "\n".join(texts))

    def _picture(self, name):
        directory = _CHECKOUT / self._screenshots
        directory.mkdir(parents=True, exist_ok=True)
        # WebP takes a fifth of PNG; playwright itself doesn't offer it.
        session = self.context.new_cdp_session(self.page)
        size = session.send("Page.getLayoutMetrics")["cssContentSize"]
        size = {**size, "height": min(size["height"], _HIGHEST)}
        picture = session.send(
            "Page.captureScreenshot",
            {
                "format": "webp",
                "quality": 50,
                "captureBeyondViewport": True,
                "clip": {
                    "x": 0,
                    "y": 0,
                    "width": size["width"],
                    "height": size["height"],
                    "scale": 1,
                },
            },
        )
        (directory / f"{name}.webp").write_bytes(base64.b64decode(picture["data"]))
        session.detach()
