"""Signing in from a terminal, and what the environment has that goes before it."""

from tests.cli.support import CommandTestCase

NO_TOKEN = {"TUNNELCLOUD_API_TOKEN": ""}


class OverrideTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.home = {"XDG_CONFIG_HOME": self.mktemp()}

    def signed_in(self, *options, **environment):
        status, output, errors = self.run_line(*options, "login", env={**self.home, **environment})
        self.assertEqual((status, output), (0, f"signed in to {self.api.url} as alice\n"))
        return [line for line in errors.splitlines() if line.startswith("warning: ")]

    def test_nothing_goes_before_it(self):
        self.assertEqual(self.signed_in(**NO_TOKEN), [])

    def test_a_token_in_the_environment(self):
        [warning] = self.signed_in()
        self.assertEqual(
            warning,
            "warning: TUNNELCLOUD_API_TOKEN is set, and goes before this sign-in: unset it to act"
            " as alice",
        )

    def test_another_pods_address_in_the_environment(self):
        [warning] = self.signed_in(
            "--url", self.api.url, **NO_TOKEN, TUNNELCLOUD_URL="https://other.example"
        )
        self.assertIn("TUNNELCLOUD_URL is https://other.example, where the next", warning)

    def test_signing_out(self):
        self.signed_in(**NO_TOKEN)
        status, _, errors = self.run_line("logout", env=self.home)
        self.assertEqual(status, 0)
        self.assertIn("warning: TUNNELCLOUD_API_TOKEN is set, and the next command", errors)

    def test_a_token_of_nobody_says_where_it_is_from(self):
        detail = '{"detail": "this API token belongs to no user: use one"}'
        self.api.override = (403, "application/problem+json", detail)
        line = self.fail_line("ls")
        self.assertIn("the token is from TUNNELCLOUD_API_TOKEN, which goes before", line)
        self.assertIn("`tunnelcloud api-token create --title TEXT --role user --user NAME`", line)

    def test_a_token_that_is_over_says_where_it_is_from(self):
        detail = '{"detail": "the API token is unknown or has expired"}'
        self.api.override = (401, "application/problem+json", detail)
        self.assertIn("; the token is from TUNNELCLOUD_API_TOKEN)", self.fail_line("ls"))
