"""However tunnels' names collide: every door gives one answer, and no scope is ever left."""

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import grant, tunnel, view
from tests.pod.fakes import World
from tunnelcloud.domain.entities import Method, SessionMethod
from tunnelcloud.domain.names import named_by
from tunnelcloud.domain.policy import decide
from tunnelcloud.domain.ssh_command import destination_host, own_host
from tunnelcloud.pod.tunnel_descriptions import describe
from tunnelcloud.web.interfaces import Usage
from tunnelcloud.web.resources.tunnel_standing import decision_of

HOSTS = ["db", "prod", "web", "db.example.com", "prod.example.com", "db.example.org", "10.0.0.5"]
LOCAL = ["localhost", "127.0.0.1", "::1"]
NAMES = ["db", "prod", "web"]
PORTS = [22, 5432]
one_tunnel = st.fixed_dictionaries(
    {
        "address": st.sampled_from([*HOSTS, "localhost"]),
        "external_address": st.none() | st.sampled_from(HOSTS[:-1]),
        "ports": st.lists(st.sampled_from(PORTS), min_size=1, unique=True),
        "enabled": st.booleans() | st.just(True),
        "methods": st.sets(st.sampled_from(Method), min_size=1),
    }
)


@st.composite
def views(draw):
    chosen = draw(st.lists(one_tunnel, min_size=1, max_size=3))
    grants, taken = [], set()
    for name, fields in zip(NAMES, chosen, strict=False):
        methods, ports = fields.pop("methods"), fields.pop("ports")
        if fields["external_address"] in taken:  # which is unique, as names are
            fields["external_address"] = None
        taken.add(fields["external_address"])
        made = tunnel(name, ports=tuple((one, one) for one in ports), **fields)
        grants.append(grant(made, methods))
    return view(*grants)


def world_of(one, method, only):
    world = World(one, method=SessionMethod(str(method)), tunnel_id=only)
    pod = SimpleNamespace(host="pod", port=2222)
    world.sessions._around = world.live._around = SimpleNamespace(
        **{
            name: getattr(world.live._around, name)
            for name in ("views", "clock", "now", "records", "links", "turns")
        },
        describe=lambda view, session, tunnel, decision: describe(
            view, session, tunnel, pod, True, decision, {tunnel.target_ports[0].first: ""}
        ),
        doctor=doctor,
    )
    return world


async def doctor(live, tunnel):
    yield tunnel.id


class ScopeProperty(SynchronousTestCase):
    def hold(self, one, method, only):
        world = world_of(one, method, only)
        live = world.live
        theirs = {
            grant.tunnel.id: grant.tunnel
            for grant in one.grants
            if method in grant.methods and grant.tunnel.enabled and only in (None, grant.tunnel.id)
        }
        rows = self.successResultOf(live.information.tunnels())
        self.assertEqual({row.api()["id"] for row in rows}, set(theirs))
        for row in rows:
            self.hold_row(one, live, theirs[row.api()["id"]], row)
        for host in [*HOSTS, *LOCAL]:
            for port in PORTS:
                decision = live.decide(one, host, port)
                if decision.tunnel is not None:
                    self.assertIn(only, (None, decision.tunnel.id))
                if decision.allowed:
                    self.assertIn(decision.tunnel.id, theirs)
            for found in named_by(one, method, host, only):
                self.assertIn(found.id, theirs)
        for name in NAMES:
            meant = [found.id for found in named_by(one, method, name, only)]
            self.assertEqual(self.examined(live, name), meant[0] if meant else None)

    def hold_row(self, one, live, tunnel, row):
        """What ``ls`` says of a tunnel is what opening it by its command does."""
        host, port = own_host(one, tunnel), tunnel.target_ports[0].first
        self.assertEqual(host, destination_host(tunnel, [each.tunnel for each in one.grants]))
        self.assertIn(f":{host}:{port} ", row.command)
        decided = live.decide(one, host, port)
        opens = decided.allowed and decided.tunnel.id == tunnel.id
        self.assertEqual(row.state == "Ready", opens, row)
        if live.session.tunnel_id is None:
            context = SimpleNamespace(
                live=SimpleNamespace(usage=lambda _: Usage()), now=live._around.now
            )
            method, source = live.session.method, live.session.source_ip
            portal = decision_of(context, one, tunnel, method, source, port)
            self.assertEqual(portal.allowed, opens)
        else:
            self.assertTrue(opens)

    def examined(self, live, name):
        async def first():
            try:
                return await anext(live.information.doctor(name))
            except LookupError:
                return None

        return self.successResultOf(Deferred.fromCoroutine(first()))

    def test_every_door_agrees(self):
        @given(views(), st.sampled_from(Method))
        @settings(max_examples=150, deadline=None, database=None)
        def try_one(one, method):
            for only in [None, *one.by_tunnel]:
                self.hold(one, method, only)

        try_one()

    def test_a_token_for_db_does_not_open_prod(self):
        prod = grant(tunnel("prod", "10.0.0.6", external_address="db.example.com"))
        both = view(grant(tunnel("db")), prod)
        live = World(both, method=SessionMethod.TOKEN, tunnel_id="tun_db").live
        for host in ("prod", "db.example.com", "10.0.0.6"):
            self.assertFalse(live.decide(both, host, 5432).allowed, host)
        self.assertEqual(live.decide(both, "localhost", 5432).tunnel.name, "db")
        self.assertTrue(decide(both, live._ask("localhost", 5432, None)).allowed)
