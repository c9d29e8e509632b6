"""Two users, a tunnel, and a policy whose grants the second user approves."""

from sqlalchemy import insert

from tests.store.material import MovingClock, make_world
from tunnelcloud.domain.event_sentences import event_sentence
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.store import (
    approvals,
    audit,
    groups,
    identity_providers,
    pending_counts,
    policies,
    schema,
)


class ApprovalSteps:
    """What tests of approvals do, in either database."""

    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)
        self.bosses = self.store.write(groups.create, name="bosses")
        self.store.write(groups.add_member, self.bosses.id, self.world.bob.id)
        self.policy = self.make_policy("ask", Approval.OTHERS)

    def make_policy(self, name, approval):
        return self.store.write(
            policies.create,
            name=name,
            approval=approval,
            approvers_id=self.bosses.id,
            approval_seconds=600,
        )

    def ask(self, policy=None, source_ip="192.0.2.1", **more):
        return self.store.write(
            approvals.ask,
            self.world.alice,
            self.world.tunnel,
            policy or self.policy,
            source_ip=source_ip,
            **more,
        )

    def waits_for(self, user):
        found = self.store.read(pending_counts.waiting_for, user)
        return found.count, found.is_approver

    def approved(self, **more):
        return self.store.write(approvals.approve, self.ask(**more).id, self.world.bob)

    def make_one_person_of_two(self):
        for name, user in (("corp", self.world.alice), ("corp-2", self.world.bob)):
            provider = self.store.write(
                identity_providers.create, name=name, issuer="https://idp.example", client_id="x"
            )
            self.store.write(self.link, provider, user, "sub-1")

    def assert_shown_as_same(self, name):
        [event] = [
            one.event for one in self.store.read(audit.list_page).items if one.event.event == name
        ]
        self.assertEqual(event.data["same_person_at"], "corp-2")
        self.assertIn("as the same person at corp-2", event_sentence(event))

    def link(self, transaction, provider, user, subject):
        now = transaction.now()
        row = {"provider_id": provider.id, "subject": subject, "user_id": user.id,
               "created_at": now, "last_used_at": now}  # fmt: skip
        transaction.connection.execute(insert(schema.identities), row)
