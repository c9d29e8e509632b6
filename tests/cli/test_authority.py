import json

from tests.cli.support import CommandTestCase

ONE = {"use": "current", "fingerprint": "ab" * 32, "expires_at": "2051-03-02T09:00:00Z"}
SHOWN = {
    "authorities": [ONE],
    "connectors_moved": 3,
    "connectors_left": 0,
    "left": [],
    "join_tokens": 0,
}


class AuthorityTests(CommandTestCase):
    def show(self, **shown):
        self.api.override = (200, "application/json", json.dumps({**SHOWN, **shown}))
        return self.succeed("authority", "show").splitlines()

    def test_show(self):
        lines = self.show()
        self.assertEqual(lines[1].split()[:2], ["current", "ab" * 32])
        self.assertEqual((len(lines), lines[1].split()[-1]), (2, "3"))
        both = [ONE, {**ONE, "use": "new", "fingerprint": "cd" * 32}]
        lines = self.show(authorities=both, connectors_left=1, left=["paris"], join_tokens=2)
        self.assertEqual([line.split()[-1] for line in lines[1:3]], ["1", "3"])
        self.assertEqual(lines[3:], ["not moved yet: paris", "unused join tokens of the old CA: 2"])

    def test_steps(self):
        self.assertIn("`tunnelcloud authority retire`", self.succeed("authority", "rotate"))
        self.succeed("authority", "retire")
        self.succeed("authority", "retire", "--force")
        bodies = [(path, body) for _, path, _, body in self.api.requests[-2:]]
        self.assertEqual(
            bodies,
            [("authority/retire", {"force": False}), ("authority/retire", {"force": True})],
        )
