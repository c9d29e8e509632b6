"""What some pods tell each other by their store, without a database."""

from twisted.internet.defer import fail, succeed

from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.transaction import Change


class Pods:
    """The store of some pods, and its change feed: a notice arrives when it is written."""

    def __init__(self):
        self.hearers = []
        self.changes = []
        self.away = False

    def aside(self):
        return self

    def write(self, function, *arguments):
        if self.away:
            return fail(StoreUnavailable("away"))
        function(self, *arguments)
        return succeed(None)

    def changed(self, kind, object_id, *, decides, concerns):
        change = Change(kind, object_id, decides, tuple(concerns))
        self.changes.append(change)
        for hear in self.hearers:
            hear(change)
