"""What isn't a message of joining."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.join_tokens import SECRET_LENGTH
from tunnelcloud.link.join_messages import BadMessage, JoinRequest, RenewalRequest, read_request

HALF = "\ud83d"
"""Half of a character, which JSON may hold and no encoding can."""


class HalfCharacterTests(SynchronousTestCase):
    def test_no_text_holds_one(self):
        joining = JoinRequest("0" * 2 * SECRET_LENGTH, "request", "1.0")
        renewing = RenewalRequest("request", "certificate")
        for request, names in (
            (joining, ("secret", "certificate_request", "version")),
            (renewing, ("certificate_request", "certificate")),
        ):
            self.assertEqual(read_request(request.encode()), request)
            for name in names:
                changed = evolve(request, **{name: HALF})
                self.assertRaises(BadMessage, read_request, changed.encode())
