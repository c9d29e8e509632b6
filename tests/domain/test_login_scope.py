"""What a login may open, and each reason why it opens nothing."""

from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import grant, tunnel, view
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.login_scope import scope_of
from tunnelcloud.domain.names import Login

NAMED = Login(user=None, tunnel="db")


class ScopeTests(SynchronousTestCase):
    def obstacle(self, *grants, method=Method.TOKEN, login=None, bound=None, blocked=False):
        scope = scope_of(view(*grants, blocked=blocked), method, login, bound)
        self.assertIsNone(scope.tunnel)
        return scope.obstacle

    def test_what_opens(self):
        db = tunnel()
        every = view(grant(db), grant(tunnel("web", "10.0.0.6")))
        self.assertIsNone(scope_of(every, Method.KEY, None, None).tunnel)
        self.assertEqual(scope_of(every, Method.KEY, NAMED, None).tunnel, db)
        self.assertEqual(scope_of(every, Method.TOKEN, None, db.id).tunnel, db)
        self.assertEqual(scope_of(every, Method.TOKEN, NAMED, db.id).obstacle, "")

    def test_nothing_assigned(self):
        self.assertEqual(
            self.obstacle(), "no tunnel is assigned to alice; an administrator can assign one"
        )

    def test_nothing_for_this_method(self):
        self.assertEqual(
            self.obstacle(grant(tunnel(), [Method.KEY])),
            "no tunnel that opens with a one-time token is assigned to alice",
        )
        self.assertEqual(
            self.obstacle(grant(tunnel(), [Method.TOKEN]), method=Method.KEY, login=NAMED),
            "no tunnel that opens with a key is assigned to alice",
        )

    def test_disabled(self):
        for login, bound in ((None, None), (NAMED, None), (None, "tun_db")):
            found = self.obstacle(grant(tunnel(enabled=False)), login=login, bound=bound)
            self.assertIn("disabled; an administrator can enable it", found)

    def test_blocked(self):
        self.assertIn("is blocked", self.obstacle(grant(tunnel()), blocked=True))

    def test_a_token_for_a_tunnel_that_is_not_theirs(self):
        self.assertIn(
            "the tunnel that it is for isn't assigned to alice",
            self.obstacle(grant(tunnel()), bound="tun_web"),
        )

    def test_a_login_for_another_tunnel_than_the_token(self):
        other = Login(user=None, tunnel="web")
        found = self.obstacle(grant(tunnel()), login=other, bound="tun_db")
        self.assertEqual(found, "it is for db only, and the login name has another tunnel")

    def test_a_login_for_a_tunnel_that_is_not_theirs(self):
        other = Login(user=None, tunnel="web")
        found = self.obstacle(grant(tunnel()), login=other)
        self.assertIn("no tunnel that is assigned to alice has the name", found)
        self.assertNotIn("web", found)

    def test_a_label_of_several(self):
        rivals = [tunnel(name, name, external_address=f"db.{name}.org") for name in ("a", "b")]
        found = self.obstacle(*map(grant, rivals), login=NAMED)
        self.assertEqual(found, "db names more than one tunnel: a, b")
