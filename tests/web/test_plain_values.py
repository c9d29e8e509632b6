"""What is shown of entities directly is what their models would be dumped as."""

import json
from datetime import UTC, datetime, timedelta, timezone

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.store.databases import SQLiteCase
from tests.store.material import make_world
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.schedule import parse_window
from tunnelcloud.store import policies, users
from tunnelcloud.store.assignments import ASSIGNMENTS
from tunnelcloud.web.encoding import encode_json
from tunnelcloud.web.models.assignments import Assignment
from tunnelcloud.web.models.connectors import AttachedTo
from tunnelcloud.web.models.plain_values import plain_values, values_as
from tunnelcloud.web.models.policies import Policy
from tunnelcloud.web.models.sites import Site
from tunnelcloud.web.models.tunnels import Published, Tunnel
from tunnelcloud.web.models.users import User

AT = datetime(2026, 1, 31, 9, 0, 0, 123_999, UTC)


class PlainValuesTests(SQLiteCase):
    def test_they_are_as_the_models_of_the_entities_would_be_dumped(self):
        store = self.open()
        world = store.write(make_world)
        policy = store.write(
            policies.create,
            name="hours",
            source_networks=("10.0.0.0/8", "::1/128"),
            windows=(parse_window("Mon-Fri 09:00-18:00 Europe/Paris"),),
            valid_until=AT,
        )
        tunnel = evolve(
            world.tunnel,
            target_ports=(PortRange(80, 80), PortRange(8000, 8010)),
            created_at=AT.astimezone(timezone(timedelta(hours=2))),
        )
        assignment = store.read(ASSIGNMENTS.list_page).items[0]
        for model, entity in (
            (Site, world.site),
            (Published, tunnel),
            (User, store.read(users.get, world.alice.id)),
            (
                User,
                evolve(world.alice, title="é \u202e \ud800", email="a@b.example"),
            ),
            (Policy, policy),
            (Assignment, evolve(assignment, methods=frozenset({Method.TOKEN}))),
        ):
            dumped = model.model_validate(entity).model_dump(mode="json")
            shown = values_as(model)(entity)
            self.assertEqual(list(shown.items()), list(dumped.items()))
            self.assertEqual(encode_json(shown), encode_json(dumped))

    def test_an_entity_may_have_only_some_of_the_fields(self):
        world = self.open().write(make_world)
        shown = values_as(Tunnel, type(world.tunnel))(world.tunnel)
        self.assertNotIn("last_check", shown)
        self.assertEqual(shown["name"], world.tunnel.name)

    def test_models_and_plain_values_serve_alike(self):
        model = AttachedTo(pods=1, of=2)
        self.assertEqual(plain_values(model), plain_values({"pods": 1, "of": 2}))


class EncodingTests(SynchronousTestCase):
    def test_any_answer_reads_as_what_it_was(self):
        for value in ({"a": [1, 2.5, None, True, "é\u2028</\x00"]}, [], "", 1e22, 10**18):
            self.assertEqual(json.loads(encode_json(value)), value)

    def test_half_a_character_is_an_escape(self):
        self.assertEqual(json.loads(encode_json({"a": "x\ud800"})), {"a": "x\ud800"})
