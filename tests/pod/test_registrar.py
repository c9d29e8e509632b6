import queue

from tests.pod.registries import SECRET, RegistryContract
from tests.store.databases import SQLiteCase
from tunnelcloud.domain.join_tokens import hash_secret
from tunnelcloud.pod.registrar import Registrar
from tunnelcloud.store import connectors, sites
from tunnelcloud.store.asynchronous import AsyncStore

HOUR = 3600


class Handover:
    """Takes what the store's threads hand to the reactor's."""

    def __init__(self):
        self._calls = queue.Queue()

    def callFromThread(self, function, *args):
        self._calls.put((function, args))

    def run_one(self):
        function, args = self._calls.get(timeout=10)
        function(*args)


class RegistrarTests(RegistryContract, SQLiteCase):
    """The registry that pods use keeps the contract."""

    def setUp(self):
        SQLiteCase.setUp(self)
        RegistryContract.setUp(self)

    def make(self):
        self.store = self.open(lambda _: int(self.time.timestamp() * 1000))
        self.handover = Handover()
        site = self.store.write(sites.create, name="paris")
        self.first, self.second = (
            self.store.write(connectors.create, name=f"paris-{number}", site_id=site.id).id
            for number in (1, 2)
        )
        self.store.write(
            connectors.add_join_token,
            self.first,
            secret_hash=hash_secret(SECRET),
            lifetime_seconds=HOUR,
        )
        return Registrar(AsyncStore(self.store, self.handover), "pod_1")

    def delete(self, connector_id):
        self.store.write(connectors.delete, connector_id)

    def wait(self, deferred):
        over = []

        def ended(outcome):
            over.append(True)
            return outcome

        deferred.addBoth(ended)
        while not over:
            self.handover.run_one()
