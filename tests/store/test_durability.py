"""What was acknowledged survives kill -9, and what was spent stays spent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tunnelcloud
from tests.store.databases import SQLiteCase
from tests.store.material import count_events, login, make_world
from tunnelcloud.store import sessions, tokens, user_views
from tunnelcloud.store.tokens import Outcome

ROOT = Path(tunnelcloud.__file__).parent.parent
COUNT = 500


class KillTests(SQLiteCase):
    def test_no_token_works_twice_across_kills(self):
        secrets = [f"secret-{number}" for number in range(COUNT)]
        store = self.open()
        alice = store.write(make_world).alice

        def create_all(transaction):
            for one in secrets:
                tokens.create(
                    transaction, user_id=alice.id, secret_hash=one.encode(), lifetime_seconds=600
                )

        store.write(create_all)
        store.close()
        acknowledged = []
        for after in (1, 20):
            left = [one for one in secrets if one not in set(acknowledged)]
            acknowledged += self.spend_until_killed(left, after)
        self.assertEqual(len(acknowledged), len(set(acknowledged)))

        store = self.open()
        found = {one: store.read(user_views.find_token, one.encode()).token for one in secrets}
        spent = {one for one in secrets if found[one].sessions_used}
        self.assertLessEqual(set(acknowledged), spent)
        self.assertEqual(store.read(sessions.count), len(spent))
        futures = {one: store.write_soon(tokens.spend, one.encode(), login()) for one in secrets}
        for one, future in futures.items():
            expected = Outcome.USED if one in spent else Outcome.SPENT
            self.assertIs(future.result().outcome, expected)
        self.assertEqual(store.read(sessions.count), COUNT)
        self.assertEqual(store.read(count_events, event="login.succeeded"), COUNT)

    def spend_until_killed(self, secrets, after):
        """Let a process spend tokens, kill it after some, and list what it acknowledged."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.spender", str(self.directory), *secrets],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        try:
            found = [process.stdout.readline().decode().strip() for _ in range(after)]
        finally:
            process.kill()
            rest, _ = process.communicate(timeout=30)
        # The last line may have been cut.
        return found + rest.decode().rpartition("\n")[0].split()
