"""Commands of a user without a home directory, as in a container: one line says what is missing."""

import os
import pwd

from tests.cli.support import CommandTestCase
from tunnelcloud.cli.own_directories import expanded

NOBODY = {"HOME": None, "XDG_CONFIG_HOME": None, "XDG_STATE_HOME": None, "XDG_RUNTIME_DIR": None}


class HomelessTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.patch(pwd, "getpwuid", self.no_such_user)
        self.patch(os, "geteuid", lambda: 12345)

    def no_such_user(self, uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    def test_a_token_is_enough(self):
        status, _, _ = self.run_line("site", "list", env=NOBODY)
        self.assertEqual(status, 0)

    def test_nobody_is_signed_in(self):
        line = self.fail_line("site", "list", env={**NOBODY, "TUNNELCLOUD_API_TOKEN": None})
        self.assertIn("you are not signed in", line)

    def test_what_needs_a_place(self):
        for words, variable in ((("login",), "XDG_CONFIG_HOME"), (("status",), "XDG_STATE_HOME")):
            line = self.fail_line(*words, env=NOBODY)
            self.assertIn(f"this user has no home directory: set HOME, or {variable}", line)

    def test_the_home_of_nobody(self):
        self.addCleanup(os.environ.update, {"HOME": os.environ.pop("HOME", "/")})
        for path in ("~/key", "~nobody-has-this-name/key"):
            self.assertEqual(str(expanded(path)), path)
