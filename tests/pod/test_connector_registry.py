from datetime import timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.pod.registries import SECRET, MemoryRegistry, RegistryContract, make_connector


class MemoryRegistryTests(RegistryContract, SynchronousTestCase):
    def make(self):
        self.first, self.second = "con_1", "con_2"
        registry = MemoryRegistry(lambda: self.time)
        registry.create(make_connector(1))
        registry.create(make_connector(2))
        registry.create_join_token("con_1", SECRET, timedelta(hours=1))
        return registry

    def delete(self, connector_id):
        self.registry.delete(connector_id)
