from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.actors import ActorKind, actor_kind, actor_text


class ActorTests(SynchronousTestCase):
    def test_the_id_carries_the_kind(self):
        for actor_id, kind in [
            ("usr_0", ActorKind.USER),
            ("api_0", ActorKind.API_TOKEN),
            ("con_0", ActorKind.CONNECTOR),
            ("idp_0", ActorKind.IDENTITY_PROVIDER),
            (None, ActorKind.SYSTEM),
            ("", ActorKind.SYSTEM),
        ]:
            self.assertIs(actor_kind(actor_id), kind, actor_id)

    def test_nothing_reads_like_the_system_but_the_system(self):
        texts = [actor_text(kind, "system") for kind in ActorKind]
        self.assertEqual(len(set(texts)), len(texts))
        self.assertEqual([text for text in texts if text == "system"], ["system"])
        self.assertEqual(actor_text(ActorKind.USER, "alice"), "alice")
