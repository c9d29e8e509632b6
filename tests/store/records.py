"""A world in which sessions begin and end, for several suites."""

from __future__ import annotations

from tests.store.material import MovingClock, login, make_world
from tunnelcloud.domain.entities import Method
from tunnelcloud.store import audit, channels, sessions


class RecordCase:
    """Mixin: a world, and shorthands for what happens in it."""

    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)

    def start(self, pod_id="pod_1", user=None, **fields):
        return self.store.write(
            sessions.start,
            user or self.world.alice,
            Method.KEY,
            login(pod_id=pod_id),
            **fields,
        )

    def open_channel(self, session, **fields):
        return self.store.write(
            channels.open,
            session,
            self.world.tunnel,
            **{"destination": "10.0.0.5", "port": 5432, **fields},
        )

    def events(self, name):
        return [one.event for one in self.store.read(audit.list_page, event=name).items]
