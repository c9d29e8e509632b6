from datetime import UTC, datetime, timedelta

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.target_certificates import SeenCertificate

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class SeenCertificateTests(SynchronousTestCase):
    def seen(self, left, **options):
        return SeenCertificate(
            "db.internal", "Example CA", NOW - timedelta(days=90), NOW + left, **options
        )

    def test_what_is_said(self):
        for left, good, warning in [
            (timedelta(days=15), True, ""),
            (timedelta(days=7, hours=3), True, "ends in 7 days"),
            (timedelta(days=1), True, "ends in 1 day"),
            (timedelta(hours=5), True, "ends in 5 hours"),
            (timedelta(minutes=5), True, "ends in less than an hour"),
            (timedelta(days=-3), False, "ended 3 days ago"),
        ]:
            found = self.seen(left)
            self.assertEqual((found.is_good(NOW), found.warning(NOW)), (good, warning))

    def test_one_line(self):
        self.assertEqual(
            self.seen(timedelta(days=30)).text(NOW),
            "certificate of db.internal by Example CA, ends 2026-04-01 09:00 UTC",
        )
        self.assertEqual(
            self.seen(timedelta(days=2), fault="self-signed certificate").text(NOW),
            "certificate of db.internal by Example CA, ends 2026-03-04 09:00 UTC: ends in 2 days, "
            "this pod would not trust it (self-signed certificate)",
        )

    def test_not_yet(self):
        found = SeenCertificate("a", "b", NOW + timedelta(days=1), NOW + timedelta(days=90))
        self.assertFalse(found.is_good(NOW))
        self.assertEqual(found.warning(NOW), "isn't good before 2026-03-03 09:00 UTC")
