"""A real pod, and its first administrator at a real browser."""

import sys
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.browser.chromium import Chromium
from tests.integration.processes import Gateway

NAME, PASSWORD = "root", "correct horse battery"


class Acts:
    """What a test does with the page that it shows, by what a person sees of it.

    :ivar page: the page shown.
    """

    page: Any

    def press(self, name):
        """Press the button with a name."""
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def follow(self, name):
        """Follow the link with a name."""
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def fill(self, **fields):
        """Type into fields, by their names."""
        for name, value in fields.items():
            self.page.locator(f"main [name={name}]").first.fill(value)

    def see(self, text):
        """Wait until the page says something."""
        self.page.get_by_text(text).first.wait_for()


SECONDS_EACH = 5
"""What a person who reads the page takes for a field, a button or a paste, about."""


class Counts(Acts):
    """Counts what a person does: the fields that are filled, the buttons and links.

    :ivar done: how many there were.
    """

    done = 0

    def begin_walk(self, done=0):
        """Begin to count, and start the clock for what the machine takes.

        :param done: what the person has done by then.
        """
        self.done = done
        self._began = time.monotonic()

    def end_walk(self, name, more=0):
        """Hold what was done to two minutes, and print it with the machine's own time.

        :param more: seconds for what isn't counted.
        """
        took = time.monotonic() - self._began
        seconds = self.done * SECONDS_EACH + more
        self.assertLess(seconds, 120, name)
        said = f"{name}: {self.done} acts, {seconds} s of a person, {took:.1f} s of the machine\n"
        sys.stdout.write(said)

    def fill(self, **fields):
        super().fill(**fields)
        self.done += len(fields)

    def press(self, name):
        super().press(name)
        self.done += 1

    def follow(self, name):
        super().follow(name)
        self.done += 1


class Keyboard:
    """What a person does who has no mouse; ``page`` is their browser's."""

    def strike(self, *keys):
        """Press keys, one after another."""
        for key in keys:
            self.page.keyboard.press(key)

    def tab_to(self, selector):
        """Go on with the tab key until an element has the focus, and is seen to have it."""
        for _ in range(120):
            self.strike("Tab")
            if self.page.evaluate("one => document.activeElement.matches(one)", selector):
                shown = self.page.evaluate(
                    """() => ["", "::after"].some((part) => {
                      const style = getComputedStyle(document.activeElement, part || null);
                      return style.outlineStyle !== "none" && style.outlineWidth !== "0px";
                    })"""
                )
                self.assertTrue(shown, f"{selector} doesn't show that it has the focus")
                return
        raise AssertionError(f"the tab key doesn't lead to {selector}")


class BrowserCase(Acts, SynchronousTestCase):
    """A pod, and a browser that hasn't been there yet."""

    def setUp(self):
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        self.directory = directory
        self.furnish(directory / "pod-1")
        self.gateway = Gateway(directory)
        self.addCleanup(lambda: self.gateway.process.stop())
        self.chromium = Chromium(f"http://127.0.0.1:{self.gateway.web_port}")
        self.addCleanup(self.chromium.close)
        self.page = self.chromium.page

    def furnish(self, state):
        """Put something into the pod's state directory before its first start."""

    def sign_in_first(self):
        """Sign in as the first administrator, by the link that the pod printed."""
        link = next(line for line in self.gateway.process.output if "/invitation/" in line)
        self.page.goto(link.split()[-1])
        self.page.get_by_label("Name").fill(NAME)
        for field in self.page.locator("input[type=password]").all():
            field.fill(PASSWORD)
        self.page.get_by_role("button", name="Set the password").click()
        self.page.wait_for_url("**/admin")

    def shot(self, path, name):
        """Go to a page, and hold it to what holds for all."""
        self.chromium.visit(path)
        self.chromium.check(name)

    def has_focus(self, name):
        """Wait until the cursor is in a field; the browser puts it there some time after a load."""
        self.page.wait_for_function("name => document.activeElement?.name === name", arg=name)


class CountedCase(Counts, BrowserCase):
    """A pod and a browser, whose person's steps are counted."""
