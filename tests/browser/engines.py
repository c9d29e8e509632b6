"""The engines of browsers other than Chromium: Debian's Firefox, and WebKitGTK, as Safari has it.

Both are driven through what they are built with: Firefox by its Marionette, WebKitGTK by its
WebDriver.  Their drivers name the same things differently; here each has one name.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time

from tests.integration.processes import PATIENCE, free_port
from tests.requirements import require_executable, require_module

_CSS = "css selector"


class Engine:
    """A browser with one window.

    :ivar driver: Marionette or WebDriver; elements of both click, clear and take keys alike.
    """

    driver = None
    stale = Exception
    """What is raised about an element that the page has replaced, or kinds of that."""

    def find(self, selector, text="", do=lambda element: None):
        """Wait for an element that is shown and has a text.

        :param do: what to do with it; once more when the page replaces it meanwhile.
        :return: what the element says.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(self.stale):
                for found in self.driver.find_elements(_CSS, selector):
                    said = found.text
                    if text in said and found.is_displayed():
                        do(found)
                        return said
            time.sleep(0.05)
        raise AssertionError(f"{self.url} shows no {selector} with {text!r}: {self.text[:2000]}")

    def click(self, selector, text=""):
        """Click on an element."""
        self.find(selector, text, lambda element: element.click())

    def fill(self, selector, value):
        """Type into a field."""

        def fill(field):
            field.clear()
            field.send_keys(value)

        self.find(selector, do=fill)

    def strike(self, *keys):
        """Press keys, one after another, wherever the focus is."""
        for key in keys:
            self.focused().send_keys(key)

    @property
    def text(self):
        """What the page says."""
        return self.driver.find_element(_CSS, "body").text

    def run(self, script):
        """Run a script in the page; give what it returns."""
        return self.driver.execute_script(script)


class Firefox(Engine):
    """Debian's Firefox ESR, without a screen."""

    def __init__(self):
        executable = require_executable("firefox-esr")
        marionette = require_module("marionette_driver.marionette").Marionette
        self.stale = require_module("marionette_driver.errors").StaleElementException
        self._profile = tempfile.mkdtemp(prefix="firefox")
        port = free_port()
        with open(f"{self._profile}/user.js", "w") as preferences:
            preferences.write(f'user_pref("marionette.port", {port});\n')
        self._process = subprocess.Popen(
            [executable, "--headless", "--marionette", "--no-remote", "--profile", self._profile],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self.driver = marionette(host="127.0.0.1", port=port)
            self.driver.raise_for_port(PATIENCE)
            self.driver.start_session(timeout=PATIENCE)
        except BaseException:
            self._end()
            raise

    def visit(self, address):
        """Go to a page."""
        self.driver.navigate(address)

    def focused(self):
        """Give the element that has the focus."""
        return self.driver.get_active_element()

    @property
    def url(self):
        """Where the page is."""
        return self.driver.get_url()

    def back(self):
        """Press Back."""
        self.driver.go_back()

    def reload(self):
        """Press F5."""
        self.driver.refresh()

    def close(self):
        """End it."""
        self.driver.delete_session()
        self._end()

    def _end(self):
        self._process.terminate()
        self._process.wait(PATIENCE)
        shutil.rmtree(self._profile, ignore_errors=True)


class WebKit(Engine):
    """WebKitGTK's small browser, on a screen that nobody sees."""

    def __init__(self):
        driver = require_executable("WebKitWebDriver")
        webdriver = require_module("selenium.webdriver")
        service = require_module("selenium.webdriver.webkitgtk.service").Service
        exceptions = require_module("selenium.common.exceptions")
        # It says the latter of an element whose page is being left.
        self.stale = exceptions.StaleElementReferenceException, exceptions.JavascriptException
        read, write = os.pipe()
        self._screen = subprocess.Popen(
            [require_executable("Xvfb"), "-displayfd", str(write), "-nolisten", "tcp"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(write,),
        )
        os.close(write)
        with os.fdopen(read) as said:
            display = said.readline().strip()
        self._home = tempfile.mkdtemp(prefix="webkit")
        environment = {
            **os.environ,
            "DISPLAY": f":{display}",
            "HOME": self._home,
            "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",  # root, in a test
        }
        self.driver = webdriver.WebKitGTK(
            options=webdriver.WebKitGTKOptions(),
            service=service(executable_path=driver, env=environment),
        )

    def visit(self, address):
        """Go to a page."""
        self.driver.get(address)

    def focused(self):
        """Give the element that has the focus."""
        return self.driver.switch_to.active_element

    @property
    def url(self):
        """Where the page is."""
        return self.driver.current_url

    def back(self):
        """Press Back."""
        self.driver.back()

    def reload(self):
        """Press F5."""
        self.driver.refresh()

    def close(self):
        """End it."""
        self.driver.quit()
        self._screen.terminate()
        self._screen.wait(PATIENCE)
        shutil.rmtree(self._home, ignore_errors=True)
